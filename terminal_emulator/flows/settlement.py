"""Settlement (结算): what the terminal says next about the batch it settles, and what an answer makes of it.

    settlement = begin(storage, operator, claimed_at_s)         or the one the storage has open
    request = request_of(settlement, records)                   None: a person has to decide, or it is done
    settlement = answered(settlement, answer, records)          to be stored before anything else is said

Every step is a pure function of what is stored, so a terminal that is cut off anywhere says the same again. Whoever
calls stores each new state; storing DONE is what clears the journal of the batch (清机). `records` are those that
`Storage.acknowledged` gives: a host that was restored may want a batch settled again that this terminal has settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from protocol.messages import (
    BatchEndAnswer,
    BatchEndRequest,
    BatchUploadAnswer,
    BatchUploadRequest,
    DifferencesAnswer,
    DifferencesRequest,
    Message,
    SettlementAnswer,
    SettlementCloseAnswer,
    SettlementCloseRequest,
    SettlementRequest,
)
from protocol.messages.settlement import (
    ROWS_MAX,
    RecordRow,
    RecordStanding,
    SettlementResult,
    differences_digest,
    fingerprint,
    totals_of,
)
from terminal_emulator.flows import APPROVED
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import Settlement, Stage
from terminal_emulator.storage import Storage

RECORDS_MISSING = "79"
BATCH_CLOSED = "77"

STANDINGS = {
    RecordState.APPROVED: RecordStanding.APPROVED,
    RecordState.REVERSED: RecordStanding.REVERSED,
}
"""What is sent. A declined transaction moved nothing, and may have been dropped already."""


def rows_of(records: Iterable[Record], batch: int) -> list[RecordRow]:
    """The records of a batch as the host is told of them, by STAN."""
    found = [
        RecordRow(
            record.stan,
            record.kind,
            STANDINGS[record.state],
            record.amount_fen,
            record.moved_fen,
            record.rrn,
            record.points,
        )
        for record in records
        if record.batch == batch and record.state in STANDINGS
    ]
    return sorted(found, key=lambda row: row.stan)


def unsettled(storage: Storage) -> list[int]:
    """The batches of which there are records to be settled, the oldest first."""
    return sorted({record.batch for record in storage.records.values() if record.state in STANDINGS})


def oldest_batch(storage: Storage) -> int:
    """The batch to be settled next: the oldest of which there are records, else the one in use."""
    return next(iter(unsettled(storage)), storage.used[0])


def begin(storage: Storage, operator: int, claimed_at_s: int) -> Settlement:
    """Settle the oldest batch there is. What is sold from now on belongs to the next one."""
    settlement = Settlement(batch=oldest_batch(storage), operator=operator, claimed_at_s=claimed_at_s)
    storage.save_settlement(settlement)
    return settlement


def accept(settlement: Settlement) -> Settlement:
    """A supervisor has accepted what differs, or that the batch was closed without this terminal's doing."""
    if settlement.stage is Stage.ACCEPT:
        return replace(settlement, stage=Stage.CLOSE)
    assert settlement.stage is Stage.ELSEWHERE
    return replace(settlement, stage=Stage.DONE)


def request_of(settlement: Settlement, records: Iterable[Record]) -> Message | None:
    """What to say to the host; None if that is not what comes next."""
    batch, stage = settlement.batch, settlement.stage
    rows = rows_of(records, batch)
    if stage is Stage.TOTALS:
        return SettlementRequest(
            batch=batch,
            operator=settlement.operator,
            claimed_at_s=settlement.claimed_at_s,
            fingerprint=fingerprint(rows),
            totals=totals_of(rows),
        )
    if stage is Stage.UPLOAD:
        start = (settlement.part - 1) * ROWS_MAX
        return BatchUploadRequest(batch=batch, part=settlement.part, records=tuple(rows[start : start + ROWS_MAX]))
    if stage is Stage.END:
        return BatchEndRequest(batch=batch, records=len(rows))
    if stage is Stage.DIFFERENCES:
        return DifferencesRequest(batch=batch, page=settlement.page)
    if stage is Stage.CLOSE:
        return SettlementCloseRequest(
            batch=batch,
            operator=settlement.operator,
            claimed_at_s=settlement.claimed_at_s,
            differences=settlement.difference_count,
            differences_digest=differences_digest(settlement.differences),
        )
    return None


