"""A host in memory that is operated step by step from outside of trio, and outlives restarts with its store.

For state machines: each of their rules is an ordinary function, while the host and its sessions live on between rules.
The host runs in a thread of its own, on a clock that stands still unless it is moved, so that no step can depend on how
fast a machine is; a call returns when the host has nothing left to do.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import outcome
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from server.gate import InlineExecutor
from tests.server.host import HostRig, config_of

T = TypeVar("T")
STEP_S: Final = 0.05
"""The clock moves by so much between two calls: no terminal is ever slowed down, and no session idle for too long."""


class CampusThread:
    """`rig` is the host of now; after `restart` it is another one on the same store."""

    def __init__(self) -> None:
        self.rig: HostRig
        self._clock = MockClock()
        self._token: trio.lowlevel.TrioToken | None = None
        self._end: trio.Event
        self._again: trio.Event
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="campus", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run an async function among the host's tasks, until it and all of them wait for something.

        AssertionError if it is not finished then: as the clock stands still, it never would be.
        """
        results: list[outcome.Outcome[T]] = []

        async def work() -> None:
            try:
                results.append(outcome.Value(await function(*args)))
            except Exception as error:
                results.append(outcome.Error(error))

        async def whole() -> T:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            assert results, f"{function} waits for what never comes"
            return results[0].unwrap()

        self._clock.jump(STEP_S)
        try:
            return trio.from_thread.run(whole, trio_token=self._token)
        except (trio.RunFinishedError, trio.Cancelled):
            self._thread.join()
            raise AssertionError(f"the host has died: {self._failure!r}") from self._failure

    def do(self, function: Callable[..., T], *args: object) -> T:
        """The same for a plain function, such as an administrator's operation."""

        async def run() -> T:
            return function(*args)

        return self.call(run)

    def restart(self) -> None:
        """The host dies, whatever it was doing, and another one starts on the same store."""

        async def again() -> None:
            self._end.set()
            await self._again.wait()

        self.call(again)

    def close(self) -> None:
        """End the thread."""

        async def end() -> None:
            self._stopping = True
            self._end.set()

        with contextlib.suppress(trio.RunFinishedError):
            trio.from_thread.run(end, trio_token=self._token)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        self._stopping = False
        try:
            with structlog.testing.capture_logs():
                trio.run(self._main, clock=self._clock)
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self.rig = HostRig(config_of(), InlineExecutor())
        self._end, self._again = trio.Event(), trio.Event()
        try:
            while not self._stopping:
                await self._host()
        finally:
            self.rig.store.close()

    async def _host(self) -> None:
        """One life of the host."""
        async with trio.open_nursery() as nursery:
            self.rig.start(nursery)
            await nursery.start(self.rig.host.run)
            self._ready.set()
            self._again.set()
            self._end, self._again = trio.Event(), trio.Event()
            await self._end.wait()
            nursery.cancel_scope.cancel()
        if not self._stopping:
            before = self.rig
            self.rig = HostRig(config_of(), InlineExecutor(), before.store)
            self.rig.clock.ms = before.clock.ms
            self.rig.merchant_id, self.rig._devices = before.merchant_id, before._devices
