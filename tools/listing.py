"""How commands show what they found: a table for people, JSON for scripts. Widths are right with Chinese text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tools.money import show_yuan

Fields = dict[str, Any]

UNLIMITED: Final = 10_000
"""Columns in which every table finds room."""
PIPE_WIDTH: Final = 200
"""Columns of a table that goes into a file or pipe, where nobody's window cuts it."""


def console() -> Console:
    """Standard output as it is now (tests replace it)."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False)


def progress(*, quiet: bool) -> Progress:
    """A bar on standard error for a long job; nothing when nobody watches, or in `quiet`."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen, disable=quiet or not screen.is_terminal, transient=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=1))


def plain(value: Any) -> str:
    """A value as it stands."""
    return str(value)


def yuan(value: int) -> str:
    """Fen as yuan."""
    return show_yuan(value)


def figure(value: Any) -> str:
    """A number, or a text that stands for one: on the right."""
    return str(value)


def limit(value: int) -> str:
    """A limit in fen as yuan; 0 is the host's default."""
    return show_yuan(value) if value else "default"


def moment(value: int, zone: tzinfo = UTC) -> str:
    """Milliseconds since 1970 as the zone's time, which whoever shows it must name; a table does so in its title."""
    return f"{datetime.fromtimestamp(value / 1000, zone):%Y-%m-%d %H:%M:%S}" if value else ""


class Column(NamedTuple):
    """One column of a table: its title, the field it shows and how."""

    title: str
    field: str
    show: Callable[[Any], str] = plain

    @property
    def is_number(self) -> bool:
        """Numbers stand on the right."""
        return self.show in (yuan, limit, figure)

    @property
    def is_fixed(self) -> bool:
        """Numbers and times are whole or worth nothing."""
        return self.is_number or self.show is moment

    def text(self, row: Fields, zone: tzinfo) -> str:
        """What a cell says."""
        value = row[self.field]
        return moment(value, zone) if self.show is moment else self.show(value)


def print_table(rows: Sequence[Fields], columns: Sequence[Column], nothing: str, zone: tzinfo = UTC) -> None:
    """A table, or the words for an empty one. Texts are shown as they are: no markup, no control characters.

    In a window that is too narrow for it, each row is a paragraph of its own: nothing is cut off.
    """
    if not rows:
        console().print(nothing)
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        title = f"{column.title} ({zone})" if column.show is moment else column.title
        table.add_column(title, justify="right" if column.is_number else "left", no_wrap=column.is_fixed)
    for row in rows:
        table.add_row(*(Text(column.text(row, zone)) for column in columns))
    screen = console()
    if Measurement.get(screen, screen.options.update(max_width=UNLIMITED), table).maximum <= screen.width:
        screen.print(table)
        return
    for row in rows:
        tall = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
        tall.add_column(no_wrap=True)
        tall.add_column(overflow="fold")
        for column, head in zip(columns, table.columns, strict=True):
            tall.add_row(Text(str(head.header)), Text(column.text(row, zone)))
        screen.print(tall, "")


def print_rows(
    rows: Sequence[Fields], columns: Sequence[Column], *, as_json: bool, nothing: str, zone: tzinfo = UTC
) -> None:
    """A listing in the form that was asked for; times in the zone's."""
    if as_json:
        print_json(list(rows))
    else:
        print_table(rows, columns, nothing, zone)


def print_row(row: Fields, columns: Sequence[Column], *, as_json: bool) -> None:
    """One thing as a table of one row, or its JSON object."""
    if as_json:
        print_json(row)
    else:
        print_table([row], columns, "")


def print_done(fields: Fields, sentence: str, *, as_json: bool) -> None:
    """What an operation did: its whole result, or one sentence."""
    if as_json:
        print_json(fields)
    else:
        console().print(sentence)
