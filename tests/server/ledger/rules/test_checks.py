"""PINs, payment codes, bindings, closed batches, meals: who may ask, and what counts against whom."""

from __future__ import annotations

import msgspec
import pytest

from server.ledger.model import (
    CODE_INVALID,
    CODE_STALE,
    Decision,
    Inquiry,
    PreAuth,
    Sale,
    SaleLimits,
    TopUp,
)
from server.ledger.rules.checks import PIN_TRIES_MAX, TERMINAL_CODE_TRIES_MAX, TERMINAL_PIN_TRIES_MAX
from server.ledger.tariff import HOUR_MS, CardClass, MealPeriod, Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    DAY,
    NOW_MS,
    OTHER_TILL,
    START_FEN,
    TILL,
    apply,
    asked,
    balance,
    contents,
    decide,
    query,
    refund,
    reversal_of,
    sale,
    set_card,
    void,
)

APPROVED = Decision.APPROVED
RIGHT, WRONG = b"right", b"wrong"


@pytest.fixture
def pin(ledger):
    """Ann's and Ben's cards have a PIN, asked for above 5.00 and from the fourth payment of a day on."""
    with ledger.store.transaction():
        ledger.store.execute("UPDATE cards SET pin_verifier = ?", (RIGHT,))
    ledger.tariff = Tariff(pin_above_fen=500, pin_after_sales=3)
    return ledger


def card(ledger, owner=ANN):
    return ledger.store.load_cards([CARDS[owner]])[CARDS[owner]]


def terminal(ledger, terminal_id=TILL):
    return ledger.store.load_terminals([terminal_id])[terminal_id]


# ------------------------------------------------------------------------------------------------------ PIN


def test_small_amounts_need_no_pin_and_large_ones_do(pin):
    assert decide(pin, asked(Sale, 1, 500)).decision == APPROVED
    assert decide(pin, asked(Sale, 2, 501)).decision == Decision.PIN_REQUIRED
    assert decide(pin, asked(PreAuth, 3, 501)).decision == Decision.PIN_REQUIRED
    assert decide(pin, asked(Sale, 4, 501, pin_verifier=RIGHT)).decision == APPROVED


def test_after_some_payments_of_a_day_every_one_needs_it(pin):
    apply(pin, *[asked(Sale, stan, 1) for stan in (1, 2, 3)])
    assert decide(pin, asked(Sale, 4, 1)).decision == Decision.PIN_REQUIRED
    pin.open_day(DAY + 1, NOW_MS)
    assert decide(pin, asked(Sale, 5, 1)).decision == APPROVED


def test_a_card_without_a_pin_is_never_asked_for_one(ledger):
    ledger.tariff = Tariff(pin_above_fen=1)
    assert decide(ledger, asked(Sale, 1, 500)).decision == APPROVED
    assert decide(ledger, asked(Sale, 2, 500, pin_verifier=WRONG)).decision == APPROVED


def test_a_wrong_pin_is_counted_with_the_refusal_and_a_right_one_forgives(pin):
    assert decide(pin, asked(Sale, 1, 5, pin_verifier=WRONG)).decision == Decision.PIN_WRONG
    assert (card(pin).pin_tries, terminal(pin).pin_wrong, balance(pin)) == (1, 1, START_FEN)
    assert decide(pin, asked(Sale, 2, 5, pin_verifier=RIGHT)).decision == APPROVED
    assert (card(pin).pin_tries, terminal(pin).pin_wrong) == (0, 1)


def test_a_copy_of_a_refusal_counts_nothing_and_no_other_pin_changes_it(pin):
    """The hash of a request does not cover the PIN: under one number there is one answer."""
    wrong = asked(Sale, 1, 5, pin_verifier=WRONG)
    decide(pin, wrong)
    before = contents(pin.store)
    for copy in (wrong, msgspec.structs.replace(wrong, pin_verifier=RIGHT)):
        said = decide(pin, copy)
        assert (said.decision, said.replayed) == (Decision.PIN_WRONG, True)
    assert contents(pin.store) == before


