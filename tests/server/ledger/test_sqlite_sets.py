"""The set-based SQL never reads a whole table. That it loads and saves rightly is in the contract of all stores."""

from __future__ import annotations

import apsw
import pytest

from server.ledger import sqlite_sets
from server.ledger.model import Account, AccountKind, Changes, Entry, Identity, Terminal
from server.ledger.sqlite import SqliteStore
from tests.server.ledger.campus import ANN, CARDS, NOW_MS, TILL, open_campus, sale
from tests.server.ledger.contract import transfer

TABLES = {
    "transfers",
    "t",
    "entries",
    "accounts",
    "cards",
    "card_bindings",
    "terminals",
    "merchants",
    "m",
    "e",
    "h",
    "holds",
}
"""Tables, and what the statements call them."""
CALLS = {
    "load_transfers": lambda db: sqlite_sets.load_transfers(db, [Identity(TILL, 1, 1)]),
    "load_terminals": lambda db: sqlite_sets.load_terminals(db, [TILL]),
    "load_cards": lambda db: sqlite_sets.load_cards(db, [CARDS[ANN]]),
    "load_family": lambda db: sqlite_sets.load_family(db, [5]),
    "load_entries": lambda db: sqlite_sets.load_entries(db, [5]),
    "load_bindings": lambda db: sqlite_sets.load_bindings(db, [CARDS[ANN]]),
    "load_held": lambda db: sqlite_sets.load_held(db, [ANN]),
    "load_accounts": lambda db: sqlite_sets.load_accounts(db, [ANN]),
    "save": lambda db: sqlite_sets.save(
        db,
        [transfer(900, 900)],
        [Entry(900, ANN, 1, 1, 0)],
        [Account(ANN, AccountKind.CUSTOMER, 1, 0, 0, 900)],
    ),
    "save_changes": lambda db: sqlite_sets.save(
        db, [], [], [], Changes(terminals=[Terminal(TILL, 0, 1, 0, 0, saf_sequence=1, saf_tag=bytes(16))])
    ),
}


@pytest.fixture(scope="module", params=["without statistics", "with statistics"])
def database(request, tmp_path_factory):
    """A ledger with a few hundred rows; what SQLite plans must not depend on whether somebody ran ANALYZE on it."""
    path = tmp_path_factory.mktemp("plans") / "ledger.db"
    store = SqliteStore(path)
    ledger = open_campus(store)
    ledger.apply([sale(stan, 1) for stan in range(1, 300)], NOW_MS)
    store.close()
    db = apsw.Connection(str(path))
    if request.param == "with statistics":
        db.execute("ANALYZE")
        db.close()
        db = apsw.Connection(str(path))
    yield db
    db.close()


@pytest.mark.parametrize("name", CALLS)
def test_every_row_is_found_through_an_index(database, name):
    statements = []

    def note(_cursor: apsw.Cursor, sql: str, values: object) -> bool:
        statements.append((sql, values))
        return True

    database.exec_trace = note
    database.execute("SAVEPOINT one")
    CALLS[name](database)
    database.execute("ROLLBACK TO one; RELEASE one")
    database.exec_trace = None
    plans = [
        row[3]
        for sql, values in statements
        if "json_each" in sql or "INSERT" in sql
        for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    ]
    assert statements
    assert [step for step in plans if step.startswith("SCAN") and step.split()[1] in TABLES] == []
