"""A picture of a character screen: the coloured text that `tmux capture-pane -e -N -p` gives, as an SVG file.

    tmux -u new-session -d -s till -x 92 -y 26 'TERM=screen-256color fanka terminal ...'
    tmux send-keys -t till 1 2 . 5 Enter a
    tmux capture-pane -e -N -p -t till | python -m tools.picture docs/terminal.svg

Every word and every Chinese character gets its own place, so columns stay columns in any font, and half blocks are
drawn as rectangles, so they join without seams. Nothing is loaded from anywhere: the reader's own monospaced fonts
are used.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from terminal_emulator.columns import char_columns

CELL_WIDTH: Final = 9.0
CELL_HEIGHT: Final = 19.0
BASELINE: Final = 14.5
FONT_SIZE: Final = 15
MARGIN: Final = 12.0
FONTS: Final = (
    "'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,'Noto Sans Mono CJK SC','Noto Sans CJK SC','PingFang SC',"
    "'Microsoft YaHei','WenQuanYi Zen Hei Mono','WenQuanYi Zen Hei',monospace"
)
DESK: Final = "#121212"
FRONT: Final = "#c8c8c8"

# Where a block character has ink: top and bottom in parts of a cell.
BLOCKS: Final = {"▀": (0.0, 0.5), "▄": (0.5, 1.0), "█": (0.0, 1.0), "▔": (0.0, 0.125)}


class Run(NamedTuple):
    """Characters of one style beside each other, beginning at a column."""

    column: int
    text: str
    front: str
    back: str | None
    is_bold: bool

    @property
    def width(self) -> int:
        """Columns."""
        return sum(map(char_columns, self.text))


def runs_of(line: str, theme: TerminalTheme) -> Iterator[Run]:
    """One line of coloured text."""
    console = Console(width=1000, file=StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False)
    column = 0
    for segment in Segment.simplify(console.render(Text.from_ansi(line, no_wrap=True, end=""))):
        style = segment.style or Style()
        front, back = _colour(style.color, theme), _colour(style.bgcolor, theme)
        if style.reverse:
            front, back = back or DESK, front or FRONT
        run = Run(column, segment.text.rstrip("\n"), front or FRONT, back, bool(style.bold))
        column += run.width
        yield run


def _colour(colour: Color | None, theme: TerminalTheme) -> str | None:
    return None if colour is None or colour.is_default else colour.get_truecolor(theme).hex


def svg(capture: str, title: str) -> str:
    """The picture of a captured screen."""
    theme = TerminalTheme((18, 18, 18), (200, 200, 200), [(0, 0, 0)] * 8, [(255, 255, 255)] * 8)
    lines = capture.rstrip("\n").split("\n")
    rows = [list(runs_of(line, theme)) for line in lines]
    columns = max(run.column + run.width for row in rows for run in row)
    width, height = columns * CELL_WIDTH + 2 * MARGIN, len(rows) * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{DESK}"/>',
        f'<g font-family="{FONTS}" font-size="{FONT_SIZE}" xml:space="preserve" shape-rendering="crispEdges">',
    ]
    for number, row in enumerate(rows):
        top = MARGIN + number * CELL_HEIGHT
        parts += (part for run in row for part in _backs(run, top))
        parts += (part for run in row for part in _fronts(run, top))
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _rectangle(left: float, top: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{fill}"/>'


def _backs(run: Run, top: float) -> Iterator[str]:
    if run.back is not None and run.back != DESK:
        yield _rectangle(MARGIN + run.column * CELL_WIDTH, top, run.width * CELL_WIDTH, CELL_HEIGHT, run.back)


def _fronts(run: Run, top: float) -> Iterator[str]:
    weight = ' font-weight="bold"' if run.is_bold else ""
    for column, text in _words(run):
        left, width = MARGIN + column * CELL_WIDTH, len(text) * CELL_WIDTH
        if text[0] in BLOCKS:
            upper, lower = BLOCKS[text[0]]
            yield _rectangle(left, top + upper * CELL_HEIGHT, width, (lower - upper) * CELL_HEIGHT, run.front)
            continue
        length = f' textLength="{width:g}"'
        if char_columns(text[0]) == 2:
            left += (2 * CELL_WIDTH - FONT_SIZE) / 2  # in the middle of its two columns
            length = ""
        place = f'x="{left:g}" y="{top + BASELINE:g}"{length}'
        yield f'<text {place} fill="{run.front}"{weight}>{escape(text)}</text>'


def _words(run: Run) -> Iterator[tuple[int, str]]:
    """Column and text of what is placed by itself: each word, each row of one block character, each other character."""
    column = run.column
    for text in re.findall(r"[!-~]+|▀+|▄+|█+|▔+|\s+|.", run.text):
        if not text.isspace():
            yield column, text
        column += sum(map(char_columns, text))


def main(arguments: list[str]) -> int:
    """Read the capture from standard input, write the picture."""
    if len(arguments) != 1:
        print("usage: tmux capture-pane -e -N -p | python -m tools.picture OUT.svg", file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(svg(sys.stdin.read(), "fanka terminal"), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
