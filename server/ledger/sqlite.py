"""The store on SQLite through apsw: WAL, synchronous=FULL, one connection that both writes and checkpoints.

Measured on two cores, 64 sales a batch: 2 KiB pages serve a ledger of a million sales 15 % faster than 4 KiB ones, because
the identity index and the accounts are hit at random and a commit writes whole pages. Checkpoints are made between
batches, by this connection, when the WAL has grown to WAL_LIMIT_BYTES: pages rewritten many times are then copied once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from server.ledger.batch import GENESIS
from server.ledger.migrate import migrate
from server.ledger.model import Account, Card, Entry, Identity, Side, Terminal, Transfer
from server.ledger.store import Row, StoreBroken, StoreFull, StoreRefused

MIN_SQLITE: Final = (3, 51, 3)
"""Older ones can corrupt a WAL database when it is reset (fixed 2026-03-13)."""
APPLICATION_ID: Final = 0x464B4C31  # "FKL1": so that `file` and we know our ledgers from other databases
PAGE_SIZE: Final = 2048
CACHE_KIB: Final = 131_072
"""Page cache: holds the hot end of a large ledger; only used as far as the ledger is large."""
WAL_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""Checkpoint when the WAL is this large. Recovery after a crash reads at most about twice this."""
BUSY_TIMEOUT_MS: Final = 5_000
"""How long to wait for a reader that blocks a checkpoint's end, or for a second writer's lock at start."""

_TRANSFER_COLUMNS: Final = ", ".join(field.name for field in msgspec.structs.fields(Transfer))
_TRANSFER_MARKS: Final = ", ".join("?" for _ in msgspec.structs.fields(Transfer))


