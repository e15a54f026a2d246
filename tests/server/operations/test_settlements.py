"""What the office sees of settlements."""

from __future__ import annotations

import msgspec
import pytest

from server.admin import Admin
from server.keys import KeyRing
from server.ledger import moves, settlement
from server.ledger.model import Decision
from server.operations.desk import AdminError
from tests.server.ledger.campus import MERCHANT, NOW_MS, OTHER_MERCHANT, TILL, balance, decide
from tests.server.ledger.records import Recorder
from tests.server.office import KEK
from tests.server.settling import World, forged


@pytest.fixture
def world():
    """Batch 1 balanced, batch 2 with a difference, batch 3 on its way."""
    world = World()
    world.sell(1000, 250)
    world.settle()
    for batch in (2, 3):
        world.sell(300)
        world.till.save(forged(9, batch=batch))
        world.settle()
        if batch == 2:
            world.accept()
    yield world
    world.store.close()


@pytest.fixture
def call(world):
    admin = Admin(
        world.ledger,
        world.desk.registry,
        KeyRing(KEK),
        now_ms=lambda: NOW_MS,
        random_bytes=bytes,
        on_revoked=lambda _: None,
    )
    return lambda operation, **arguments: admin.perform(operation, arguments)


def test_the_newest_come_first(call):
    found = call("settlement.listing")
    assert [(row["settlement"], row["batch"], row["state"], row["differences"]) for row in found] == [
        (3, 3, "open", 0),
        (2, 2, "differences", 1),
        (1, 1, "balanced", 0),
    ]
    assert (found[2]["terminal"], found[2]["merchant_id"], found[2]["transactions"]) == ("3-58", 1, 2)
    assert (found[2]["closed_at_ms"], len(found[2]["digest"]), found[0]["digest"]) == (NOW_MS, 16, "")


def test_page_by_page(call):
    assert [row["settlement"] for row in call("settlement.listing", limit=1)] == [3]
    assert [row["settlement"] for row in call("settlement.listing", before=3, limit=1)] == [2]
    assert call("settlement.listing", before=1) == []


def test_only_what_is_open(call):
    assert [row["settlement"] for row in call("settlement.listing", only_open=True)] == [3]


def test_one_with_all_that_differs(call):
    found = call("settlement.show", settlement=2)
    sale = {"kind": "sale", "count": 1, "amount_fen": 300, "charged_fen": 300}
    assert found["host_totals"] == [sale]
    assert found["terminal_totals"] == [sale | {"count": 2, "amount_fen": 1100, "charged_fen": 1100}]
    assert found["differing"] == [
        {
            "stan": 9,
            "difference": "missing_at_host",
            "kind": "sale",
            "terminal_standing": "approved",
            "terminal_fen": 800,
            "host_standing": "none",
            "host_fen": 0,
            "rrn": 999,
        }
    ]


def test_one_that_does_not_exist(call):
    with pytest.raises(AdminError, match="expected the number of a settlement, got 9"):
        call("settlement.show", settlement=9)


def test_a_terminal_goes_to_another_merchant_only_when_it_has_settled(world, call):
    """Its settlement would be the new one's. What it still brings of before is the old one's."""
    world.accept()
    world.sell(500)
    for arguments in ({}, {"with_code": True}):
        with pytest.raises(AdminError, match="expected 1, for whom terminal 3-58 has batch 4 to settle, got 2"):
            call("terminal.enrol", terminal="3-58", merchant_id=2, **arguments)
    with pytest.raises(AdminError, match="has batch 4 to settle"):
        call("terminal.enrol_many", first="3-58", count=1, merchant_id=2)
    assert world.desk.registry.find_terminal(TILL).merchant_id == 1
    call("terminal.enrol", terminal="3-58", merchant_id=1)  # another machine may settle it
    world.settle()
    assert moves.load(world.store, [TILL]) == {}
    call("terminal.enrol", terminal="3-58", merchant_id=2)
    assert world.desk.registry.find_terminal(TILL).merchant_id == 2
    assert moves.load(world.store, [TILL]) == {TILL: [moves.Move(world.now_ms, 1, MERCHANT)]}
    sold_before = msgspec.structs.replace(Recorder().sold(9, 700, batch=5), claimed_at_s=world.now_ms // 1_000 - 1)
    assert decide(world.ledger, sold_before, world.now_ms).decision == Decision.APPROVED
    assert balance(world.ledger, OTHER_MERCHANT) == 0
    settlement.settle(world.ledger, settlement.Claim(TILL, 5, 3, b"x" * 16, (), lambda items: True), world.now_ms)
    assert call("settlement.listing")[0]["merchant_id"] == 1
