"""Options that several commands share, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from tools.money import parse_yuan

if TYPE_CHECKING:
    from server.folder import DataFolder
    from server.ledger.store import Store
    from tools.admin_client import AdminChannel

PAGE: Final = 500
"""Rows per request: the most the host gives or takes at once."""
LAST: Final = 19
"""The lowest priority there is."""

Data = Annotated[
    Path | None,
    Parameter(name="--data", help="The data folder; default $FANKA_DATA, this folder, or the only one below it."),
]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON, for scripts; money in fen.")]
Yuan = Annotated[str, Parameter(allow_leading_hyphen=True)]


def step_aside() -> None:
    """Let everybody else on this machine go first, for the rest of this process: a long job beside a host.

    Measured on two cores that were busy already, at 1,000 sales/s: without this, a backup's checks made the 99th
    percentile of the sales' latency rise from 0.1 s to over 2 s; with it, to 0.2 s at most.
    """
    with suppress(OSError):  # not everywhere allowed, and nothing depends on it
        os.nice(LAST)


def data_folder(data: Path | None) -> DataFolder:
    """The folder that `--data` or its default means. Raises FolderError."""
    from server.folder import find_folder

    return find_folder(data, os.environ.get("FANKA_DATA"), Path.cwd())


def zone_of(data: Path | None) -> timezone:
    """The data folder's local time, as its configuration has it; UTC while that cannot be read."""
    from server.config import ConfigError, load_config

    try:
        return timezone(timedelta(minutes=load_config(data_folder(data).config_path).day.utc_offset_minutes))
    except ConfigError:
        return UTC


def to_fen(amount_yuan: str) -> int:
    """An amount from the command line. InputError if it is none."""
    from tools.faults import InputError

    try:
        return parse_yuan(amount_yuan)
    except ValueError as error:
        raise InputError(str(error)) from None


@contextmanager
def admin_channel(data: Path | None) -> Iterator[AdminChannel]:
    """A channel to the ledger for the body; known faults end the command with one line."""
    from tools.admin_client import open_admin
    from tools.faults import explained

    with explained(), open_admin(data_folder(data)) as channel:
        yield channel


def business_day(day: int) -> int:
    """A business day from the command line. InputError if no calendar has it."""
    from tools.faults import InputError

    with suppress(ValueError):
        if f"{datetime.strptime(str(day), '%Y%m%d').replace(tzinfo=UTC):%Y%m%d}" == str(day):
            return day
    raise InputError(f"day: expected a date as YYYYMMDD, like 20261130; got {day}")


def all_rows(
    admin: AdminChannel, operation: str, key: str, *, limit: int = 0, going: str = "after", **arguments: Any
) -> list[dict[str, Any]]:
    """All rows of a listing, or the first `limit`, page by page: each begins behind the row before by its `key`.

    `going` is the operation's argument for that: `after` with growing keys, `before` with falling ones.
    """
    from tools.faults import InputError

    if limit < 0:
        raise InputError(f"limit: expected 0 for all, or more; got {limit}")
    found: list[dict[str, Any]] = []
    while not limit or len(found) < limit:
        size = min(PAGE, limit - len(found)) if limit else PAGE
        place = {going: found[-1][key]} if found else {}
        page = admin.call(operation, limit=size, **arguments, **place)
        found += page
        if len(page) < size:
            break
    return found


@contextmanager
def ledger_beside(data: Path | None) -> Iterator[Store]:
    """The ledger on a connection of its own, for what reads very many rows: the host's would keep sales waiting."""
    from server.stores import open_ledger
    from tools.faults import explained

    with explained(), closing(open_ledger(data_folder(data))) as store:
        yield store
