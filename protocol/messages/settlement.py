"""Settlement (结算): a batch is compared with the host's journal and closed; where they differ, record by record.

0500/00 states the terminal's totals by kind, and a fingerprint of the records behind them, so that two mistakes which
make up for each other are found as well. If the host has the same, the batch is closed with the answer. If not, the
terminal sends its records (批上送, 0320/01, as many parts as it takes), says how many there were (0320/02), reads which
of them differ and how (0320/03), and closes the batch with these differences once a supervisor has accepted them
(0500/01). A batch that is closed stays so: a copy of the request that closed it gets the same answer for ever.

Whatever is interrupted is taken up where it stood: the answer to a part names the part the host wants next.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from hashlib import sha256
from typing import Final

import msgspec

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages.fields import Field, Layout, Message, choice, code2, octets, rows, unsigned
from protocol.messages.money import MAX_BATCH, MAX_STAN, TransactionKind, cashier_field, claimed_at_field
from protocol.state import Kind

TOTALS_MAX: Final = len(TransactionKind)
"""A row for each kind of transaction there is."""
ROWS_MAX: Final = 32
"""Records or differences in one message: a third of a body, and a commit on the host that keeps no sale waiting."""
MAX_PART: Final = MAX_STAN // ROWS_MAX + 1
"""The parts of the largest batch there can be."""
FINGERPRINT_SIZE: Final = 8
DIGEST_SIZE: Final = 8
"""Bytes of the journal's newest digest that the slip carries: paper bears witness to the journal up to here."""


class SettlementResult(IntEnum):
    """What became of the batch. With UNDECIDED nothing has: ask again."""

    BALANCED = 1
    UNBALANCED = 2
    CLOSED_WITH_DIFFERENCES = 3
    ALREADY_CLOSED = 4
    """By another request: this one came too late, or the terminal has lost its memory of it."""
    EARLIER_OPEN = 5
    """`next_batch` is an older batch of this terminal that was never settled, and has money in it or is the newest that
    the host knows of: that one first."""
    UNDECIDED = 6


class RecordStanding(IntEnum):
    """How a record stands at the terminal, or at the host."""

    NONE = 0
    """It is not there."""
    APPROVED = 1
    DECLINED = 2
    REVERSED = 3


class DifferenceKind(IntEnum):
    """How terminal and host differ over one record."""

    MISSING_AT_HOST = 1
    MISSING_AT_TERMINAL = 2
    DOUBLED = 3
    """The terminal has the number twice: the host has at most one of them."""
    AMOUNT = 4
    STATUS = 5
    """Both have it; one says that money moved, the other that it did not."""
    OTHER_DAY = 6
    """The host has it in another batch, so it belongs to another settlement."""
    KIND = 7
    """Both have the number, for transactions of different kinds."""
    POINTS = 8
    """The money is the same, but not the points that were earned or taken back: these are what both sides tell."""


class TotalsRow(msgspec.Struct, frozen=True):
    """Approved and not reversed transactions of one kind. Of points sales `amount_fen` counts points."""

    kind: TransactionKind
    count: int
    amount_fen: int
    charged_fen: int


class RecordRow(msgspec.Struct, frozen=True):
    """One transaction of the batch as the terminal has it."""

    stan: int
    kind: TransactionKind
    standing: RecordStanding
    amount_fen: int
    charged_fen: int
    rrn: int
    points: int = 0


def totals_of(records: Iterable[RecordRow]) -> tuple[TotalsRow, ...]:
    """What records come to: one row for each kind of which some are approved, in the order of the kinds."""
    sums: dict[TransactionKind, tuple[int, int, int]] = {}
    for record in records:
        if record.standing is RecordStanding.APPROVED:
            count, amount_fen, charged_fen = sums.get(record.kind, (0, 0, 0))
            sums[record.kind] = (count + 1, amount_fen + record.amount_fen, charged_fen + record.charged_fen)
    return tuple(TotalsRow(kind, *sums[kind]) for kind in sorted(sums))


def fingerprint(records: Iterable[RecordRow]) -> bytes:
    """First bytes of SHA-256 over the approved records in the order of their STANs: STAN (3 bytes), kind (1), amount,
    charged amount and points (4 each). Both sides compute it from what they have."""
    approved = [record for record in records if record.standing is RecordStanding.APPROVED]
    approved.sort(key=lambda record: (record.stan, record.kind, record.amount_fen, record.charged_fen, record.points))
    packed = b"".join(
        record.stan.to_bytes(3, "big")
        + record.kind.to_bytes(1, "big")
        + record.amount_fen.to_bytes(4, "big")
        + record.charged_fen.to_bytes(4, "big")
        + record.points.to_bytes(4, "big")
        for record in approved
    )
    return sha256(packed).digest()[:FINGERPRINT_SIZE]


