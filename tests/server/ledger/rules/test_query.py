"""Query: one final word about an identity, in every state it can be in; it never changes anything."""

from __future__ import annotations

import pytest

from server.ledger.model import Command, Decision, Outcome, Query, TransferState
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    NOW_MS,
    OTHER_TILL,
    START_FEN,
    apply,
    contents,
    decide,
    query,
    reversal,
    sale,
)

SOLD = sale(1, 400)
REFUSED = sale(1, 400, COY)

# What was sent before, in order; then what a query says: decision of the original, state, amount, balance.
CASES: dict[str, tuple[list[Command], tuple]] = {
    "nothing": ([], (Decision.NEVER_SEEN, TransferState.NEVER_SEEN, 0, 0)),
    "approved": ([SOLD], (Decision.APPROVED, TransferState.APPROVED, 400, START_FEN - 400)),
    "declined": ([REFUSED], (Decision.INSUFFICIENT_FUNDS, TransferState.DECLINED, 400, 0)),
    "approved, reversed": ([SOLD, reversal(1, 400)], (Decision.APPROVED, TransferState.REVERSED, 400, START_FEN - 400)),
    "declined, reversed": (
        [REFUSED, reversal(1, 400, COY)],
        (Decision.INSUFFICIENT_FUNDS, TransferState.DECLINED, 400, 0),
    ),
    "tombstone": ([reversal(1, 400)], (Decision.REVERSED_BEFORE, TransferState.REVERSED, 0, 0)),
    "tombstone, original": (
        [reversal(1, 400), SOLD],
        (Decision.REVERSED_BEFORE, TransferState.REVERSED, 400, START_FEN),
    ),
    "conflict": ([SOLD, sale(1, 1)], (Decision.APPROVED, TransferState.APPROVED, 400, START_FEN - 400)),
    "wrong reversal": ([SOLD, reversal(1, 1)], (Decision.APPROVED, TransferState.APPROVED, 400, START_FEN - 400)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_what_a_query_says(ledger, case, in_one_batch):
    sent, expected = CASES[case]
    if in_one_batch:
        outcome = apply(ledger, *sent, query(1))[-1]
    else:
        for command in sent:
            decide(ledger, command)
        outcome = decide(ledger, query(1))
    assert (outcome.decision, outcome.state, outcome.amount_fen, outcome.balance_fen) == expected


@pytest.mark.parametrize("case", [case for case in CASES if case != "declined" and case != "declined, reversed"])
def test_a_query_that_names_the_content_is_told_the_same(ledger, case):
    sent, expected = CASES[case]
    outcome = apply(ledger, *sent, query(1, 400))[-1]
    assert (outcome.decision, outcome.state, outcome.amount_fen, outcome.balance_fen) == expected


CONFLICT = Outcome(Decision.ID_CONFLICT, state=TransferState.DECLINED)
ORIGINALS = {case: sent for case, (sent, _) in CASES.items() if SOLD in sent or REFUSED in sent}


@pytest.mark.parametrize(
    "other", [query(1, 401), query(1, 400, BEN), query(1, 1, token=b"\0"), query(1, 400, claimed_at_s=1)]
)
@pytest.mark.parametrize("case", ORIGINALS)
def test_whatever_became_of_another_sale_this_one_was_never_posted(ledger, case, other):
    """No state, RRN or balance of the sale that has the identity reaches one who asks about another."""
    assert apply(ledger, *ORIGINALS[case], other)[-1] == CONFLICT


def test_a_declined_original_is_known_by_its_content_too(ledger):
    decide(ledger, REFUSED)
    assert decide(ledger, query(1, 400, COY)).decision == Decision.INSUFFICIENT_FUNDS
    assert decide(ledger, query(1, 400, ANN)) == CONFLICT


def test_half_a_content_is_a_content(ledger):
    """Neither half alone may be taken for "whatever the content"."""
    decide(ledger, SOLD)
    assert decide(ledger, Query(SOLD.identity, 400)) == CONFLICT
    assert decide(ledger, Query(SOLD.identity, 0, SOLD.token)) == CONFLICT
    assert decide(ledger, Query(SOLD.identity)).state == TransferState.APPROVED


def test_a_tombstone_is_reversed_whatever_the_content(ledger):
    """The original never came: whichever sale asks, it was not charged, and 68 is what it would be answered."""
    decide(ledger, reversal(1, 400))
    tombstone = Outcome(Decision.REVERSED_BEFORE, state=TransferState.REVERSED)
    assert apply(ledger, query(1, 400), query(1, 401), query(1, 400, BEN), query(1)) == [tombstone] * 4


def test_a_final_state_is_never_taken_back(ledger):
    """From the first word that is final, each further step leaves it or makes it `reversed`."""
    steps = [
        (query(1), TransferState.NEVER_SEEN),
        (reversal(1, 400), TransferState.REVERSED),
        (SOLD, TransferState.REVERSED),
        (sale(1, 3), TransferState.REVERSED),
        (reversal(1, 400), TransferState.REVERSED),
    ]
    for command, state in steps:
        decide(ledger, command)
        assert decide(ledger, query(1)).state == state


def test_a_query_names_rrn_and_time_of_the_original(ledger):
    original = decide(ledger, SOLD)
    decide(ledger, reversal(1, 400), NOW_MS + 7)
    outcome = decide(ledger, query(1), NOW_MS + 9)
    assert (outcome.rrn, outcome.posted_at_ms) == (original.rrn, NOW_MS)


def test_unseen_tells_nothing_else(ledger):
    assert decide(ledger, query(1)) == Outcome(Decision.NEVER_SEEN, state=TransferState.NEVER_SEEN)


def test_a_query_is_about_its_own_terminal_and_batch(ledger):
    decide(ledger, SOLD)
    for other in (query(1, terminal_id=OTHER_TILL), query(1, batch=2), query(2)):
        assert decide(ledger, other).state == TransferState.NEVER_SEEN


def test_a_query_writes_nothing(ledger):
    decide(ledger, sale(2, 10, ANN))
    before = contents(ledger.store), ledger.head_seq
    apply(ledger, query(1), query(2), query(1))
    assert (contents(ledger.store), ledger.head_seq) == before
