"""Stop list on the wire: how a card is named in it, and how many changes one answer carries."""

from hashlib import sha256

import pytest

from protocol.errors import LocalProtocolError
from protocol.limits import MAX_BODY_SIZE
from protocol.messages import StopAction, StopListAnswer, StopRow
from protocol.messages.stop_list import STOP_ROWS_MAX, token_hash
from tests.protocol.example import PAYER


def test_a_card_is_named_by_the_start_of_its_hash():
    assert token_hash(PAYER) == sha256(PAYER).digest()[:8]


def answer(count: int) -> StopListAnswer:
    actions = [StopAction.STOPPED, StopAction.ALLOWED]
    changes = tuple(StopRow(token_hash(bytes([number])), actions[number % 2]) for number in range(count))
    return StopListAnswer(version=count, newest=1_000, changes=changes)


@pytest.mark.parametrize("count", [0, 1, STOP_ROWS_MAX])
def test_an_answer_carries_its_changes_in_order(count):
    body = answer(count).layout.encode(answer(count))
    assert len(body) <= MAX_BODY_SIZE
    assert StopListAnswer.layout.decode(body) == answer(count)


def test_one_change_too_many_is_not_sent():
    with pytest.raises(LocalProtocolError, match="changes"):
        StopListAnswer.layout.encode(answer(STOP_ROWS_MAX + 1))
