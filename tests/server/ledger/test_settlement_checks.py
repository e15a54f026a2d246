"""What `verify` says of settlements: nothing, as they are; and which one, whatever is done to them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from server.ledger.checks import SETTLEMENTS
from server.ledger.copy import TABLES
from server.ledger.model import Kind
from server.ledger.store import Row, Store
from server.ledger.verify import verify
from terminal_emulator.settled import Stage
from tests.server.ledger.campus import ANN, BEN, COY, NOW_MS, TILL, decide, reversal, sale, upload
from tests.server.settling import World, forged

UNSEEN = {
    ("settlements", "merchant_id"),
    ("settlements", "operator"),
    ("settlements", "request_hash"),
    ("settlements", "opened_at_ms"),
    ("settlements", "closed_at_ms"),
    ("settlements", "business_day"),
    ("settlements", "records"),
    *(("settlement_totals", name) for name in ("side", "kind", "count", "amount_fen", "charged_fen")),
    *(("settlement_records", name) for name in ("part", "place", "amount_fen", "rrn", "points")),
    *(
        ("settlement_differences", name)
        for name in (
            "place",
            "stan",
            "difference",
            "kind",
            "terminal_standing",
            "terminal_fen",
            "host_standing",
            "host_fen",
            "rrn",
        )
    ),
}
"""Who settled, when, and what a terminal said of itself: nothing else in the ledger bears witness to these. Of totals
some edits pass: those of a terminal's that did not balance; the slip has them."""


@pytest.fixture
def world():
    """Batch 1 balanced, batch 2 closed with a difference, batch 3 on its way."""
    world = World()
    with world.store.transaction():
        for account_id in (ANN, BEN, COY):
            world.store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
    world.sell(1000, 250)
    world.settle()
    world.sell(300)
    world.till.save(forged(9, batch=2))
    world.settle()
    world.accept()
    world.sell(70)
    world.till.save(forged(9, batch=3))
    world.settle()
    world.sell(5)
    yield world
    world.store.close()


def found(world) -> list[str]:
    return [check.detail for check in verify(world.store) if not check.ok]


def test_they_hold(world):
    assert found(world) == []
    [check] = [check for check in verify(world.store) if check.name == SETTLEMENTS]
    assert check.detail == "3 settlements, each what the journal had of its batch"
    assert {state for (state,) in world.store.execute("SELECT state FROM settlements")} == {0, 1, 2}


def put_back(store: Store, name: str, rows: list[Row]) -> None:
    """A table as it was."""
    store.execute(f"DELETE FROM {name}")
    for row in rows:
        store.execute(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in row)})", row)


OWN = [table for table in TABLES if table.name.startswith("settlement")]
COLUMNS = [(table, column) for table in OWN for column in table.columns]


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table.name}.{column}" for table, column in COLUMNS])
def test_an_edited_value_is_seen(world, table, column):
    keys = [name.strip() for name in table.key.split(",")]
    where = " AND ".join(f"{name} = ?" for name in keys)
    tried = missed = 0
    rows = world.store.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}")
    for row in rows:
        old = row[table.columns.index(column)]
        new = bytes([old[0] ^ 1]) + old[1:] if isinstance(old, bytes) else old + 77
        world.store.execute(
            f"UPDATE {table.name} SET {column} = ? WHERE {where}",
            [new, *(row[table.columns.index(name)] for name in keys)],
        )
        tried += 1
        missed += not any("settlement" in line or "terminal 3-58" in line for line in found(world))
        put_back(world.store, table.name, rows)
    assert tried > 0
    assert (missed > 0) == ((table.name, column) in UNSEEN)


@pytest.mark.parametrize("name", ["settlements", "settlement_differences"])
def test_a_deleted_settlement_is_seen(world, name):
    rows = world.store.execute(f"SELECT * FROM {name}")
    for (number,) in world.store.execute(f"SELECT DISTINCT settlement FROM {name}"):
        world.store.execute(f"DELETE FROM {name} WHERE settlement = ?", (number,))
        assert any(f"settlement {number}" in line or "rows are missing" in line for line in found(world))
        put_back(world.store, name, rows)
    assert found(world) == []


def test_the_hosts_totals_are_those_of_the_journal(world):
    world.store.execute("UPDATE settlement_totals SET charged_fen = 1251 WHERE settlement = 1")
    [line] = found(world)
    assert line == ("settlement 1: expected the totals SALE 2x 1250/1250 from the journal, got SALE 2x 1250/1251")


def test_a_reversal_after_the_batch_was_closed_leaves_its_settlement_as_it_was(world):
    decide(world.ledger, reversal(1, 1000, batch=1))
    assert found(world) == []


def test_a_sale_in_a_closed_batch_is_named(world):
    """As a host would take it that forgot which batches are closed."""
    with world.store.transaction():
        world.store.execute("UPDATE terminals SET closed_batch = 0")
    late = decide(world.ledger, sale(40, 9, batch=1))
    assert late.rrn
    with world.store.transaction():
        world.store.execute("UPDATE terminals SET closed_batch = 2 WHERE terminal_id = ?", (TILL,))
    assert found(world) == [f"transfer {late.rrn}: batch 1 of terminal 3-58 is closed without it"]


def test_what_comes_back_to_a_restored_host_may_come_late(world):
    world.ledger.open_history(NOW_MS)
    brought = decide(world.ledger, upload(50, 9, batch=1))
    assert brought.rrn
    assert world.store.execute("SELECT kind FROM transfers WHERE seq = ?", (brought.rrn,)) == [(Kind.UPLOAD,)]
    [check] = [check for check in verify(world.store) if check.name == SETTLEMENTS]
    assert (check.ok, check.detail.partition("; ")[2]) == (True, "1 transfers came after their batch was closed")


def test_a_state_nobody_knows_is_named(world):
    world.store.execute("UPDATE settlements SET state = 7 WHERE settlement = 1")
    assert "settlement 1: expected a known state, got 7" in found(world)[0]


def test_a_balanced_batch_whose_sides_differ_is_named(world):
    world.store.execute("UPDATE settlement_totals SET count = 3 WHERE settlement = 1 AND side = 0")
    [line] = found(world)
    assert line == "settlement 1: balanced, but the terminal has SALE 3x 1250/1250, the host SALE 2x 1250/1250"


def test_records_that_agree_after_all_are_what_the_terminal_came_to():
    """A terminal that has added up wrongly, and whose records are right."""
    world = World()
    world.sell(100)
    world.till.save(replace(world.till.records[(1, 1)], amount_fen=110, charged_fen=110))
    world.settle()
    world.till.save(replace(world.till.records[(1, 1)], amount_fen=100, charged_fen=100))
    assert world.till.settlement is not None
    world.till.save_settlement(replace(world.till.settlement, stage=Stage.UPLOAD, part=1, differences=()))
    world.go_on()
    assert world.till.last_settlement.is_balanced
    [check] = [check for check in verify(world.store) if check.name == SETTLEMENTS]
    assert check.ok, check.detail
    world.store.close()