class SqliteStore:
    """Store on one SQLite file; `":memory:"` is the test double and the simulator's store."""

    def __init__(self, path: Path | str, *, readonly: bool = False) -> None:
        check_sqlite_version()
        self._path = str(path)
        flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        try:
            self._db = apsw.Connection(self._path, flags=flags)
            self._db.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._wal_frames = 0
            self._prepare(readonly)
        except apsw.NotADBError as error:
            raise StoreRefused(
                f"{self._path}: expected a Fanka ledger, got a file that is no SQLite database"
            ) from error
        except apsw.CantOpenError as error:
            raise StoreRefused(f"{self._path}: cannot be opened: {error}; run `fanka init` first") from error

    def _prepare(self, readonly: bool) -> None:
        application_id = self._pragma("application_id")
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").get
        if application_id != APPLICATION_ID and (tables or readonly):
            raise StoreRefused(f"{self._path}: expected a Fanka ledger, got application id {application_id:#x}")
        if not readonly:
            if not tables:
                self._pragma("page_size", PAGE_SIZE)
            mode = self._pragma("journal_mode", "WAL")
            if mode not in ("wal", "memory"):
                raise StoreRefused(
                    f"{self._path}: expected journal mode WAL, got {mode}; is this a network file system?"
                )
            self._pragma("synchronous", "FULL")
            self._pragma("wal_autocheckpoint", 0)
            self._pragma("cache_size", -CACHE_KIB)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            if (synchronous := self._pragma("synchronous")) != 2:
                raise StoreRefused(f"{self._path}: expected synchronous=FULL (2), got {synchronous}")
            self._db.set_wal_hook(self._count_wal)
        migrate(self._db, self._path, readonly=readonly)

    def _pragma(self, name: str, value: object = None) -> Any:
        return self._db.pragma(name) if value is None else self._db.pragma(name, value)

    def _count_wal(self, _db: apsw.Connection, _name: str, frames: int) -> int:
        self._wal_frames = frames
        return apsw.SQLITE_OK

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store`. A refused commit rolls back; an I/O error is StoreBroken, never retried."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except apsw.FullError as error:
            raise StoreFull(f"{self._path}: {error}: free some space, the host goes on by itself") from error
        except (apsw.IOError, apsw.CorruptError, apsw.ReadOnlyError) as error:
            raise StoreBroken(f"{self._path}: {error}: restart to recover from the write-ahead log") from error

    def load_transfers(self, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
        """See `Store`."""
        found = {}
        execute = self._db.execute
        for identity in identities:
            for row in execute(
                f"SELECT {_TRANSFER_COLUMNS} FROM transfers WHERE terminal_id = ? AND batch = ? AND stan = ?", identity
            ):
                transfer = Transfer(*row)
                found[(identity, Side(transfer.side))] = transfer
        return found

    def load_terminals(self, terminal_ids: Collection[int]) -> dict[int, Terminal]:
        """See `Store`."""
        rows = self._db.execute(
            "SELECT t.terminal_id, t.status, m.merchant_id, m.status, m.account_id"
            " FROM json_each(?) AS wanted JOIN terminals AS t ON t.terminal_id = wanted.value JOIN merchants AS m USING (merchant_id)",
            (_json_list(terminal_ids),),
        )
        return {row[0]: Terminal(*row) for row in rows}

    def load_cards(self, tokens: Collection[bytes]) -> dict[bytes, Card]:
        """See `Store`."""
        found = {}
        for token in tokens:
            for row in self._db.execute(
                "SELECT token, account_id, status, sale_limit_fen, day_limit_fen FROM cards WHERE token = ?", (token,)
            ):
                found[token] = Card(*row)
        return found

    def load_accounts(self, account_ids: Collection[int]) -> dict[int, Account]:
        """See `Store`."""
        rows = self._db.execute(
            "SELECT account_id, kind, balance_fen, spent_day, spent_fen, last_seq FROM json_each(?) AS wanted"
            " JOIN accounts ON account_id = wanted.value",
            (_json_list(account_ids),),
        )
        return {row[0]: Account(*row) for row in rows}

    def save(self, transfers: Sequence[Transfer], entries: Sequence[Entry], accounts: Iterable[Account]) -> None:
        """See `Store`. Accounts are written in the order of their numbers, to touch each page once."""
        astuple = msgspec.structs.astuple
        self._db.executemany(
            f"INSERT INTO transfers ({_TRANSFER_COLUMNS}) VALUES ({_TRANSFER_MARKS})", map(astuple, transfers)
        )
        self._db.executemany(
            "INSERT INTO entries (seq, account_id, amount_fen, balance_fen, previous_seq) VALUES (?, ?, ?, ?, ?)",
            entries,
        )
        self._db.executemany(
            "UPDATE accounts SET balance_fen = ?3, spent_day = ?4, spent_fen = ?5, last_seq = ?6 WHERE account_id = ?1 AND kind = ?2",
            map(astuple, sorted(accounts, key=lambda account: account.account_id)),
        )

    def head(self) -> tuple[int, bytes]:
        """See `Store`."""
        row = self._db.execute("SELECT seq, digest FROM transfers ORDER BY seq DESC LIMIT 1").fetchone()
        return (row[0], row[1]) if row is not None else (0, GENESIS)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See `Store`."""
        return self._db.execute(sql, tuple(values)).fetchall()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """See `Store`."""
        return self._db.execute(sql, tuple(values))

    def maintain(self) -> None:
        """Checkpoint when the WAL has grown large. A reader may keep some of it back: the next call goes on."""
        if self._wal_frames * PAGE_SIZE < WAL_LIMIT_BYTES:
            return
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            return
        except apsw.FullError as error:
            raise StoreFull(f"{self._path}: {error}") from error
        except apsw.IOError as error:
            raise StoreBroken(f"{self._path}: checkpoint: {error}") from error
        self._wal_frames = 0

    def close(self) -> None:
        """See `Store`: the last connection to close folds the WAL into the database."""
        self._db.close()


def check_sqlite_version() -> None:
    """Refuse a SQLite with the WAL-reset bug; raises StoreRefused."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < MIN_SQLITE:
        wanted = ".".join(map(str, MIN_SQLITE))
        raise StoreRefused(f"SQLite: expected {wanted} or newer, got {apsw.sqlite_lib_version()}; reinstall apsw")


def _json_list(values: Collection[int]) -> str:
    return msgspec.json.encode(sorted(values)).decode()
