"""Void: all five of them take back the whole, once, from their own terminal, on the day and in the batch."""

from __future__ import annotations

import pytest

from server.ledger.model import (
    BONUS_ACCOUNT,
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    Decision,
    Kind,
    PointsSale,
    PreAuth,
    Sale,
    TopUp,
    TransferState,
)
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    OTHER_TILL,
    START_FEN,
    TILL,
    adjustment,
    apply,
    asked,
    balance,
    completion,
    contents,
    decide,
    held,
    points,
    refund,
    reversal_of,
    sale,
    second_till,
    spent,
    void,
)
from tests.server.ledger.every_key import TARIFF

APPROVED = Decision.APPROVED


def earn_points(ledger):
    """Ann has 90 points, and what she paid for them is another day's."""
    ledger.tariff = TARIFF
    decide(ledger, asked(Sale, 1, 1000))
    ledger.open_day(DAY + 1, NOW_MS)


def state(ledger):
    owners = (ANN, BEN, MERCHANT, HOLDS_ACCOUNT, BONUS_ACCOUNT, OFFLINE_DEBT_ACCOUNT)
    return [balance(ledger, owner) for owner in owners], points(ledger), held(ledger)


def original_of(ledger, kind):
    """An approved transaction that this void is for."""
    if kind == Kind.COMPLETION_VOID:
        desk = asked(PreAuth, 50, 500)
        decide(ledger, desk)
        return completion(51, desk, 400)
    made = {Kind.VOID: Sale, Kind.PREAUTH_VOID: PreAuth, Kind.TOPUP_VOID: TopUp, Kind.POINTS_VOID: PointsSale}
    return asked(made[kind], 51, 50)


@pytest.mark.parametrize(
    ("kind", "charged_fen", "points_moved"),
    [
        (Kind.VOID, 45, 4),
        (Kind.PREAUTH_VOID, 50, 0),
        (Kind.COMPLETION_VOID, 400, 40),
        (Kind.TOPUP_VOID, 50, 0),
        (Kind.POINTS_VOID, 0, 50),
    ],
)
def test_each_void_takes_back_the_whole_and_a_reversed_void_brings_it_again(ledger, kind, charged_fen, points_moved):
    earn_points(ledger)
    original = original_of(ledger, kind)
    before = state(ledger)
    done = decide(ledger, original)
    assert done.decision == APPROVED
    after = state(ledger)
    assert after != before
    undone = decide(ledger, void(60, original, kind))
    assert (undone.decision, undone.charged_fen, undone.points) == (APPROVED, charged_fen, points_moved)
    assert (undone.amount_fen, undone.balance_fen) == (
        original.amount_fen,
        points(ledger) if kind == Kind.POINTS_VOID else balance(ledger),
    )
    assert state(ledger) == before
    back = decide(ledger, reversal_of(void(60, original, kind)))
    assert back.decision == APPROVED
    assert state(ledger) == after
    assert decide(ledger, void(61, original, kind)).decision == APPROVED
    assert state(ledger) == before


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.name.endswith("VOID")])
def test_nothing_is_voided_twice(ledger, kind):
    earn_points(ledger)
    original = original_of(ledger, kind)
    apply(ledger, original, void(60, original, kind))
    before = state(ledger)
    assert decide(ledger, void(61, original, kind)).decision == Decision.ALREADY_UNDONE
    assert [o.decision for o in apply(ledger, void(62, original, kind), void(63, original, kind))] == [
        Decision.ALREADY_UNDONE
    ] * 2
    assert state(ledger) == before


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.name.endswith("VOID")])
def test_after_a_reversal_of_the_original_its_void_is_refused_and_a_late_one_of_the_void_moves_nothing(ledger, kind):
    earn_points(ledger)
    original = original_of(ledger, kind)
    before = state(ledger)
    undoing = void(60, original, kind)
    apply(ledger, original, undoing, reversal_of(original))
    assert state(ledger) == before, "what was voided is not given back once more"
    assert decide(ledger, reversal_of(undoing)).amount_fen == 0
    assert state(ledger) == before
    assert decide(ledger, void(61, original, kind)).decision == Decision.ALREADY_UNDONE


def test_a_copy_is_answered_as_the_first_one_was_and_other_content_is_refused(ledger):
    bought = sale(1, 300)
    apply(ledger, bought, void(2, bought))
    before = contents(ledger.store)
    again = decide(ledger, void(2, bought), NOW_MS + 99)
    assert (again.decision, again.charged_fen, again.replayed, again.state) == (
        APPROVED,
        300,
        True,
        TransferState.APPROVED,
    )
    assert decide(ledger, void(2, bought, amount_fen=299)).decision == Decision.ID_CONFLICT
    assert contents(ledger.store) == before


