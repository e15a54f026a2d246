"""Migrations: all of this program's, in order, each once; a database that is newer or otherwise made is refused."""

from __future__ import annotations

import re
from pathlib import Path

import apsw
import pytest

from server.ledger import migrate
from server.ledger.ledger import Ledger
from server.ledger.model import BONUS_ACCOUNT, HOLDS_ACCOUNT, POINTS_ISSUED_ACCOUNT
from server.ledger.sqlite import APPLICATION_ID, SqliteStore
from server.ledger.store import StoreRefused
from server.ledger.verify import verify
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    NO_LIMITS,
    NOW_MS,
    apply,
    contents,
    open_campus,
    refund,
    reversal,
    sale,
    upload,
    void,
)


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


# -------------------------------------------------------------------------------------------- old ledgers


def as_schema_three(store: SqliteStore, path: Path) -> None:
    """A ledger file as the program before schema 4 would have it, with the rows of this one."""
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(migrate.MIGRATIONS_TABLE)
    for migration in migrate.available()[:3]:
        db.execute(migration.sql)
        db.execute("INSERT INTO migrations VALUES (?, ?, ?)", (migration.number, migration.name, migration.checksum))
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()]
    for table in tables:
        if table == "migrations":
            continue
        columns = [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()]
        own = f"SELECT {', '.join(columns)} FROM {table}"
        if table == "accounts":
            own += f" WHERE account_id NOT IN ({HOLDS_ACCOUNT}, {BONUS_ACCOUNT}, {POINTS_ISSUED_ACCOUNT})"
        db.execute(f"DELETE FROM {table}")
        for row in store.execute(own):
            db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in columns)})", row)
    db.close()


def test_a_ledger_of_schema_three_opens_verifies_and_goes_on(tmp_path):
    """With sales, reversals, tombstones and uploads in it, each with the digest it had."""
    now = SqliteStore(":memory:")
    ledger = open_campus(now)
    with now.transaction():
        for account_id in (ANN, BEN, COY):
            now.execute("INSERT INTO customers VALUES (?, ?, 'Ann')", (account_id, f"S{account_id}"))
    apply(ledger, sale(1, 1200), sale(2, 300), reversal(2, 300), sale(3, 1, COY), reversal(4, 500), sale(4, 500))
    ledger.open_history(NOW_MS)
    apply(ledger, upload(5, 70, COY), upload(6, 80), reversal(5, 70, COY), upload(7, 90, COY))
    early_s = NOW_MS // 1_000 - 3_601
    apply(ledger, upload(19, 33, BEN, claimed_at_s=early_s), upload(20, 44, claimed_at_s=early_s))
    apply(ledger, reversal(20, 44, claimed_at_s=early_s))
    with now.transaction():  # as that program counted
        now.execute("UPDATE accounts SET spent_fen = spent_fen + 33 WHERE account_id = ?", (BEN,))
    path = tmp_path / "old.db"
    as_schema_three(now, path)
    head = now.head()
    now.close()

    store = SqliteStore(path, create=False)
    assert store.execute("SELECT max(number) FROM migrations") == [(migrate.available()[-1].number,)]
    assert store.head() == head
    assert [check for check in verify(store) if not check.ok] == []
    ledger = Ledger(store, NO_LIMITS)
    eaten, debt = sale(1, 1200), sale(7, 90, COY)
    said = apply(ledger, eaten, refund(8, eaten, 200), void(9, debt), reversal(6, 80), upload(5, 70, COY))
    assert [outcome.decision.name for outcome in said] == [*["APPROVED"] * 4, "REVERSED_BEFORE"]
    assert [check for check in verify(store) if not check.ok] == []
    audit.check(store)
    store.close()
