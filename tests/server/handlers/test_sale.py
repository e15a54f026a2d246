"""A sale on the host's floor. Its hash is stored with every transfer for ever, so its recipe is pinned here."""

import msgspec
import pytest

from protocol.messages import EntryMode
from server.handlers.sale import to_answer, to_command
from server.ledger.model import Decision, Outcome, Sale, TransferState
from tests.protocol.samples import SALE
from tests.server.callers import caller_of

HASH = "5b8b698e8ba4ac533bdb6a174bd17c20"
"""The first half of: printf 'sale 1250 5 1 04a1b2c3d4e5f6 1795000000' | sha256sum"""


def hash_of(**changes):
    return to_command(caller_of(1), msgspec.structs.replace(SALE, **changes)).request_hash


def test_the_command_carries_what_the_request_says():
    command = to_command(caller_of(1), SALE)
    assert type(command) is Sale
    assert (command.token, command.amount_fen) == (SALE.payer, SALE.amount_fen)
    assert (command.operator, command.claimed_at_s) == (SALE.operator, SALE.claimed_at_s)


def test_the_hash_is_what_it_always_was():
    assert hash_of().hex() == HASH


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 1251},
        {"operator": 6},
        {"entry_mode": EntryMode.CODE},
        {"payer": SALE.payer[:-1]},
        {"claimed_at_s": SALE.claimed_at_s + 1},
    ],
)
def test_anything_else_said_is_another_request(change):
    assert hash_of(**change) != hash_of()


def test_where_and_under_which_number_is_not_part_of_the_content():
    assert hash_of(stan=1, batch=1) == hash_of() == to_command(caller_of(2), SALE).request_hash


def test_the_answer_says_what_was_decided_and_booked():
    answer = to_answer(SALE, Outcome(Decision.APPROVED, 1250, 8750, 17, 99, TransferState.APPROVED))
    assert (answer.amount_fen, answer.response_code) == (1250, "00")
    assert (answer.balance_fen, answer.rrn, answer.posted_at_ms) == (8750, 17, 99)


def test_a_refusal_repeats_the_amount_asked_for():
    assert to_answer(SALE, Outcome(Decision.CARD_UNKNOWN)).amount_fen == 1250
