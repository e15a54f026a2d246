"""Settlement on the host's floor: what a terminal says of its batch, and what the ledger makes of it.

All five requests are answered in the ledger's thread, between two batches of sales. What one has written is durable
when it is answered, so each may come again after a lost answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeVar

import structlog

from protocol.messages import (
    BatchEndAnswer,
    BatchEndRequest,
    BatchUploadAnswer,
    BatchUploadRequest,
    DifferencesAnswer,
    DifferencesRequest,
    SettlementAnswer,
    SettlementCloseAnswer,
    SettlementCloseRequest,
    SettlementRequest,
)
from protocol.messages.money import MAX_BATCH, TransactionKind
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
from server.ledger import settlement
from server.ledger.comparison import Differing, Item, Total
from server.ledger.devices import EventKind
from server.ledger.model import Status
from server.ledger.settlement import Claim, Result, Settled, State
from server.operations.desk import Desk, show_terminal

A = TypeVar("A", SettlementAnswer, SettlementCloseAnswer)

log = structlog.get_logger("settlement")

CLOSED: Final = "00"
DONE: Final = "00"
UNBALANCED: Final = "95"
ANOTHER_BATCH: Final = "77"
RECORDS_MISSING: Final = "79"
NOT_PERMITTED: Final = "58"

RRN_MAX: Final = (1 << 63) - 1
"""What a database holds; a greater RRN is no host's, and is kept as this."""

_KINDS: Final[dict[int, TransactionKind]] = {int(kind): kind for kind in TransactionKind}
_STANDINGS: Final[dict[int, RecordStanding]] = {int(standing): standing for standing in RecordStanding}
"""By number: looked up for each record of a batch in the ledger's thread. Enum's own way takes four times as long."""

_CODES: Final = {
    Result.CLOSED: CLOSED,
    Result.UNBALANCED: UNBALANCED,
    Result.ALREADY_CLOSED: ANOTHER_BATCH,
    Result.EARLIER_OPEN: ANOTHER_BATCH,
}


def settle(desk: Desk, terminal_id: int, message: SettlementRequest) -> SettlementAnswer:
    """Close the batch if it comes to the same here."""
    if not _is_active(desk, terminal_id):
        return settle_undecided(message, NOT_PERMITTED)

    def agrees(items: Sequence[Item]) -> bool:
        rows = [*map(_record_row, items)]
        return (totals_of(rows), fingerprint(rows)) == (message.totals, message.fingerprint)

    claim = Claim(
        terminal_id,
        message.batch,
        message.operator,
        request_hash(message),
        [Total(row.kind, row.count, row.amount_fen, row.charged_fen) for row in message.totals],
        agrees,
    )
    now_ms = desk.now_ms()
    settled = settlement.settle(desk.ledger, claim, now_ms)
    _note(desk, terminal_id, message.batch, settled, now_ms)
    return _told(SettlementAnswer, message.batch, settled)


def close(desk: Desk, terminal_id: int, message: SettlementCloseRequest) -> SettlementCloseAnswer:
    """Close the batch with what differs."""
    if not _is_active(desk, terminal_id):
        return close_undecided(message, NOT_PERMITTED)

    def seen(differing: Sequence[Differing]) -> bool:
        digest = differences_digest(map(_difference_row, differing))
        return (len(differing), digest) == (message.differences, message.differences_digest)

    now_ms = desk.now_ms()
    settled = settlement.close(desk.ledger, terminal_id, message.batch, seen, now_ms)
    _note(desk, terminal_id, message.batch, settled, now_ms)
    return _told(SettlementCloseAnswer, message.batch, settled)


def take_part(desk: Desk, terminal_id: int, message: BatchUploadRequest) -> BatchUploadAnswer:
    """Keep a part of the terminal's records."""
    if not _is_active(desk, terminal_id):
        return take_part_undecided(message, NOT_PERMITTED)
    items = [
        Item(r.stan, r.kind, r.standing, r.amount_fen, r.charged_fen, min(r.rrn, RRN_MAX), r.points)
        for r in message.records
    ]
    next_part = settlement.take_part(desk.ledger.store, terminal_id, message.batch, message.part, items)
    return BatchUploadAnswer(
        batch=message.batch,
        part=message.part,
        response_code=DONE if next_part else ANOTHER_BATCH,
        next_part=next_part,
    )


def end_parts(desk: Desk, terminal_id: int, message: BatchEndRequest) -> BatchEndAnswer:
    """Compare, now that all records are said to be here."""
    if not _is_active(desk, terminal_id):
        return end_parts_undecided(message, NOT_PERMITTED)
    compared = settlement.end_parts(desk.ledger.store, terminal_id, message.batch, message.records)
    if compared.differing is not None:
        code = DONE
    else:
        code = RECORDS_MISSING if compared.next_part else ANOTHER_BATCH
    return BatchEndAnswer(
        batch=message.batch,
        response_code=code,
        differences=len(compared.differing or ()),
        next_part=compared.next_part,
    )


