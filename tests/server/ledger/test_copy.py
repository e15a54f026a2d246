"""Copying a ledger row by row: nothing of the schema is forgotten, the copy verifies, and a failure leaves nothing."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger import copy
from server.ledger.copy import TABLES, copy_ledger
from server.ledger.ledger import Ledger
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreConflict, StoreRefused
from server.ledger.verify import verify
from tests.server.busy_folder import busy_folder, sell_on
from tests.server.ledger.campus import NO_LIMITS, contents


@pytest.fixture
def source(tmp_path):
    with contextlib.closing(SqliteStore(busy_folder(tmp_path / "data").ledger_path)) as store:
        yield store


@pytest.fixture
def target():
    with contextlib.closing(SqliteStore(":memory:")) as store:
        yield store


def schema(store):
    """Columns by table, as the database itself tells them."""
    tables = [name for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: tuple(column for (column,) in store.execute("SELECT name FROM pragma_table_info(?)", (name,)))
        for name in tables
    }


def test_no_table_and_no_column_is_forgotten(target):
    expected = schema(target)
    del expected["migrations"]
    assert {table.name: set(table.columns) for table in TABLES} == {
        name: set(columns) for name, columns in expected.items()
    }


def test_every_row_arrives_and_the_books_hold(source, target):
    copy_ledger(source, target)
    assert contents(target) == contents(source)
    assert target.head() == source.head()
    assert [check for check in verify(target) if not check.ok] == []


def test_the_copy_is_a_ledger_that_goes_on(source, target):
    copy_ledger(source, target)
    assert sell_on(Ledger(target, NO_LIMITS), 70).rrn == source.head()[0] + 1


def test_in_parts_and_with_progress(source, target, monkeypatch):
    [transfers] = [table for table in TABLES if table.name == "transfers"]
    monkeypatch.setattr(copy, "VALUES_MAX", 2 * len(transfers.columns))
    seen = []
    copy_ledger(source, target, lambda done, total: seen.append((done, total)))
    total = source.head()[0]
    assert contents(target) == contents(source)
    assert seen == [(done, total) for done in range(2, total, 2)] + [(total, total)]


def test_a_ledger_in_use_is_not_copied_over(source, target):
    copy_ledger(source, target)
    before = contents(target)
    with pytest.raises(StoreRefused, match="expected an empty ledger"):
        copy_ledger(source, target)
    assert contents(target) == before


def test_a_failure_leaves_the_target_empty_and_marked(source, target):
    before = contents(target)
    source.execute("PRAGMA ignore_check_constraints = 1")
    source.execute("UPDATE accounts SET balance_fen = -1 WHERE account_id = 1000000")
    assert not copy.is_unfinished(target)
    with pytest.raises(StoreConflict):
        copy_ledger(source, target)
    assert contents(target) == before | {"meta": [(copy.UNFINISHED, "")]}
    source.execute("UPDATE accounts SET balance_fen = 0 WHERE account_id = 1000000")
    copy_ledger(source, target)
    assert contents(target) == contents(source)
    assert not copy.is_unfinished(target)
