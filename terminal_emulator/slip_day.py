"""Slips that are not made of one record's decision: reprints, reversal notices, totals of a batch, its settlement, the
opening float.

`lay_out` finds the layout of a report by its type. Reports are made from figures that others have counted. A difference
of a settlement takes two rows, so that whoever looks for it has the voucher number, what is wrong, and both amounts in
one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from typing import Any, Final

import msgspec

from protocol import TerminalNumber
from protocol.messages.money import TransactionKind
from protocol.messages.settlement import DifferenceKind, DifferenceRow, RecordStanding
from terminal_emulator.columns import fit, right
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.record import Merchant, Record
from terminal_emulator.settled import ReportRow, SettlementReport, TotalsReport
from terminal_emulator.slip import RULE, SLIP_COLUMNS, Copy, Row, Slip, Style, mark, name_rows, record_slip
from terminal_emulator.texts import KIND_TEXT, SHORT_TEXT, date_time, figure_text, rmb

NAME_COLUMNS: Final = 14
"""The longest name of a kind."""

COUNT_COLUMNS: Final = 6
AMOUNT_COLUMNS: Final = SLIP_COLUMNS - NAME_COLUMNS - COUNT_COLUMNS
DIGEST_GROUP: Final = 4

DIFFERENCE_TEXT: Final = {
    DifferenceKind.MISSING_AT_HOST: N_("Not at the host"),
    DifferenceKind.MISSING_AT_TERMINAL: N_("Not in this till"),
    DifferenceKind.DOUBLED: N_("Doubled here"),
    DifferenceKind.AMOUNT: N_("Amounts differ"),
    DifferenceKind.STATUS: N_("States differ"),
    DifferenceKind.OTHER_DAY: N_("Of another day"),
    DifferenceKind.KIND: N_("Kinds differ"),
    DifferenceKind.POINTS: N_("Points differ"),
}
STANDING_TEXT: Final = {
    RecordStanding.DECLINED: N_("Declined"),
    RecordStanding.REVERSED: N_("Reversed"),
}
"""What stands for the amount of a record that moved nothing."""


class Reprint(msgspec.Struct, frozen=True):
    """Both copies of a transaction's slip once more."""

    record: Record
    merchant: Merchant | None


class ReversalNotice(msgspec.Struct, frozen=True):
    """冲正通知: nobody knows whether the host has booked it, so it is undone; the cashier keeps this."""

    record: Record
    merchant: Merchant | None


class FloatReport(msgspec.Struct, frozen=True, kw_only=True):
    """The change a cashier put into the drawer before the first sale."""

    merchant: Merchant | None
    operator: int
    printed_at_s: int
    amount_fen: int


class ExchangeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Goods given back and others taken; what is owed was paid or given back by a transaction of its own."""

    merchant: Merchant | None
    operator: int
    printed_at_s: int
    returned_fen: int
    taken_fen: int
    moved_fen: int
    """What the customer paid or got in the end: discounts make it less than the difference of the prices."""


def lay_out(report: msgspec.Struct, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    """The slips of a report, in the order they are printed; KeyError for a type that has no layout."""
    return LAYOUTS[type(report)](report, terminal, _, zone)


def _reprint(report: Reprint, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    record, merchant = report.record, report.merchant
    return tuple(record_slip(record, terminal, merchant, copy, _, reprint=True, zone=zone) for copy in Copy)


def _notice(report: ReversalNotice, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    return (record_slip(report.record, terminal, report.merchant, Copy.MERCHANT, _, zone=zone),)


def _totals(report: TotalsReport, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    details = _details(report, terminal, report.printed_at_s, zone, _, batch=report.batch)
    rows = [*_table(report.rows, _), *_cash(report.cash_fen, _)]
    if report.float_fen:
        rows += [RULE, Row(_("Opening float"), rmb(report.float_fen))]
    return (_slip(_("TOTALS"), (), report.merchant, details, rows, _),)


def _settlement(report: SettlementReport, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    """Balanced or not, the totals of both sides if they differ, every difference, and the witness of the journal."""
    details = _details(report, terminal, report.closed_at_ms / 1000, zone, _, batch=report.batch)
    if report.settlement:
        details.append((_("Settlement no."), str(report.settlement)))
    rows = [*_table(report.rows, _), *_cash(report.cash_fen, _)]
    if not report.is_balanced:
        host = tuple(ReportRow(row.kind, row.host_count, row.host_fen) for row in report.rows)
        rows += [RULE, Row(_("Totals of the host"), style=Style.CENTER), *_table(host, _)]
        rows += [RULE, Row(_("Differences"), str(len(report.differences)))]
        rows += [row for difference in report.differences for row in _difference(difference, _)]
    if any(report.digest):
        digits = report.digest.hex().upper()
        groups = (digits[start : start + DIGEST_GROUP] for start in range(0, len(digits), DIGEST_GROUP))
        rows += [RULE, Row(_("Journal"), " ".join(groups))]
    marks = [_("REPRINT")] if report.is_reprint else []
    marks.append(_("BALANCED") if report.is_balanced else _("NOT BALANCED"))
    return (_slip(_("SETTLEMENT"), marks, report.merchant, details, rows, _),)


def _cash(cash_fen: int | None, _: Translate) -> list[Row]:
    """What is in the drawer by now, without the bonus that was credited and never paid."""
    return [] if cash_fen is None else [RULE, Row(_("Cash of top-ups"), rmb(cash_fen))]


def _float(report: FloatReport, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    details = _details(report, terminal, report.printed_at_s, zone, _)
    rows = [Row(_("Cash in drawer"), rmb(report.amount_fen), Style.AMOUNT)]
    return (_slip(_("OPENING FLOAT"), (), report.merchant, details, rows, _),)


def _exchange(report: ExchangeReport, terminal: TerminalNumber, _: Translate, zone: tzinfo) -> tuple[Slip, ...]:
    details = _details(report, terminal, report.printed_at_s, zone, _)
    owed_fen = report.taken_fen - report.returned_fen
    label = _("Customer pays") if owed_fen >= 0 else _("Customer gets")
    rows = [
        Row(_("Goods returned"), rmb(report.returned_fen)),
        Row(_("Goods taken"), rmb(report.taken_fen)),
        Row(label, rmb(report.moved_fen), Style.AMOUNT),
    ]
    return (_slip(_("EXCHANGE"), (), report.merchant, details, rows, _),)


LAYOUTS: Final[dict[type, Callable[[Any, TerminalNumber, Translate, tzinfo], tuple[Slip, ...]]]] = {
    Reprint: _reprint,
    ReversalNotice: _notice,
    TotalsReport: _totals,
    SettlementReport: _settlement,
    FloatReport: _float,
    ExchangeReport: _exchange,
}


# ------------------------------------------------------------------------------------------------ the pieces


def _details(
    report: TotalsReport | SettlementReport | FloatReport | ExchangeReport,
    terminal: TerminalNumber,
    at_s: float,
    zone: tzinfo,
    _: Translate,
    *,
    batch: int = 0,
) -> list[tuple[str, str]]:
    """Where, who and when."""
    merchant = report.merchant
    return [
        (_("Merchant no."), str(merchant.number) if merchant else ""),
        (_("Terminal"), str(terminal)),
        (_("Operator"), f"{report.operator:02d}" if report.operator else ""),
        (_("Batch"), f"{batch:06d}" if batch else ""),
        (_("Time"), date_time(at_s, zone)),
    ]


def _slip(
    title: str,
    marks: Sequence[str],
    merchant: Merchant | None,
    details: Sequence[tuple[str, str]],
    rows: Sequence[Row],
    _: Translate,
) -> Slip:
    everything = [
        *name_rows(merchant, _),
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


def _table(rows: Sequence[ReportRow], _: Translate) -> Iterator[Row]:
    yield Row(_table_row(_("Kind"), _("Count"), _("Amount")))
    for row in rows:
        yield Row(_table_row(_(KIND_TEXT[row.kind]), str(row.count), figure_text(row.kind, row.charged_fen)))
    if not rows:
        yield Row(_("None"))


def _table_row(name: str, count: str, amount: str) -> str:
    return fit(name, NAME_COLUMNS) + right(count, COUNT_COLUMNS) + right(amount, AMOUNT_COLUMNS)


def _difference(difference: DifferenceRow, _: Translate) -> Iterator[Row]:
    yield Row(f"{difference.stan:06d} {_(SHORT_TEXT[difference.kind])}", _(DIFFERENCE_TEXT[difference.difference]))
    here, there = both_sides(difference, _)
    yield Row(f"  {_('Till')} {here}", f"{_('Host')} {there}")


def both_sides(difference: DifferenceRow, _: Translate) -> tuple[str, str]:
    """What terminal and host have of a record that differs: the sum, what has become of it, or that there is none."""
    kind = difference.kind if difference.difference is not DifferenceKind.POINTS else TransactionKind.POINTS_SALE
    return (
        _side(kind, difference.terminal_standing, difference.terminal_fen, _),
        _side(kind, difference.host_standing, difference.host_fen, _),
    )


def _side(kind: TransactionKind, standing: RecordStanding, amount_fen: int, _: Translate) -> str:
    if standing is RecordStanding.APPROVED:
        return figure_text(kind, amount_fen)
    return _(STANDING_TEXT[standing]) if standing else "--"
