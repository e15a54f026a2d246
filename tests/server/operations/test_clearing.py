"""Clearing: each merchant's day is paid out once, in order, and the books say so."""

from __future__ import annotations

import pytest

from server.ledger import clearing
from server.ledger.model import FUNDING_ACCOUNT, Identity, Sale
from tests.server.office import DAY


@pytest.fixture
def campus(office):
    """Two merchants with a till each, Ann with money."""
    for name in ("一食堂", "二食堂"):
        office.call("merchant.add", name=name)
    office.call("terminal.enrol", terminal="3-1", merchant_id=1)
    office.call("terminal.enrol", terminal="3-2", merchant_id=2)
    office.call("card.issue", uid="04A1", student_number="S1", name="Ann")
    office.call("account.topup", who="S1", amount_fen=50_000, batch=2, line=1)
    return office


def sell(office, device: int, amount_fen: int) -> None:
    sell.stan = getattr(sell, "stan", 0) + 1
    identity = Identity(3 << 16 | device, 1, sell.stan)
    [outcome] = office.ledger.apply(
        [Sale(identity, b"hash", bytes.fromhex("04A1"), amount_fen, 1, office.now_ms // 1000)], office.now_ms
    )
    assert outcome.rrn


def next_day(office) -> None:
    office.ledger.open_day(office.ledger.business_day + 1, office.now_ms)


def run(office, day: int = DAY):
    amounts = [(one.merchant_id, one.amount_fen) for one in clearing.owed(office.store, day)]
    return office.call("clearing.run", day=day, amounts=amounts)


def balances(office) -> list[int]:
    return [row["balance_fen"] for row in office.call("merchant.listing")]


def test_what_was_sold_on_the_day_is_paid_out(campus):
    sell(campus, 1, 1000)
    sell(campus, 2, 250)
    funding = campus.store.load_accounts([FUNDING_ACCOUNT])[FUNDING_ACCOUNT].balance_fen
    next_day(campus)
    sell(campus, 1, 70)  # of the next day, for the next clearing
    assert [(row["merchant_id"], row["name"], row["amount_fen"]) for row in run(campus)] == [
        (1, "一食堂", 1000),
        (2, "二食堂", 250),
    ]
    assert balances(campus) == [70, 0]
    assert campus.store.load_accounts([FUNDING_ACCOUNT])[FUNDING_ACCOUNT].balance_fen == funding + 1250


def test_again_changes_nothing(campus):
    sell(campus, 1, 1000)
    next_day(campus)
    first = run(campus)
    assert run(campus) == []  # nothing is owed any more
    assert campus.call("clearing.run", day=DAY, amounts=[(1, 999)]) == first
    assert campus.call("clearing.show", day=DAY) == first
    assert balances(campus) == [0, 0]


def test_a_day_left_out_is_paid_with_the_next(campus):
    sell(campus, 1, 1000)
    next_day(campus)
    sell(campus, 1, 30)
    next_day(campus)
    assert [row["amount_fen"] for row in run(campus, DAY + 1)] == [1030]
    assert [row["day"] for row in campus.call("clearing.show")] == [DAY + 1]
    assert f"expected {DAY + 1} or later, got {DAY}" in campus.refused("clearing.run", day=DAY, amounts=[(1, 5)])


def test_nothing_owed_is_nothing_paid(campus):
    next_day(campus)
    assert run(campus) == []
    assert campus.call("clearing.show") == []
    assert clearing.newest_cleared(campus.store) == 0


@pytest.mark.parametrize("day", [DAY, DAY + 1, 0, -5])
def test_a_day_that_is_not_over(campus, day):
    assert "expected one that is over" in campus.refused("clearing.run", day=day, amounts=[])


def test_a_merchant_nobody_knows(campus):
    next_day(campus)
    assert "expected the number of a merchant, got 9" in campus.refused("clearing.run", day=DAY, amounts=[(9, 5)])


def test_too_many_at_once(campus):
    next_day(campus)
    assert "expected at most 500" in campus.refused("clearing.run", day=DAY, amounts=[(1, 1)] * 501)
