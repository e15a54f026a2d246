"""What a terminal remembers of a settlement, and what its slip says. Values only: `flows.settlement` has the talking.

A settlement begins with a new batch number for whatever is sold from then on, so that nobody is locked out of selling
while an older batch is being settled, be it for a minute or, the line being down, for a day.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from protocol.messages.money import TransactionKind
from protocol.messages.settlement import DIGEST_SIZE, DifferenceRow, TotalsRow
from terminal_emulator.record import Merchant
from terminal_emulator.texts import COUNTS_POINTS


class Stage(StrEnum):
    """What is to be done next."""

    TOTALS = "totals"  # say what the batch comes to
    UPLOAD = "upload"  # send the records, from `part` on
    END = "end"  # say that all are sent
    DIFFERENCES = "differences"  # read what differs, from `page` on
    ACCEPT = "accept"  # a supervisor has to accept what differs
    CLOSE = "close"  # it was accepted: close the batch
    ELSEWHERE = "elsewhere"  # the host closed it for another request: a supervisor has to know
    DONE = "done"  # closed, and the records of the batch are gone


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="settlement"):
    """One batch on its way to be settled. `operator` and `claimed_at_s` are those of its beginning, so that a request
    sent again is a copy. What the host said is 0 or empty while it has not said it."""

    batch: int
    operator: int
    claimed_at_s: int
    stage: Stage = Stage.TOTALS
    part: int = 1
    page: int = 1
    difference_count: int = 0
    differences: tuple[DifferenceRow, ...] = ()
    totals: tuple[TotalsRow, ...] = ()
    """What it came to here: kept when the records go."""
    host_totals: tuple[TotalsRow, ...] = ()
    settlement: int = 0
    is_balanced: bool = False
    closed_at_ms: int = 0
    digest: bytes = bytes(DIGEST_SIZE)

    @property
    def is_open(self) -> bool:
        """Whether something is left to be done."""
        return self.stage is not Stage.DONE


class ReportRow(msgspec.Struct, frozen=True):
    """One kind of transaction on a slip of totals: here, and at the host (0 where it was not asked)."""

    kind: TransactionKind
    count: int
    charged_fen: int
    host_count: int = 0
    host_fen: int = 0


class TotalsReport(msgspec.Struct, frozen=True):
    """What the batch comes to so far."""

    terminal: str
    merchant: Merchant | None
    batch: int
    operator: int
    printed_at_s: int
    rows: tuple[ReportRow, ...]
    float_fen: int = 0
    """The change that was in the drawer before the first sale."""
    cash_fen: int | None = None
    """What top-ups have brought in cash, less what their voids have paid out; None if there were none."""


class SettlementReport(msgspec.Struct, frozen=True):
    """What the slip of a settlement says. `digest` are the first bytes of the host's journal at that moment: paper that
    bears witness to it. `settlement` 0: closed by a request of which this terminal knows nothing."""

    terminal: str
    merchant: Merchant | None
    batch: int
    operator: int
    settlement: int
    closed_at_ms: int
    digest: bytes
    is_balanced: bool
    rows: tuple[ReportRow, ...]
    differences: tuple[DifferenceRow, ...] = ()
    is_reprint: bool = False
    cash_fen: int | None = None
    """What top-ups have brought in cash, less what their voids have paid out; None if there were none."""


CASH: Final = {TransactionKind.TOPUP: 1, TransactionKind.TOPUP_VOID: -1}
"""What moves cash, and which way: its amount is the cash, what was credited is more by the bonus."""


def cash_of(amounts: Iterable[tuple[TransactionKind, int]]) -> int | None:
    """What these have brought into the drawer, in fen; None if none of them moves cash."""
    moved = [CASH[kind] * amount_fen for kind, amount_fen in amounts if kind in CASH]
    return sum(moved) if moved else None


def report_rows(totals: tuple[TotalsRow, ...], host: tuple[TotalsRow, ...] = ()) -> tuple[ReportRow, ...]:
    """Both sides' totals beside each other, one row for each kind that either side has. Points have no fen: for them
    the amounts stand here."""
    mine, theirs = {row.kind: row for row in totals}, {row.kind: row for row in host}
    nothing = TotalsRow(TransactionKind.SALE, 0, 0, 0)
    return tuple(
        ReportRow(
            kind,
            mine.get(kind, nothing).count,
            _moved(mine.get(kind, nothing)),
            theirs.get(kind, nothing).count,
            _moved(theirs.get(kind, nothing)),
        )
        for kind in sorted(mine.keys() | theirs.keys())
    )


def _moved(row: TotalsRow) -> int:
    return row.amount_fen if row.kind in COUNTS_POINTS else row.charged_fen


def report(done: Settlement, terminal: str, merchant: Merchant | None, *, is_reprint: bool = False) -> SettlementReport:
    """The slip of a settlement that is done."""
    return SettlementReport(
        terminal=terminal,
        merchant=merchant,
        batch=done.batch,
        operator=done.operator,
        settlement=done.settlement,
        closed_at_ms=done.closed_at_ms,
        digest=done.digest,
        is_balanced=done.is_balanced,
        rows=report_rows(done.totals, done.host_totals),
        differences=done.differences,
        is_reprint=is_reprint,
        cash_fen=cash_of((row.kind, row.amount_fen) for row in done.totals),
    )
