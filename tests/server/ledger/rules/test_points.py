"""Points: earned by paying, spent, taken back with what earned them; a currency of their own."""

from __future__ import annotations

from server.ledger.model import POINTS_ISSUED_ACCOUNT, Decision, Inquiry, Kind, PointsSale, Sale
from server.ledger.tariff import Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    OTHER_TILL,
    START_FEN,
    TILL,
    apply,
    asked,
    balance,
    decide,
    points,
    reversal_of,
    spent,
    void,
)

RATES = Tariff(points_rates={0: 100, 2: 0})


def test_a_sale_earns_whole_points_and_says_how_many(ledger):
    ledger.tariff = RATES
    assert [o.points for o in apply(ledger, asked(Sale, 1, 99), asked(Sale, 2, 100), asked(Sale, 3, 999))] == [0, 1, 9]
    assert (points(ledger), balance(ledger, POINTS_ISSUED_ACCOUNT)) == (10, -10)
    assert decide(ledger, asked(Sale, 3, 999)).points == 9, "a copy is told the same"


def test_a_merchant_without_points_gives_none(ledger):
    ledger.tariff = RATES
    assert decide(ledger, asked(Sale, 1, 500, terminal_id=OTHER_TILL)).points == 0


def test_points_are_spent_and_no_money_moves(ledger):
    ledger.tariff = RATES
    decide(ledger, asked(Sale, 1, 1000))
    said = decide(ledger, asked(PointsSale, 2, 4))
    assert (said.decision, said.amount_fen, said.charged_fen, said.points, said.balance_fen) == (
        Decision.APPROVED,
        4,
        0,
        4,
        6,
    )
    assert decide(ledger, asked(PointsSale, 3, 7)).decision == Decision.INSUFFICIENT_FUNDS
    assert decide(ledger, asked(PointsSale, 4, 6)).balance_fen == 0
    assert (balance(ledger), spent(ledger)[1]) == (START_FEN - 1000, 1000)


def test_who_never_earned_any_has_none(ledger):
    assert decide(ledger, asked(PointsSale, 1, 1, BEN)).decision == Decision.INSUFFICIENT_FUNDS
    assert ledger.store.load_accounts([BEN + (1 << 40)]) == {}


def test_they_are_kept_apart_by_customer_and_live_on_without_a_tariff(ledger):
    ledger.tariff = RATES
    apply(ledger, asked(Sale, 1, 300), asked(Sale, 2, 500, BEN))
    ledger.tariff = Tariff()
    assert decide(ledger, asked(PointsSale, 3, 5, BEN)).decision == Decision.APPROVED
    assert (points(ledger), points(ledger, BEN)) == (3, 0)


def test_points_that_are_spent_are_owed_when_their_sale_is_undone(ledger):
    ledger.tariff = RATES
    meal = asked(Sale, 1, 1000)
    told = apply(ledger, meal, asked(PointsSale, 2, 8), void(3, meal))
    assert [(outcome.points, outcome.points_balance) for outcome in told] == [(10, 10), (8, 2), (10, -8)]
    assert (points(ledger), balance(ledger)) == (-8, START_FEN)
    inquiry = Inquiry(TILL, CARDS[ANN])
    assert decide(ledger, inquiry).points == -8, "who asks is told what is owed"
    for stan, left in ((4, -3), (5, 2)):
        said = decide(ledger, asked(Sale, stan, 500))
        assert (said.points, said.points_balance) == (5, left)
        copy = decide(ledger, asked(Sale, stan, 500))
        assert (copy.replayed, copy.points_balance) == (True, left), "a copy is told the same, though it is another now"
    assert decide(ledger, asked(Sale, 6, 99)).points_balance == 0, "it has moved none"
    assert points(ledger) == 2


def test_a_points_sale_is_voided_and_reversed(ledger):
    ledger.tariff = RATES
    apply(ledger, asked(Sale, 1, 1000))
    spent_points, again = asked(PointsSale, 2, 8), asked(PointsSale, 3, 8)
    apply(ledger, spent_points)
    said = decide(ledger, void(4, spent_points, Kind.POINTS_VOID))
    assert (said.decision, said.points, said.charged_fen, said.balance_fen) == (Decision.APPROVED, 8, 0, 10)
    apply(ledger, again)
    said = decide(ledger, reversal_of(again))
    assert (said.amount_fen, said.points, said.balance_fen) == (8, 8, 10)
