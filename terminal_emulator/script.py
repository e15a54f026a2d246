"""A terminal operated by a text file: keys, taps, a pulled cable, and what has to come of it.

One step a line; `#` starts a comment, at the beginning of a line or after a space.

    card NAME UID          give a card's UID (hex digits) a name
    key 1 2 . 5 ENTER      press keys; 12.50 stands for its digits; ENTER CLEAR DELETE F1 F2 UP DOWN
    tap CARD               hold a card to the reader: its name, or its UID
    cut / plug             pull the network cable out / put it back
    wait-for online        also: offline; idle (no sale being decided); settled (no sale without a final state);
                           uploaded (a host that was restored has back what it lost)
    expect lcd TEXT        TEXT is on one line of the LCD; parts separated by " / " may be on different lines
    expect beep ok         also: error, key
    expect slip TEXT       TEXT is on one line of a slip, separated parts on different lines
    expect no slip         none came out (looks once, does not wait)
    within 20              seconds that `wait-for` and `expect` wait from here on
    pause 0.2              do nothing for so many seconds

Expectations wait until they are fulfilled. They look at what happened since the last key, tap or cable step, so nothing
that flashed by is missed, and nothing older is mistaken for it. Half-width and full-width characters are the same to
them, and so are one space and many.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec
import trio

from terminal_emulator.effects import BeepKind, Input, Key, Tap
from terminal_emulator.film import Frame, boxed, film_strip
from terminal_emulator.lcd import Lcd
from terminal_emulator.machine import Watcher
from terminal_emulator.slip import Copy, Slip

EXPECT_TIMEOUT_S: Final = 15.0
"""How long a step waits unless `within` says otherwise: a sale without an answer is given up after 10 s, plus air."""

SECONDS_MAX: Final = 86_400
"""A day: more is a slip of the finger, and enough digits in a row would wait for ever."""

MAX_SCREENS_REMEMBERED: Final = 1000
"""Different LCD contents kept since the last action; the oldest go first. A sale shows about five."""

OTHER_KEY_NAMES: Final = {"确认": Key.ENTER, "清零": Key.CLEAR, "删除": Key.DELETE}
KEY_NAMES: Final = {key.value.upper(): key for key in Key} | OTHER_KEY_NAMES
UID_BYTES_MAX: Final = 24


class ScriptSyntaxError(ValueError):
    """A line that is no step. The text gives the place, what was expected and what stands there."""


class ScriptFailure(Exception):
    """A step that was not fulfilled. The text gives the place, what was expected, what came, and the LCD."""

    def __init__(self, place: str, step: str, expected: str, got: str, lcd: Lcd) -> None:
        self.expected = expected
        self.got = got
        box = "\n".join(f"  {line}" for line in film_strip([Frame("LCD", lcd)]))
        super().__init__(f"{place}: {step}\n  expected: {expected}\n  got:      {got}\n{box}")


# ---------------------------------------------------------------------------------------------- the language


class Press(msgspec.Struct, frozen=True):
    """`key`"""

    keys: tuple[Key, ...]


class TapCard(msgspec.Struct, frozen=True):
    """`tap`"""

    name: str
    uid: bytes


class MoveCable(msgspec.Struct, frozen=True):
    """`cut` and `plug`"""

    plug: bool


class WaitFor(msgspec.Struct, frozen=True):
    """`wait-for`"""

    state: str


class Expect(msgspec.Struct, frozen=True):
    """`expect`: every part of `parts` on a line of the LCD or of one slip, or a beep of the kind `parts[0]`."""

    what: str
    parts: tuple[str, ...]


class Within(msgspec.Struct, frozen=True):
    """`within`"""

    seconds: float


class Pause(msgspec.Struct, frozen=True):
    """`pause`"""

    seconds: float


Action = Press | TapCard | MoveCable | WaitFor | Expect | Within | Pause


class Step(msgspec.Struct, frozen=True):
    """One line: where it stands, what it says, what it means."""

    place: str
    text: str
    action: Action


def parse_uid(text: str) -> bytes:
    """A card's UID from hex digits; ValueError for anything else."""
    try:
        uid = bytes.fromhex(text)
    except ValueError:
        uid = b""
    if not 1 <= len(uid) <= UID_BYTES_MAX:
        raise ValueError(f"expected a card's UID of 1..{UID_BYTES_MAX} bytes in hex digits, got {text!r}")
    return uid


def parse_script(text: str, name: str = "script", cards: Mapping[str, bytes] | None = None) -> list[Step]:
    """Read a whole script before its first step runs. `cards` are names known from outside; ScriptSyntaxError."""
    known = dict(cards or {})
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        verb, _, rest = line.partition(" ")
        try:
            if verb == "card":
                card, _, uid = rest.strip().rpartition(" ")
                if not card:
                    raise ValueError(f"expected card NAME UID, got {line!r}")
                known[card.strip()] = parse_uid(uid)
            elif (read := VERBS.get(verb)) is None:
                raise ValueError(f"expected one of card, {', '.join(VERBS)}, got {verb!r}")
            else:
                steps.append(Step(f"{name}:{number}", line, read(rest.strip(), known)))
        except ValueError as error:
            raise ScriptSyntaxError(f"{name}:{number}: {error}") from None
    return steps