def test_the_fifth_wrong_pin_locks_the_card_for_what_needs_one(pin):
    wrong = [asked(Sale, stan, 5, pin_verifier=WRONG) for stan in range(1, PIN_TRIES_MAX + 2)]
    said = [outcome.decision for outcome in apply(pin, *wrong)]
    assert said == [Decision.PIN_WRONG] * (PIN_TRIES_MAX - 1) + [Decision.PIN_LOCKED] * 2
    assert decide(pin, asked(Sale, 20, 5, pin_verifier=RIGHT)).decision == Decision.PIN_LOCKED
    assert decide(pin, asked(Sale, 21, 501)).decision == Decision.PIN_LOCKED
    assert decide(pin, asked(Sale, 22, 5)).decision == APPROVED
    set_card(pin, pin_tries=0)
    assert decide(pin, asked(Sale, 23, 5, pin_verifier=RIGHT)).decision == APPROVED


def test_twenty_wrong_pins_within_an_hour_lock_the_terminal_for_every_card(pin):
    for stan in range(1, TERMINAL_PIN_TRIES_MAX + 1):
        set_card(pin, pin_tries=0)
        assert decide(pin, asked(Sale, stan, 5, pin_verifier=WRONG), NOW_MS + stan).decision == Decision.PIN_WRONG
    last_ms = NOW_MS + HOUR_MS
    locked = asked(Sale, 100, 5, BEN, pin_verifier=RIGHT)
    assert decide(pin, locked, last_ms).decision == Decision.TERMINAL_PIN_LOCKED
    assert decide(pin, asked(Sale, 101, 5, BEN), last_ms).decision == APPROVED
    there = asked(Sale, 102, 5, BEN, terminal_id=OTHER_TILL, pin_verifier=RIGHT)
    assert decide(pin, there, last_ms).decision == APPROVED
    assert decide(pin, asked(Sale, 103, 5, BEN, pin_verifier=RIGHT), last_ms + 1).decision == APPROVED


def test_voids_refunds_and_top_ups_check_a_pin_that_is_keyed_in(pin):
    bought = asked(Sale, 1, 400)
    decide(pin, bought)
    for stan, command in enumerate(
        (
            void(2, bought, pin_verifier=WRONG),
            refund(3, bought, 5, pin_verifier=WRONG),
            asked(TopUp, 4, 5, pin_verifier=WRONG),
        ),
        1,
    ):
        assert decide(pin, command).decision == Decision.PIN_WRONG
        assert card(pin).pin_tries == stan
    assert decide(pin, void(5, bought)).decision == APPROVED


def test_an_inquiry_is_no_way_to_try_out_pins(pin):
    head = pin.head_seq
    said = [decide(pin, Inquiry(TILL, CARDS[ANN], WRONG)).decision for _ in range(PIN_TRIES_MAX)]
    assert said == [Decision.PIN_WRONG] * (PIN_TRIES_MAX - 1) + [Decision.PIN_LOCKED]
    assert decide(pin, Inquiry(TILL, CARDS[ANN], RIGHT)).decision == Decision.PIN_LOCKED
    assert decide(pin, Inquiry(TILL, CARDS[ANN])).balance_fen == START_FEN
    assert pin.head_seq == head


# ---------------------------------------------------------------------------------------------------- codes


def test_a_code_pays_once(ledger):
    assert decide(ledger, asked(Sale, 1, 5, code_step=700)).decision == APPROVED
    assert decide(ledger, asked(Sale, 2, 5, code_step=700)).decision == Decision.CODE_USED
    assert decide(ledger, asked(Sale, 3, 5, code_step=699)).decision == Decision.CODE_USED
    assert decide(ledger, asked(Sale, 4, 5, code_step=701)).decision == APPROVED
    assert decide(ledger, asked(Sale, 1, 5, code_step=700)).replayed


def test_of_two_sales_with_one_code_in_one_batch_one_is_paid(ledger):
    said = apply(ledger, asked(Sale, 1, 5, code_step=700), asked(Sale, 1, 5, code_step=700, terminal_id=OTHER_TILL))
    assert [outcome.decision for outcome in said] == [APPROVED, Decision.CODE_USED]


def test_a_code_that_paid_nothing_is_still_good(ledger):
    assert decide(ledger, asked(Sale, 1, 10**6, code_step=700)).decision == Decision.INSUFFICIENT_FUNDS
    assert decide(ledger, asked(Sale, 2, 5, code_step=700)).decision == APPROVED


