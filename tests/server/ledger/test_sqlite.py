"""The SQLite store: the contract of all stores, and what is SQLite's own: files, settings, checkpoints."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import apsw
import pytest

from server.ledger import sqlite
from server.ledger.ledger import Ledger
from server.ledger.model import Decision
from server.ledger.sqlite import APPLICATION_ID, SqliteStore
from server.ledger.store import StoreBroken, StoreRefused
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    NO_LIMITS,
    apply,
    contents,
    decide,
    open_campus,
    sale,
)
from tests.server.ledger.contract import DurableStoreContract, StoreContract


class TestFile(DurableStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path):
        return lambda: SqliteStore(tmp_path / "ledger.db")

    @pytest.fixture
    def open_reader(self, tmp_path):
        return lambda: SqliteStore(tmp_path / "ledger.db", readonly=True)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        store = SqliteStore(":memory:")
        yield store
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    store = SqliteStore(path)
    yield open_campus(store)
    store.close()


def pragma(store: SqliteStore, name: str) -> object:
    return store.execute(f"PRAGMA {name}")[0][0]


# ------------------------------------------------------------------------------------------ settings in force


def test_what_durability_rests_on_is_in_force(path):
    store = SqliteStore(path)
    settings = {
        name: pragma(store, name)
        for name in ("journal_mode", "synchronous", "page_size", "wal_autocheckpoint", "application_id", "locking_mode")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "page_size": sqlite.PAGE_SIZE,
        "wal_autocheckpoint": 0,
        "application_id": APPLICATION_ID,
        "locking_mode": "normal",
    }
    assert path.stat().st_size > 0
    assert path.read_bytes()[16:18] == sqlite.PAGE_SIZE.to_bytes(2, "big")
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]  # a clean end leaves one file


def test_a_file_system_without_shared_memory_is_refused(path):
    """Network file systems cannot share the WAL's index; SQLite then silently keeps its old journal mode."""
    with pytest.raises(StoreRefused, match="journal mode WAL, got delete"):
        SqliteStore(path, vfs="unix-dotfile")


def test_an_old_sqlite_is_refused(monkeypatch):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StoreRefused, match=r"expected 3\.51\.3 or newer, got 3\.51\.2"):
        SqliteStore(":memory:")
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.10")
    sqlite.check_sqlite_version()


# ---------------------------------------------------------------------------------------------- wrong files


def test_a_missing_file_is_refused_unless_one_is_to_be_made(path):
    for options in ({"readonly": True}, {"create": False}):
        with pytest.raises(StoreRefused, match="fanka init"):
            SqliteStore(path, **options)
    assert not path.exists()
    SqliteStore(path).close()
    SqliteStore(path, create=False).close()


def test_an_empty_file_is_no_ledger_that_may_go_on(path):
    """What a restore that went wrong leaves: to serve from it would be to have lost everything without a word."""
    path.touch()
    for options in ({"readonly": True}, {"create": False}):
        with pytest.raises(StoreRefused, match="expected a Fanka ledger"):
            SqliteStore(path, **options)
    assert path.stat().st_size == 0


