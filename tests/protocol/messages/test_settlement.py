"""What a batch comes to, and the bytes of its messages."""

import pytest

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import MAX_BODY_SIZE, TAG_SIZE
from protocol.messages import (
    BatchUploadRequest,
    DifferencesAnswer,
    SettlementAnswer,
    SettlementRequest,
)
from protocol.messages.money import TransactionKind
from protocol.messages.settlement import (
    LAYOUTS,
    ROWS_MAX,
    DifferenceKind,
    DifferenceRow,
    RecordRow,
    RecordStanding,
    SettlementResult,
    TotalsRow,
    fingerprint,
    totals_of,
)

SALE, VOID = TransactionKind.SALE, TransactionKind.VOID
APPROVED, REVERSED = RecordStanding.APPROVED, RecordStanding.REVERSED
RECORDS = (
    RecordRow(1, SALE, APPROVED, 1250, 1250, 77, 12),
    RecordRow(2, SALE, REVERSED, 900, 0, 78),
    RecordRow(3, VOID, APPROVED, 1250, 1250, 80),
    RecordRow(4, SALE, APPROVED, 1000, 900, 81),
)


def test_totals_count_what_is_approved_by_kind():
    assert totals_of(RECORDS) == (TotalsRow(SALE, 2, 2250, 2150), TotalsRow(VOID, 1, 1250, 1250))
    assert totals_of(()) == ()


def test_the_fingerprint_does_not_depend_on_order_nor_on_what_moved_no_money():
    assert fingerprint(reversed(RECORDS)) == fingerprint(RECORDS)
    assert fingerprint(record for record in RECORDS if record.standing is APPROVED) == fingerprint(RECORDS)


def test_the_fingerprint_is_the_one_the_document_describes():
    # SHA-256 of 000001 01 000004e2 000004e2 0000000c, cut: what a terminal in C has to come to.
    assert fingerprint(RECORDS[:1]).hex() == "664d52cc8e512db8"


@pytest.mark.parametrize(
    "other",
    [
        RecordRow(9, SALE, APPROVED, 1250, 1250, 77, 12),
        RecordRow(1, VOID, APPROVED, 1250, 1250, 77, 12),
        RecordRow(1, SALE, APPROVED, 1251, 1250, 77, 12),
        RecordRow(1, SALE, APPROVED, 1250, 1249, 77, 12),
        RecordRow(1, SALE, REVERSED, 1250, 1250, 77, 12),
        RecordRow(1, SALE, APPROVED, 1250, 1250, 77, 11),
    ],
)
def test_the_fingerprint_tells_apart_what_totals_may_not(other):
    assert fingerprint((other, *RECORDS[1:])) != fingerprint(RECORDS)


def test_two_mistakes_that_make_up_for_each_other_have_the_same_totals_and_another_fingerprint():
    mistaken = (
        RecordRow(1, SALE, APPROVED, 1000, 1000, 77),
        RecordRow(3, VOID, APPROVED, 1250, 1250, 80),
        RecordRow(4, SALE, APPROVED, 1250, 1150, 81),
    )
    assert totals_of(mistaken) == totals_of(RECORDS)
    assert fingerprint(mistaken) != fingerprint(RECORDS)


@pytest.mark.parametrize(
    "message",
    [
        SettlementRequest(
            batch=7, operator=1, claimed_at_s=1, fingerprint=fingerprint(RECORDS), totals=totals_of(RECORDS)
        ),
        SettlementAnswer(
            batch=7,
            result=SettlementResult.BALANCED,
            response_code="00",
            next_batch=8,
            settlement=3,
            closed_at_ms=1,
            digest=bytes(range(8)),
            totals=totals_of(RECORDS),
        ),
        BatchUploadRequest(batch=7, part=1, records=RECORDS * (ROWS_MAX // len(RECORDS))),
        DifferencesAnswer(
            batch=7,
            page=1,
            response_code="00",
            pages=1,
            differences=(
                DifferenceRow(9, DifferenceKind.MISSING_AT_HOST, SALE, APPROVED, 1250, RecordStanding.NONE, 0, 77),
            ),
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_every_row_arrives(message):
    assert message.layout.decode(message.layout.encode(message)) == message


def test_every_body_fits_a_frame():
    assert max(layout.size for layout in LAYOUTS) + TAG_SIZE <= MAX_BODY_SIZE


def test_one_row_too_many_is_not_sent():
    with pytest.raises(LocalProtocolError, match=f"records: expected a count 0..{ROWS_MAX}"):
        BatchUploadRequest.layout.encode(BatchUploadRequest(batch=7, part=1, records=RECORDS[:1] * (ROWS_MAX + 1)))


def test_a_row_of_an_unknown_kind_is_refused():
    body = bytearray(BatchUploadRequest.layout.encode(BatchUploadRequest(batch=7, part=1, records=RECORDS)))
    body[BatchUploadRequest.layout.offset_of("records") - 16 + 1 + 3] = 99
    with pytest.raises(RemoteProtocolError) as caught:
        BatchUploadRequest.layout.decode(bytes(body))
    assert caught.value.field == "records"