def differences(desk: Desk, terminal_id: int, message: DifferencesRequest) -> DifferencesAnswer:
    """One page of what differs."""
    first = (message.page - 1) * ROWS_MAX
    compared, count = settlement.differences(desk.ledger.store, terminal_id, message.batch, first, ROWS_MAX)
    if compared.differing is None:
        code = RECORDS_MISSING if compared.next_part else ANOTHER_BATCH
        return DifferencesAnswer(batch=message.batch, page=message.page, response_code=code, pages=0)
    return DifferencesAnswer(
        batch=message.batch,
        page=message.page,
        response_code=DONE,
        pages=-(-count // ROWS_MAX),
        differences=tuple(map(_difference_row, compared.differing)),
    )


def _is_active(desk: Desk, terminal_id: int) -> bool:
    """A terminal may have been revoked while its session was open."""
    found = desk.registry.find_terminal(terminal_id)
    return found is not None and found.status == Status.ACTIVE


def _note(desk: Desk, terminal_id: int, batch: int, settled: Settled, now_ms: int) -> None:
    """Say in the logs, the terminal's own too, what was done by this request; of a copy nothing."""
    where = {"terminal": show_terminal(terminal_id), "batch": batch, "settlement": settled.settlement}
    if settled.result is Result.UNBALANCED:
        log.warning("batch does not balance: expected the same totals as the journal's", **where)
    elif settled.result is Result.CLOSED and settled.closed_at_ms == now_ms:
        event = EventKind.SETTLEMENT_DIFFERED if settled.differences else EventKind.SETTLED
        with desk.transaction():
            desk.devices.note(terminal_id, now_ms, event, f"batch {batch}, settlement {settled.settlement}")
        if settled.differences:
            log.error(
                "batch closed with differences: the office has the list", differences=settled.differences, **where
            )
        else:
            log.info("batch closed", **where)


# --- while the ledger cannot be written: nothing is decided, ask again


def settle_undecided(message: SettlementRequest, code: str) -> SettlementAnswer:
    """See `Call`."""
    return SettlementAnswer(
        batch=message.batch, result=SettlementResult.UNDECIDED, response_code=code, next_batch=message.batch
    )


def close_undecided(message: SettlementCloseRequest, code: str) -> SettlementCloseAnswer:
    """See `Call`."""
    return SettlementCloseAnswer(
        batch=message.batch, result=SettlementResult.UNDECIDED, response_code=code, next_batch=message.batch
    )


def take_part_undecided(message: BatchUploadRequest, code: str) -> BatchUploadAnswer:
    """See `Call`."""
    return BatchUploadAnswer(batch=message.batch, part=message.part, response_code=code, next_part=message.part)


def end_parts_undecided(message: BatchEndRequest, code: str) -> BatchEndAnswer:
    """See `Call`."""
    return BatchEndAnswer(batch=message.batch, response_code=code, differences=0, next_part=0)


def differences_undecided(message: DifferencesRequest, code: str) -> DifferencesAnswer:
    """See `Call`."""
    return DifferencesAnswer(batch=message.batch, page=message.page, response_code=code, pages=0)


# --- words of the wire, words of the ledger


def request_hash(message: SettlementRequest) -> bytes:
    """Of all that the request says. It is stored, so its recipe never changes."""
    said = " ".join(f"{row.kind.value}:{row.count}:{row.amount_fen}:{row.charged_fen}" for row in message.totals)
    text = f"settle {message.operator} {message.claimed_at_s} {message.fingerprint.hex()} {said}"
    return sha256(text.encode()).digest()[:16]


def _told(answer: type[A], batch: int, settled: Settled) -> A:
    return answer(
        batch=batch,
        result=_result(settled),
        response_code=_CODES[settled.result],
        next_batch=min(settled.next_batch, MAX_BATCH),
        settlement=settled.settlement,
        differences=settled.differences,
        closed_at_ms=settled.closed_at_ms,
        digest=settled.digest,
        totals=tuple(_totals_rows(settled.totals)),
    )


def _result(settled: Settled) -> SettlementResult:
    if settled.result is Result.CLOSED:
        is_balanced = settled.state == State.BALANCED
        return SettlementResult.BALANCED if is_balanced else SettlementResult.CLOSED_WITH_DIFFERENCES
    return SettlementResult[settled.result.name]


def _totals_rows(totals: Iterable[Total]) -> Iterable[TotalsRow]:
    return (TotalsRow(TransactionKind(kind), *rest) for kind, *rest in totals)


def _record_row(item: Item) -> RecordRow:
    stan, kind, standing, amount_fen, charged_fen, rrn, points = item
    return RecordRow(stan, _KINDS[kind], _STANDINGS[standing], amount_fen, charged_fen, rrn, points)


def _difference_row(row: Differing) -> DifferenceRow:
    return DifferenceRow(
        row.stan,
        DifferenceKind(row.difference),
        TransactionKind(row.kind),
        RecordStanding(row.terminal_standing),
        row.terminal_fen,
        RecordStanding(row.host_standing),
        row.host_fen,
        row.rrn,
    )