def test_invalid_codes_are_refused_whoever_they_name_and_counted(ledger):
    said = decide(ledger, asked(Sale, 1, 5, code_step=CODE_INVALID))
    assert (said.decision, balance(ledger)) == (Decision.CODE_INVALID, START_FEN)
    assert terminal(ledger).code_wrong == 1
    for stan in range(2, TERMINAL_CODE_TRIES_MAX + 1):
        decide(ledger, asked(Sale, stan, 5, token=b"9" * 22, code_step=CODE_INVALID))
    assert decide(ledger, asked(Sale, 200, 5, code_step=700)).decision == Decision.TERMINAL_PIN_LOCKED
    assert decide(ledger, asked(Sale, 201, 5)).decision == APPROVED
    assert decide(ledger, asked(Sale, 202, 5, code_step=700), NOW_MS + HOUR_MS).decision == APPROVED


def test_stale_codes_are_refused_and_lock_no_till(ledger):
    """A customer with a screenshot at a busy till: nobody guesses, so the codes of all others are good."""
    for stan in range(1, TERMINAL_CODE_TRIES_MAX + 1):
        assert decide(ledger, asked(Sale, stan, 5, code_step=CODE_STALE)).decision == Decision.CODE_INVALID
    assert (terminal(ledger).code_wrong, balance(ledger)) == (0, START_FEN)
    assert decide(ledger, asked(Sale, 101, 5, code_step=700)).decision == APPROVED


# ------------------------------------------------------------------------------- bindings, batches, meals


def test_a_bound_card_pays_only_where_it_is_bound(ledger):
    set_card(ledger, is_bound=1)
    assert decide(ledger, asked(Sale, 1, 5)).decision == Decision.NOT_BOUND
    with ledger.store.transaction():
        ledger.store.execute("INSERT INTO card_bindings VALUES (?, 1)", (CARDS[ANN],))
        ledger.store.execute("INSERT INTO card_bindings VALUES (?, 2)", (CARDS[BEN],))
    assert decide(ledger, asked(Sale, 2, 5)).decision == APPROVED
    assert decide(ledger, asked(Sale, 3, 5, terminal_id=OTHER_TILL)).decision == Decision.NOT_BOUND
    assert decide(ledger, asked(Sale, 4, 5, BEN)).decision == APPROVED


def test_a_closed_batch_takes_nothing_new_but_copies_reversals_and_queries(ledger):
    bought = asked(Sale, 1, 5)
    decide(ledger, bought)
    with ledger.store.transaction():
        ledger.store.execute("UPDATE terminals SET closed_batch = 1 WHERE terminal_id = ?", (TILL,))
    for command in (asked(Sale, 2, 5), asked(TopUp, 3, 5), refund(4, bought, 5), void(5, bought)):
        assert decide(ledger, command).decision == Decision.BATCH_CLOSED
    assert decide(ledger, bought).replayed
    assert decide(ledger, query(1)).decision == APPROVED
    assert decide(ledger, asked(Sale, 1, 5, batch=2)).decision == APPROVED
    assert decide(ledger, refund(2, bought, 1, batch=2)).decision == APPROVED
    assert decide(ledger, reversal_of(bought)).amount_fen == 4


MEALS = (MealPeriod(1, 6 * 60, 9 * 60), MealPeriod(2, 11 * 60, 13 * 60), MealPeriod(3, 22 * 60, 60))
NOON_MS = NOW_MS - NOW_MS % 86_400_000 + 4 * HOUR_MS  # 12:00 in China


def test_what_is_eaten_at_one_meal_is_not_counted_at_the_next(ledger):
    ledger.tariff = Tariff(meals=MEALS, meal_limit_fen=100)
    lunch = asked(Sale, 1, 80)
    assert decide(ledger, lunch, NOON_MS).decision == APPROVED
    assert decide(ledger, sale(2, 21), NOON_MS + 1).decision == Decision.OVER_MEAL_LIMIT
    assert decide(ledger, sale(3, 20), NOON_MS + 1).decision == APPROVED
    assert decide(ledger, sale(4, 500), NOON_MS + 2 * HOUR_MS).decision == APPROVED, "between meals"
    assert decide(ledger, sale(5, 100), NOON_MS + 10 * HOUR_MS).decision == APPROVED
    assert decide(ledger, sale(6, 1), NOON_MS + 12 * HOUR_MS).decision == Decision.OVER_MEAL_LIMIT, "past midnight"


def test_what_is_taken_back_within_the_meal_may_be_eaten_again(ledger):
    ledger.tariff = Tariff(meals=MEALS, meal_limit_fen=100)
    lunch = asked(Sale, 1, 80)
    apply(ledger, lunch, void(2, lunch), now_ms=NOON_MS)
    assert decide(ledger, sale(3, 100), NOON_MS + 1).decision == APPROVED


