"""Look-up and inquiry: true to the journal, silent about others, and nothing is written."""

from __future__ import annotations

import pytest

from server.ledger.model import (
    Decision,
    ExpireHolds,
    Identity,
    Inquiry,
    Kind,
    Lookup,
    PreAuth,
    Sale,
    Status,
    TopUp,
    TransferState,
)
from server.ledger.tariff import Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    COY,
    DAY,
    NOW_MS,
    OTHER_TILL,
    START_FEN,
    STRANGER,
    TILL,
    apply,
    asked,
    completion,
    decide,
    query,
    refund,
    reversal_of,
    sale,
    second_till,
    set_card,
    set_terminal,
    upload,
    void,
)


def looked_up(ledger, command, terminal_id=TILL):
    """By identity and by RRN the same is found, and nothing is written."""
    before = ledger.head_seq
    by_identity = decide(ledger, Lookup(terminal_id, command.identity))
    assert decide(ledger, Lookup(terminal_id, rrn=by_identity.rrn)) == by_identity
    assert ledger.head_seq == before
    return by_identity


def test_a_sale_with_what_is_left_of_it(ledger):
    eaten = sale(1, 1000)
    said = decide(ledger, eaten)
    apply(ledger, refund(2, eaten, 300))
    ledger.open_day(DAY + 1, NOW_MS)
    found = looked_up(ledger, eaten)
    assert (found.decision, found.state, found.kind) == (Decision.APPROVED, TransferState.APPROVED, Kind.SALE)
    assert (found.original, found.business_day, found.rrn) == (eaten.identity, DAY, said.rrn)
    assert (found.amount_fen, found.charged_fen, found.remaining_fen) == (1000, 1000, 700)


@pytest.mark.parametrize("undo", [lambda made: void(9, made), reversal_of])
def test_of_what_is_undone_nothing_is_left(ledger, undo):
    eaten = sale(1, 1000)
    apply(ledger, eaten, undo(eaten))
    assert looked_up(ledger, eaten).remaining_fen == 0


def test_what_was_reversed_and_what_was_declined_is_said_so(ledger):
    eaten, poor = sale(1, 1000), sale(2, 1000, COY)
    apply(ledger, eaten, reversal_of(eaten), poor)
    assert looked_up(ledger, eaten).state == TransferState.REVERSED
    found = looked_up(ledger, poor)
    assert (found.decision, found.state, found.remaining_fen) == (
        Decision.INSUFFICIENT_FUNDS,
        TransferState.DECLINED,
        0,
    )


def test_holds_and_top_ups_are_left_whole_or_not_at_all(ledger):
    desk, paid_in = asked(PreAuth, 1, 500), asked(TopUp, 2, 600)
    taken = completion(3, desk, 400)
    apply(ledger, desk, paid_in)
    assert (looked_up(ledger, desk).remaining_fen, looked_up(ledger, paid_in).remaining_fen) == (500, 600)
    apply(ledger, taken, void(4, paid_in, Kind.TOPUP_VOID))
    assert (looked_up(ledger, desk).remaining_fen, looked_up(ledger, paid_in).remaining_fen) == (0, 0)
    assert looked_up(ledger, taken).remaining_fen == 400
    assert looked_up(ledger, taken).kind == Kind.COMPLETION


def test_an_uploaded_sale_is_a_sale(ledger):
    ledger.open_history(NOW_MS)
    decide(ledger, upload(1, 500))
    assert looked_up(ledger, sale(1, 500)).kind == Kind.SALE


def test_other_merchants_see_nothing_and_other_tills_of_the_merchant_all(ledger):
    eaten = sale(1, 1000)
    said = decide(ledger, eaten)
    assert decide(ledger, Lookup(OTHER_TILL, eaten.identity)).decision == Decision.ORIGINAL_UNKNOWN
    assert decide(ledger, Lookup(OTHER_TILL, rrn=said.rrn)).decision == Decision.ORIGINAL_UNKNOWN
    assert looked_up(ledger, eaten, second_till(ledger)).remaining_fen == 1000


@pytest.mark.parametrize("lookup", [Lookup(TILL, Identity(TILL, 1, 9)), Lookup(TILL, rrn=99), Lookup(TILL)])
def test_what_is_not_there_is_not_found(ledger, lookup):
    assert decide(ledger, lookup).decision == Decision.ORIGINAL_UNKNOWN


