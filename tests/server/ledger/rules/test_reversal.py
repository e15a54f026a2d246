"""Reversal: of everything there can be to reverse, in every order, as often as a terminal likes."""

from __future__ import annotations

from itertools import permutations

import pytest

from server.ledger.model import (
    CONSOLE,
    Adjustment,
    Clearing,
    Decision,
    Identity,
    Reversal,
    SaleLimits,
    Status,
    TransferState,
)
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    OTHER_MERCHANT,
    OTHER_TILL,
    START_FEN,
    STRANGER,
    TILL,
    adjustment,
    apply,
    balance,
    contents,
    decide,
    query,
    reversal,
    sale,
    set_card,
    set_merchant,
    set_terminal,
    spent,
)

APPROVED = Decision.APPROVED


def decisions(outcomes):
    return [outcome.decision for outcome in outcomes]


def test_an_approved_sale_is_undone(ledger):
    original = decide(ledger, sale(1, 400))
    outcome = decide(ledger, reversal(1, 400), NOW_MS + 9)
    assert (outcome.decision, outcome.amount_fen, outcome.balance_fen) == (APPROVED, 400, START_FEN)
    assert (outcome.rrn, outcome.posted_at_ms) == (original.rrn + 1, NOW_MS + 9)
    assert (balance(ledger), balance(ledger, MERCHANT), spent(ledger)) == (START_FEN, 0, (DAY, 0))


def test_a_declined_sale_is_reversed_without_moving_anything(ledger):
    decide(ledger, sale(1, 400, COY))
    outcome = decide(ledger, reversal(1, 400, COY))
    assert (outcome.decision, outcome.amount_fen, outcome.balance_fen) == (APPROVED, 0, 0)
    assert (balance(ledger, COY), balance(ledger, MERCHANT)) == (0, 0)


def test_an_unseen_sale_leaves_a_tombstone_and_is_declined_when_it_comes(ledger):
    tombstone = decide(ledger, reversal(1, 400))
    assert (tombstone.decision, tombstone.amount_fen, tombstone.balance_fen) == (APPROVED, 0, 0)
    late = decide(ledger, sale(1, 400))
    assert (late.decision, late.state) == (Decision.REVERSED_BEFORE, TransferState.DECLINED)
    assert decide(ledger, sale(1, 400)).rrn == late.rrn
    assert decide(ledger, reversal(1, 400)).rrn == tombstone.rrn
    assert (balance(ledger), spent(ledger)) == (START_FEN, (0, 0))


def test_a_tombstone_stops_whatever_sale_comes_under_its_identity(ledger):
    decide(ledger, reversal(1, 400))
    assert decide(ledger, sale(1, 9, BEN)).decision == Decision.REVERSED_BEFORE
    assert decide(ledger, sale(1, 400)).decision == Decision.ID_CONFLICT
    assert (balance(ledger), balance(ledger, BEN)) == (START_FEN, START_FEN)


@pytest.mark.parametrize("original", ["approved", "declined", "unseen"])
def test_a_second_reversal_gets_the_answer_of_the_first(ledger, original):
    if original != "unseen":
        decide(ledger, sale(1, 400, ANN if original == "approved" else COY))
    payer = COY if original == "declined" else ANN
    first = decide(ledger, reversal(1, 400, payer))
    before = contents(ledger.store)
    decide(ledger, sale(2, 1_000))  # the balance has moved on since; the answer has not
    again = decide(ledger, reversal(1, 400, payer, claimed_at_s=5), NOW_MS + 99)
    assert again.replayed
    assert (again.decision, again.amount_fen, again.balance_fen) == (
        first.decision,
        first.amount_fen,
        first.balance_fen,
    )
    assert (again.rrn, again.posted_at_ms) == (first.rrn, first.posted_at_ms)
    assert len(contents(ledger.store)["transfers"]) == len(before["transfers"]) + 1


@pytest.mark.parametrize(("amount_fen", "payer"), [(401, ANN), (399, ANN), (400, BEN), (1, COY)])
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_another_amount_or_payer_is_not_that_originals_reversal(ledger, amount_fen, payer, in_one_batch):
    commands = [sale(1, 400), reversal(1, amount_fen, payer), reversal(1, 400), reversal(1, amount_fen, payer)]
    if in_one_batch:
        outcomes = apply(ledger, *commands)
    else:
        outcomes = [decide(ledger, command) for command in commands]
    # The wrong one gets the same answer before and after the true one, which it does not stand in the way of.
    assert decisions(outcomes) == [APPROVED, Decision.ORIGINAL_MISMATCH, APPROVED, Decision.ORIGINAL_MISMATCH]
    assert (outcomes[1].amount_fen, outcomes[1].rrn) == (0, 0)
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)