REFUSED = [
    ({"amount_fen": 299}, Decision.WRONG_AMOUNT),
    ({"account_id": BEN, "token": None}, Decision.WRONG_PAYER),
    ({"terminal_id": OTHER_TILL}, Decision.ORIGINAL_UNKNOWN),
    ({"batch": 2}, Decision.WRONG_DAY),
    ({"kind": Kind.TOPUP_VOID}, Decision.WRONG_KIND),
    ({"original": (TILL, 1, 99)}, Decision.ORIGINAL_UNKNOWN),
    ({"terminal_id": 77}, Decision.TERMINAL_UNKNOWN),
    ({"token": b"nobody"}, Decision.CARD_UNKNOWN),
]


@pytest.mark.parametrize(("changes", "decision"), REFUSED)
def test_what_does_not_fit_is_refused_written_down_and_moves_nothing(ledger, changes, decision):
    bought = sale(1, 300)
    decide(ledger, bought)
    before = state(ledger)
    wrong = void(2, bought, **changes)
    said = decide(ledger, wrong)
    assert (said.decision, said.charged_fen, said.points) == (decision, 0, 0)
    assert decide(ledger, wrong).replayed
    assert state(ledger) == before
    assert decide(ledger, void(3, bought)).decision == APPROVED


def test_of_another_terminal_of_the_same_merchant_only_a_hold_is_voided(ledger):
    desk = second_till(ledger)
    bought, kept = sale(1, 300), asked(PreAuth, 2, 200)
    apply(ledger, bought, kept)
    assert decide(ledger, void(3, bought, terminal_id=desk)).decision == Decision.WRONG_TERMINAL
    assert decide(ledger, void(4, kept, Kind.PREAUTH_VOID, terminal_id=desk)).decision == APPROVED


def test_the_next_day_only_a_hold_is_voided(ledger):
    bought, kept = sale(1, 300), asked(PreAuth, 2, 200)
    apply(ledger, bought, kept)
    ledger.open_day(DAY + 1, NOW_MS)
    assert decide(ledger, void(3, bought)).decision == Decision.WRONG_DAY
    assert decide(ledger, void(4, kept, Kind.PREAUTH_VOID)).decision == APPROVED


def test_what_was_declined_or_refunded_is_not_voided(ledger):
    poor, eaten = sale(1, 300, COY), sale(2, 300)
    apply(ledger, poor, eaten, refund(3, eaten, 1))
    assert decide(ledger, void(4, poor)).decision == Decision.ORIGINAL_UNKNOWN
    assert decide(ledger, void(5, eaten)).decision == Decision.ALREADY_UNDONE
    apply(ledger, reversal_of(refund(3, eaten, 1)))
    assert decide(ledger, void(6, eaten)).decision == APPROVED


def test_a_top_up_that_is_spent_is_not_voided(ledger):
    paid_in = asked(TopUp, 1, 500, COY)
    apply(ledger, paid_in, sale(2, 1, COY))
    assert decide(ledger, void(3, paid_in, Kind.TOPUP_VOID)).decision == Decision.INSUFFICIENT_FUNDS
    apply(ledger, adjustment(9, 1, COY))
    assert decide(ledger, void(4, paid_in, Kind.TOPUP_VOID)).decision == APPROVED
    assert (balance(ledger, COY), balance(ledger, MERCHANT)) == (0, 1)


def test_a_reversal_before_its_void_leaves_the_original_alone(ledger):
    bought = sale(1, 300)
    apply(ledger, bought, reversal_of(void(2, bought)), void(2, bought))
    assert balance(ledger) == START_FEN - 300
    assert decide(ledger, void(2, bought)).decision == Decision.REVERSED_BEFORE


def test_a_void_makes_room_under_the_day_limit_again(ledger):
    bought = sale(1, 300)
    apply(ledger, bought, void(2, bought))
    assert spent(ledger) == (DAY, 0)


def test_a_reversed_void_is_never_short_of_money(ledger):
    """The payer has spent it elsewhere meanwhile: the campus claims it."""
    bought = sale(1, 300, COY)
    apply(ledger, adjustment(9, 300, COY), bought, void(2, bought), sale(3, 250, COY), reversal_of(void(2, bought)))
    assert (balance(ledger, COY), balance(ledger, OFFLINE_DEBT_ACCOUNT)) == (0, -250)
    assert balance(ledger, MERCHANT) == 550
    apply(ledger, refund(4, bought, 260))
    assert (balance(ledger, COY), balance(ledger, OFFLINE_DEBT_ACCOUNT)) == (10, 0), "the campus first"
    assert spent(ledger, COY) == (DAY, 290)
    assert decide(ledger, void(5, bought)).decision == Decision.ALREADY_UNDONE
    assert balance(ledger) == START_FEN
