"""What a terminal says about a batch, step by step, and what it makes of each answer."""

import pytest
from msgspec.structs import replace

from protocol.messages import (
    BatchEndAnswer,
    BatchEndRequest,
    BatchUploadAnswer,
    BatchUploadRequest,
    DifferencesAnswer,
    DifferencesRequest,
    EchoAnswer,
    SettlementAnswer,
    SettlementCloseAnswer,
    SettlementCloseRequest,
    SettlementRequest,
)
from protocol.messages.money import TransactionKind
from protocol.messages.settlement import (
    ROWS_MAX,
    DifferenceKind,
    DifferenceRow,
    RecordRow,
    RecordStanding,
    SettlementResult,
    TotalsRow,
    differences_digest,
    fingerprint,
    totals_of,
)
from terminal_emulator.flows.settlement import accept, answered, begin, oldest_batch, request_of, rows_of
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import Settlement, Stage
from terminal_emulator.storage import MemoryStorage

SALE = TransactionKind.SALE
DIGEST = bytes(range(8))


def record(stan, *, batch=1, state=RecordState.APPROVED, charged_fen=None, kind=SALE):
    return Record(
        batch=batch,
        stan=stan,
        amount_fen=1000,
        payer=b"card",
        claimed_at_s=1,
        state=state,
        charged_fen=charged_fen,
        kind=kind,
        rrn=100 + stan,
    )


RECORDS = [
    record(1),
    replace(record(2, charged_fen=900), points=9),
    record(3, state=RecordState.REVERSED),
    record(4, batch=2),
]
ROWS = rows_of(RECORDS, 1)
AT_FIRST = Settlement(batch=1, operator=3, claimed_at_s=9)


def settled(result, *, answer=SettlementAnswer, **fields):
    return answer(batch=fields.pop("batch", 1), result=result, response_code="00", next_batch=2, **fields)


def difference(stan):
    return DifferenceRow(
        stan, DifferenceKind.MISSING_AT_HOST, SALE, RecordStanding.APPROVED, 1000, RecordStanding.NONE, 0, 0
    )


def listed(page, pages, *stans):
    rows = tuple(map(difference, stans))
    return DifferencesAnswer(batch=1, page=page, response_code="00", pages=pages, differences=rows)


class TestBegin:
    def test_the_oldest_batch_comes_first(self):
        storage = MemoryStorage()
        storage.save(record(1, batch=4))
        storage.save(record(1, batch=3, state=RecordState.DECLINED))
        storage.save(record(1, batch=5))
        assert begin(storage, 3, 9) == replace(AT_FIRST, batch=4) == storage.settlement
        assert storage.used == (5, 1)

    def test_without_records_the_batch_in_use_is_settled(self):
        storage = MemoryStorage()
        assert oldest_batch(storage) == 1
        begin(storage, 3, 9)
        assert (storage.settlement, storage.used) == (AT_FIRST, (2, 0))


class TestRows:
    def test_what_the_host_confirmed_is_sent_in_order(self):
        open_and_declined = [record(8, state=RecordState.DECLINED), record(9, state=RecordState.PENDING)]
        assert rows_of([*reversed(RECORDS), *open_and_declined], 1) == [
            RecordRow(1, SALE, RecordStanding.APPROVED, 1000, 1000, 101),
            RecordRow(2, SALE, RecordStanding.APPROVED, 1000, 900, 102, 9),
            RecordRow(3, SALE, RecordStanding.REVERSED, 1000, 0, 103),
        ]