def test_a_tombstone_with_other_content_is_a_conflict(ledger):
    outcomes = apply(ledger, reversal(1, 400), reversal(1, 401), reversal(1, 400, BEN), reversal(1, 400))
    assert decisions(outcomes) == [APPROVED, Decision.ID_CONFLICT, Decision.ID_CONFLICT, APPROVED]


def test_a_tombstone_keeps_its_answer_when_another_sale_came_under_its_identity(ledger):
    outcomes = apply(
        ledger, reversal(1, 400), sale(1, 9, BEN), reversal(1, 400), reversal(1, 9, BEN), reversal(1, 8, BEN)
    )
    assert decisions(outcomes) == [
        APPROVED,
        Decision.REVERSED_BEFORE,
        APPROVED,
        Decision.ID_CONFLICT,
        Decision.ORIGINAL_MISMATCH,
    ]


def test_a_reversal_is_never_refused_for_who_is_closed_by_now(ledger):
    apply(ledger, sale(1, 400), sale(2, 5_000))
    set_card(ledger, status=Status.LOST)
    set_terminal(ledger, Status.CLOSED)
    set_merchant(ledger, Status.CLOSED)
    ledger.limits = SaleLimits(1, 1)
    assert decide(ledger, reversal(1, 400)).decision == APPROVED
    ledger.store.execute("DELETE FROM cards")
    ledger.store.execute("DELETE FROM terminals")
    assert decide(ledger, reversal(2, 5_000)).decision == APPROVED
    assert decide(ledger, reversal(3, 1, token=STRANGER, terminal_id=99)).decision == APPROVED
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)


def test_money_returns_to_the_account_it_came_from(ledger):
    """The card may belong to somebody else by now, the terminal to another merchant."""
    decide(ledger, sale(1, 400))
    set_card(ledger, account_id=BEN)
    ledger.store.execute("UPDATE terminals SET merchant_id = 2 WHERE terminal_id = ?", (TILL,))
    decide(ledger, reversal(1, 400))
    assert (balance(ledger, ANN), balance(ledger, BEN)) == (START_FEN, START_FEN)
    assert (balance(ledger, MERCHANT), balance(ledger, OTHER_MERCHANT)) == (0, 0)


def test_the_same_numbers_of_another_terminal_are_not_touched(ledger):
    apply(ledger, sale(1, 400), sale(1, 400, terminal_id=OTHER_TILL), sale(1, 400, batch=2))
    decide(ledger, reversal(1, 400, terminal_id=OTHER_TILL))
    assert (balance(ledger), balance(ledger, MERCHANT), balance(ledger, OTHER_MERCHANT)) == (START_FEN - 800, 800, 0)


# ----------------------------------------------------------------------------------------- business days


def test_a_reversal_frees_the_day_limit_of_its_own_day_only(ledger):
    ledger.limits = SaleLimits(0, 1_000)
    apply(ledger, sale(1, 600), sale(2, 400))
    assert decide(ledger, sale(3, 1)).decision == Decision.OVER_DAY_LIMIT
    decide(ledger, reversal(2, 400))
    assert spent(ledger) == (DAY, 600)
    assert decide(ledger, sale(4, 401)).decision == Decision.OVER_DAY_LIMIT
    assert decide(ledger, sale(5, 400)).decision == APPROVED

    ledger.open_day(DAY + 1, NOW_MS)
    assert decide(ledger, sale(6, 900)).decision == APPROVED
    decide(ledger, reversal(1, 600))
    assert spent(ledger) == (DAY + 1, 900), "yesterday's sale does not make room today"
    assert decide(ledger, sale(7, 101)).decision == Decision.OVER_DAY_LIMIT
    decide(ledger, reversal(6, 900))
    assert spent(ledger) == (DAY + 1, 0)


