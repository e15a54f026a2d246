"""Completion: up to what was held, once; the rest is free at once."""

from __future__ import annotations

import pytest

from server.ledger.model import HOLDS_ACCOUNT, POINTS_ISSUED_ACCOUNT, Decision, Kind, PreAuth
from server.ledger.tariff import Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
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
    held,
    points,
    refund,
    reversal_of,
    sale,
    second_till,
    set_card,
    spent,
    void,
)

APPROVED = Decision.APPROVED


@pytest.mark.parametrize("amount_fen", [1, 399, 400])
def test_the_merchant_gets_it_and_the_rest_is_free(ledger, amount_fen):
    desk = asked(PreAuth, 1, 400)
    decide(ledger, desk)
    said = decide(ledger, completion(2, desk, amount_fen))
    assert (said.decision, said.charged_fen, said.balance_fen) == (APPROVED, amount_fen, START_FEN - amount_fen)
    assert (balance(ledger, MERCHANT), balance(ledger, HOLDS_ACCOUNT), held(ledger)) == (amount_fen, 0, 0)
    assert spent(ledger) == (DAY, amount_fen)


def test_not_more_not_twice_not_what_is_freed_not_a_sale(ledger):
    desk, hall, eaten = asked(PreAuth, 1, 400), asked(PreAuth, 2, 400), sale(3, 10)
    apply(ledger, desk, hall, eaten, void(4, hall, Kind.PREAUTH_VOID))
    assert decide(ledger, completion(5, desk, 401)).decision == Decision.OVER_REMAINDER
    assert decide(ledger, completion(6, desk, 1)).decision == APPROVED
    assert decide(ledger, completion(7, desk, 1)).decision == Decision.ALREADY_UNDONE
    assert decide(ledger, void(8, desk, Kind.PREAUTH_VOID)).decision == Decision.ALREADY_UNDONE
    assert decide(ledger, completion(9, hall, 1)).decision == Decision.ALREADY_UNDONE
    assert decide(ledger, completion(10, eaten, 1)).decision == Decision.WRONG_KIND


def test_any_terminal_of_the_merchant_on_any_day_but_no_other_merchant_or_payer(ledger):
    desk = asked(PreAuth, 1, 400)
    decide(ledger, desk)
    ledger.open_day(DAY + 3, NOW_MS)
    assert decide(ledger, completion(2, desk, 9, terminal_id=OTHER_TILL)).decision == Decision.ORIGINAL_UNKNOWN
    assert decide(ledger, completion(3, desk, 9, token=None, account_id=BEN)).decision == Decision.WRONG_PAYER
    other = second_till(ledger)
    assert decide(ledger, completion(2, desk, 9, terminal_id=other, batch=7)).decision == APPROVED
    assert spent(ledger) == (DAY, 9)


def test_its_void_holds_the_whole_again(ledger):
    desk = asked(PreAuth, 1, 400)
    taken = completion(2, desk, 300)
    apply(ledger, desk, taken)
    assert decide(ledger, void(3, taken, Kind.COMPLETION_VOID)).charged_fen == 300
    assert (held(ledger), balance(ledger), balance(ledger, MERCHANT)) == (400, START_FEN - 400, 0)
    assert decide(ledger, completion(4, desk, 400)).decision == APPROVED


def test_its_void_needs_the_rest_that_was_freed(ledger):
    desk = asked(PreAuth, 1, 400)
    taken = completion(2, desk, 300)
    apply(ledger, desk, taken, sale(3, START_FEN - 300 - 99))
    assert decide(ledger, void(4, taken, Kind.COMPLETION_VOID)).decision == Decision.INSUFFICIENT_FUNDS


def test_its_reversal_holds_the_whole_again_whoever_has_to_bear_it(ledger):
    desk = asked(PreAuth, 1, 400)
    taken = completion(2, desk, 300)
    apply(ledger, desk, taken, sale(3, START_FEN - 300 - 99))
    assert decide(ledger, reversal_of(taken)).amount_fen == 300
    assert (balance(ledger), held(ledger)) == (0, 400)
    apply(ledger, reversal_of(desk))
    assert (balance(ledger), held(ledger)) == (399, 0), "what the campus bore went back to it"


def test_the_reversal_of_a_completed_hold_gives_all_back(ledger):
    desk = asked(PreAuth, 1, 400)
    taken = completion(2, desk, 300)
    apply(ledger, desk, taken)
    assert decide(ledger, reversal_of(desk)).amount_fen == 300
    assert decide(ledger, reversal_of(taken)).amount_fen == 0
    assert (balance(ledger), balance(ledger, MERCHANT), held(ledger)) == (START_FEN, 0, 0)


# ---------------------------------------------------------------------------------------------------- points


def test_it_earns_points_for_what_is_taken_and_the_hold_none(ledger):
    ledger.tariff = Tariff(points_rates={0: 100})
    desk = asked(PreAuth, 1, 4_000)
    assert decide(ledger, desk).points == 0
    taken = completion(2, desk, 2_599)
    assert decide(ledger, taken).points == 25
    assert decide(ledger, taken).points == 25, "a copy is told the same"
    assert (points(ledger), balance(ledger, POINTS_ISSUED_ACCOUNT)) == (25, -25)


def test_refunds_and_voids_of_it_take_the_points_back(ledger):
    ledger.tariff = Tariff(points_rates={0: 100})
    desk, hall = asked(PreAuth, 1, 4_000), asked(PreAuth, 2, 600)
    taken, another = completion(3, desk, 3_000), completion(4, hall, 600)
    apply(ledger, desk, hall, taken, another)
    assert points(ledger) == 36
    assert [decide(ledger, refund(stan, taken, 1_550)).points for stan in (5, 6)] == [15, 0]
    assert decide(ledger, refund(7, taken, 1_450)).points == 15
    assert decide(ledger, void(8, another, Kind.COMPLETION_VOID)).points == 6
    assert (points(ledger), balance(ledger, POINTS_ISSUED_ACCOUNT)) == (0, 0)


def test_the_reversal_of_it_or_of_its_hold_takes_the_points_back(ledger):
    ledger.tariff = Tariff(points_rates={0: 100})
    desk, hall = asked(PreAuth, 1, 4_000), asked(PreAuth, 2, 600)
    taken, another = completion(3, desk, 3_000), completion(4, hall, 600)
    apply(ledger, desk, hall, taken, another)
    apply(ledger, reversal_of(taken), reversal_of(hall))
    assert (points(ledger), balance(ledger, MERCHANT)) == (0, 0)


def test_the_points_are_whose_money_was_held_though_the_card_is_another_customers_by_now(ledger):
    ledger.tariff = Tariff(points_rates={0: 100})
    desk = asked(PreAuth, 1, 4_000)
    decide(ledger, desk)
    set_card(ledger, ANN, account_id=BEN)
    said = decide(ledger, completion(2, desk, 4_000, token=CARDS[ANN]))
    assert (said.decision, said.points, points(ledger), points(ledger, BEN)) == (APPROVED, 40, 40, 0)
