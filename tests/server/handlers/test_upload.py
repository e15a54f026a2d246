"""An upload on the host's floor: the sale it was, with the hash it had, and a verdict for every decision."""

import msgspec
import pytest

from protocol.codec import encode
from protocol.messages import UploadVerdict
from server.handlers.upload import RRN_MAX, to_answer, to_command, verdict_of
from server.ledger.model import Decision, Identity, Outcome, TransferState, Upload
from tests.protocol.samples import UPLOAD
from tests.server.callers import caller_of


def test_the_command_carries_what_the_request_says():
    command = to_command(caller_of(7), UPLOAD)
    assert type(command) is Upload
    assert command.identity == Identity(7, UPLOAD.batch, UPLOAD.stan)
    assert (command.token, command.amount_fen) == (UPLOAD.payer, UPLOAD.amount_fen)
    assert (command.operator, command.claimed_at_s) == (UPLOAD.operator, UPLOAD.claimed_at_s)
    assert command.lost_rrn == UPLOAD.rrn


@pytest.mark.parametrize("changes", [{"rrn": 1}, {"balance_fen": -5}, {"posted_at_ms": 0}])
def test_what_the_lost_host_answered_is_no_content(changes):
    lost = to_command(caller_of(1), msgspec.structs.replace(UPLOAD, **changes))
    assert lost.request_hash == to_command(caller_of(1), UPLOAD).request_hash


def test_a_number_beyond_what_the_journal_holds_cannot_stop_a_batch():
    assert to_command(caller_of(1), msgspec.structs.replace(UPLOAD, rrn=2**64 - 1)).lost_rrn == RRN_MAX == 2**63 - 1


VERDICTS = {
    Decision.REVERSED_BEFORE: UploadVerdict.REVERSED,
    Decision.ID_CONFLICT: UploadVerdict.CONFLICT,
    Decision.RECOVERY_CLOSED: UploadVerdict.NOT_OPEN,
}


@pytest.mark.parametrize("decision", [decision for decision in Decision if decision != Decision.APPROVED])
def test_whatever_is_not_about_the_sale_decides_nothing(decision):
    assert verdict_of(Outcome(decision)) is VERDICTS.get(decision, UploadVerdict.UNDECIDED)


@pytest.mark.parametrize("replayed", [False, True])
def test_the_answer_says_how_the_sale_stands(replayed):
    approved = Outcome(Decision.APPROVED, 1250, 8750, 17, 99, TransferState.APPROVED, replayed=replayed)
    answer = to_answer(UPLOAD, approved)
    assert answer.verdict is (UploadVerdict.KNOWN if replayed else UploadVerdict.RESTORED)
    assert (answer.stan, answer.batch, answer.amount_fen) == (UPLOAD.stan, UPLOAD.batch, UPLOAD.amount_fen)
    assert (answer.response_code, answer.rrn) == ("00", 17)
    assert encode(answer)
