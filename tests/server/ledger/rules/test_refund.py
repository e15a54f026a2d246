"""Refund: parts of a sale until nothing is left, with its share of discount, points and debt, to the fen."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Decision, Kind, PreAuth, Refund, Sale
from server.ledger.rules.refund import REFUNDS_MAX
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import CardClass, Tariff
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    OTHER_TILL,
    START_FEN,
    apply,
    asked,
    balance,
    completion,
    decide,
    open_campus,
    points,
    refund,
    reversal_of,
    sale,
    second_till,
    set_card,
    spent,
    upload,
    upload_of,
    void,
)

APPROVED = Decision.APPROVED


def test_parts_until_nothing_is_left(ledger):
    eaten = sale(1, 1000)
    decide(ledger, eaten)
    first, second = apply(ledger, refund(2, eaten, 300), refund(3, eaten, 600))
    assert [(o.decision, o.charged_fen, o.balance_fen) for o in (first, second)] == [
        (APPROVED, 300, START_FEN - 700),
        (APPROVED, 600, START_FEN - 100),
    ]
    assert decide(ledger, refund(4, eaten, 101)).decision == Decision.OVER_REMAINDER
    assert decide(ledger, refund(5, eaten, 100)).decision == APPROVED
    assert decide(ledger, refund(6, eaten, 1)).decision == Decision.OVER_REMAINDER
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)
    assert spent(ledger) == (DAY, 0)


def test_a_copy_gives_back_nothing_more(ledger):
    eaten = sale(1, 1000)
    apply(ledger, eaten, refund(2, eaten, 300), refund(2, eaten, 300))
    assert decide(ledger, refund(2, eaten, 300)).replayed
    assert decide(ledger, refund(2, eaten, 301)).decision == Decision.ID_CONFLICT
    assert balance(ledger) == START_FEN - 700


@given(
    amount=st.integers(1, 5_000),
    percent=st.integers(0, 100),
    rate=st.integers(0, 40),
    cuts=st.lists(st.integers(1, 5_000), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_however_it_is_cut_up_everything_comes_back(amount, percent, rate, cuts):
    with contextlib.closing(SqliteStore(":memory:")) as store:
        ledger = open_campus(store)
        ledger.tariff = Tariff(classes={0: CardClass(0, discounts={0: percent})}, points_rates={1: rate})
        eaten = asked(Sale, 1, amount)
        assert decide(ledger, eaten).decision == APPROVED
        left = amount
        for stan, cut in enumerate([*cuts, amount], 2):
            part = min(cut, left)
            if part:
                assert decide(ledger, refund(stan, eaten, part)).decision == APPROVED
                left -= part
                assert 0 <= START_FEN - balance(ledger) <= left
                assert points(ledger) >= 0
        assert (balance(ledger), balance(ledger, MERCHANT), points(ledger)) == (START_FEN, 0, 0)
        audit.check(store)


def test_after_180_days_it_is_too_late(ledger):
    eaten, also = sale(1, 1000), sale(2, 1000)
    apply(ledger, eaten, also)
    ledger.open_day(20270309, NOW_MS)  # 180 days after 10 September
    assert decide(ledger, refund(3, eaten, 1000, batch=9)).decision == APPROVED
    ledger.open_day(20270310, NOW_MS)
    assert decide(ledger, refund(4, also, 1000, batch=9)).decision == Decision.REFUND_TOO_LATE
    assert spent(ledger) == (DAY, 1000), "the day of the sale is not today"


def test_any_terminal_of_the_merchant_refunds_and_no_other(ledger):
    eaten = sale(1, 1000)
    decide(ledger, eaten)
    assert decide(ledger, refund(2, eaten, 1, terminal_id=OTHER_TILL)).decision == Decision.ORIGINAL_UNKNOWN
    assert decide(ledger, refund(2, eaten, 1, terminal_id=second_till(ledger))).decision == APPROVED


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({"account_id": BEN, "token": None}, Decision.WRONG_PAYER),
        ({"original": (1, 1, 1)}, Decision.ORIGINAL_UNKNOWN),
    ],
)
def test_what_does_not_fit_is_refused(ledger, changes, decision):
    eaten = sale(1, 1000)
    decide(ledger, eaten)
    assert decide(ledger, refund(2, eaten, 5, **changes)).decision == decision
    assert balance(ledger) == START_FEN - 1000


def test_what_is_undone_is_not_refunded_and_a_refund_is_not_refunded(ledger):
    voided, back, kept = sale(1, 10), sale(2, 10), sale(3, 10)
    part = refund(5, kept, 4)
    apply(ledger, voided, back, kept, void(4, voided), reversal_of(back), part)
    assert decide(ledger, refund(6, voided, 5)).decision == Decision.ALREADY_UNDONE
    assert decide(ledger, refund(7, back, 5)).decision == Decision.ALREADY_UNDONE
    assert decide(ledger, refund(8, part, 1)).decision == Decision.WRONG_KIND


def test_a_reversed_refund_is_paid_again_and_its_part_is_free_again(ledger):
    eaten = sale(1, 1000)
    apply(ledger, eaten, refund(2, eaten, 1000))
    assert decide(ledger, reversal_of(refund(2, eaten, 1000))).amount_fen == 1000
    assert (balance(ledger), spent(ledger)) == (START_FEN - 1000, (DAY, 1000))
    assert decide(ledger, refund(3, eaten, 1000)).decision == APPROVED


def test_the_reversal_of_a_sale_refunded_in_part_gives_back_the_rest(ledger):
    eaten = sale(1, 1000)
    apply(ledger, eaten, refund(2, eaten, 300))
    assert decide(ledger, reversal_of(eaten)).amount_fen == 700
    assert decide(ledger, reversal_of(refund(2, eaten, 300))).amount_fen == 0, "with the sale the refund is undone, too"
    assert (balance(ledger), balance(ledger, MERCHANT), spent(ledger)) == (START_FEN, 0, (DAY, 0))


def test_what_the_campus_bore_goes_back_to_it_first(ledger):
    ledger.open_history(NOW_MS)
    apply(ledger, upload(1, 500, COY))
    lost = sale(1, 500, COY)
    assert balance(ledger, OFFLINE_DEBT_ACCOUNT) == -500
    apply(ledger, refund(2, lost, 200))
    assert (balance(ledger, OFFLINE_DEBT_ACCOUNT), balance(ledger, COY)) == (-300, 0)
    apply(ledger, refund(3, lost, 300))
    assert (balance(ledger, OFFLINE_DEBT_ACCOUNT), balance(ledger, COY), balance(ledger, MERCHANT)) == (0, 0, 0)


def test_a_completion_is_refunded_as_a_sale(ledger):
    desk = asked(PreAuth, 1, 500)
    taken = completion(2, desk, 400)
    apply(ledger, desk, taken, refund(3, taken, 150))
    assert (balance(ledger, ANN), balance(ledger, MERCHANT)) == (START_FEN - 250, 250)
    assert decide(ledger, refund(4, taken, 251)).decision == Decision.OVER_REMAINDER
    assert decide(ledger, refund(5, desk, 1)).decision == Decision.WRONG_KIND


def test_an_amount_of_nothing_is_a_bug(ledger):
    with pytest.raises(AssertionError, match="above 0"):
        decide(ledger, asked(Refund, 1, 0, original=(1, 1, 1)))


@pytest.fixture
def discounted(ledger):
    """Ann pays 40 fen of every 100: 2 fen of an amount give back none, then 1 fen gives back 1."""
    ledger.tariff = Tariff(classes={1: CardClass(1, discounts={0: 60})})
    set_card(ledger, class_id=1)
    return ledger


def test_a_refund_never_takes_after_another_was_reversed(discounted):
    meal = asked(Sale, 1, 1_000)
    decide(discounted, meal)
    first = refund(2, meal, 2)
    assert [decide(discounted, one).charged_fen for one in (first, refund(3, meal, 1))] == [0, 1]
    decide(discounted, reversal_of(first))
    assert decide(discounted, refund(4, meal, 1)).charged_fen == 0
    assert decide(discounted, refund(5, meal, 998)).charged_fen == 399
    audit.check(discounted.store)


def test_a_refund_never_takes_when_refunds_come_back_out_of_order_after_a_restore(discounted):
    meal = asked(Sale, 1, 1_000)
    decide(discounted, meal)
    discounted.open_history(NOW_MS)
    decide(discounted, upload_of(refund(2, meal, 1), Kind.REFUND, charged_fen=1))
    assert decide(discounted, refund(3, meal, 1)).charged_fen == 0
    audit.check(discounted.store)


def test_a_sale_is_refunded_in_so_many_parts_at_most(ledger):
    """Those that were reversed count: they cost as much to look through."""
    eaten = sale(1, 500)
    parts = [refund(stan, eaten, 1) for stan in range(2, 102)]
    outcomes = apply(ledger, eaten, *parts[:50], reversal_of(parts[0]), *parts[50:])
    refused = [outcome.decision for outcome in outcomes if outcome.decision != Decision.APPROVED]
    assert refused == [Decision.TOO_MANY_REFUNDS] == [outcomes[-1].decision]
    assert balance(ledger) == START_FEN - 500 + REFUNDS_MAX - 1
    ledger.open_history(NOW_MS)
    assert decide(ledger, upload_of(refund(102, eaten, 1), Kind.REFUND)).decision == Decision.ID_CONFLICT


def test_a_refund_goes_to_the_account_whichever_of_its_cards_is_there(ledger):
    meal = asked(Sale, 1, 1_000)
    decide(ledger, meal)
    ledger.store.execute("UPDATE cards SET status = 3 WHERE account_id = ?", (ANN,))
    ledger.store.execute("INSERT INTO cards (token, account_id) VALUES (?, ?)", (b"new card", ANN))
    assert decide(ledger, refund(2, meal, 400, token=b"new card")).decision == APPROVED
    assert balance(ledger, ANN) == START_FEN - 600
    audit.check(ledger.store)
