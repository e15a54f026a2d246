"""`fanka init` and `fanka serve`: make a data folder, run the host on it."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, TextIO, cast

import structlog
import trio
from cyclopts import Parameter

from server.app import Outside, serve_folder
from server.config import default_text, parse_config
from server.folder import DataFolder, find_folder
from server.gate import LedgerThread
from server.keys import KeyRing, load_kek
from server.logsink import LogSink
from tools.faults import InputError, explained

STDERR: Final = 2
Level = Literal["debug", "info", "warning", "error"]


def now_ms() -> int:
    """The wall clock in milliseconds since 1970-01-01 UTC: the one place where the host reads it."""
    return time.time_ns() // 1_000_000


def init(
    data: Path = Path("fanka-data"),
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 4105,
    http_port: int = 4106,
    postgres: str = "",
) -> None:
    """Create a data folder: configuration, key-encryption key and an empty ledger.

    Parameters
    ----------
    data
        The folder to create; it must not hold a ledger yet.
    host
        Address terminals connect to; 0.0.0.0 for the whole LAN.
    port
        TCP port for terminals; 0 lets the system choose at every start.
    http_port
        TCP port for metrics and health; 0 lets the system choose.
    postgres
        Keep the ledger in this empty PostgreSQL database instead of a file: postgresql://fanka@db.example/fanka. Best
        without a password, which others on this machine could see: libpq also takes it from ~/.pgpass.
    """
    with explained():
        changes: dict[tuple[str, str], str | int] = {
            ("listen", "host"): host,
            ("listen", "port"): port,
            ("http", "port"): http_port,
            ("ledger", "postgres"): postgres,
        }
        parse_config(default_text(changes), "fanka init")  # before anything is made
        try:
            folder = DataFolder.create(data, secrets.token_bytes, changes)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise InputError(f'{data}: expected room on the disk, got "{error.strerror}"; make some') from None
            raise InputError(
                f"{data}: expected a place where a folder can be made, got"
                f' "{error.strerror or error}"; choose another place'
            ) from None
        KeyRing(load_kek(folder.kek_path))
    print(f"{data}: ready. Next:")
    print(f"  fanka serve {data}")
    print(f"  fanka admin merchant add 一食堂 --data {data}")


def serve(
    data: Path | None = None,
    /,
    *,
    log_level: Annotated[Level, Parameter(help="How much to log.")] = "info",
    log_sessions: Annotated[bool, Parameter(help="Log every session's start and end.")] = True,
) -> None:
    """Run the host on a data folder until SIGTERM or Ctrl-C. Logs JSON lines to standard error.

    Parameters
    ----------
    data
        The data folder; default $FANKA_DATA, this folder, or the only one below it.
    """
    with explained():
        folder = find_folder(data, os.environ.get("FANKA_DATA"), Path.cwd())
        with logging_to_stderr(log_level, () if log_sessions else ("session opened", "session ended")) as sink:
            executor = LedgerThread()
            try:
                outside = Outside(now_ms, secrets.token_bytes, executor, lambda: sink.dropped)
                trio.run(serve_folder, folder, outside)
            finally:
                executor.stop()


@contextmanager
def logging_to_stderr(level: Level, quiet: tuple[str, ...] = ()) -> Iterator[LogSink]:
    """The log goes to standard error for the body; its last lines are there when it ends."""
    # Without a standard error its number belongs to whatever was opened first, a connection perhaps.
    descriptor = STDERR if sys.__stderr__ is not None else os.open(os.devnull, os.O_WRONLY)
    sink = LogSink(descriptor)
    configure_log(level, sink, quiet)
    try:
        yield sink
    finally:
        sink.close()


def configure_log(level: Level, sink: LogSink, quiet: tuple[str, ...] = ()) -> None:
    """JSON lines, without secrets, PINs or card numbers: nothing of the kind is handed to a log."""

    def drop_quiet(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        if event.get("event") in quiet:
            raise structlog.DropEvent
        return event

    structlog.configure(
        processors=[
            drop_quiet,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, sink)),  # it needs only write and flush
        cache_logger_on_first_use=True,
    )
