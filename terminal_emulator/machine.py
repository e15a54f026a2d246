"""One terminal with somebody in front of it: LCD, beeper, slip printer, and a network cable that can be pulled.

`Machine` is a `Terminal` whose effects become things one can see and hear. The interactive screen and the script
runner both stand on it: they feed it keys and taps, and are told as `Watcher`s what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from terminal_emulator.brain import Brain
from terminal_emulator.effects import Beep, BeepKind, Effect, Note, Outcome, PrintReport, PrintSlip
from terminal_emulator.i18n import Translate, translator
from terminal_emulator.lcd import Lcd, render
from terminal_emulator.printer import Paper, Printer, PrinterState
from terminal_emulator.rotation import Keep
from terminal_emulator.slip import Copy, Slip, record_slip
from terminal_emulator.slip_day import lay_out
from terminal_emulator.terminal import OpenStream, Terminal, Ticker, Write
from terminal_emulator.texts import COUNTS_POINTS, yuan
from terminal_emulator.view import Link


class Watcher:
    """Somebody who looks at a machine. Override what is wanted; all of it is called in the order it happens."""

    def changed(self) -> None:
        """The LCD or the line may have changed."""

    def beeped(self, kind: BeepKind) -> None:
        """The beeper sounded."""

    def printed(self, slip: Slip) -> None:
        """A slip came out."""

    def noted(self, text: str) -> None:
        """Something happened that belongs in a log; English."""


class Cable:
    """The network cable: what opens streams while it is plugged in, and breaks the open one when it is pulled."""

    def __init__(self, open_stream: OpenStream) -> None:
        self.is_plugged = True
        self._open_stream = open_stream
        self._stream: trio.abc.Stream | None = None

    async def open(self) -> trio.abc.Stream:
        """An `OpenStream`: raises OSError while the cable is out."""
        self._must_be_plugged()
        stream = await self._open_stream()
        try:
            self._must_be_plugged()
        except OSError:
            await trio.aclose_forcefully(stream)
            raise
        self._stream = stream
        return stream

    def _must_be_plugged(self) -> None:
        if not self.is_plugged:
            raise OSError("the network cable is pulled out")

    async def cut(self) -> None:
        """Pull it out. The open session is broken at once."""
        self.is_plugged = False
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def plug(self) -> None:
        """Put it back; the terminal comes online by itself."""
        self.is_plugged = True
        await trio.lowlevel.checkpoint()


class Machine(Terminal):
    """See the module's docstring. Run it with `run_machine`."""

    def __init__(
        self,
        brain: Brain,
        *,
        open_stream: OpenStream,
        random_bytes: Callable[[int], bytes],
        wall_clock: Callable[[], float],
        paper: Paper | None = None,
        keep_settings: Keep | None = None,
    ) -> None:
        self.cable = Cable(open_stream)
        self.ticker = Ticker()
        self.translate: Translate = translator(brain.settings.language)
        brain.till.translate = self.translate
        self.printer = Printer(paper, self._printed, self._unprinted)
        self._watchers: list[Watcher] = []
        self._link = brain.link
        super().__init__(
            brain,
            open_stream=self.cable.open,
            random_bytes=random_bytes,
            wall_clock=wall_clock,
            ticker=self.ticker,
            show=self._show,
            keep_settings=keep_settings,
        )

    @property
    def lcd(self) -> Lcd:
        """What the LCD shows now."""
        return render(self.brain.view, self.translate, self.printer.state)

    @property
    def online(self) -> bool:
        """Whether a session is open."""
        return self.brain.online

    @property
    def busy(self) -> bool:
        """Whether a sale is being decided."""
        return self.brain.busy

    @property
    def unresolved(self) -> int:
        """How many sales have no final state yet."""
        return self.brain.unresolved

    @property
    def uploading(self) -> bool:
        """Whether the host lacks something that is kept here: offline sales, or what it lost and gets again."""
        view = self.brain.view
        return view.upload is not None or view.offline_waiting > 0

    @property
    def is_equipped(self) -> bool:
        """Whether it could sell without a line: it has limits that allow it, and a stop list."""
        till = self.brain.till
        return till.offline_limits.allow_any and till.has_stop_list

    async def cut(self) -> None:
        """Pull the network cable out."""
        await self.cable.cut()

    async def plug(self) -> None:
        """Put the network cable back."""
        await self.cable.plug()

    def set_printer(self, state: PrinterState) -> None:
        """The paper ends, the cover is opened, or all is well again and what waited is printed."""
        self.printer.set(state)
        for watcher in self._watchers:
            watcher.changed()

    def forget(self, stan: int) -> bool:
        """A fault of the memory, for settlements: its newest record with this number is gone until the next start."""
        till = self.brain.till
        record = till.find(stan)
        return record is not None and till.storage.records.pop(record.identity, None) is not None

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` from now on."""
        self._watchers.append(watcher)

    def after(self, effects: list[Effect]) -> list[Write]:
        """Every input to the brain comes through here, so every change does."""
        writes = super().after(effects)
        if self.brain.link is not self._link:
            self._link = self.brain.link
            self._note(self._link.value if self._link is Link.ONLINE else self.last_error)
        for watcher in self._watchers:
            watcher.changed()
        return writes

    def _show(self, effect: Effect) -> None:
        terminal, zone = self.brain.settings.terminal, self.brain.till.parameters.zone
        match effect:
            case Beep(kind):
                for watcher in self._watchers:
                    watcher.beeped(kind)
            case PrintSlip(record, merchant):
                for copy in Copy:
                    self.printer.put(record_slip(record, terminal, merchant, copy, self.translate, zone=zone))
            case PrintReport(report):
                for slip in lay_out(report, terminal, self.translate, zone):
                    self.printer.put(slip)
            case Outcome(record):
                amount = f"{record.amount_fen} points" if record.kind in COUNTS_POINTS else yuan(record.amount_fen)
                self._note(f"{record.stan:06d} {amount} {record.state}")
            case Note(kind, detail):
                self._note(f"{kind}: {detail}")
            case _:
                pass  # effects about the line do not come here

    def _printed(self, slip: Slip) -> None:
        for watcher in self._watchers:
            watcher.printed(slip)

    def _unprinted(self, reason: str) -> None:
        """The transaction is decided and stored by now: whatever the printer does, it stays what it is."""
        self._note(f"printer failed, the transaction stands: {reason}")

    def _note(self, text: str) -> None:
        for watcher in self._watchers:
            watcher.noted(text)


async def run_machine(machine: Machine, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Switch it on, which is when it has started, and run it until cancelled.

    OSError: its storage failed, and it must be started again.
    """
    machine.after(machine.brain.power_on(machine.now()))
    task_status.started()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(machine.ticker.run)
        nursery.start_soon(machine.run)
