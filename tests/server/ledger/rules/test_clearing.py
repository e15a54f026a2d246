"""Clearing: a merchant is paid out; what is asked twice is paid once."""

from __future__ import annotations

import pytest

from server.ledger.model import CONSOLE, FUNDING_ACCOUNT, Clearing, Decision, Identity
from tests.server.ledger.campus import ANN, MERCHANT, START_FEN, apply, balance, decide, sale


def clearing(stan, amount_fen, account_id=MERCHANT):
    return Clearing(Identity(CONSOLE, 1 << 31, stan), b"one day, one merchant", account_id, amount_fen, 0)


def test_the_merchant_is_paid_out_once(ledger):
    apply(ledger, sale(1, 700), clearing(1, 700), clearing(1, 700))
    assert (balance(ledger, MERCHANT), balance(ledger, FUNDING_ACCOUNT)) == (0, 700 - 2 * START_FEN)
    again = decide(ledger, clearing(1, 5))
    assert (again.replayed, again.amount_fen) == (True, 700), "the first amount stands"


@pytest.mark.parametrize("amount_fen", [0, -50, 900])
def test_a_merchant_may_owe_or_pay_in(ledger, amount_fen):
    apply(ledger, sale(1, 700))
    assert decide(ledger, clearing(1, amount_fen)).decision == Decision.APPROVED
    assert balance(ledger, MERCHANT) == 700 - amount_fen


@pytest.mark.parametrize("account_id", [ANN, FUNDING_ACCOUNT, 77])
def test_only_merchants_are_cleared(ledger, account_id):
    assert decide(ledger, clearing(1, 5, account_id)).decision == Decision.ACCOUNT_UNKNOWN
    assert balance(ledger) == START_FEN
