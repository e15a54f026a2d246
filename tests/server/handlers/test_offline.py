"""A chained record becomes a command: authentic or not, by the key of the session; and each decision a verdict."""

import pytest
from msgspec.structs import replace

from protocol.codec import encode
from protocol.messages import EntryMode, OfflineSaleRequest, OfflineVerdict, TransactionKind, UploadRequest
from protocol.messages.offline import NO_TAG, tag_of
from server.handlers.money import request_hash
from server.handlers.offline import to_answer, to_command
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Identity, Outcome, TransferState
from server.payers import SessionKeys
from tests.server.callers import KEYS, caller_of

TILL = 0x0003_003A
UNSEALED = OfflineSaleRequest(
    stan=123,
    batch=17,
    amount_fen=1250,
    operator=5,
    payer=b"\x04\xa1\xb2\xc3",
    claimed_at_s=1_795_000_000,
    stop_list_version=9,
    saf_sequence=4,
    previous_tag=bytes(range(16)),
    tag=NO_TAG,
)
RECORD = replace(UNSEALED, tag=tag_of(KEYS.saf_key, UNSEALED))


def test_the_command_says_all_that_the_record_says():
    command = to_command(caller_of(TILL), RECORD)
    assert command.identity == Identity(TILL, 17, 123)
    assert (command.token, command.amount_fen, command.operator) == (b"\x04\xa1\xb2\xc3", 1250, 5)
    assert (command.claimed_at_s, command.stop_list_version, command.code_step) == (1_795_000_000, 9, 0)
    assert (command.saf_sequence, command.previous_tag, command.tag) == (4, RECORD.previous_tag, RECORD.tag)
    assert command.is_authentic


@pytest.mark.parametrize(
    "changes",
    [{"amount_fen": 1251}, {"payer": b"\x04"}, {"saf_sequence": 5}, {"previous_tag": NO_TAG}, {"tag": NO_TAG}],
)
def test_a_changed_record_is_not_authentic(changes):
    assert not to_command(caller_of(TILL), replace(RECORD, **changes)).is_authentic


@pytest.mark.parametrize("keys", [SessionKeys(), SessionKeys(KEYS.pin_key, b"x" * 16)])
def test_without_the_terminals_key_nothing_is_authentic(keys):
    assert not to_command(caller_of(TILL, keys), RECORD).is_authentic


@pytest.mark.parametrize(
    ("entry_mode", "payer"),
    [(EntryMode.CODE, b"91" + b"1" * 20), (EntryMode.CODE, b"\x04\xa1"), (EntryMode.CARD, b"0" * 10)],
)
def test_a_payment_code_or_the_bare_number_of_one_is_marked_as_no_card(entry_mode, payer):
    assert to_command(caller_of(TILL), replace(RECORD, entry_mode=entry_mode, payer=payer)).code_step != 0


def test_its_place_in_the_chain_is_no_part_of_its_content_and_an_upload_has_the_same():
    """So that a renumbered record, or one that a restored host gets again, is known."""
    moved = replace(RECORD, saf_sequence=77, previous_tag=NO_TAG, tag=NO_TAG)
    again = UploadRequest(
        stan=123,
        batch=17,
        amount_fen=1250,
        operator=5,
        payer=RECORD.payer,
        claimed_at_s=RECORD.claimed_at_s,
        kind=TransactionKind.OFFLINE_SALE,
        rrn=1,
        balance_fen=2,
        posted_at_ms=3,
    )
    hashes = {to_command(caller_of(TILL), one).request_hash for one in (RECORD, moved)}
    assert hashes == {request_hash(TransactionKind.OFFLINE_SALE, TILL, again)}


VERDICTS = {
    Decision.APPROVED: OfflineVerdict.ACCEPTED,
    Decision.OVER_OFFLINE_LIMIT: OfflineVerdict.OVER_LIMIT,
    Decision.STOPPED: OfflineVerdict.STOPPED,
    Decision.CARD_UNKNOWN: OfflineVerdict.REFUSED,
    Decision.ID_CONFLICT: OfflineVerdict.REFUSED,
    Decision.TERMINAL_REVOKED: OfflineVerdict.REFUSED,
    Decision.OFFLINE_TAMPERED: OfflineVerdict.TAMPERED,
    Decision.OFFLINE_GAP: OfflineVerdict.GAP,
    Decision.BUSY: OfflineVerdict.UNDECIDED,
    Decision.FAULT: OfflineVerdict.UNDECIDED,
}


@pytest.mark.parametrize("decision", list(VERDICTS))
def test_each_decision_has_its_verdict(decision):
    answer = to_answer(RECORD, Outcome(decision, saf_sequence=4, saf_tag=RECORD.tag))
    assert (answer.verdict, answer.response_code) == (VERDICTS[decision], RESPONSE_CODES[decision])
    undecided = answer.verdict is OfflineVerdict.UNDECIDED
    assert (answer.next_saf_sequence, answer.last_tag) == ((0, NO_TAG) if undecided else (5, RECORD.tag))
    assert encode(answer)


def test_a_copy_is_told_what_was_decided_first():
    first = Outcome(
        Decision.APPROVED, 1250, 8750, 17, 99, TransferState.APPROVED, 1250, 12, saf_sequence=4, saf_tag=RECORD.tag
    )
    answers = [to_answer(RECORD, outcome) for outcome in (first, replace(first, replayed=True))]
    assert [answer.verdict for answer in answers] == [OfflineVerdict.ACCEPTED, OfflineVerdict.DUPLICATE]
    told = {(answer.response_code, answer.rrn, answer.charged_fen, answer.points) for answer in answers}
    assert told == {("00", 17, 1250, 12)}
    refused = to_answer(
        RECORD, Outcome(Decision.STOPPED, 1250, rrn=18, replayed=True, saf_sequence=4, saf_tag=RECORD.tag)
    )
    assert (refused.verdict, refused.response_code, refused.charged_fen) == (OfflineVerdict.DUPLICATE, "41", 0)
