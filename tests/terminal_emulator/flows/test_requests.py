"""Every kind of record becomes the request of its kind, and every request can be sent."""

import pytest

from protocol.messages import FollowUpRequest, MoneyRequest
from protocol.messages.money import NO_PIN_BLOCK, TransactionKind
from terminal_emulator.flows.requests import MESSAGES, query_of, request_of
from terminal_emulator.record import Record
from tests.terminal_emulator.till import CARD


def record_of(kind, **changes):
    return Record(
        kind=kind,
        batch=2,
        stan=9,
        amount_fen=1250,
        payer=CARD,
        claimed_at_s=5,
        operator=7,
        original_terminal=3,
        original_batch=1,
        original_stan=4,
        **changes,
    )


def test_only_an_offline_sale_is_not_sent_at_once():
    assert set(TransactionKind) - set(MESSAGES) == {TransactionKind.OFFLINE_SALE}
    assert len({message for pair in MESSAGES.values() for message in pair}) == 2 * len(MESSAGES)


@pytest.mark.parametrize("kind", MESSAGES)
def test_the_request_says_what_the_record_holds(kind):
    record = record_of(kind)
    request = request_of(record)
    asked, answer = MESSAGES[kind]
    assert type(request) is asked
    assert answer.layout.answers(request.layout)
    assert request.layout.encode(request)
    for name in MoneyRequest.__struct_fields__:
        assert getattr(request, name) == (NO_PIN_BLOCK if name == "pin_block" else getattr(record, name))
    if isinstance(request, FollowUpRequest):
        assert (request.original_terminal, request.original_batch, request.original_stan) == (3, 1, 4)


def test_a_query_names_what_was_asked():
    query = query_of(record_of(TransactionKind.VOID))
    assert query.layout.encode(query)
    assert (query.batch, query.stan, query.amount_fen, query.payer, query.claimed_at_s) == (2, 9, 1250, CARD, 5)
