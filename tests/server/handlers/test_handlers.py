"""What holds for every request type, old and new: its place in the table, whose identity it has, equal copies."""

import msgspec
import pytest

from protocol.codec import encode
from protocol.messages import (
    LAYOUTS,
    BalanceRequest,
    EchoRequest,
    EnrolRequest,
    KeyRequest,
    LookupRequest,
    OfflineSaleRequest,
    SignOffRequest,
    UploadRequest,
)
from protocol.state import Kind, Role
from server.handlers import CALLS, HANDLERS
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Identity, Outcome, TransferState
from tests.protocol.samples import SAMPLE_OF
from tests.server.callers import caller_of

TERMINAL_ID = 0x0003_003A
APPROVED = Outcome(Decision.APPROVED, 1250, 8750, 17, 1_795_000_000_123, TransferState.APPROVED)

each_handler = pytest.mark.parametrize("kind", list(HANDLERS), ids=lambda kind: HANDLERS[kind].name)


def test_every_request_has_a_handler_or_is_the_services_own():
    requests = {layout.message for layout in LAYOUTS.values() if layout.sender is Role.TERMINAL}
    handshake = {layout.message for layout in LAYOUTS.values() if layout.kind in (Kind.HELLO, Kind.AUTH)}
    assert requests - handshake == {*HANDLERS, *CALLS, EchoRequest, EnrolRequest, KeyRequest, SignOffRequest}
    names = [one.name for table in (HANDLERS, CALLS) for one in table.values()]
    assert len(set(names)) == len(names)


@each_handler
def test_the_identity_is_the_sessions_terminal_with_the_requests_batch_and_stan(kind):
    sample = SAMPLE_OF[kind]
    command = HANDLERS[kind].to_command(caller_of(TERMINAL_ID), sample)
    if kind in (BalanceRequest, LookupRequest):
        assert command.terminal_id == TERMINAL_ID
    else:
        assert command.identity == Identity(TERMINAL_ID, sample.batch, sample.stan)


@each_handler
@pytest.mark.parametrize("decision", list(Decision))
def test_any_decision_can_be_answered(kind, decision):
    request = SAMPLE_OF[kind]
    answer = HANDLERS[kind].to_answer(request, Outcome(decision))
    assert answer.layout.answers(request.layout)
    assert answer.response_code == RESPONSE_CODES[decision] or (kind, decision) == (LookupRequest, Decision.APPROVED)
    for name in {"stan", "batch"} & {*answer.__struct_fields__}:
        assert getattr(answer, name) == getattr(request, name)
    assert encode(answer)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in HANDLERS if kind not in (UploadRequest, OfflineSaleRequest)],
    ids=lambda kind: HANDLERS[kind].name,
)
def test_a_copy_is_answered_with_the_same_bytes(kind):
    """But for what is uploaded: its answer says how it stands now, and what was restored a moment ago is known then."""
    to_answer, request = HANDLERS[kind].to_answer, SAMPLE_OF[kind]
    copy = msgspec.structs.replace(APPROVED, replayed=True)
    assert encode(to_answer(request, copy)) == encode(to_answer(request, APPROVED))