class DifferenceRow(msgspec.Struct, frozen=True):
    """One difference: what each side has, in fen charged, of POINTS in points; 0 where it has nothing."""

    stan: int
    difference: DifferenceKind
    kind: TransactionKind
    terminal_standing: RecordStanding
    terminal_fen: int
    host_standing: RecordStanding
    host_fen: int
    rrn: int


def differences_digest(differences: Iterable[DifferenceRow]) -> bytes:
    """First bytes of SHA-256 over the list of differences as it was read, each field as 0330/03 has it. The batch is
    closed with this list and with no other."""
    packed = b"".join(
        row.stan.to_bytes(3, "big")
        + bytes((row.difference, row.kind, row.terminal_standing))
        + row.terminal_fen.to_bytes(4, "big")
        + row.host_standing.to_bytes(1, "big")
        + row.host_fen.to_bytes(4, "big")
        + row.rrn.to_bytes(8, "big")
        for row in differences
    )
    return sha256(packed).digest()[:FINGERPRINT_SIZE]


class SettlementRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: what this batch comes to here. Close it if it comes to the same there."""

    batch: int
    operator: int = 0
    claimed_at_s: int
    fingerprint: bytes
    totals: tuple[TotalsRow, ...] = ()


class _Settled(Message, frozen=True, kw_only=True):
    batch: int
    result: SettlementResult
    response_code: str
    next_batch: int
    settlement: int = 0
    differences: int = 0
    closed_at_ms: int = 0
    digest: bytes = bytes(DIGEST_SIZE)
    totals: tuple[TotalsRow, ...] = ()


class SettlementAnswer(_Settled, frozen=True, kw_only=True):
    """Host to terminal: what became of the batch, and what it comes to at the host."""


class SettlementCloseRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: a supervisor has accepted these differences; close the batch with them."""

    batch: int
    operator: int = 0
    claimed_at_s: int
    differences: int
    differences_digest: bytes


class SettlementCloseAnswer(_Settled, frozen=True, kw_only=True):
    """Host to terminal: closed, or UNBALANCED again, if it has not exactly these: read them anew."""


class BatchUploadRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: one part of the batch's records, in the order of their numbers. The first part is 1.

    A part that says otherwise than it did before takes the place of itself and all parts behind it.
    """

    batch: int
    part: int
    records: tuple[RecordRow, ...]


class BatchUploadAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the part it wants next, whichever came."""

    batch: int
    part: int
    response_code: str
    next_part: int


class BatchEndRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: so many records were sent. What differs?"""

    batch: int
    records: int


class BatchEndAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: how many differences there are; or, with code 79, the part to go on from."""

    batch: int
    response_code: str
    differences: int
    next_part: int


class DifferencesRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: one page of the differences, the first is 1."""

    batch: int
    page: int


class DifferencesAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the differences of that page, by STAN; of how many pages."""

    batch: int
    page: int
    response_code: str
    pages: int
    differences: tuple[DifferenceRow, ...] = ()


def _batch() -> Field:
    return unsigned("batch", 3, "batch number 批次号", low=1, high=MAX_BATCH)


def _kind() -> Field:
    return choice("kind", TransactionKind, "kind of transaction")


def _totals(whose: str) -> Field:
    return rows(
        "totals",
        TotalsRow,
        [
            _kind(),
            unsigned("count", 3, "how many were approved and not reversed", high=MAX_STAN),
            unsigned("amount_fen", 8, "their amounts in fen; of points, in points", high=MAX_STAN * MAX_AMOUNT_FEN),
            unsigned("charged_fen", 8, "what was charged or given for them, in fen", high=MAX_STAN * 0xFFFF_FFFF),
        ],
        TOTALS_MAX,
        f"{whose} totals, one row a kind that occurs, in the order of their numbers",
    )


def _part(name: str, note: str, *, low: int = 1) -> Field:
    return unsigned(name, 2, note, low=low, high=MAX_PART)


def _differences() -> Field:
    return unsigned("differences", 3, "how many records differ", high=2 * MAX_STAN)


_STANDINGS: Final = "none: it is not there"