def answered(settlement: Settlement, message: Message, records: Iterable[Record]) -> Settlement:
    """The settlement after an answer; the same one, if the answer decides nothing or is about another batch."""
    if getattr(message, "batch", None) != settlement.batch:
        return settlement
    rows = rows_of(records, settlement.batch)
    stage = settlement.stage
    if isinstance(message, SettlementAnswer) and stage is Stage.TOTALS:
        return _told(settlement, message, rows)
    if isinstance(message, BatchUploadAnswer) and stage is Stage.UPLOAD:
        return _sent(settlement, message, rows)
    if isinstance(message, BatchEndAnswer) and stage is Stage.END:
        return _compared(settlement, message, rows)
    if isinstance(message, DifferencesAnswer) and stage is Stage.DIFFERENCES:
        return _listed(settlement, message)
    if isinstance(message, SettlementCloseAnswer) and stage is Stage.CLOSE:
        return _told(settlement, message, rows)
    return settlement


def parts_of(rows: Sequence[RecordRow]) -> int:
    """How many parts it takes to send them."""
    return -(-len(rows) // ROWS_MAX)


def _told(
    settlement: Settlement, answer: SettlementAnswer | SettlementCloseAnswer, rows: Sequence[RecordRow]
) -> Settlement:
    result = answer.result
    if result is SettlementResult.UNDECIDED:
        return settlement
    if result is SettlementResult.EARLIER_OPEN:
        if not 0 < answer.next_batch < settlement.batch:
            return settlement  # nonsense: going there would never end
        return Settlement(batch=answer.next_batch, operator=settlement.operator, claimed_at_s=settlement.claimed_at_s)
    known = replace(
        settlement,
        totals=totals_of(rows),
        host_totals=answer.totals,
        settlement=answer.settlement,
        closed_at_ms=answer.closed_at_ms,
        digest=answer.digest,
    )
    if result is SettlementResult.ALREADY_CLOSED:
        return replace(known, stage=Stage.ELSEWHERE)
    if result is SettlementResult.UNBALANCED:
        # After CLOSE the records are there already, but not the differences that were accepted: read them anew.
        again = settlement.stage is Stage.CLOSE
        return replace(known, stage=Stage.END if again else _upload_or_end(rows), part=1)
    balanced = result is SettlementResult.BALANCED
    return replace(known, stage=Stage.DONE, is_balanced=balanced, difference_count=answer.differences)


def _upload_or_end(rows: Sequence[RecordRow], part: int = 1) -> Stage:
    return Stage.UPLOAD if part <= parts_of(rows) else Stage.END


def _sent(settlement: Settlement, answer: BatchUploadAnswer, rows: Sequence[RecordRow]) -> Settlement:
    if answer.response_code == BATCH_CLOSED:
        return replace(settlement, stage=Stage.TOTALS)
    if answer.response_code != APPROVED or answer.part != settlement.part:
        return settlement
    return replace(settlement, stage=_upload_or_end(rows, answer.next_part), part=max(1, answer.next_part))


def _compared(settlement: Settlement, answer: BatchEndAnswer, rows: Sequence[RecordRow]) -> Settlement:
    if answer.response_code == RECORDS_MISSING:
        part = answer.next_part if 1 <= answer.next_part <= parts_of(rows) else 1
        return replace(settlement, stage=_upload_or_end(rows), part=part)
    if answer.response_code == BATCH_CLOSED:
        return replace(settlement, stage=Stage.TOTALS)
    if answer.response_code != APPROVED:
        return settlement
    stage = Stage.DIFFERENCES if answer.differences else Stage.CLOSE
    return replace(settlement, stage=stage, page=1, difference_count=answer.differences, differences=())


def _listed(settlement: Settlement, answer: DifferencesAnswer) -> Settlement:
    if answer.response_code == RECORDS_MISSING:
        return replace(settlement, stage=Stage.END)
    if answer.response_code == BATCH_CLOSED:
        return replace(settlement, stage=Stage.TOTALS)
    if answer.response_code != APPROVED or answer.page != settlement.page:
        return settlement
    found = (*settlement.differences, *answer.differences)
    if answer.page < answer.pages:
        return replace(settlement, page=answer.page + 1, differences=found)
    return replace(settlement, stage=Stage.ACCEPT, differences=found, difference_count=len(found))
