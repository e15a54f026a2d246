"""A terminal operated by a text file: keys, taps, a pulled cable, and what has to come of it.

One step a line; `#` starts a comment, at the beginning of a line or after a space.

    card NAME UID          give a card's UID (hex digits) a name
    code NAME TEXT         give a code to be scanned a name
    key 1 2 . 5 ENTER      press keys; 12.50 stands for its digits; ENTER CLEAR DELETE F1 F2 UP DOWN
    tap CARD               hold a card to the reader: its name, or its UID; several, one at once after the other,
                           with commas between them
    scan CODE              hold a code to the scanner: its name, its text, or @FILE for a picture of it; the name of a
                           virtual card stands for its code of this moment
    scan slip              hold the newest slip with a code on it to the scanner
    cut / plug             pull the network cable out / put it back
    printer out            no paper any more; also: open (the cover), in (paper is in, the cover closed)
    restart                kill the terminal and start it again from what it has stored
    forget 3               a fault: the memory loses its newest record with this voucher number, until a restart
    wait-for online        also: offline; idle (no transaction being decided); settled (none without a final state);
                           uploaded (the host has every offline sale, and what it lost before a restore); equipped
                           (limits and stop list are there: it may sell without a line)
    expect lcd TEXT        TEXT is on one line of the LCD; parts separated by " / " may be on different lines
    expect lcd line 2 TEXT TEXT is on this line of it, 1 to 4
    expect beep ok         also: error, key
    expect slip TEXT       TEXT is on one line of a slip, separated parts on different lines of the same
    expect slip customer TEXT   ... of a customer's copy; also: merchant
    expect no slip         none came out (looks once, does not wait)
    within 20              seconds that `wait-for` and `expect` wait from here on
    pause 0.2              do nothing for so many seconds

Expectations wait until they are fulfilled. They look at what happened since the last key, tap, scan, cable, printer or
restart step, so nothing that flashed by is missed, and nothing older is mistaken for it. Half-width and full-width
characters are the same to them, and so are one space and many. `player` carries the steps out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from terminal_emulator.effects import BeepKind, Key
from terminal_emulator.lcd import LCD_LINES
from terminal_emulator.printer import PrinterState
from terminal_emulator.slip import Copy

SECONDS_MAX: Final = 86_400
"""A day: more is a slip of the finger, and enough digits in a row would wait for ever."""

OTHER_KEY_NAMES: Final = {"确认": Key.ENTER, "清零": Key.CLEAR, "删除": Key.DELETE}
KEY_NAMES: Final = {key.value.upper(): key for key in Key} | OTHER_KEY_NAMES
UID_BYTES_MAX: Final = 24
STATES: Final = ("online", "offline", "idle", "settled", "equipped", "uploaded")
PRINTER_WORDS: Final = {
    "out": PrinterState.OUT_OF_PAPER,
    "open": PrinterState.COVER_OPEN,
    "in": PrinterState.READY,
}

THE_SLIP: Final = "slip"
"""What is scanned is a slip, unless the script has given a code this name."""

Code = Callable[[], str]
"""What a code says at the moment it is scanned."""


class ScriptSyntaxError(ValueError):
    """A line that is no step. The text gives the place, what was expected and what stands there."""


class Press(msgspec.Struct, frozen=True):
    """`key`"""

    keys: tuple[Key, ...]


class TapCard(msgspec.Struct, frozen=True):
    """`tap`, one card of it"""

    name: str
    uid: bytes


class TapCards(msgspec.Struct, frozen=True):
    """`tap`"""

    taps: tuple[TapCard, ...]


class ScanCode(msgspec.Struct, frozen=True):
    """`scan`"""

    name: str
    code: Code


class ScanSlip(msgspec.Struct, frozen=True):
    """`scan slip`"""


class MoveCable(msgspec.Struct, frozen=True):
    """`cut` and `plug`"""

    plug: bool


class SetPrinter(msgspec.Struct, frozen=True):
    """`printer`"""

    state: PrinterState


class Restart(msgspec.Struct, frozen=True):
    """`restart`"""


class Forget(msgspec.Struct, frozen=True):
    """`forget`"""

    stan: int


class WaitFor(msgspec.Struct, frozen=True):
    """`wait-for`"""

    state: str


class Expect(msgspec.Struct, frozen=True):
    """`expect`: every part of `parts` on a line of the LCD or of one slip, or a beep of the kind `parts[0]`.

    `line`: on this line of the LCD, 0: on any. `copy`: on this copy of a slip, None: on either.
    """

    what: str
    parts: tuple[str, ...]
    line: int = 0
    copy: Copy | None = None


class Within(msgspec.Struct, frozen=True):
    """`within`"""

    seconds: float


class Pause(msgspec.Struct, frozen=True):
    """`pause`"""

    seconds: float


Action = (
    Press
    | TapCards
    | ScanCode
    | ScanSlip
    | MoveCable
    | SetPrinter
    | Restart
    | Forget
    | WaitFor
    | Expect
    | Within
    | Pause
)


class Step(msgspec.Struct, frozen=True):
    """One line: where it stands, what it says, what it means."""

    place: str
    text: str
    action: Action


class Names:
    """The cards and codes that a script may call by name; it may give names of its own."""

    def __init__(
        self,
        cards: Mapping[str, bytes] | None = None,
        codes: Mapping[str, Code] | None = None,
        read_picture: Callable[[str], str] | None = None,
    ) -> None:
        """`read_picture` gives the text of the code in a picture, or raises ValueError."""
        self.cards = dict(cards or {})
        self.codes = dict(codes or {})
        self.read_picture = read_picture


Read = Callable[[str, Names], Action]


def parse_uid(text: str) -> bytes:
    """A card's UID from hex digits; ValueError for anything else."""
    try:
        uid = bytes.fromhex(text)
    except ValueError:
        uid = b""
    if not 1 <= len(uid) <= UID_BYTES_MAX:
        raise ValueError(f"expected a card's UID of 1..{UID_BYTES_MAX} bytes in hex digits, got {text!r}")
    return uid


