"""Pre-authorization: what is held is nobody's to spend, and comes back when its time is over."""

from __future__ import annotations

import pytest

from server.ledger.model import (
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    Decision,
    ExpireHolds,
    Kind,
    PreAuth,
    SaleLimits,
)
from server.ledger.tariff import Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    START_FEN,
    apply,
    asked,
    balance,
    completion,
    contents,
    decide,
    held,
    reversal_of,
    sale,
    spent,
    void,
)

APPROVED = Decision.APPROVED
LIFETIME_MS = Tariff().hold_lifetime_s * 1_000


def test_what_is_held_is_not_the_payers_and_not_yet_the_merchants(ledger):
    said = decide(ledger, asked(PreAuth, 1, 4000))
    assert (said.decision, said.charged_fen, said.balance_fen) == (APPROVED, 4000, START_FEN - 4000)
    assert (held(ledger), balance(ledger, HOLDS_ACCOUNT), balance(ledger, MERCHANT)) == (4000, 4000, 0)
    assert decide(ledger, sale(2, 6001)).decision == Decision.INSUFFICIENT_FUNDS
    assert spent(ledger) == (DAY, 4000)


def test_its_reversal_frees_it(ledger):
    desk = asked(PreAuth, 1, 4000)
    apply(ledger, desk)
    assert decide(ledger, reversal_of(desk)).amount_fen == 4000
    assert (held(ledger), balance(ledger), spent(ledger)) == (0, START_FEN, (DAY, 0))


@pytest.mark.parametrize("amount_fen", [10_001, 10**9])
def test_nobody_holds_more_than_there_is(ledger, amount_fen):
    assert decide(ledger, asked(PreAuth, 1, amount_fen)).decision == Decision.INSUFFICIENT_FUNDS


def test_limits_are_those_of_a_sale(ledger):
    ledger.limits = SaleLimits(500, 700)
    assert decide(ledger, asked(PreAuth, 1, 501)).decision == Decision.OVER_SALE_LIMIT
    assert decide(ledger, asked(PreAuth, 2, 500)).decision == APPROVED
    assert decide(ledger, sale(3, 201)).decision == Decision.OVER_DAY_LIMIT


# ---------------------------------------------------------------------------------------------------- expiry


def test_a_hold_ends_when_its_time_is_over_and_not_before(ledger):
    apply(ledger, asked(PreAuth, 1, 4000), asked(PreAuth, 2, 10, BEN))
    before = contents(ledger.store)
    assert decide(ledger, ExpireHolds(), NOW_MS + LIFETIME_MS - 1).amount_fen == 0
    assert contents(ledger.store) == before
    assert decide(ledger, ExpireHolds(), NOW_MS + LIFETIME_MS).amount_fen == 4010
    assert (balance(ledger), balance(ledger, BEN), balance(ledger, HOLDS_ACCOUNT)) == (START_FEN, START_FEN, 0)
    before = contents(ledger.store)
    assert decide(ledger, ExpireHolds(), NOW_MS + LIFETIME_MS + 9).amount_fen == 0
    assert contents(ledger.store) == before


def test_some_at_a_time_the_oldest_first(ledger):
    for stan in range(1, 6):
        decide(ledger, asked(PreAuth, stan, stan), NOW_MS + stan)
    assert decide(ledger, ExpireHolds(limit=2), NOW_MS + LIFETIME_MS + 99).amount_fen == 1 + 2
    assert decide(ledger, ExpireHolds(limit=2), NOW_MS + LIFETIME_MS + 99).amount_fen == 3 + 4
    assert decide(ledger, ExpireHolds(limit=2), NOW_MS + LIFETIME_MS + 99).amount_fen == 5


def test_two_in_one_batch_free_nothing_twice(ledger):
    decide(ledger, asked(PreAuth, 1, 70))
    assert [o.amount_fen for o in apply(ledger, ExpireHolds(), ExpireHolds(), now_ms=NOW_MS + LIFETIME_MS)] == [70, 0]


def test_what_is_completed_or_voided_before_in_the_same_batch_does_not_expire(ledger):
    desk, hall = asked(PreAuth, 1, 70), asked(PreAuth, 2, 30)
    apply(ledger, desk, hall)
    late = NOW_MS + LIFETIME_MS
    apply(ledger, completion(3, desk, 50), void(4, hall, Kind.PREAUTH_VOID), ExpireHolds(), now_ms=late)
    assert (balance(ledger), balance(ledger, MERCHANT), held(ledger)) == (START_FEN - 50, 50, 0)


def test_what_has_expired_is_not_completed_nor_voided(ledger):
    desk = asked(PreAuth, 1, 70)
    decide(ledger, desk)
    decide(ledger, ExpireHolds(), NOW_MS + LIFETIME_MS)
    assert decide(ledger, completion(2, desk, 70)).decision == Decision.HOLD_EXPIRED
    assert decide(ledger, void(3, desk, Kind.PREAUTH_VOID)).decision == Decision.HOLD_EXPIRED
    assert decide(ledger, reversal_of(desk)).amount_fen == 0
    assert balance(ledger) == START_FEN


def test_a_completion_that_stands_again_after_the_hold_expired_is_paid_by_the_payer_or_the_campus(ledger):
    """Completed, voided, the hold expired and was spent; then the void turns out never to have happened."""
    decide(ledger, asked(PreAuth, 9, 1, BEN))
    desk = asked(PreAuth, 1, 70, ANN)
    taken = completion(2, desk, 60)
    undone = void(3, taken, Kind.COMPLETION_VOID)
    apply(ledger, desk, taken, undone)
    decide(ledger, ExpireHolds(), NOW_MS + LIFETIME_MS)
    decide(ledger, sale(4, START_FEN - 20))
    assert decide(ledger, reversal_of(undone)).amount_fen == 60
    assert (balance(ledger), balance(ledger, OFFLINE_DEBT_ACCOUNT)) == (0, -40)
    assert balance(ledger, MERCHANT) == START_FEN - 20 + 60
    assert balance(ledger, HOLDS_ACCOUNT) == 0, "Ben's hold has expired, too, and was not touched"


def test_a_customer_without_money_holds_nothing(ledger):
    assert decide(ledger, asked(PreAuth, 1, 1, COY)).decision == Decision.INSUFFICIENT_FUNDS
