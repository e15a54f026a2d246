"""The one place that makes trio deterministic, with private names of trio 0.35 (test_determinism.py watches them).

Three things: the scheduler's order comes from a seed, the clock is virtual and jumps to what comes next, and timers run
between two jumps without a task of their own. The clock never jumps while a thread works, because there are no threads.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, Final, TypeVar

import structlog
import trio
from outcome import Outcome, Value
from trio._core import _run
from trio.testing import MockClock

T = TypeVar("T")

START_S: Final = 1_000.0
"""Virtual time at the start of a run: not 0, so that a forgotten zero shows."""
LOOKS_MAX: Final = 500_000
"""The clock is looked at so often at most without moving: more is a loop that never waits."""


class Stuck(Exception):
    """Nothing will ever happen again: no deadline and no timer, or a loop that never waits."""


class Timer:
    """A call to be made at a time; `cancel` takes it back."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.function: Callable[..., None] | None = function
        self.args = args

    def cancel(self) -> None:
        """Never mind."""
        self.function = None


def _raise(error: Exception) -> None:
    raise error


class VirtualTime:
    """Seconds that pass only when everybody waits. `now` is the time; `clock` is for `trio.run`."""

    def __init__(self, looks_max: int = LOOKS_MAX) -> None:
        self.now = START_S
        self._looks_max = looks_max
        self.on_error = _raise
        """What becomes of an exception out of a timer: nobody waits for it."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self.clock = MockClock(autojump_threshold=0)
        # MockClock would ask trio for statistics at each jump, and add up what it jumps: slow, and inexact.
        vars(self.clock).update(_autojump=self._jump, current_time=self._current_time)
        self._looks = 0

    def _current_time(self) -> float:
        self._looks += 1
        if self._looks > self._looks_max:
            raise Stuck(f"somebody looks at the clock for ever, at {self.now} s")
        return self.now

    def at(self, when_s: float, function: Callable[..., None], *args: Any) -> Timer:
        """Call a function when the time has come; equal times in the order they were asked for."""
        timer = Timer(function, args)
        self._count += 1
        heapq.heappush(self._timers, (max(when_s, self.now), self._count, timer))
        return timer

    def after(self, wait_s: float, function: Callable[..., None], *args: Any) -> Timer:
        """Call a function after a while."""
        return self.at(self.now + wait_s, function, *args)

    async def sleep(self, wait_s: float) -> None:
        """Like `trio.sleep`, at half the price."""
        timer = self.at(self.now + wait_s, trio.lowlevel.reschedule, trio.lowlevel.current_task())

        def abort(_raise_cancel: Any) -> trio.lowlevel.Abort:
            timer.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def until(self, condition: Callable[[], bool], timeout_s: float, poll_s: float = 0.5) -> bool:
        """Look now and then whether it is so; False after `timeout_s`."""
        end_s = self.now + timeout_s
        while not condition():
            if self.now >= end_s:
                return False
            await self.sleep(poll_s)
        return True

    def _jump(self) -> None:
        """Called by trio's loop when nothing can run: go to what comes next."""
        self._looks = 0
        deadline_s = _run.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        timers = self._timers
        if not timers or deadline_s < timers[0][0]:
            if deadline_s == inf:
                raise Stuck
            self.now = max(self.now, deadline_s)
            return
        self.now = timers[0][0]
        while timers and timers[0][0] <= self.now:
            timer = heapq.heappop(timers)[2]
            if timer.function is not None:
                try:
                    timer.function(*timer.args)
                except Exception as error:
                    self.on_error(error)


class Sleeper:
    """A task that waits for a timer and cannot be cancelled, only by `end`: a thread's work looks like this."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._task: trio.lowlevel.Task | None = None

    async def sleep(self, wait_s: float) -> None:
        """Wait; raises what `end` is given."""
        self._task = trio.lowlevel.current_task()
        timer = self._time.after(wait_s, self._wake)
        try:
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        finally:
            timer.cancel()

    def end(self, result: Outcome[None]) -> None:
        """Wake whoever sleeps, now, with this."""
        self._wake(result)

    def _wake(self, result: Outcome[None] | None = None) -> None:
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task, result or Value(None))


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Inside, trio schedules by the seed alone."""
    allowed, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    _run._r.seed(seed)
    try:
        yield
    finally:
        vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = allowed
        _run._r.setstate(state)


def run(seed: int, time: VirtualTime, main: Callable[[], Awaitable[T]]) -> T:
    """`trio.run` on virtual time, the same every time for the same seed."""
    with deterministic(seed):
        return trio.run(main, clock=time.clock)


class Listener:
    """A logger that renders nothing; it tells of every entry of level error, those about exceptions first of all."""

    def __init__(self, tell: Callable[[str, str, BaseException | None], None]) -> None:
        self._tell = tell

    def debug(self, event: str, **_: Any) -> None:
        """Not of interest."""

    info = warning = debug

    def error(self, event: str, **values: Any) -> None:
        """Something an operator is told about."""
        self._tell("error", event, None)

    def exception(self, event: str, **values: Any) -> None:
        """A bug: the host met an exception nobody had foreseen."""
        self._tell("exception", event, sys.exc_info()[1])


@contextmanager
def quiet_logs(tell: Callable[[str, str, BaseException | None], None]) -> Iterator[None]:
    """Structlog renders nothing inside; errors are told of."""
    before = structlog.get_config()
    listener = Listener(tell)
    structlog.configure(
        wrapper_class=lambda *_args, **_kwargs: listener,
        cache_logger_on_first_use=False,
    )
    for name, module in [*sys.modules.items()]:
        if name.startswith("server.") and hasattr(module, "log"):
            vars(module.log).pop("bind", None)  # a command run in this process before may have left its logger there
    try:
        yield
    finally:
        structlog.configure(**before)