def test_a_class_has_its_own_limits_between_the_cards_and_the_hosts(ledger):
    ledger.limits = SaleLimits(1_000, 2_000)
    staff = CardClass(4, "staff", sale_limit_fen=300, meal_limit_fen=400, day_limit_fen=500)
    ledger.tariff = Tariff(classes={4: staff}, meals=MEALS)
    set_card(ledger, class_id=4)
    assert decide(ledger, sale(1, 301), NOON_MS).decision == Decision.OVER_SALE_LIMIT
    assert decide(ledger, sale(2, 300), NOON_MS).decision == APPROVED
    assert decide(ledger, sale(3, 101), NOON_MS).decision == Decision.OVER_MEAL_LIMIT
    assert decide(ledger, sale(4, 201), NOON_MS + 2 * HOUR_MS).decision == Decision.OVER_DAY_LIMIT
    set_card(ledger, sale_limit_fen=700, meal_limit_fen=800, day_limit_fen=900)
    assert decide(ledger, sale(5, 301), NOON_MS).decision == APPROVED
    assert decide(ledger, sale(6, 1_000, BEN), NOON_MS).decision == APPROVED


def test_discounts_are_of_class_and_meal_and_limits_count_what_is_charged(ledger):
    ledger.tariff = Tariff(classes={4: CardClass(4, discounts={0: 10, 2: 50, 1: 100})}, meals=MEALS)
    ledger.limits = SaleLimits(500, 0)
    set_card(ledger, class_id=4)
    at_noon = decide(ledger, sale(1, 999), NOON_MS)
    assert (at_noon.decision, at_noon.amount_fen, at_noon.charged_fen) == (APPROVED, 999, 500)
    assert decide(ledger, sale(2, 100), NOON_MS + 2 * HOUR_MS).charged_fen == 90
    free = decide(ledger, sale(3, 100), NOON_MS - 4 * HOUR_MS)
    assert (free.decision, free.charged_fen, free.balance_fen) == (APPROVED, 0, START_FEN - 590)
    assert decide(ledger, sale(4, 100, BEN), NOON_MS).charged_fen == 100
    assert decide(ledger, reversal_of(sale(1, 999))).amount_fen == 500
    assert decide(ledger, sale(1, 999), NOON_MS + 99).charged_fen == 500, "a copy"


# ------------------------------------------------------------------------------------------------- password


def lacking(command):
    return msgspec.structs.replace(command, lacks_password=True)


def test_what_lacks_its_password_is_refused_where_the_merchant_wants_one(ledger):
    ledger.tariff = Tariff(password_checks={0: 1, 2: 0})
    eaten, elsewhere = asked(Sale, 1, 500), asked(Sale, 2, 300, terminal_id=OTHER_TILL)
    apply(ledger, eaten, elsewhere)
    for stan, command in ((3, void(3, eaten)), (4, refund(4, eaten, 200)), (5, asked(TopUp, 5, 100))):
        outcome = decide(ledger, lacking(command))
        assert (outcome.decision, outcome.charged_fen) == (Decision.PASSWORD_MISSING, 0), stan
        assert decide(ledger, command).decision == Decision.PASSWORD_MISSING, "its copy is told the same, for ever"
    assert balance(ledger) == START_FEN - 800
    assert decide(ledger, lacking(void(6, elsewhere))).decision == APPROVED
    assert decide(ledger, void(7, eaten)).decision == APPROVED


def test_a_copy_of_what_is_decided_needs_none(ledger):
    ledger.tariff = Tariff(password_checks={0: 1})
    eaten = asked(Sale, 1, 500)
    part = refund(2, eaten, 200)
    first = apply(ledger, eaten, part)[1]
    again = decide(ledger, lacking(part))
    assert (again.decision, again.replayed, again.rrn) == (APPROVED, True, first.rrn)


def test_what_was_reversed_before_it_came_is_told_so(ledger):
    """The terminal has given it up: whether its password was checked does not matter any more."""
    ledger.tariff = Tariff(password_checks={0: 1})
    paid_in = asked(TopUp, 1, 100)
    apply(ledger, reversal_of(paid_in))
    assert decide(ledger, lacking(paid_in)).decision == Decision.REVERSED_BEFORE


def test_what_takes_no_password_is_not_asked_for_one(ledger):
    ledger.tariff = Tariff(password_checks={0: 1})
    assert decide(ledger, lacking(asked(Sale, 1, 500))).decision == APPROVED
