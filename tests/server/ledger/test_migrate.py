"""Migrations: all of this program's, in order, each once; a database that is newer or otherwise made is refused."""

from __future__ import annotations

import re

import apsw
import pytest

from server.ledger import migrate
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreRefused
from tests.server.ledger.campus import contents, open_campus


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteStore(path).close()
    return path


def change(path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(sql)
    db.close()


def one_more(sql: str) -> list[migrate.Migration]:
    """What a later program would have: all of this one's migrations and another."""
    known = migrate.available()
    number = known[-1].number + 1
    return [*known, migrate.Migration(number, f"{number:04}_later.sql", sql)]


def test_migrations_are_numbered_from_one_without_gaps():
    found = migrate.available()
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for _, name, _ in found)
    assert all(sql.strip() for _, _, sql in found)


def test_a_new_ledger_has_them_all_and_keeps_their_names(path):
    store = SqliteStore(path)
    applied = store.execute("SELECT number, name FROM migrations ORDER BY number")
    assert applied == [(number, name) for number, name, _ in migrate.available()]
    store.close()


def test_opening_again_changes_nothing(path):
    store = SqliteStore(path)
    open_campus(store)
    before = contents(store), store.execute("SELECT * FROM sqlite_schema"), store.execute("SELECT * FROM migrations")
    store.close()
    store = SqliteStore(path)
    assert before == (
        contents(store),
        store.execute("SELECT * FROM sqlite_schema"),
        store.execute("SELECT * FROM migrations"),
    )
    store.close()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_schema_is_refused(path, readonly):
    change(path, "INSERT INTO migrations VALUES (9000, '9000_later.sql', '')")
    with pytest.raises(StoreRefused, match="got 9000: this program is too old for it"):
        SqliteStore(path, readonly=readonly)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_migration_with_other_content_is_refused(path, readonly):
    change(path, "UPDATE migrations SET checksum = 'something else' WHERE number = 1")
    with pytest.raises(StoreRefused, match=r"0001_initial\.sql was applied with other content"):
        SqliteStore(path, readonly=readonly)


def test_an_older_schema_is_migrated_by_a_writer_and_refused_by_a_reader(path, monkeypatch):
    """A reader must not guess at a schema, nor change it behind the host's back."""
    later = one_more("CREATE TABLE later (x); -- a comment\nINSERT INTO later VALUES (7)")
    monkeypatch.setattr(migrate, "available", lambda: later)
    newest, before = later[-1].number, later[-2].number
    with pytest.raises(StoreRefused, match=f"expected schema {newest}, got {before}: start the host once to migrate"):
        SqliteStore(path, readonly=True)
    store = SqliteStore(path)
    assert store.execute("SELECT x FROM later") == [(7,)]
    store.close()
    SqliteStore(path, readonly=True).close()


def test_a_migration_that_fails_leaves_nothing_of_itself(path, monkeypatch):
    broken = one_more("CREATE TABLE later (x); INSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "available", lambda: broken)
        with pytest.raises(StoreRefused, match="no such table: nowhere"):
            SqliteStore(path)
    store = SqliteStore(path)
    assert store.execute("SELECT name FROM sqlite_schema WHERE name = 'later'") == []
    assert store.execute("SELECT max(number) FROM migrations") == [(broken[-2].number,)]
    store.close()


def test_a_half_made_ledger_is_completed(tmp_path):
    """Power lost after the file was marked as ours, before it had a schema."""
    path = tmp_path / "ledger.db"
    change(path, "PRAGMA page_size = 2048; PRAGMA journal_mode = WAL; PRAGMA application_id = 0x464B4C31")
    with pytest.raises(StoreRefused, match="expected a Fanka ledger"):
        SqliteStore(path, readonly=True)
    store = SqliteStore(path)
    open_campus(store)
    store.close()
