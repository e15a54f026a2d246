"""Copying a ledger file page by page: what is refused and why, and that a file somebody else uses stays as it is."""

from __future__ import annotations

import contextlib
from contextlib import closing

import apsw
import pytest

from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_copy import MANIFEST, copy_pages, is_backup, leave_wal, write_meta
from server.ledger.store import StoreError, StoreFull, StoreRefused
from tests.server.ledger.campus import contents, decide, open_campus, sale

WAL, ROLLBACK = b"\x02\x02", b"\x01\x01"
"""Bytes 18 and 19 of a database file: how it is to be read and written."""


@pytest.fixture
def path(tmp_path):
    """A ledger file with one sale in it, closed."""
    path = tmp_path / "ledger.db"
    with closing(SqliteStore(path)) as store:
        decide(open_campus(store), sale(1, 100))
    return path


@pytest.fixture
def target(tmp_path):
    target = tmp_path / "copy"
    target.touch()
    return target


def copy(source, target):
    copy_pages(source, target, lambda *_: None)


def mode(path):
    return path.read_bytes()[18:20]


def names(path):
    return sorted(each.name for each in path.parent.iterdir())


def rows(path):
    with closing(SqliteStore(path, readonly=True)) as store:
        return contents(store)


# ------------------------------------------------------------------------------------------------- copying


def test_the_copy_has_every_row_and_is_one_file(path, target):
    copy(path, target)
    assert mode(target) == ROLLBACK
    assert rows(target) == rows(path)
    assert [name for name in names(target) if name.startswith("copy")] == ["copy"]


def test_a_ledger_that_is_not_there_is_not_made(tmp_path, target):
    with pytest.raises(StoreRefused, match="expected a ledger file, found none; check the path"):
        copy(tmp_path / "ledger.db", target)
    assert names(target) == ["copy"]


def test_another_programs_database_is_not_copied(tmp_path, target):
    recipes = tmp_path / "recipes"
    with closing(apsw.Connection(str(recipes))) as db:
        db.pragma("application_id", 0x52454349)
        db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
    with pytest.raises(StoreRefused, match="expected a Fanka ledger, got application id 0x52454349"):
        copy(recipes, target)
    assert target.read_bytes() == b""


def test_what_is_no_database_is_not_copied(tmp_path, target):
    letter = tmp_path / "letter"
    letter.write_text("Dear canteen, " * 1_000)
    with pytest.raises(StoreRefused, match="letter: expected a Fanka ledger, got no SQLite database"):
        copy(letter, target)
    assert target.read_bytes() == b""


@pytest.fixture
def pages_at_most():
    """Files that can grow to so many pages and no further, by name: the database itself calls that a full disk."""
    limits = {}

    def limit(db):
        if db.filename in limits:
            db.pragma("max_page_count", limits[db.filename])

    apsw.connection_hooks.append(limit)
    yield limits
    apsw.connection_hooks.remove(limit)


def test_a_full_disk_is_the_targets_and_called_so(path, target, pages_at_most):
    """Whoever makes backups has to make room where they are kept; the ledger's own disk is not meant."""
    pages_at_most[str(target)] = 3
    with pytest.raises(StoreFull, match="copy: the disk is full: make room on the disk, then try again"):
        copy(path, target)
    del pages_at_most[str(target)]
    copy(path, target)
    assert rows(target) == rows(path)


def test_a_target_that_cannot_be_written_is_no_fault_of_the_ledger(path, tmp_path):
    with pytest.raises(StoreError, match="nowhere/copy: cannot be copied: CantOpenError") as failed:
        copy(path, tmp_path / "nowhere" / "copy")
    assert not isinstance(failed.value, StoreRefused)


# -------------------------------------------------------------------------------------- one file, no log beside it


@contextlib.contextmanager
def transaction(db, kind):
    """One that reads has begun to do so."""
    db.execute(f"BEGIN {kind}")
    db.execute("SELECT count(*) FROM meta").get  # noqa: B018 - reading takes the snapshot
    yield
    db.execute("ROLLBACK")


@pytest.mark.parametrize("busy", [None, "DEFERRED", "IMMEDIATE"])
def test_a_file_that_somebody_else_has_open_stays_in_wal_mode(path, busy):
    """Its log may hold what the file does not: to call it one file would lose that."""
    with closing(SqliteStore(path)) as store, closing(apsw.Connection(str(path))) as other:
        before = contents(store)
        with (
            transaction(other, busy) if busy else contextlib.nullcontext(),
            pytest.raises(StoreError, match="database is locked"),
        ):
            leave_wal(path)
        assert mode(path) == WAL
        assert contents(store) == before
        store.execute("UPDATE meta SET value = value")
    leave_wal(path)
    assert mode(path) == ROLLBACK
    assert names(path) == ["ledger.db"]
    assert rows(path) == before


def test_a_backup_is_told_from_a_ledger_and_from_anything_else(path, tmp_path):
    letter = tmp_path / "letter"
    letter.write_text("Dear canteen, " * 1_000)
    assert not is_backup(path)
    assert not is_backup(letter)
    assert not is_backup(tmp_path / "nothing")
    leave_wal(path)
    write_meta(path, {MANIFEST: "{}"})
    assert is_backup(path)
    assert names(path) == ["ledger.db", "letter"]
