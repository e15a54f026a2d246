"""A consistent copy of a ledger file, page by page, beside the host that writes it.

The copy reads one snapshot: a read transaction of its own connection, held to the end. Without it SQLite would begin
anew after every commit of the host, and at noon never finish; with it the host's write-ahead log cannot be begun anew
until the copy ends, and grows by what is sold meanwhile. `VACUUM INTO` would hold the same snapshot for longer (it
builds every index again) and could not be made to pause.

The result is in rollback mode: one file, which reading does not change and gives no companions, wherever it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import apsw
import msgspec

from server.ledger import sqlite_schema
from server.ledger.sqlite import APPLICATION_ID, BUSY_TIMEOUT_MS, SchemaDiffers, check_sqlite_version
from server.ledger.store import StoreError, StoreFull, StoreRefused

STEP_PAGES: Final = 128
"""Pages between two calls of `on_step`, 256 KiB: small enough to be paced, large enough not to matter."""

MANIFEST: Final = "backup"
CONFIG: Final = "backup_config"
BACKUP_ROWS: Final = (MANIFEST, CONFIG)
"""Rows of the table `meta` that a backup has and a ledger in use has not."""
CHAINED: Final = ("transfers", "entries")
_URI_READONLY: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI

OnStep = Callable[[int, int], None]
"""(pages done, pages in all): shows progress, makes the copy pause, may raise to end it."""


def copy_pages(source: Path, target: Path, on_step: OnStep) -> None:
    """Copy the ledger at `source`, as it is now, over the empty file `target`. Nothing is synced: the caller does that.

    Raises StoreRefused if the source is no ledger of ours or cannot be opened, StoreFull if the target's disk is full,
    StoreError for all else.
    """
    check_sqlite_version()
    if not source.is_file():
        raise StoreRefused(f"{source}: expected a ledger file, found none; check the path")
    with _explained(source, StoreRefused):
        # A connection that may write is needed for nothing; and it could not be told to leave the log alone.
        reader = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    with closing(reader), _explained(source, StoreRefused):
        reader.set_busy_timeout(BUSY_TIMEOUT_MS)
        found = reader.pragma("application_id")
        if found != APPLICATION_ID:
            raise StoreRefused(f"{source}: expected a Fanka ledger, got application id {found:#x}")
        reader.execute("BEGIN")
        for difference in sqlite_schema.differences(reader, with_extra=False):  # reading takes the snapshot
            raise SchemaDiffers(f"{source}: {difference}: the file is damaged; take a backup that is whole")
        with _explained(target, StoreError):
            _copy(reader, target, on_step)
    leave_wal(target)


def _copy(reader: apsw.Connection, target: Path, on_step: OnStep) -> None:
    with closing(apsw.Connection(str(target))) as writer:
        # The copy is worth nothing before it is whole: no journal, no syncs, pages go out as they come.
        writer.pragma("journal_mode", "OFF")
        writer.pragma("synchronous", "OFF")
        with writer.backup("main", reader, "main") as copy:
            while not copy.done:
                copy.step(STEP_PAGES)
                on_step(copy.page_count - copy.remaining, copy.page_count)


def leave_wal(path: Path) -> None:
    """Put the ledger at `path`, which nobody else has open, into rollback mode: all of it is in the one file then."""
    with _changing(path):
        pass


def write_meta(path: Path, rows: Mapping[str, str]) -> None:
    """Add rows to the table `meta` of a copy, or rewrite them. Not synced: the caller does that."""
    with _changing(path) as db:
        for name, value in rows.items():
            db.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
            )


def registry_digest(path: Path) -> str:
    """SHA-256, in hex, over every row that the journal's hash chain does not cover: who is who, days, histories, notes.

    Of the tables as they are in this file, whatever its schema. Rows that a backup adds to `meta` do not count.
    """
    with (
        _explained(path, StoreError),
        closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db,
    ):
        digest = sha256()
        names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        for name in [str(name) for (name,) in names]:
            if name not in CHAINED:
                digest.update(name.encode())
                for row in db.execute(f'SELECT * FROM "{name}" ORDER BY 1'):  # noqa: S608 - a table of this file
                    if name != "meta" or row[0] not in BACKUP_ROWS:
                        digest.update(msgspec.json.encode(row))
        return digest.hexdigest()


def is_backup(path: Path) -> bool:
    """Whether the ledger file at `path` is a backup. Leaves everything as it is, a log beside it too; of a file that
    cannot be read whoever opens it says why."""
    with (
        suppress(apsw.Error),
        closing(apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=_URI_READONLY)) as db,
    ):
        return bool(db.execute("SELECT count(*) FROM meta WHERE name = ?", (MANIFEST,)).get)
    return False


@contextmanager
def _changing(path: Path) -> Iterator[apsw.Connection]:
    with (
        _explained(path, StoreError),
        closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as db,
    ):
        # Not DELETE: a journal file would be left by a killed process. Fails if anybody else has the file open.
        db.pragma("journal_mode", "MEMORY")
        db.pragma("synchronous", "OFF")
        with db:
            yield db


@contextmanager
def _explained(path: Path, kind: type[StoreError]) -> Iterator[None]:
    """The database's complaints about `path` in words of ours."""
    try:
        yield
    except apsw.FullError as error:
        # A step of a copy fails with "not an error", for no statement of either connection has failed.
        raise StoreFull(f"{path}: the disk is full: make room on the disk, then try again") from error
    except apsw.NotADBError as error:
        raise StoreRefused(f"{path}: expected a Fanka ledger, got no SQLite database") from error
    except apsw.Error as error:
        raise kind(f"{path}: cannot be copied: {type(error).__name__}: {error}") from error
