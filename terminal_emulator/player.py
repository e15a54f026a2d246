"""Carries out the steps of a script on a terminal, and says what came instead where one is not fulfilled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import trio

from terminal_emulator.effects import BeepKind, Input, Scan, Tap
from terminal_emulator.film import Frame, boxed, film_strip
from terminal_emulator.lcd import Lcd
from terminal_emulator.machine import Watcher
from terminal_emulator.printer import PrinterState
from terminal_emulator.script import (
    Expect,
    Forget,
    MoveCable,
    Pause,
    Press,
    Restart,
    ScanCode,
    ScanSlip,
    SetPrinter,
    Step,
    TapCards,
    WaitFor,
    Within,
    plain,
)
from terminal_emulator.slip import Copy, Slip

EXPECT_TIMEOUT_S: Final = 15.0
"""How long a step waits unless `within` says otherwise: a sale without an answer is given up after 10 s, plus air."""

MAX_SCREENS_REMEMBERED: Final = 1000
"""Different LCD contents kept since the last action; the oldest go first. A sale shows about five."""


class ScriptFailure(Exception):
    """A step that was not fulfilled. The text gives the place, what was expected, what came, and the LCD."""

    def __init__(self, place: str, step: str, expected: str, got: str, lcd: Lcd) -> None:
        self.expected = expected
        self.got = got
        box = "\n".join(f"  {line}" for line in film_strip([Frame("LCD", lcd)]))
        super().__init__(f"{place}: {step}\n  expected: {expected}\n  got:      {got}\n{box}")


class Operated(Protocol):
    """What a script needs of a terminal: `terminal_emulator.outlet.Outlet` has one plugged in."""

    @property
    def lcd(self) -> Lcd: ...
    @property
    def online(self) -> bool: ...
    @property
    def busy(self) -> bool: ...
    @property
    def unresolved(self) -> int: ...
    @property
    def uploading(self) -> bool: ...
    @property
    def is_equipped(self) -> bool: ...
    async def feed(self, what: Input) -> None: ...
    async def cut(self) -> None: ...
    async def plug(self) -> None: ...
    async def restart(self) -> None: ...
    def set_printer(self, state: PrinterState) -> None: ...
    def forget(self, stan: int) -> bool: ...
    def watch(self, watcher: Watcher) -> None: ...


IN_STATE: Final[dict[str, Callable[[Operated], bool]]] = {
    "online": lambda machine: machine.online,
    "offline": lambda machine: not machine.online,
    "idle": lambda machine: not machine.busy,
    "settled": lambda machine: machine.unresolved == 0,
    "equipped": lambda machine: machine.is_equipped,
    "uploaded": lambda machine: not machine.uploading,
}


async def run_script(machine: Operated, steps: list[Step], show: Callable[[str], None] | None = None) -> None:
    """Do the steps one after another; ScriptFailure at the first that is not fulfilled.

    `show` gets the film line by line: each step, the LCD after each key and at every change, and the slips that a step
    expects.
    """
    player = Player(machine)
    for step in steps:
        if show is not None:
            show(f"> {step.text}")
        try:
            await player.do(step)
        finally:
            frames, slips = player.take_film()
            if show is not None:
                for line in (*film_strip(frames), *(line for slip in slips for line in boxed(slip))):
                    show(line)


class Player(Watcher):
    """Does steps, and remembers what came of the last action."""

    def __init__(self, machine: Operated) -> None:
        self._machine = machine
        self._timeout_s = EXPECT_TIMEOUT_S
        self._changed = trio.Event()
        self._screens: deque[Lcd] = deque([machine.lcd], MAX_SCREENS_REMEMBERED)
        self._beeps: set[BeepKind] = set()
        self._slips: list[Slip] = []
        self._film: list[Frame] = []
        self._slips_to_show: list[Slip] = []
        self._qr = ""  # on the newest slip that has one: it lies there, whatever is done meanwhile
        self._caption = ""
        self._acted_s = trio.current_time()
        machine.watch(self)

    # --- What happens

    def changed(self) -> None:
        """Remember a new LCD, and wake whoever waits."""
        lcd = self._machine.lcd
        if lcd != self._screens[-1]:
            self._screens.append(lcd)
            if not self._caption:  # an action puts its own frame into the film
                self._film.append(Frame(f"+{(trio.current_time() - self._acted_s) * 1000:.0f} ms", lcd))
        self._wake()

    def beeped(self, kind: BeepKind) -> None:
        """Remember a sound."""
        self._beeps.add(kind)
        self._wake()

    def printed(self, slip: Slip) -> None:
        """Remember a slip."""
        self._slips.append(slip)
        self._qr = slip.qr or self._qr
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def take_film(self) -> tuple[list[Frame], list[Slip]]:
        """What there is to show since the last call."""
        film, self._film = self._film, []
        slips, self._slips_to_show = self._slips_to_show, []
        return film, slips

    # --- What to do

    async def do(self, step: Step) -> None:
        """One step; ScriptFailure if it is not fulfilled in time."""
        match step.action:
            case Press(keys):
                self._forget()
                for key in keys:
                    await self._act(f"[{key.upper()}]", key)
            case TapCards(taps):
                self._forget()
                for tap in taps:
                    await self._act(f"tap {tap.name}", Tap(tap.uid))
            case ScanCode(name, code):
                self._forget()
                await self._act(f"scan {name}", Scan(code()))
            case ScanSlip():
                if not self._qr:
                    self._fail(step, "a slip with a code on it", "none so far")
                self._forget()
                await self._act("scan slip", Scan(self._qr))
            case MoveCable(plug):
                self._forget()
                await (self._machine.plug() if plug else self._machine.cut())
            case SetPrinter(state):
                self._forget()
                self._machine.set_printer(state)
            case Restart():
                self._forget()
                await self._machine.restart()
                if len(self._screens) > 1:
                    self._screens.popleft()  # what the old one showed last
            case Forget(stan):
                if not self._machine.forget(stan):
                    self._fail(step, "a record with this voucher number", "none")
            case Within(seconds):
                self._timeout_s = seconds
            case Pause(seconds):
                await trio.sleep(seconds)
            case WaitFor(state):
                await self._wait(
                    step, lambda: IN_STATE[state](self._machine), f"the terminal to be {state}", self._state
                )
            case Expect():
                await self._expect(step, step.action)

    def _forget(self) -> None:
        """An action begins: what was before does not count any more."""
        self._screens = deque([self._machine.lcd], MAX_SCREENS_REMEMBERED)
        self._beeps.clear()
        self._slips.clear()
        self._acted_s = trio.current_time()

    async def _act(self, caption: str, what: Input) -> None:
        self._caption = caption
        try:
            await self._machine.feed(what)
        finally:
            self._caption = ""
        self._film.append(Frame(caption, self._machine.lcd))

    async def _expect(self, step: Step, wanted: Expect) -> None:
        text = " / ".join(wanted.parts)
        match wanted.what:
            case "lcd":
                place = f"line {wanted.line} of the LCD" if wanted.line else "the LCD"
                await self._wait(step, lambda: self._saw(wanted), f"{text!r} on {place}", self._lcd_text)
            case "beep":
                kind = BeepKind(text)
                await self._wait(step, lambda: kind in self._beeps, f"beep {kind}", self._beep_text)
            case "slip":
                place = f"a {wanted.copy}'s slip" if wanted.copy else "a slip"
                await self._wait(step, lambda: self._has_slip(wanted), f"{text!r} on {place}", self._slip_text)
                shown = wanted.copy or Copy.MERCHANT
                self._slips_to_show += [slip for slip in self._slips if slip.copy is shown]
            case "no slip":
                if self._slips:
                    self._fail(step, "no slip", self._slip_text())

    async def _wait(self, step: Step, fulfilled: Callable[[], bool], expected: str, got: Callable[[], str]) -> None:
        with trio.move_on_after(self._timeout_s):
            while not fulfilled():
                await self._changed.wait()
            return
        self._fail(step, f"{expected} within {self._timeout_s:g} s", got())

    def _fail(self, step: Step, expected: str, got: str) -> None:
        raise ScriptFailure(step.place, step.text, expected, got, self._machine.lcd)

    # --- What to look at

    def _saw(self, wanted: Expect) -> bool:
        """Whether an LCD since the last action had it. Those before it are done with: expectations keep their order."""
        for index, lcd in enumerate(self._screens):
            if shows(lcd[wanted.line - 1 : wanted.line] if wanted.line else lcd, wanted.parts):
                for _ in range(index):
                    self._screens.popleft()
                return True
        return False

    def _has_slip(self, wanted: Expect) -> bool:
        return any(
            shows(slip.lines, wanted.parts) for slip in self._slips if wanted.copy is None or slip.copy is wanted.copy
        )

    def _lcd_text(self) -> str:
        return " / ".join(filter(None, map(plain, self._machine.lcd))) or "a dark LCD"

    def _beep_text(self) -> str:
        return ", ".join(f"beep {kind}" for kind in sorted(self._beeps)) or "no beep"

    def _slip_text(self) -> str:
        if not self._slips:
            return "no slip"
        return " / ".join(line for line in map(plain, self._slips[-1].lines) if line.strip("-"))

    def _state(self) -> str:
        machine = self._machine
        line = "online" if machine.online else "offline"
        return f"{line}, {'busy' if machine.busy else 'idle'}, {machine.unresolved} sales without a final state"


def shows(lines: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether every part stands on some line."""
    compared = [plain(line) for line in lines]
    return all(any(part in line for line in compared) for part in parts)
