"""Adjustment: money between funding and a customer, nobody else, and never more than is there."""

from __future__ import annotations

import pytest

from server.ledger.model import FUNDING_ACCOUNT, Decision
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    MERCHANT,
    START_FEN,
    adjustment,
    apply,
    balance,
    decide,
    sale,
    spent,
)


def test_funding_pays_and_is_paid_back(ledger):
    paid = decide(ledger, adjustment(3, 700, COY))
    assert (paid.decision, paid.amount_fen, paid.balance_fen) == (Decision.APPROVED, 700, 700)
    back = decide(ledger, adjustment(4, -700, COY))
    assert (back.decision, back.amount_fen, back.balance_fen) == (Decision.APPROVED, -700, 0)
    assert balance(ledger, FUNDING_ACCOUNT) == -2 * START_FEN


def test_no_more_is_taken_than_there_is(ledger):
    assert decide(ledger, adjustment(3, -START_FEN - 1)).decision == Decision.INSUFFICIENT_FUNDS
    assert decide(ledger, adjustment(4, -START_FEN)).decision == Decision.APPROVED
    assert balance(ledger) == 0


@pytest.mark.parametrize("account_id", [FUNDING_ACCOUNT, MERCHANT, 99, 0, -1])
def test_only_customers_accounts_are_adjusted(ledger, account_id):
    """Funding paying funding is no movement; a merchant's money is earned, or corrected by reversal."""
    outcomes = apply(ledger, sale(1, 100), adjustment(3, 500, account_id), sale(2, 100, BEN))
    assert [outcome.decision for outcome in outcomes] == [
        Decision.APPROVED,
        Decision.ACCOUNT_UNKNOWN,
        Decision.APPROVED,
    ]
    assert balance(ledger, FUNDING_ACCOUNT) == -2 * START_FEN


def test_an_adjustment_happens_once(ledger):
    first = decide(ledger, adjustment(3, 700, COY))
    again, other = apply(ledger, adjustment(3, 700, COY), adjustment(3, 701, COY))
    assert (again.replayed, again.rrn, again.balance_fen) == (True, first.rrn, 700)
    assert other.decision == Decision.ID_CONFLICT
    assert balance(ledger, COY) == 700


def test_a_refused_adjustment_stays_refused(ledger):
    assert decide(ledger, adjustment(3, -1, COY)).decision == Decision.INSUFFICIENT_FUNDS
    decide(ledger, adjustment(4, 100, COY))
    assert decide(ledger, adjustment(3, -1, COY)).decision == Decision.INSUFFICIENT_FUNDS
    assert balance(ledger, COY) == 100


def test_an_adjustment_is_no_spending(ledger):
    decide(ledger, adjustment(3, -700, ANN))
    assert spent(ledger, ANN) == (0, 0)


def test_adjusted_money_can_be_spent_in_the_same_batch(ledger):
    outcomes = apply(ledger, sale(1, 5, COY), adjustment(3, 5, COY), sale(2, 5, COY))
    assert [outcome.decision for outcome in outcomes] == [
        Decision.INSUFFICIENT_FUNDS,
        Decision.APPROVED,
        Decision.APPROVED,
    ]