def test_a_reversal_is_no_transaction_of_its_own(ledger):
    eaten = sale(1, 1000)
    decide(ledger, eaten)
    back = decide(ledger, reversal_of(eaten))
    assert decide(ledger, Lookup(TILL, rrn=back.rrn)).decision == Decision.ORIGINAL_UNKNOWN


def test_a_revoked_terminal_is_told_nothing(ledger):
    decide(ledger, sale(1, 1000))
    set_terminal(ledger, Status.CLOSED)
    assert decide(ledger, Lookup(TILL, Identity(TILL, 1, 1))).decision == Decision.TERMINAL_REVOKED
    assert decide(ledger, Inquiry(TILL, CARDS[ANN])).decision == Decision.TERMINAL_REVOKED


def test_an_inquiry_tells_money_points_and_holds(ledger):
    ledger.tariff = Tariff(points_rates={0: 100})
    apply(ledger, asked(Sale, 1, 1000), asked(PreAuth, 2, 500), asked(PreAuth, 3, 50))
    said = decide(ledger, Inquiry(TILL, CARDS[ANN]))
    assert (said.decision, said.balance_fen, said.points, said.held_fen) == (
        Decision.APPROVED,
        START_FEN - 1550,
        10,
        550,
    )
    said = decide(ledger, Inquiry(TILL, CARDS[BEN]))
    assert (said.balance_fen, said.points, said.held_fen, said.rrn) == (START_FEN, 0, 0, 0)


def test_an_inquiry_sees_what_is_held_since_its_batch_began(ledger):
    """Balance and holds are of the same moment: together they are what the payer has."""
    desk, other = asked(PreAuth, 1, 300), asked(PreAuth, 2, 50)
    inquiry = Inquiry(TILL, CARDS[ANN])
    told = apply(ledger, inquiry, desk, inquiry, other, inquiry, completion(3, desk, 200), inquiry)
    assert [(outcome.balance_fen, outcome.held_fen) for outcome in told[:5:2]] == [
        (START_FEN, 0),
        (START_FEN - 300, 300),
        (START_FEN - 350, 350),
    ]
    assert (told[-1].balance_fen, told[-1].held_fen) == (START_FEN - 250, 50)
    told = apply(ledger, reversal_of(other), inquiry)
    assert (told[-1].balance_fen, told[-1].held_fen) == (START_FEN - 200, 0)


def test_an_inquiry_sees_the_holds_that_ran_out_in_its_batch(ledger):
    apply(ledger, asked(PreAuth, 1, 300))
    inquiry = Inquiry(TILL, CARDS[ANN])
    later_ms = NOW_MS + (ledger.tariff.hold_lifetime_s + 1) * 1_000
    before, _, after = ledger.apply([inquiry, ExpireHolds(), inquiry], later_ms)
    assert [(told.balance_fen, told.held_fen) for told in (before, after)] == [(START_FEN - 300, 300), (START_FEN, 0)]


def test_an_inquiry_about_a_card_that_may_not_pay_tells_nothing(ledger):
    set_card(ledger, status=Status.LOST)
    said = decide(ledger, Inquiry(TILL, CARDS[ANN]))
    assert (said.decision, said.balance_fen) == (Decision.CARD_LOST, 0)
    assert decide(ledger, Inquiry(TILL, STRANGER)).decision == Decision.CARD_UNKNOWN


@pytest.mark.parametrize("kind", ["sale", "hold", "void", "refund", "completion", "top-up"])
def test_a_query_knows_every_kind(ledger, kind):
    eaten, desk = sale(1, 1000), asked(PreAuth, 2, 500)
    apply(ledger, eaten, desk)
    command = {
        "sale": eaten,
        "hold": desk,
        "void": void(3, eaten),
        "refund": refund(3, eaten, 5),
        "completion": completion(3, desk, 5),
        "top-up": asked(TopUp, 3, 5),
    }[kind]
    said = decide(ledger, command)
    stan = command.identity.stan
    assert decide(ledger, query(stan, command.amount_fen)).rrn == said.rrn
    assert decide(ledger, query(stan, command.amount_fen)).charged_fen == said.charged_fen
    apply(ledger, reversal_of(command))
    assert decide(ledger, query(stan, command.amount_fen)).state == TransferState.REVERSED