class TestRequests:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            (
                AT_FIRST,
                SettlementRequest(
                    batch=1,
                    operator=3,
                    claimed_at_s=9,
                    fingerprint=fingerprint(ROWS),
                    totals=(TotalsRow(SALE, 2, 2000, 1900),),
                ),
            ),
            (replace(AT_FIRST, stage=Stage.UPLOAD), BatchUploadRequest(batch=1, part=1, records=tuple(ROWS))),
            (replace(AT_FIRST, stage=Stage.END), BatchEndRequest(batch=1, records=3)),
            (replace(AT_FIRST, stage=Stage.DIFFERENCES, page=4), DifferencesRequest(batch=1, page=4)),
            (
                replace(AT_FIRST, stage=Stage.CLOSE, difference_count=5),
                SettlementCloseRequest(
                    batch=1, operator=3, claimed_at_s=9, differences=5, differences_digest=differences_digest(())
                ),
            ),
            (replace(AT_FIRST, stage=Stage.ACCEPT), None),
            (replace(AT_FIRST, stage=Stage.ELSEWHERE), None),
            (replace(AT_FIRST, stage=Stage.DONE), None),
        ],
        ids=lambda value: value.stage if isinstance(value, Settlement) else "",
    )
    def test_each_stage_says_its_own(self, state, expected):
        assert request_of(state, RECORDS) == expected

    def test_parts_hold_each_record_once(self):
        many = [record(stan) for stan in range(1, 2 * ROWS_MAX + 6)]
        parts = [request_of(replace(AT_FIRST, stage=Stage.UPLOAD, part=part), many).records for part in (1, 2, 3)]
        assert [len(part) for part in parts] == [ROWS_MAX, ROWS_MAX, 5]
        assert [row.stan for part in parts for row in part] == [*range(1, 2 * ROWS_MAX + 6)]