def _read_keys(rest: str, _cards: Mapping[str, bytes]) -> Action:
    keys: list[Key] = []
    for word in rest.split():
        if word.upper() in KEY_NAMES:
            keys.append(KEY_NAMES[word.upper()])
        elif re.fullmatch(r"[0-9.]+", word):
            keys += (KEY_NAMES[char] for char in word)
        else:
            raise ValueError(f"expected keys such as 12.50 {' '.join(KEY_NAMES)}, got {word!r}")
    if not keys:
        raise ValueError("expected at least one key after `key`, got none")
    return Press(tuple(keys))


def _read_tap(rest: str, cards: Mapping[str, bytes]) -> Action:
    if rest in cards:
        return TapCard(rest, cards[rest])
    try:
        return TapCard(rest, parse_uid(rest))
    except ValueError:
        names = ", ".join(cards) or "none yet"
        raise ValueError(f"expected a UID in hex digits or the name of a card ({names}), got {rest!r}") from None


def _read_cable(plug: bool) -> Callable[[str, Mapping[str, bytes]], Action]:
    def read(rest: str, _cards: Mapping[str, bytes]) -> Action:
        if rest:
            raise ValueError(f"expected nothing more on the line, got {rest!r}")
        return MoveCable(plug)

    return read


def _read_wait(rest: str, _cards: Mapping[str, bytes]) -> Action:
    if rest not in STATES:
        raise ValueError(f"expected one of {', '.join(STATES)} after wait-for, got {rest!r}")
    return WaitFor(rest)


def _read_expect(rest: str, _cards: Mapping[str, bytes]) -> Action:
    what, _, text = rest.partition(" ")
    if rest == "no slip":
        return Expect("no slip", ())
    if what == "beep" and text in set(BeepKind):
        return Expect(what, (text,))
    parts = tuple(part for part in map(plain, text.split(" / ")) if part)
    if what not in ("lcd", "slip") or not parts:
        kinds = "|".join(BeepKind)
        raise ValueError(f"expected lcd TEXT, slip TEXT, no slip, or beep {kinds} after expect, got {rest!r}")
    return Expect(what, parts)


def _read_seconds(kind: type[Within] | type[Pause]) -> Callable[[str, Mapping[str, bytes]], Action]:
    def read(rest: str, _cards: Mapping[str, bytes]) -> Action:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", rest):
            raise ValueError(f"expected seconds such as 0.5, got {rest!r}")
        if float(rest) > SECONDS_MAX:
            raise ValueError(f"expected at most {SECONDS_MAX} seconds, got {rest!r}")
        return kind(float(rest))

    return read


VERBS: Final[dict[str, Callable[[str, Mapping[str, bytes]], Action]]] = {
    "key": _read_keys,
    "tap": _read_tap,
    "cut": _read_cable(plug=False),
    "plug": _read_cable(plug=True),
    "wait-for": _read_wait,
    "expect": _read_expect,
    "within": _read_seconds(Within),
    "pause": _read_seconds(Pause),
}


# ----------------------------------------------------------------------------------------------- the player


class Operated(Protocol):
    """What a script needs of a terminal. `terminal_emulator.machine.Machine` is one; its cable moves are awaited."""

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
    async def feed(self, what: Input) -> None: ...
    async def cut(self) -> None: ...
    async def plug(self) -> None: ...
    def watch(self, watcher: Watcher) -> None: ...


STATES: Final[dict[str, Callable[[Operated], bool]]] = {
    "online": lambda machine: machine.online,
    "offline": lambda machine: not machine.online,
    "idle": lambda machine: not machine.busy,
    "settled": lambda machine: machine.unresolved == 0,
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
            case TapCard(name, uid):
                self._forget()
                await self._act(f"tap {name}", Tap(uid))
            case MoveCable(plug):
                self._forget()
                await (self._machine.plug() if plug else self._machine.cut())
            case Within(seconds):
                self._timeout_s = seconds
            case Pause(seconds):
                await trio.sleep(seconds)
            case WaitFor(state):
                await self._wait(step, lambda: STATES[state](self._machine), f"the terminal to be {state}", self._state)
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
                await self._wait(step, lambda: self._saw(wanted.parts), f"{text!r} on the LCD", self._lcd_text)
            case "beep":
                kind = BeepKind(text)
                await self._wait(step, lambda: kind in self._beeps, f"beep {kind}", self._beep_text)
            case "slip":
                await self._wait(step, lambda: self._has_slip(wanted.parts), f"{text!r} on a slip", self._slip_text)
                self._slips_to_show += [slip for slip in self._slips if slip.copy is Copy.MERCHANT]
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

    def _saw(self, parts: tuple[str, ...]) -> bool:
        """Whether an LCD since the last action had it. Those before it are done with: expectations keep their order."""
        for index, lcd in enumerate(self._screens):
            if shows(lcd, parts):
                for _ in range(index):
                    self._screens.popleft()
                return True
        return False

    def _has_slip(self, parts: tuple[str, ...]) -> bool:
        return any(shows(slip.lines, parts) for slip in self._slips)

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


def plain(text: str) -> str:
    """For comparing: full-width forms as ASCII, any run of spaces as one."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def shows(lines: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether every part stands on some line."""
    compared = [plain(line) for line in lines]
    return all(any(part in line for line in compared) for part in parts)
