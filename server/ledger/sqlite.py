"""The store on SQLite through apsw: WAL, synchronous=FULL, one connection that writes.

Measured on two cores, 64 sales a batch: 2 KiB pages serve a ledger of a million sales 15 % faster than 4 KiB ones,
because the identity index and the accounts are hit at random and a commit writes whole pages. Checkpoints are made
when the WAL has grown to WAL_LIMIT_BYTES: pages rewritten many times are then copied once. A host has most of that done
by a second connection, beside its commits (`sqlite_log`), and completes it between two of them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

from server.ledger import migrate, sqlite_schema, sqlite_sets
from server.ledger.batch import GENESIS
from server.ledger.checks import NAMED_MAX
from server.ledger.model import NO_CHANGES, Account, Card, Changes, Entry, Hold, Identity, Side, Terminal, Transfer
from server.ledger.sqlite_log import LogCopier, Start
from server.ledger.store import Row, StoreBroken, StoreConflict, StoreError, StoreFull, StoreRefused

MIN_SQLITE: Final = (3, 51, 3)
"""Older ones can corrupt a WAL database when it is reset (fixed 2026-03-13)."""
APPLICATION_ID: Final = 0x464B4C31  # "FKL1": so that `file` and we know our ledgers from other databases
PAGE_SIZE: Final = 2048
CACHE_KIB: Final = 131_072
"""Page cache: holds the hot end of a large ledger; only used as far as the ledger is large."""
WAL_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""Checkpoint when the WAL is this large. Recovery after a crash reads little more, unless a reader held it back: then
the file may grow while that reader lasts, and is cut to this size again afterwards."""
COPY_BYTES: Final = 64 * 1024
"""How much of the WAL is in memory at a time when it is written once more. SQLite's file layer keeps only 17 bits of a
write's size: 128 KiB at once would be a write of nothing, and a full disk to all appearances."""
BUSY_TIMEOUT_MS: Final = 5_000
"""How long to wait for a reader that blocks a checkpoint's end, or for a second writer's lock at start."""


FREE_MIN_BYTES: Final = 1 << 20
"""With less room on the disk, that is taken to be why a ledger cannot be opened or written."""
_BROKEN: Final[tuple[type[apsw.Error], ...]] = (
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,  # only another writer can be in our way: the rule of one writer is broken
    apsw.LockedError,
    apsw.ProtocolError,
)


class SchemaDiffers(StoreRefused):
    """A table or index of the ledger is missing, or not as its migration made it."""


