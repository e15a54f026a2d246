"""The outlet that a terminal's plug is in: pulled out and put back, the terminal starts from what it has stored.

Nothing is told to the terminal before: its tasks stop where they are, and a new one is made, as after a power cut. What
stands around it stays as it was: the network cable, the printer without paper, whoever looks on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import trio

from terminal_emulator.effects import Input
from terminal_emulator.lcd import Lcd
from terminal_emulator.machine import Machine, Watcher, run_machine
from terminal_emulator.printer import PrinterState

Start = Callable[[], AbstractContextManager[Machine]]
"""Makes a terminal from its storage; the storage is given back when the context ends."""


class Outlet:
    """An `Operated` that can be restarted. `run` it, and wait for its start before the first step."""

    machine: Machine

    def __init__(self, start: Start) -> None:
        self._start = start
        self._watchers: list[Watcher] = []
        self._power = trio.CancelScope()
        self._started = trio.Event()
        self._is_plugged = True
        self._printer = PrinterState.READY

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the terminal, and after each `restart` the next one, until cancelled. OSError: its storage failed."""
        is_first = True
        while is_first or self._power.cancelled_caught:
            self._power = trio.CancelScope()
            with self._start() as self.machine, self._power:
                self._set_up()
                async with trio.open_nursery() as nursery:
                    await nursery.start(run_machine, self.machine)
                    self._started.set()
                    if is_first:
                        task_status.started()
                        is_first = False

    def _set_up(self) -> None:
        """The same surroundings for a new machine."""
        self.machine.cable.is_plugged = self._is_plugged
        self.machine.printer.set(self._printer)
        for watcher in self._watchers:
            self.machine.watch(watcher)

    async def restart(self) -> None:
        """Kill the terminal wherever it is, and wait until it has started again."""
        self._started = trio.Event()
        self._power.cancel()
        await self._started.wait()

    # --- As a machine

    @property
    def lcd(self) -> Lcd:
        """What the LCD shows now."""
        return self.machine.lcd

    @property
    def online(self) -> bool:
        """See Machine."""
        return self.machine.online

    @property
    def busy(self) -> bool:
        """See Machine."""
        return self.machine.busy

    @property
    def unresolved(self) -> int:
        """See Machine."""
        return self.machine.unresolved

    @property
    def uploading(self) -> bool:
        """See Machine."""
        return self.machine.uploading

    @property
    def is_equipped(self) -> bool:
        """See Machine."""
        return self.machine.is_equipped

    async def feed(self, what: Input) -> None:
        """A key, a tap or a scan."""
        await self.machine.feed(what)

    async def cut(self) -> None:
        """Pull the network cable out."""
        self._is_plugged = False
        await self.machine.cut()

    async def plug(self) -> None:
        """Put the network cable back."""
        self._is_plugged = True
        await self.machine.plug()

    def set_printer(self, state: PrinterState) -> None:
        """See Machine."""
        self._printer = state
        self.machine.set_printer(state)

    def forget(self, stan: int) -> bool:
        """See Machine."""
        return self.machine.forget(stan)

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` from now on, of this machine and of those after it."""
        self._watchers.append(watcher)
        self.machine.watch(watcher)
