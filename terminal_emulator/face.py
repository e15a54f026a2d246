"""The face of the machine, drawn with characters: LCD, card reader, keypad. Where everything is, and what a click hits.

Nothing here knows urwid: a face is lines of (attribute, text), each exactly `FACE_COLUMNS` wide, so that it can be
tested by reading it. The attributes are names for the palette of `terminal_emulator.screen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from terminal_emulator.columns import center, columns, fit
from terminal_emulator.effects import BeepKind, Key
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.lcd import LCD_COLUMNS, Lcd

FACE_COLUMNS: Final = 44
MARGIN: Final = 2
LCD_PADDING: Final = 3
READER_COLUMNS: Final = 16
GAP: Final = FACE_COLUMNS - 2 * MARGIN - LCD_COLUMNS - 2 * LCD_PADDING - READER_COLUMNS

KEY_COLUMNS: Final = 7
KEY_LINES: Final = 3
MAX_CARDS: Final = 5
"""As many as fit beside the LCD."""

CABLE: Final = "cable"
"""The place one clicks to pull the network cable out or put it back."""

NO_CARDS: Final = ("", "--card", "NAME=UID", "", "")
"""What stands in place of the cards if there are none: how to get some."""

CARD_KEYS: Final = "abcde"
"""On the keyboard of the computer, the keys that tap the first, second, ... card."""

Target = Key | int | str
"""What can be clicked: a key of the keypad, a card by its index, or `CABLE`."""

Segment = tuple[str, str]
Line = list[Segment]


class Spot(NamedTuple):
    """A rectangle of the face that can be clicked."""

    line: int
    column: int
    width: int
    height: int
    target: Target

    def covers(self, line: int, column: int) -> bool:
        return 0 <= line - self.line < self.height and 0 <= column - self.column < self.width


class Cap(NamedTuple):
    """A key's label and the kind of key it is, which gives it its colour."""

    key: Target
    label: str
    kind: str
    width: int = KEY_COLUMNS


WIDE: Final = 2 * KEY_COLUMNS + 1
SIDE: Final = KEY_COLUMNS + 1
KEYPAD: Final = (
    (
        *(Cap(Key(digit), digit, "digit") for digit in "123"),
        Cap(Key.F1, "F1", "function"),
        Cap(Key.CLEAR, N_("Clear"), "clear", SIDE),
    ),
    (
        *(Cap(Key(digit), digit, "digit") for digit in "456"),
        Cap(Key.F2, "F2", "function"),
        Cap(Key.DELETE, N_("Delete"), "delete", SIDE),
    ),
    (
        *(Cap(Key(digit), digit, "digit") for digit in "789"),
        Cap(Key.UP, "↑", "function"),
        Cap(CABLE, N_("Cable"), "cable", SIDE),
    ),
    (
        Cap(Key.DOT, ".", "digit"),
        Cap(Key.D0, "0", "digit", WIDE),
        Cap(Key.DOWN, "↓", "function"),
        Cap(Key.ENTER, N_("Enter"), "enter", SIDE),
    ),
)
BEEP_TEXT: Final = {None: "", BeepKind.KEY: "♪", BeepKind.OK: "♪ ♪", BeepKind.ERROR: "♪ ♪ ♪"}


class Face(NamedTuple):
    """What is drawn, and what can be clicked."""

    lines: list[Line]
    spots: list[Spot]

    def target_at(self, line: int, column: int) -> Target | None:
        """What stands there to be clicked, if anything."""
        return next((spot.target for spot in self.spots if spot.covers(line, column)), None)


def draw_face(
    lcd: Lcd,
    cards: Sequence[str],
    _: Translate,
    *,
    online: bool,
    plugged: bool,
    beep: BeepKind | None = None,
    pressed: Target | None = None,
) -> Face:
    """The face. `beep` sounds and `pressed` is being pressed at this moment."""
    spots: list[Spot] = []
    lines: list[Line] = [_head(online, _)]
    lines += _display(lcd, cards, spots, len(lines), pressed, _)
    lines.append(_beeper(beep, plugged, _))
    for row in KEYPAD:
        lines += _key_row(row, spots, len(lines), pressed, plugged, _)
    return Face(lines, spots)


def _head(online: bool, _: Translate) -> Line:
    name = " FANKA"
    state = f"● {_('Online') if online else _('Offline')} "
    return [
        ("body", " " * MARGIN),
        ("brand", name),
        ("body", " " * (FACE_COLUMNS - 2 * MARGIN - columns(name) - columns(state))),
        ("led on" if online else "led off", state),
        ("body", " " * MARGIN),
    ]


def _display(
    lcd: Lcd, cards: Sequence[str], spots: list[Spot], top: int, pressed: Target | None, _: Translate
) -> list[Line]:
    """The LCD with a rim above and below, and the cards beside it."""
    glass = ["", *lcd, ""]
    reader = [center(_("Tap a card"), READER_COLUMNS)]
    lines = []
    for index, text in enumerate(glass):
        line: Line = [
            ("body", " " * MARGIN),
            ("lcd", " " * LCD_PADDING + fit(text, LCD_COLUMNS) + " " * LCD_PADDING),
            ("body", " " * GAP),
        ]
        if index == 0:
            line.append(("reader", reader[0]))
        elif not cards:
            line.append(("reader", center(NO_CARDS[index - 1], READER_COLUMNS)))
        elif index <= len(cards):
            card = index - 1
            line.append(("pressed" if pressed == card else "card key", f" {CARD_KEYS[card]} "))
            line.append(("pressed" if pressed == card else "card", fit(f" {cards[card]}", READER_COLUMNS - 3)))
            spots.append(Spot(top + index, FACE_COLUMNS - MARGIN - READER_COLUMNS, READER_COLUMNS, 1, card))
        else:
            line.append(("reader", " " * READER_COLUMNS))
        line.append(("body", " " * MARGIN))
        lines.append(line)
    return lines


def _beeper(beep: BeepKind | None, plugged: bool, _: Translate) -> Line:
    sound = fit(f" {BEEP_TEXT[beep]}", FACE_COLUMNS - 2 * MARGIN - READER_COLUMNS)
    cable = center("" if plugged else _("Cable is out"), READER_COLUMNS)
    return [
        ("body", " " * MARGIN),
        (f"beep {beep}" if beep else "body", sound),
        ("led off", cable),
        ("body", " " * MARGIN),
    ]


def _key_row(
    row: tuple[Cap, ...], spots: list[Spot], top: int, pressed: Target | None, plugged: bool, _: Translate
) -> list[Line]:
    """Three lines: half blocks above and below the label make the keys rounder than whole ones."""
    lines: list[Line] = [[("body", " " * MARGIN)] for _number in range(KEY_LINES)]
    column = MARGIN
    for cap in row:
        kind = "pressed" if pressed == cap.key else "cable out" if cap.key == CABLE and not plugged else cap.kind
        label = _(cap.label) if len(cap.label) > 2 else cap.label
        lines[0].append((f"{kind} edge", "▄" * cap.width))
        lines[1].append((kind, center(label, cap.width)))
        lines[2].append((f"{kind} edge", "▀" * cap.width))
        spots.append(Spot(top, column, cap.width, KEY_LINES, cap.key))
        column += cap.width + 1
        for line in lines:
            line.append(("body", " "))
    for line in lines:
        line.append(("body", " " * (FACE_COLUMNS - column)))
    return lines