@pytest.mark.parametrize("content", [b"no database at all" * 100, bytes(4096), b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_untouched(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match=r"ledger\.db"):
        SqliteStore(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("readonly", [False, True])
def test_another_programs_database_is_refused_untouched(path, readonly):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE recipes (name)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(StoreRefused, match="expected a Fanka ledger, got application id 0x0"):
        SqliteStore(path, readonly=readonly)
    assert path.read_bytes() == content
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(
        StoreRefused, match=r"expected a ledger this user may open, got .*; look at owner and permissions"
    ):
        SqliteStore(tmp_path)


def test_a_lost_ledger_wants_its_backup(tmp_path):
    with pytest.raises(StoreRefused, match="expected the ledger, found none; restore it from a backup"):
        SqliteStore(tmp_path / "ledger.db", create=False)


def test_a_place_that_cannot_even_be_looked_at_is_refused(tmp_path):
    with pytest.raises(StoreRefused, match="expected a ledger this user may open"):
        SqliteStore(tmp_path / ("x" * 300), create=False)


def test_a_connection_that_would_not_sync_is_refused(path):
    """Whatever keeps `synchronous=FULL` from coming into force: here a hook of this process forbids it."""

    def forbid(db: apsw.Connection) -> None:
        db.pragma("synchronous", 1)
        db.authorizer = lambda operation, name, value, *_: (
            apsw.SQLITE_IGNORE
            if (operation, name) == (apsw.SQLITE_PRAGMA, "synchronous") and value is not None
            else apsw.SQLITE_OK
        )

    apsw.connection_hooks.append(forbid)
    try:
        with pytest.raises(StoreRefused, match=r"expected synchronous=FULL \(2\), got 1"):
            SqliteStore(path)
    finally:
        apsw.connection_hooks.remove(forbid)


def test_the_version_in_use_is_a_version():
    assert tuple(map(int, sqlite.sqlite_version().split("."))) >= sqlite.MIN_SQLITE


def test_a_refused_file_is_let_go_of(path):
    """Whoever mends it must not find it held by a store that never came to be."""
    SqliteStore(path).close()
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO migrations VALUES (9000, 'later', 'x')")
    other.close()
    with pytest.raises(StoreRefused) as refused:
        SqliteStore(path)
    del refused
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("DELETE FROM migrations WHERE number = 9000")
    other.close()
    SqliteStore(path).close()


# ---------------------------------------------------------------------------------------- reading beside it


def test_a_reader_beside_the_writer_sees_commits_and_cannot_write(path, ledger):
    reader = SqliteStore(path, readonly=True)
    before = contents(reader)
    decide(ledger, sale(1, 100))
    assert contents(reader) == contents(ledger.store) != before
    with pytest.raises(StoreBroken), reader.transaction():
        reader.execute("UPDATE accounts SET balance_fen = 0")
    reader.close()
    assert decide(ledger, sale(2, 100)).decision == Decision.APPROVED


def test_a_second_writer_at_work_stops_the_first(path, ledger, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    impatient = Ledger(SqliteStore(path), NO_LIMITS)
    with ledger.store.transaction():
        with pytest.raises(StoreBroken, match="BusyError"):
            decide(impatient, sale(1, 100))
        # Who has seen that does not try again: it does not know what else the other does.
        with pytest.raises(StoreBroken, match="earlier fault"):
            decide(impatient, sale(1, 100))
    impatient.store.close()
    assert decide(ledger, sale(1, 100)).decision == Decision.APPROVED


def test_a_reader_does_not_keep_the_host_from_starting(path, monkeypatch):
    """Not even one that holds an old state of the ledger: what the host found in the log is then kept there."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    store = SqliteStore(path)
    ledger = open_campus(store)
    decide(ledger, sale(1, 100))
    reader = SqliteStore(path, readonly=True)
    reader.execute("BEGIN")
    assert reader.execute("SELECT max(seq) FROM transfers") == [(3,)]
    decide(ledger, sale(2, 100))
    store.close()
    again = Ledger(SqliteStore(path), NO_LIMITS)
    assert decide(again, sale(2, 100)).replayed
    assert decide(again, sale(3, 100)).rrn == 5
    assert reader.execute("SELECT max(seq) FROM transfers") == [(3,)]
    reader.close()
    audit.check(again.store)
    again.store.close()


# ---------------------------------------------------------------------------------------------- checkpoints

SMALL_WAL_BYTES = 256 * 1024


@pytest.fixture
def small_wal(monkeypatch):
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", SMALL_WAL_BYTES)


def busy_day(ledger: Ledger, first: int, count: int, each: int = 8) -> None:
    for stan in range(first, first + count * each, each):
        apply(ledger, *[sale(stan + n, 1) for n in range(each)])
        ledger.store.maintain()


def wal_size(path: Path) -> int:
    return path.with_name("ledger.db-wal").stat().st_size


def test_the_wal_stays_small(small_wal, path, ledger):
    busy_day(ledger, 1, 20)
    one_batch_bytes = wal_size(path) // 10
    for first in range(1_000, 1_800, 160):
        busy_day(ledger, first, 20)
        assert wal_size(path) <= SMALL_WAL_BYTES + one_batch_bytes
    assert path.stat().st_size > SMALL_WAL_BYTES // 2, "the ledger itself has left the WAL"
    audit.check(ledger.store)


def test_a_host_killed_with_a_large_wal_starts_again(path, ledger, tmp_path):
    """Found by the campus simulator: the WAL is written once more at the start, and SQLite's file layer takes no piece
    of 128 KiB or a multiple of it."""
    while wal_size(path) < 1024 * 1024:
        busy_day(ledger, ledger.head_seq + 1_000, 20)
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("ledger.db", "ledger.db-wal"):
        shutil.copy(path.with_name(name), killed / name)
    again = SqliteStore(killed / "ledger.db")
    assert again.head() == ledger.store.head()
    audit.check(again)
    again.close()


def test_a_reader_holds_the_wal_back_and_stops_nothing(small_wal, path, ledger):
    reader = SqliteStore(path, readonly=True)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT max(seq) FROM transfers")
    for _ in range(20):
        busy_day(ledger, ledger.head_seq + 1_000, 5)
    assert wal_size(path) > 2 * SMALL_WAL_BYTES
    assert reader.execute("SELECT max(seq) FROM transfers") == seen
    reader.execute("COMMIT")
    busy_day(ledger, ledger.head_seq + 1_000, 2)
    assert wal_size(path) <= SMALL_WAL_BYTES
    reader.close()
    audit.check(ledger.store)


def test_a_full_disk_is_named_where_sqlite_says_input_output_error(path, monkeypatch):
    def full(*_):
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr(SqliteStore, "_prepare", full)
    with pytest.raises(StoreRefused, match=r"IOError: disk I/O error$"):
        SqliteStore(path)
    monkeypatch.setattr(sqlite, "FREE_MIN_BYTES", 1 << 62)
    with pytest.raises(StoreRefused, match="IOError: disk I/O error; the disk is full: free some space"):
        SqliteStore(path)

    def unknown(_path):
        raise OSError("no such folder any more")

    monkeypatch.setattr(sqlite.os, "statvfs", unknown)
    with pytest.raises(StoreRefused, match=r"IOError: disk I/O error$"):
        SqliteStore(path)