def test_a_sale_of_a_former_day_reversed_before_today_has_any(ledger):
    decide(ledger, sale(1, 600))
    ledger.open_day(DAY + 1, NOW_MS)
    outcome = decide(ledger, reversal(1, 600))
    assert (outcome.amount_fen, balance(ledger)) == (600, START_FEN)
    days = ledger.store.execute("SELECT business_day FROM transfers WHERE kind < 3 ORDER BY seq")
    assert days == [(DAY,), (DAY + 1,)], "the sale stays in its day, the correction is booked today"


# ----------------------------------------------------------------------------- orders, batches, odd states

ORDERS = list(permutations(["sale", "reversal", "query"]))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_sale_reversal_and_query_in_any_order(ledger, order, in_one_batch):
    commands = {"sale": sale(1, 400), "reversal": reversal(1, 400), "query": query(1)}
    wanted = [commands[name] for name in order]
    outcomes = apply(ledger, *wanted) if in_one_batch else [decide(ledger, command) for command in wanted]
    by_name = dict(zip(order, outcomes, strict=True))
    sale_first = order.index("sale") < order.index("reversal")
    before_query = set(order[: order.index("query")])
    assert by_name["sale"].decision == (APPROVED if sale_first else Decision.REVERSED_BEFORE)
    assert by_name["reversal"].decision == APPROVED
    assert by_name["reversal"].amount_fen == (400 if sale_first else 0)
    assert by_name["query"].state == (
        TransferState.REVERSED
        if "reversal" in before_query
        else TransferState.APPROVED
        if "sale" in before_query
        else TransferState.NEVER_SEEN
    )
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)


def test_many_reversals_of_one_payer_in_one_batch(ledger):
    stans = range(1, 21)
    apply(ledger, *[sale(stan, 100) for stan in stans])
    outcomes = apply(ledger, *[reversal(stan, 100) for stan in stans], *[reversal(stan, 100) for stan in stans])
    assert [outcome.balance_fen for outcome in outcomes[:20]] == [START_FEN - 2_000 + 100 * n for n in stans]
    assert [outcome.rrn for outcome in outcomes[20:]] == [outcome.rrn for outcome in outcomes[:20]]
    assert (balance(ledger), spent(ledger)) == (START_FEN, (DAY, 0))


def test_a_reversed_sales_money_can_be_spent_in_the_same_batch(ledger):
    outcomes = apply(ledger, sale(1, START_FEN), sale(2, 1), reversal(1, START_FEN), sale(3, START_FEN))
    assert decisions(outcomes) == [APPROVED, Decision.INSUFFICIENT_FUNDS, APPROVED, APPROVED]


def test_an_adjustment_is_not_reversed_by_a_reversal(ledger):
    """Its correction is another adjustment: a reversal names a payer, and an adjustment has none."""
    console = adjustment(1, START_FEN).identity
    for token in (b"", bytes(8), b"\x04\xa1\x00\xff"):
        wanted = Reversal(console, b"h", token, START_FEN, 0, 0)
        assert decide(ledger, wanted).decision == Decision.ORIGINAL_MISMATCH
    assert balance(ledger) == START_FEN


def test_an_identity_used_by_one_kind_is_taken_for_every_other(ledger):
    """Even if the two requests had the same hash."""
    sold = sale(1, 400)
    decide(ledger, sold)
    posing = Adjustment(sold.identity, sold.request_hash, ANN, 400, 0)
    assert decide(ledger, posing).decision == Decision.ID_CONFLICT
    assert balance(ledger) == START_FEN - 400


def test_a_merchant_already_paid_out_goes_below_zero_and_the_payer_gets_the_money(ledger):
    """A reversal is never refused: what the merchant owes is then its balance."""
    decide(ledger, sale(1, 400))
    paid_out = Clearing(Identity(CONSOLE, 9, 1), b"h" * 16, MERCHANT, 400, 0)
    assert decide(ledger, paid_out).decision == APPROVED
    outcome = decide(ledger, reversal(1, 400))
    assert (outcome.decision, outcome.amount_fen) == (APPROVED, 400)
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, -400)


def test_the_newest_identity_counts_tombstones(ledger):
    """A terminal that lost its memory and goes on from there must not run into an identity that is dead for ever."""
    apply(ledger, sale(7, 10), reversal(9, 10))
    assert ledger.newest_identity(TILL) == Identity(TILL, 1, 9)
    decide(ledger, sale(1, 10, batch=2))
    assert ledger.newest_identity(TILL) == Identity(TILL, 2, 1)
    assert ledger.newest_identity(OTHER_TILL) == Identity(OTHER_TILL, 0, 0)
