"""The schema of a ledger file: one flipped bit in it is found, whoever opens the file."""

from __future__ import annotations

import shutil
from contextlib import closing

import apsw
import pytest

from server.ledger import sqlite_schema
from server.ledger.sqlite import SchemaDiffers, SqliteStore
from server.ledger.sqlite_copy import copy_pages, leave_wal
from server.ledger.store import StoreRefused
from tests.server.ledger.campus import open_campus


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A ledger in one file."""
    path = tmp_path_factory.mktemp("original") / "ledger.db"
    store = SqliteStore(path)
    open_campus(store)
    store.close()
    leave_wal(path)
    change(path, "PRAGMA secure_delete = ON; VACUUM")  # without second copies where the schema's pages were split
    return path


@pytest.fixture
def path(original, tmp_path):
    return shutil.copy(original, tmp_path / "ledger.db")


def change(path, sql):
    db = apsw.Connection(str(path))
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    db.pragma("writable_schema", 1)
    db.execute(sql)
    db.close()


def texts(path):
    """Where in the file the text of each table and index stands."""
    db = apsw.Connection(str(path))
    rows = db.execute("SELECT CAST(sql AS BLOB) FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    db.close()
    whole = path.read_bytes()
    return [(whole.rindex(sql), len(sql)) for (sql,) in rows]


def test_each_bit_of_the_schema_matters(path):
    whole = path.read_bytes()
    for place, size in texts(path):
        for offset in range(place, place + size, 5):  # all bits of all bytes would take a minute
            damaged = bytearray(whole)
            damaged[offset] ^= 1 << offset % 8
            path.write_bytes(damaged)
            with pytest.raises(StoreRefused):
                SqliteStore(path, readonly=True).close()


def test_the_table_is_named(path, tmp_path):
    change(path, "UPDATE sqlite_schema SET sql = replace(sql, 'sale_limit_fen', 'sale_limht_fen')")
    said = "schema: table cards: expected it as the migrations make it, got .*sale_limht_fen.*: the file is damaged"
    for readonly in (False, True):
        with pytest.raises(SchemaDiffers, match=f"(?s){path}: {said}; restore it from a backup"):
            SqliteStore(path, readonly=readonly)
    with pytest.raises(SchemaDiffers, match=f"(?s){path}: {said}; take a backup that is whole"):
        copy_pages(path, tmp_path / "copy", lambda *_: None)


def test_a_missing_table_is_named(path):
    change(path, "DROP TABLE histories")
    with pytest.raises(SchemaDiffers, match="schema: expected table histories, found none"):
        SqliteStore(path)


def test_what_was_added_fails_the_check_but_serves(path):
    change(path, "CREATE TRIGGER mine AFTER UPDATE ON accounts BEGIN SELECT 1; END")
    store = SqliteStore(path)
    assert list(store.integrity()) == ["schema: expected only what the migrations make, found trigger mine"]
    store.close()


def test_statistics_are_no_difference(path):
    change(path, "ANALYZE")
    store = SqliteStore(path)
    assert list(store.integrity()) == []
    store.close()


def test_a_schema_that_changes_under_an_open_store(path):
    store = SqliteStore(path)
    store.execute("ALTER TABLE meta RENAME COLUMN value TO valuf")
    with pytest.raises(StoreRefused, match="expected the ledger's schema, got: no such column: value; `fanka verify`"):
        store.execute("SELECT value FROM meta")
    assert list(store.integrity()) != []
    store.close()


def test_a_newer_programs_schema_is_not_called_damaged(path):
    """It is refused, and for what it is."""
    change(path, "INSERT INTO migrations VALUES (999, '0999_later.sql', 'x'); CREATE TABLE later (x)")
    with pytest.raises(StoreRefused, match="this program is too old for it"):
        SqliteStore(path)
    with closing(apsw.Connection(str(path))) as db:
        assert list(sqlite_schema.differences(db)) == []
