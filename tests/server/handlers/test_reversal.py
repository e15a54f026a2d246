"""A reversal on the host's floor. Its hash is stored with every transfer for ever, so its recipe is pinned here."""

import msgspec
import pytest

from protocol.messages import EntryMode
from server.handlers.reversal import to_answer, to_command
from server.ledger.model import Decision, Outcome, Reversal, TransferState
from tests.protocol.samples import REVERSAL
from tests.server.callers import caller_of

HASH = "597e50ea479dd029dacf14ade6dbe28e"
"""The first half of: printf 'reversal 1250 04a1b2c3d4e5f6' | sha256sum"""
APPROVED = Outcome(Decision.APPROVED, 1250, 10_000, 18, 99, TransferState.APPROVED)


def hash_of(**changes):
    return to_command(caller_of(1), msgspec.structs.replace(REVERSAL, **changes)).request_hash


def test_the_command_carries_what_the_request_says():
    command = to_command(caller_of(1), REVERSAL)
    assert type(command) is Reversal
    assert (command.token, command.amount_fen) == (REVERSAL.payer, REVERSAL.amount_fen)
    assert (command.operator, command.claimed_at_s) == (REVERSAL.operator, REVERSAL.claimed_at_s)


def test_the_hash_is_what_it_always_was():
    assert hash_of().hex() == HASH


@pytest.mark.parametrize("change", [{"amount_fen": 1251}, {"payer": REVERSAL.payer[:-1]}])
def test_another_amount_or_payer_is_another_request(change):
    assert hash_of(**change) != hash_of()


@pytest.mark.parametrize(
    "change", [{"operator": 6}, {"entry_mode": EntryMode.CODE}, {"claimed_at_s": 1}, {"reason": "A0"}]
)
def test_a_reversal_repeated_in_other_circumstances_is_the_same(change):
    assert hash_of(**change) == hash_of()


def test_the_answer_says_what_was_given_back():
    answer = to_answer(REVERSAL, APPROVED)
    assert (answer.reversed_fen, answer.response_code) == (1250, "00")
    assert (answer.balance_fen, answer.rrn, answer.posted_at_ms) == (10_000, 18, 99)


@pytest.mark.parametrize(
    "outcome",
    [
        msgspec.structs.replace(APPROVED, amount_fen=0),
        msgspec.structs.replace(APPROVED, decision=Decision.ORIGINAL_MISMATCH),
        Outcome(Decision.FAULT),
    ],
)
def test_what_moved_nothing_gives_nothing_back(outcome):
    assert to_answer(REVERSAL, outcome).reversed_fen == 0
