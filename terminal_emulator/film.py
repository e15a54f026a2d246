"""What a terminal showed, in plain characters: LCDs side by side like the frames of a film, slips with a border."""

from __future__ import annotations

from typing import Final

import msgspec

from terminal_emulator.columns import columns, fit
from terminal_emulator.lcd import LCD_COLUMNS, Lcd
from terminal_emulator.slip import Slip

FILM_COLUMNS: Final = 80
FRAME_COLUMNS: Final = LCD_COLUMNS + 2
FRAME_GAP: Final = "  "


class Frame(msgspec.Struct, frozen=True):
    """One LCD of a film, and what stands above it."""

    caption: str
    lcd: Lcd


def film_strip(frames: list[Frame], width: int = FILM_COLUMNS) -> list[str]:
    """LCDs in frames side by side, as many as fit `width` columns, then on below."""
    per_row = max(1, (width + len(FRAME_GAP)) // (FRAME_COLUMNS + len(FRAME_GAP)))
    lines: list[str] = []
    for first in range(0, len(frames), per_row):
        row = frames[first : first + per_row]
        bar = "─" * LCD_COLUMNS
        lines.append(FRAME_GAP.join(fit(frame.caption, FRAME_COLUMNS) for frame in row).rstrip())
        lines.append(FRAME_GAP.join(f"┌{bar}┐" for _ in row))
        rows_of_text = zip(*(frame.lcd for frame in row), strict=True)
        lines += (FRAME_GAP.join(f"│{fit(line, LCD_COLUMNS)}│" for line in text) for text in rows_of_text)
        lines.append(FRAME_GAP.join(f"└{bar}┘" for _ in row))
    return lines


def boxed(slip: Slip) -> list[str]:
    """A slip with a border, for reading on a screen."""
    width = max(columns(line) for line in slip.lines)
    return [f"╭{'╌' * (width + 2)}╮", *(f"┆ {fit(line, width)} ┆" for line in slip.lines), f"╰{'╌' * (width + 2)}╯"]
