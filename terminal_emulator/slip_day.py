"""Slips that are about no single transaction: totals of a batch, its settlement, the opening float, a price.

They come from figures that others have counted; here they are only laid out. A difference of a settlement takes two
rows, so that whoever looks for it has the voucher number, what is wrong, and both amounts in one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from enum import StrEnum
from typing import Final

import msgspec

from protocol import TerminalNumber
from protocol.messages.money import TransactionKind
from terminal_emulator.columns import fit, right
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.record import Merchant
from terminal_emulator.slip import RULE, SLIP_COLUMNS, Copy, Row, Slip, Style, mark, name_rows, rmb
from terminal_emulator.texts import CHINA_TIME, KIND_TEXT, date_time, yuan

NAME_COLUMNS: Final = 14
"""The longest name of a kind, in Chinese."""

COUNT_COLUMNS: Final = 6
AMOUNT_COLUMNS: Final = SLIP_COLUMNS - NAME_COLUMNS - COUNT_COLUMNS


class TypeTotal(msgspec.Struct, frozen=True, gc=False):
    """How many transactions of one kind there were, and their amounts together."""

    kind: TransactionKind
    count: int
    amount_fen: int


class DifferenceKind(StrEnum):
    """How the two records of one transaction differ."""

    MISSING_THERE = "missing there"
    MISSING_HERE = "missing here"
    DOUBLED = "doubled"
    AMOUNT = "amount"
    STATUS = "status"
    OTHER_DAY = "other day"


DIFFERENCE_TEXT: Final = {
    DifferenceKind.MISSING_THERE: N_("Not at the host"),
    DifferenceKind.MISSING_HERE: N_("Not in this till"),
    DifferenceKind.DOUBLED: N_("Booked twice"),
    DifferenceKind.AMOUNT: N_("Amounts differ"),
    DifferenceKind.STATUS: N_("States differ"),
    DifferenceKind.OTHER_DAY: N_("Of another day"),
}


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One transaction on which terminal and host disagree; None where a side has no record of it."""

    what: DifferenceKind
    kind: TransactionKind
    stan: int
    here_fen: int | None
    there_fen: int | None


class Settlement(msgspec.Struct, frozen=True):
    """What came of closing a batch."""

    batch: int
    next_batch: int
    here: tuple[TypeTotal, ...]
    there: tuple[TypeTotal, ...]
    differences: tuple[Difference, ...] = ()

    @property
    def is_balanced(self) -> bool:
        """Whether terminal and host agree in every total and every record."""
        return self.here == self.there and not self.differences


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What every slip says beyond its own figures: where, who and when."""

    terminal: TerminalNumber
    merchant: Merchant | None
    operator: int
    at_s: float
    zone: tzinfo = CHINA_TIME


def totals_slip(batch: int, totals: Sequence[TypeTotal], desk: Desk, _: Translate) -> Slip:
    """Totals by kind of the batch that is still open."""
    return _slip(_("TOTALS"), (), [*_totals(totals, _)], desk, _, batch=batch)


def settlement_slip(result: Settlement, desk: Desk, _: Translate, *, reprint: bool = False) -> Slip:
    """A settlement: balanced or not, the totals, and if they differ those of the host and every difference."""
    verdict = _("BALANCED") if result.is_balanced else _("NOT BALANCED")
    rows = [*_totals(result.here, _)]
    if not result.is_balanced:
        rows += [RULE, Row(_("Totals of the host"), style=Style.CENTER), *_totals(result.there, _), RULE]
        rows.append(Row(_("Differences"), str(len(result.differences))))
        rows += [row for difference in result.differences for row in _difference(difference, _)]
    rows += [RULE, Row(_("Next batch"), f"{result.next_batch:06d}")]
    marks = (_("REPRINT"), verdict) if reprint else (verdict,)
    return _slip(_("SETTLEMENT"), marks, rows, desk, _, batch=result.batch)


def float_slip(amount_fen: int, desk: Desk, _: Translate) -> Slip:
    """The change a cashier put into the drawer before the first sale."""
    return _slip(_("OPENING FLOAT"), (), [Row(_("Cash in drawer"), rmb(amount_fen), Style.AMOUNT)], desk, _)


def exchange_slip(back_fen: int, new_fen: int, desk: Desk, _: Translate) -> Slip:
    """Goods exchanged: what was given back, what was taken instead, and who owes whom the difference."""
    rows = [Row(_("Returned"), rmb(back_fen)), Row(_("Taken"), rmb(new_fen))]
    label = _("Customer pays") if new_fen >= back_fen else _("Customer gets")
    rows.append(Row(label, rmb(abs(new_fen - back_fen)), Style.AMOUNT))
    return _slip(_("EXCHANGE"), (), rows, desk, _)


def _slip(title: str, marks: Sequence[str], rows: Sequence[Row], desk: Desk, _: Translate, *, batch: int = 0) -> Slip:
    details = [
        (_("Merchant no."), str(desk.merchant.number) if desk.merchant else ""),
        (_("Terminal"), str(desk.terminal)),
        (_("Operator"), f"{desk.operator:02d}" if desk.operator else ""),
        (_("Batch"), f"{batch:06d}" if batch else ""),
        (_("Time"), date_time(desk.at_s, desk.zone)),
    ]
    everything = [
        *name_rows(desk.merchant, _),
        Row(title, style=Style.TITLE),
        *map(mark, marks),
        RULE,
        *(Row(label, value) for label, value in details if value),
        RULE,
        *rows,
        RULE,
        Row(_("Merchant copy"), style=Style.CENTER),
    ]
    return Slip(copy=Copy.MERCHANT, stan=0, rows=tuple(everything))


def _totals(totals: Sequence[TypeTotal], _: Translate) -> Iterator[Row]:
    yield Row(_table_row(_("Kind"), _("Count"), _("Amount")))
    for total in totals:
        yield Row(_table_row(_(KIND_TEXT[total.kind]), str(total.count), yuan(total.amount_fen)))
    if not totals:
        yield Row(_("None"))


def _table_row(name: str, count: str, amount: str) -> str:
    return fit(name, NAME_COLUMNS) + right(count, COUNT_COLUMNS) + right(amount, AMOUNT_COLUMNS)


def _difference(difference: Difference, _: Translate) -> Iterator[Row]:
    yield Row(f"{difference.stan:06d} {_(KIND_TEXT[difference.kind])}", _(DIFFERENCE_TEXT[difference.what]))
    here = "--" if difference.here_fen is None else yuan(difference.here_fen)
    there = "--" if difference.there_fen is None else yuan(difference.there_fen)
    yield Row(f"  {_('Till')} {here}", f"{_('Host')} {there}")
