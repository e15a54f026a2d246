"""What a terminal sold offline is voided and refunded like any sale, on both stores: who bore it gets it back."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.checks import REFERENCES
from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Decision
from server.ledger.tariff import Tariff
from server.ledger.verify import verify
from tests.server.ledger.campus import MERCHANT, START_FEN, balance, decide, open_campus, points, refund, void
from tests.server.ledger.records import Recorder
from tests.server.ledger.stores import BOTH, new_store

APPROVED = Decision.APPROVED


@pytest.fixture(params=BOTH)
def ledger(request):
    with contextlib.closing(new_store(request.param)) as store:
        yield open_campus(store)
        assert {check.name for check in verify(store) if not check.ok} == {REFERENCES}, "no customers by name here"


@pytest.fixture
def till():
    return Recorder()


def debt(ledger) -> int:
    return -balance(ledger, OFFLINE_DEBT_ACCOUNT)


def test_a_void_gives_back_what_each_has_borne(ledger, till):
    sold = till.sold(1, START_FEN + 700)
    decide(ledger, sold)
    undone = decide(ledger, void(2, sold))
    assert (undone.decision, undone.charged_fen) == (APPROVED, START_FEN + 700)
    assert (balance(ledger), balance(ledger, MERCHANT), debt(ledger)) == (START_FEN, 0, 0)
    assert decide(ledger, void(3, sold)).decision == Decision.ALREADY_UNDONE


def test_refunds_pay_the_campus_first_and_stop_at_what_was_paid(ledger, till):
    sold = till.sold(1, START_FEN + 700)
    decide(ledger, sold)
    outcomes = [decide(ledger, refund(stan, sold, fen)) for stan, fen in ((2, 500), (3, 1_000), (4, START_FEN))]
    assert [outcome.decision for outcome in outcomes] == [APPROVED, APPROVED, Decision.OVER_REMAINDER]
    assert (debt(ledger), balance(ledger), balance(ledger, MERCHANT)) == (0, 800, START_FEN - 800)


def test_what_was_refused_cannot_be_voided(ledger, till):
    sold = till.sold(1, 400, is_authentic=False)
    decide(ledger, sold)
    assert decide(ledger, void(2, sold)).decision == Decision.ORIGINAL_UNKNOWN
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)


def test_it_earns_points_when_it_comes_and_void_and_refund_take_them_back(ledger, till):
    ledger.tariff = Tariff(points_rates={0: 100})
    first, second = till.sold(1, 1_000), till.sold(2, START_FEN)
    assert [decide(ledger, one).points for one in (first, second)] == [10, START_FEN // 100]
    assert points(ledger) == 10 + START_FEN // 100, "also for what the campus bears: the payer owes it"
    again = decide(ledger, first)
    assert (again.replayed, again.points) == (True, 10)
    assert decide(ledger, void(3, first)).points == 10
    assert decide(ledger, refund(4, second, START_FEN // 2)).points == START_FEN // 200
    assert points(ledger) == START_FEN // 200


def test_what_is_refused_earns_none(ledger, till):
    ledger.tariff = Tariff(points_rates={0: 100})
    assert decide(ledger, till.sold(1, 1_000, is_authentic=False)).points == 0
    assert points(ledger) == 0