class SqliteStore:
    """Store on one SQLite file; `":memory:"` is the test double and the simulator's store.

    `create=False` refuses a missing or empty file: a lost ledger must not be replaced by a new one without a word.
    `vfs` names another file layer, for fault injection. `copy_log` is how to begin to copy the log beside the commits;
    None: `maintain` does it all itself. Raises StoreRefused.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        readonly: bool = False,
        create: bool = True,
        vfs: str | None = None,
        copy_log: Start | None = None,
    ) -> None:
        check_sqlite_version()
        self._path = str(path)
        self._broken = False
        self._wal_frames = 0
        self._copier: LogCopier | None = None
        flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
        if create and not readonly:
            flags |= apsw.SQLITE_OPEN_CREATE
        try:
            self._db = apsw.Connection(self._path, flags=flags, vfs=vfs)
        except apsw.Error as error:
            raise StoreRefused(_why_not_opened(Path(self._path), error)) from error
        try:
            self._db.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._prepare(readonly, create)
            if copy_log is not None:
                self._copier = LogCopier(self._path, vfs, BUSY_TIMEOUT_MS, copy_log)
        except BaseException as error:
            with suppress(apsw.Error):
                self._db.close()
            if isinstance(error, apsw.NotADBError):
                raise StoreRefused(f"{self._path}: expected a Fanka ledger, got no SQLite database") from error
            if isinstance(error, apsw.Error):
                raise StoreRefused(
                    f"{self._path}: cannot be used: {type(error).__name__}: {error}{_full(self._path)}"
                ) from error
            raise

    def _prepare(self, readonly: bool, create: bool) -> None:
        application_id = self._pragma("application_id")
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").get
        if application_id != APPLICATION_ID and (tables or readonly or not create):
            raise StoreRefused(f"{self._path}: expected a Fanka ledger, got application id {application_id:#x}")
        if not readonly:
            if not tables:
                self._pragma("page_size", PAGE_SIZE)
            mode = self._pragma("journal_mode", "WAL")
            if mode != ("memory" if self._path == ":memory:" else "wal"):
                raise StoreRefused(
                    f"{self._path}: expected journal mode WAL, got {mode}; is this a network file system?"
                )
            self._pragma("synchronous", "FULL")
            self._pragma("wal_autocheckpoint", 0)
            self._pragma("journal_size_limit", WAL_LIMIT_BYTES)
            self._pragma("cache_size", -CACHE_KIB)
            self._settle()
            if (synchronous := self._pragma("synchronous")) != 2:
                raise StoreRefused(f"{self._path}: expected synchronous=FULL (2), got {synchronous}")
            self._page_size = self._pragma("page_size")
            self._db.set_wal_hook(self._count_wal)
        self._migrate(readonly)

    def _migrate(self, readonly: bool) -> None:
        if not readonly:
            self._db.execute(migrate.MIGRATIONS_TABLE)
        applied = self._db.execute("SELECT number, checksum FROM migrations").fetchall()
        for migration in migrate.pending(applied, self._path, readonly=readonly):
            with self._db:
                # apsw executes every statement of a text, comments included, inside the savepoint of `with`.
                self._db.execute(migration.sql)
                self._db.execute(
                    "INSERT INTO migrations VALUES (?, ?, ?)", (migration.number, migration.name, migration.checksum)
                )
        for difference in sqlite_schema.differences(self._db, with_extra=False):
            raise SchemaDiffers(f"{self._path}: {difference}: the file is damaged; restore it from a backup")

    def _settle(self) -> None:
        """Make durable what the process before left in the WAL, before anything in it is answered again.

        It may have been killed before a sync, or a sync may have failed: then the pages are in the system's cache,
        marked clean, and no later sync brings them to the disk. So the WAL is first written once more, the same bytes
        to the same places, and synced: as long as the disk lacks any of it, no page of the database may be overwritten.
        Then it is copied into the database, page by page, and begun anew. A reader can keep that from being completed;
        the commit that follows at least syncs the WAL.
        """
        if self._db.filename_wal:
            self._db.execute("BEGIN IMMEDIATE")  # nobody appends meanwhile
            try:
                self._write_log_again()
            finally:
                self._db.execute("ROLLBACK")
        with suppress(apsw.BusyError):
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._pragma("application_id", APPLICATION_ID)

    def _write_log_again(self) -> None:
        flags = [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE, 0]
        log = apsw.VFSFile(self._db.open_vfs, self._db.filename_wal, flags)
        try:
            size = log.xFileSize()
            for offset in range(0, size, COPY_BYTES):
                log.xWrite(log.xRead(min(COPY_BYTES, size - offset), offset), offset)
            if size:
                log.xSync(apsw.SQLITE_SYNC_NORMAL)
        finally:
            log.xClose()

    def _pragma(self, name: str, value: object = None) -> Any:
        return self._db.pragma(name) if value is None else self._db.pragma(name, value)

    def _count_wal(self, _db: apsw.Connection, _name: str, frames: int) -> int:
        self._wal_frames = frames
        return apsw.SQLITE_OK

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store`."""
        with self._faults():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Store`."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(StoreError):  # a store that has met damage does nothing more, and has been reported
                self.execute("ROLLBACK")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """The database's complaints as the three that callers know; one StoreBroken is the end of this store."""
        if self._broken:
            raise StoreBroken(f"{self._path}: an earlier fault left it unknown what is durable: restart to recover")
        try:
            yield
        except apsw.FullError as error:
            raise StoreFull(f"{self._path}: {error}: free some space, the host goes on by itself") from error
        except apsw.ConstraintError as error:
            raise StoreConflict(f"{self._path}: {error}") from error
        except apsw.SQLError as error:
            # Our statements fit the schema that was found at the start: somebody has changed it since.
            raise StoreRefused(
                f"{self._path}: expected the ledger's schema, got: {error}; `fanka verify` looks at it, a backup has"
                " the ledger as it was"
            ) from error
        except _BROKEN as error:
            self._broken = True
            raise StoreBroken(
                f"{self._path}: {type(error).__name__}: {error}{_full(self._path)}: restart to recover from the"
                " write-ahead log"
            ) from error

    def load_transfers(self, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
        """See `Store`."""
        return sqlite_sets.load_transfers(self._db, identities)

    def load_family(self, seqs: Collection[int]) -> list[Transfer]:
        """See `Store`."""
        return sqlite_sets.load_family(self._db, seqs)

    def load_entries(self, seqs: Collection[int]) -> list[Entry]:
        """See `Store`."""
        return sqlite_sets.load_entries(self._db, seqs)

    def load_bindings(self, tokens: Collection[bytes]) -> set[tuple[bytes, int]]:
        """See `Store`."""
        return sqlite_sets.load_bindings(self._db, tokens)

    def load_held(self, account_ids: Collection[int]) -> dict[int, int]:
        """See `Store`."""
        return sqlite_sets.load_held(self._db, account_ids)

    def load_due(self, now_ms: int, limit: int) -> list[Hold]:
        """See `Store`."""
        return sqlite_sets.load_due(self._db, now_ms, limit)

    def load_terminals(self, terminal_ids: Collection[int]) -> dict[int, Terminal]:
        """See `Store`."""
        return sqlite_sets.load_terminals(self._db, terminal_ids)

    def load_cards(self, tokens: Collection[bytes]) -> dict[bytes, Card]:
        """See `Store`."""
        return sqlite_sets.load_cards(self._db, tokens)

    def load_accounts(self, account_ids: Collection[int]) -> dict[int, Account]:
        """See `Store`."""
        return sqlite_sets.load_accounts(self._db, account_ids)

    def save(
        self,
        transfers: Sequence[Transfer],
        entries: Sequence[Entry],
        accounts: Iterable[Account],
        changes: Changes = NO_CHANGES,
    ) -> None:
        """See `Store`."""
        sqlite_sets.save(self._db, transfers, entries, accounts, changes)

    def head(self) -> tuple[int, bytes]:
        """See `Store`."""
        rows = self.execute("SELECT seq, digest FROM transfers ORDER BY seq DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See `Store`."""
        with self._faults():
            return self._db.execute(sql, tuple(values)).fetchall()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """See `Store`."""
        with self._faults():
            yield from self._db.execute(sql, tuple(values))

    def integrity(self) -> Iterator[str]:
        """See `Store`."""
        for (line,) in self.execute(f"PRAGMA integrity_check({NAMED_MAX})"):
            if line != "ok":
                yield str(line)
        with self._faults():
            yield from sqlite_schema.differences(self._db)

    def repeated_identities(self, limit: int) -> list[tuple[Identity, int, str]]:
        """See `Store`."""
        found = self.execute(
            "SELECT terminal_id, batch, stan, side, group_concat(seq) FROM transfers NOT INDEXED"
            " GROUP BY terminal_id, batch, stan, side HAVING count(*) > 1 LIMIT ?",
            (limit,),
        )
        return [(Identity(terminal_id, batch, stan), side, seqs) for terminal_id, batch, stan, side, seqs in found]

    def describe(self) -> str:
        """See `Store`."""
        return f"{self._pragma('page_count') * self._pragma('page_size') >> 20} MiB"

    def ping(self) -> None:
        """See `Store`. There is no server that could go away."""

    def maintain(self) -> None:
        """Checkpoint when the WAL has grown large. A reader may keep some of it back: the next call goes on."""
        copier = self._copier
        if copier is None or not copier.is_started:
            if self._wal_frames * self._page_size < WAL_LIMIT_BYTES:
                return
            if copier is not None:
                copier.begin()
                return
        elif copier.is_running:
            return
        with self._faults(), suppress(apsw.BusyError):  # somebody else, a backup perhaps, is at it
            if copier is not None:
                copier.take()
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._wal_frames = 0

    def close(self) -> None:
        """See `Store`: the WAL is folded into the database, unless a fault makes that unsafe."""
        if self._copier is not None and not self._copier.close():
            self._broken = True
        if self._broken:
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._db.close()


def _full(path: str) -> str:
    """What SQLite does not say of an error: that the disk has no room for the files it needs beside the ledger."""
    try:
        found = os.statvfs(Path(path).parent)
    except OSError:
        return ""
    return "; the disk is full: free some space" if found.f_bavail * found.f_frsize < FREE_MIN_BYTES else ""


def _why_not_opened(path: Path, error: apsw.Error) -> str:
    """A ledger that is lost wants its backup, one that is there wants its permissions looked at."""
    try:
        missing = not path.exists()
    except OSError:
        missing = False  # not even its folder may be looked into
    if missing:
        return f"{path}: expected the ledger, found none; restore it from a backup (`fanka init` makes a new folder)"
    return f'{path}: expected a ledger this user may open, got "{error}"; look at owner and permissions'


def sqlite_version() -> str:
    """Version of the SQLite in use."""
    return apsw.sqlite_lib_version()


def check_sqlite_version() -> None:
    """Refuse a SQLite with the WAL-reset bug; raises StoreRefused."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < MIN_SQLITE:
        wanted = ".".join(map(str, MIN_SQLITE))
        raise StoreRefused(f"SQLite: expected {wanted} or newer, got {apsw.sqlite_lib_version()}; reinstall apsw")