_SETTLED: Final = [
    _batch(),
    choice("result", SettlementResult, "what became of the batch"),
    code2("response_code", "response code: 00 closed; 95 it does not balance; 77 another batch; 09 or 96 ask again"),
    unsigned("next_batch", 3, "batch number to go on with; with earlier_open the one to settle first", high=MAX_BATCH),
    unsigned("settlement", 4, "number of the settlement at the host, 0 = none made"),
    _differences(),
    unsigned("closed_at_ms", 8, "when it was closed, milliseconds since 1970-01-01 UTC; 0 = not closed"),
    octets("digest", DIGEST_SIZE, "first bytes of the journal's newest digest at that moment, for the slip"),
    _totals("the host's"),
]

LAYOUTS: Final = (
    Layout(
        SettlementRequest,
        0x0500,
        0x00,
        "settlement",
        [
            _batch(),
            cashier_field(),
            claimed_at_field(),
            octets(
                "fingerprint",
                FINGERPRINT_SIZE,
                "SHA-256, cut, over each approved record by STAN: its STAN (3), kind (1), amount_fen, charged_fen and"
                " points (4 each)",
            ),
            _totals("the terminal's"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(SettlementAnswer, 0x0510, 0x00, "settlement answer", _SETTLED, kind=Kind.ANSWER),
    Layout(
        SettlementCloseRequest,
        0x0500,
        0x01,
        "settlement close",
        [
            _batch(),
            cashier_field(),
            claimed_at_field(),
            _differences(),
            octets(
                "differences_digest",
                FINGERPRINT_SIZE,
                "SHA-256, cut, over the differences that were read and shown, one behind the other as 0330/03 has them",
            ),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(SettlementCloseAnswer, 0x0510, 0x01, "settlement close answer", _SETTLED, kind=Kind.ANSWER),
    Layout(
        BatchUploadRequest,
        0x0320,
        0x01,
        "batch upload",
        [
            _batch(),
            _part("part", "number of this part, the first is 1"),
            rows(
                "records",
                RecordRow,
                [
                    unsigned("stan", 3, "STAN", low=1, high=MAX_STAN),
                    _kind(),
                    choice("standing", RecordStanding, "how it stands at the terminal"),
                    unsigned("amount_fen", 4, "its amount in fen", high=MAX_AMOUNT_FEN),
                    unsigned("charged_fen", 4, "what was charged or given, in fen"),
                    unsigned("rrn", 8, "RRN it was answered with, 0 = none"),
                    unsigned("points", 4, "points it was answered with"),
                ],
                ROWS_MAX,
                "records of the batch, in the order of their STANs",
            ),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        BatchUploadAnswer,
        0x0330,
        0x01,
        "batch upload answer",
        [
            _batch(),
            _part("part", "equal to the request's"),
            code2("response_code", "00 taken; 77 the batch is closed; 09 or 96: send it again"),
            _part("next_part", "the part the host wants next; 0 = none, the batch is closed", low=0),
        ],
        kind=Kind.ANSWER,
    ),
    Layout(
        BatchEndRequest,
        0x0320,
        0x02,
        "batch upload end",
        [_batch(), unsigned("records", 3, "how many records were sent", high=MAX_STAN)],
        kind=Kind.REQUEST,
    ),
    Layout(
        BatchEndAnswer,
        0x0330,
        0x02,
        "batch upload end answer",
        [
            _batch(),
            code2(
                "response_code", "00 compared; 79 records are missing: send from next_part on; 77 the batch is closed"
            ),
            _differences(),
            _part("next_part", "with 79, the part to go on from; else 0", low=0),
        ],
        kind=Kind.ANSWER,
    ),
    Layout(
        DifferencesRequest,
        0x0320,
        0x03,
        "differences",
        [_batch(), _part("page", "which page, the first is 1")],
        kind=Kind.REQUEST,
    ),
    Layout(
        DifferencesAnswer,
        0x0330,
        0x03,
        "differences answer",
        [
            _batch(),
            _part("page", "equal to the request's"),
            code2("response_code", "response code; 79 the records were not all sent"),
            _part("pages", "how many pages there are", low=0),
            rows(
                "differences",
                DifferenceRow,
                [
                    unsigned("stan", 3, "STAN", low=1, high=MAX_STAN),
                    choice("difference", DifferenceKind, "what differs"),
                    _kind(),
                    choice("terminal_standing", RecordStanding, f"how it stands at the terminal; {_STANDINGS}"),
                    unsigned("terminal_fen", 4, "charged at the terminal, in fen; of points, points"),
                    choice("host_standing", RecordStanding, f"how it stands at the host; {_STANDINGS}"),
                    unsigned("host_fen", 4, "charged at the host, in fen; of points, points"),
                    unsigned("rrn", 8, "the host's RRN; the terminal's if the host has none"),
                ],
                ROWS_MAX,
                "differences of this page, in the order of their STANs",
            ),
        ],
        kind=Kind.ANSWER,
    ),
)