def parse_script(text: str, name: str = "script", known: Names | None = None) -> list[Step]:
    """Read a whole script before its first step runs. `known` are names from outside; ScriptSyntaxError."""
    names = Names() if known is None else Names(known.cards, known.codes, known.read_picture)
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        verb, _, rest = line.partition(" ")
        try:
            if verb in NAMING:
                NAMING[verb](rest.strip(), names)
            elif (read := VERBS.get(verb)) is None:
                raise ValueError(f"expected one of {', '.join((*NAMING, *VERBS))}, got {verb!r}")
            else:
                steps.append(Step(f"{name}:{number}", line, read(rest.strip(), names)))
        except ValueError as error:
            raise ScriptSyntaxError(f"{name}:{number}: {error}") from None
    return steps


def plain(text: str) -> str:
    """For comparing: full-width forms as ASCII, any run of spaces as one."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _name_card(rest: str, names: Names) -> None:
    card, _, uid = rest.rpartition(" ")
    if not card:
        raise ValueError(f"expected card NAME UID, got {f'card {rest}'!r}")
    names.cards[card.strip()] = parse_uid(uid)


def _name_code(rest: str, names: Names) -> None:
    name, _, text = rest.partition(" ")
    if not text.strip():
        raise ValueError(f"expected code NAME TEXT, got {f'code {rest}'!r}")
    names.codes[name] = text.strip


NAMING: Final[dict[str, Callable[[str, Names], None]]] = {"card": _name_card, "code": _name_code}


def _read_keys(rest: str, _names: Names) -> Action:
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


def _read_tap(rest: str, names: Names) -> Action:
    return TapCards(tuple(_card(name.strip(), names.cards) for name in rest.split(",")))


def _card(name: str, cards: Mapping[str, bytes]) -> TapCard:
    if name in cards:
        return TapCard(name, cards[name])
    try:
        return TapCard(name, parse_uid(name))
    except ValueError:
        known = ", ".join(cards) or "none yet"
        raise ValueError(f"expected a UID in hex digits or the name of a card ({known}), got {name!r}") from None


def _read_scan(rest: str, names: Names) -> Action:
    if not rest:
        raise ValueError("expected a code or its name after scan, got none")
    if rest in names.codes:
        return ScanCode(rest, names.codes[rest])
    if rest == THE_SLIP:
        return ScanSlip()
    if not rest.startswith("@"):
        return ScanCode(rest, lambda: rest)
    if names.read_picture is None:
        raise ValueError(f"expected the text of a code, got a picture, which nothing here can read: {rest!r}")
    text = names.read_picture(rest[1:])
    return ScanCode(rest, lambda: text)


def _nothing_more(action: Action) -> Read:
    def read(rest: str, _names: Names) -> Action:
        if rest:
            raise ValueError(f"expected nothing more on the line, got {rest!r}")
        return action

    return read


def _read_printer(rest: str, _names: Names) -> Action:
    if rest not in PRINTER_WORDS:
        raise ValueError(f"expected one of {', '.join(PRINTER_WORDS)} after printer, got {rest!r}")
    return SetPrinter(PRINTER_WORDS[rest])


def _read_forget(rest: str, _names: Names) -> Action:
    if not re.fullmatch(r"[0-9]{1,6}", rest):
        raise ValueError(f"expected a voucher number after forget, got {rest!r}")
    return Forget(int(rest))


def _read_wait(rest: str, _names: Names) -> Action:
    if rest not in STATES:
        raise ValueError(f"expected one of {', '.join(STATES)} after wait-for, got {rest!r}")
    return WaitFor(rest)


def _read_expect(rest: str, _names: Names) -> Action:
    what, _, text = rest.partition(" ")
    if rest == "no slip":
        return Expect("no slip", ())
    if what == "beep" and text in set(BeepKind):
        return Expect(what, (text,))
    line, copy = 0, None
    if what == "lcd" and (numbered := re.match(rf"line ([1-{LCD_LINES}]) ", text)):
        line, text = int(numbered[1]), text[numbered.end() :]
    if what == "slip" and (copied := re.match(rf"({'|'.join(Copy)}) ", text)):
        copy, text = Copy(copied[1]), text[copied.end() :]
    parts = tuple(part for part in map(plain, text.split(" / ")) if part)
    if what not in ("lcd", "slip") or not parts:
        kinds = "|".join(BeepKind)
        raise ValueError(f"expected lcd TEXT, slip TEXT, no slip, or beep {kinds} after expect, got {rest!r}")
    return Expect(what, parts, line, copy)


def _read_seconds(kind: type[Within] | type[Pause]) -> Read:
    def read(rest: str, _names: Names) -> Action:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", rest):
            raise ValueError(f"expected seconds such as 0.5, got {rest!r}")
        if float(rest) > SECONDS_MAX:
            raise ValueError(f"expected at most {SECONDS_MAX} seconds, got {rest!r}")
        return kind(float(rest))

    return read


VERBS: Final[dict[str, Read]] = {
    "key": _read_keys,
    "tap": _read_tap,
    "scan": _read_scan,
    "cut": _nothing_more(MoveCable(plug=False)),
    "plug": _nothing_more(MoveCable(plug=True)),
    "printer": _read_printer,
    "restart": _nothing_more(Restart()),
    "forget": _read_forget,
    "wait-for": _read_wait,
    "expect": _read_expect,
    "within": _read_seconds(Within),
    "pause": _read_seconds(Pause),
}