class TestAnswers:
    def test_balanced_is_done(self):
        answer = settled(SettlementResult.BALANCED, settlement=7, closed_at_ms=5, digest=DIGEST, totals=totals_of(ROWS))
        assert answered(AT_FIRST, answer, RECORDS) == replace(
            AT_FIRST,
            stage=Stage.DONE,
            totals=totals_of(ROWS),
            host_totals=totals_of(ROWS),
            settlement=7,
            is_balanced=True,
            closed_at_ms=5,
            digest=DIGEST,
        )

    def test_unbalanced_leads_through_records_and_differences_to_a_supervisor(self):
        state = answered(AT_FIRST, settled(SettlementResult.UNBALANCED, settlement=7), RECORDS)
        assert (state.stage, state.part) == (Stage.UPLOAD, 1)
        state = answered(state, BatchUploadAnswer(batch=1, part=1, response_code="00", next_part=2), RECORDS)
        assert state.stage is Stage.END
        state = answered(state, BatchEndAnswer(batch=1, response_code="00", differences=3, next_part=0), RECORDS)
        assert (state.stage, state.page, state.difference_count) == (Stage.DIFFERENCES, 1, 3)
        state = answered(state, listed(1, 2, 1, 2), RECORDS)
        state = answered(state, listed(1, 2, 1, 2), RECORDS)  # a copy adds nothing
        assert (state.stage, state.page) == (Stage.DIFFERENCES, 2)
        state = answered(state, listed(2, 2, 3), RECORDS)
        assert (state.stage, state.differences) == (Stage.ACCEPT, tuple(map(difference, (1, 2, 3))))
        state = accept(state)
        assert state.stage is Stage.CLOSE
        closed = settled(
            SettlementResult.CLOSED_WITH_DIFFERENCES, answer=SettlementCloseAnswer, settlement=7, differences=3
        )
        state = answered(state, closed, RECORDS)
        assert (state.stage, state.is_balanced, len(state.differences)) == (Stage.DONE, False, 3)

    def test_an_empty_batch_has_nothing_to_send(self):
        state = answered(AT_FIRST, settled(SettlementResult.UNBALANCED), [])
        assert state.stage is Stage.END

    def test_records_that_do_not_differ_close_the_batch_at_once(self):
        ending = replace(AT_FIRST, stage=Stage.END)
        answer = BatchEndAnswer(batch=1, response_code="00", differences=0, next_part=0)
        assert answered(ending, answer, RECORDS).stage is Stage.CLOSE

    @pytest.mark.parametrize(("next_part", "expected"), [(1, 1), (2, 2), (0, 1), (9, 1)])
    def test_records_the_host_lacks_are_sent_again(self, next_part, expected):
        many = [record(stan) for stan in range(1, ROWS_MAX + 2)]
        ending = replace(AT_FIRST, stage=Stage.END)
        answer = BatchEndAnswer(batch=1, response_code="79", differences=0, next_part=next_part)
        state = answered(ending, answer, many)
        assert (state.stage, state.part) == (Stage.UPLOAD, expected)

    def test_other_differences_than_were_accepted_are_read_anew(self):
        closing = replace(AT_FIRST, stage=Stage.CLOSE, difference_count=3)
        answer = settled(SettlementResult.UNBALANCED, answer=SettlementCloseAnswer)
        assert answered(closing, answer, RECORDS).stage is Stage.END

    def test_an_older_batch_goes_first(self):
        state = answered(
            replace(AT_FIRST, batch=5),
            SettlementAnswer(batch=5, result=SettlementResult.EARLIER_OPEN, response_code="77", next_batch=2),
            RECORDS,
        )
        assert state == replace(AT_FIRST, batch=2)

    def test_a_host_that_sends_it_round_in_circles_is_not_followed(self):
        answer = SettlementAnswer(batch=1, result=SettlementResult.EARLIER_OPEN, response_code="77", next_batch=1)
        assert answered(AT_FIRST, answer, RECORDS) is AT_FIRST

    def test_closed_by_another_request_is_for_a_supervisor_to_know(self):
        state = answered(AT_FIRST, settled(SettlementResult.ALREADY_CLOSED), RECORDS)
        assert state.stage is Stage.ELSEWHERE
        assert accept(state).stage is Stage.DONE

    @pytest.mark.parametrize(
        ("stage", "answer"),
        [
            (Stage.UPLOAD, BatchUploadAnswer(batch=1, part=1, response_code="77", next_part=0)),
            (Stage.END, BatchEndAnswer(batch=1, response_code="77", differences=0, next_part=0)),
            (Stage.DIFFERENCES, DifferencesAnswer(batch=1, page=1, response_code="77", pages=0)),
        ],
    )
    def test_closed_meanwhile_asks_what_became_of_it(self, stage, answer):
        assert answered(replace(AT_FIRST, stage=stage), answer, RECORDS).stage is Stage.TOTALS

    def test_differences_of_records_that_are_missing_are_asked_for_again(self):
        answer = DifferencesAnswer(batch=1, page=1, response_code="79", pages=0)
        assert answered(replace(AT_FIRST, stage=Stage.DIFFERENCES), answer, RECORDS).stage is Stage.END

    @pytest.mark.parametrize(
        ("stage", "answer"),
        [
            (Stage.TOTALS, settled(SettlementResult.UNDECIDED)),
            (Stage.TOTALS, settled(SettlementResult.BALANCED, batch=2)),
            (Stage.TOTALS, EchoAnswer(host_time_ms=1, business_day=1, config_version=1)),
            (Stage.TOTALS, settled(SettlementResult.BALANCED, answer=SettlementCloseAnswer)),
            (Stage.UPLOAD, BatchUploadAnswer(batch=1, part=1, response_code="96", next_part=1)),
            (Stage.UPLOAD, BatchUploadAnswer(batch=1, part=9, response_code="00", next_part=2)),
            (Stage.END, BatchEndAnswer(batch=1, response_code="09", differences=0, next_part=0)),
            (Stage.DIFFERENCES, DifferencesAnswer(batch=1, page=1, response_code="96", pages=0)),
            (Stage.DIFFERENCES, listed(2, 2)),
            (Stage.CLOSE, settled(SettlementResult.UNDECIDED, answer=SettlementCloseAnswer)),
            (Stage.ACCEPT, settled(SettlementResult.BALANCED)),
        ],
    )
    def test_what_decides_nothing_changes_nothing(self, stage, answer):
        state = replace(AT_FIRST, stage=stage)
        assert answered(state, answer, RECORDS) is state
