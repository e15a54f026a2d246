"""Slips: what the printer puts on its roll of 32 half-width columns.

A slip is made from the terminal's record of the transaction, never from what happens to be on the screen, so the same
slip can be printed again at any time; a reprint says that it is one. Printing is the last thing that happens to a
transaction: nothing here can fail for odd contents, and whatever the printer does, the transaction stays what it is.

Here are the slips of one transaction; `slip_day` has those of a whole batch and the small ones without money.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from enum import StrEnum
from typing import Final

import msgspec

from protocol import TerminalNumber
from protocol.messages.money import EntryMode, TransactionKind
from terminal_emulator.columns import center, clean, columns, cut, spread, wrap
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.texts import (
    CHINA_TIME,
    COUNTS_POINTS,
    MOVED_TEXT,
    STATE_TEXT,
    advice_about,
    date_time,
    masked,
    points_left,
    rmb,
    sum_text,
)

SLIP_COLUMNS: Final = 32
"""A 58 mm printer with its usual font: 384 dots, 12 to a half-width column."""


class Copy(StrEnum):
    """Whom a slip is for."""

    MERCHANT = "merchant"
    CUSTOMER = "customer"


COPY_TEXT: Final = {Copy.MERCHANT: N_("Merchant copy"), Copy.CUSTOMER: N_("Customer copy")}

TITLE_TEXT: Final = {
    TransactionKind.SALE: N_("SALE"),
    TransactionKind.VOID: N_("SALE VOID"),
    TransactionKind.REFUND: N_("REFUND"),
    TransactionKind.PREAUTH: N_("PRE-AUTH"),
    TransactionKind.PREAUTH_VOID: N_("PRE-AUTH VOID"),
    TransactionKind.COMPLETION: N_("COMPLETION"),
    TransactionKind.COMPLETION_VOID: N_("COMPLETION VOID"),
    TransactionKind.TOPUP: N_("TOP-UP"),
    TransactionKind.TOPUP_VOID: N_("TOP-UP VOID"),
    TransactionKind.POINTS_SALE: N_("POINTS SALE"),
    TransactionKind.POINTS_VOID: N_("POINTS VOID"),
    TransactionKind.OFFLINE_SALE: N_("SALE"),
}
"""The head of a slip; short enough to be printed twice as wide."""

AMOUNT_TEXT: Final = {
    TransactionKind.VOID: N_("Voided"),
    TransactionKind.REFUND: N_("Refunded"),
    TransactionKind.PREAUTH: N_("Held"),
    TransactionKind.PREAUTH_VOID: N_("Released"),
    TransactionKind.COMPLETION_VOID: N_("Voided"),
    TransactionKind.TOPUP: N_("Paid in"),
    TransactionKind.TOPUP_VOID: N_("Paid out"),
    TransactionKind.POINTS_VOID: N_("Voided"),
}
"""What the amount is, where it is not simply one."""

HOLDS_ONLY: Final = frozenset({TransactionKind.PREAUTH, TransactionKind.PREAUTH_VOID})
"""Nothing is charged by them."""

POINTS_TEXT: Final = {
    TransactionKind.SALE: N_("Points earned"),
    TransactionKind.COMPLETION: N_("Points earned"),
    TransactionKind.OFFLINE_SALE: N_("Points earned"),
    TransactionKind.VOID: N_("Points taken"),
    TransactionKind.REFUND: N_("Points taken"),
    TransactionKind.COMPLETION_VOID: N_("Points taken"),
}


class Style(StrEnum):
    """How a row looks on paper. As text, all are 32 columns of the same size."""

    PLAIN = "plain"
    CENTER = "center"
    TITLE = "title"  # centred, bold, twice as large
    AMOUNT = "amount"  # bold, twice as large if it fits


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: `right`, if there is one, stands at the right edge."""

    left: str
    right: str = ""
    style: Style = Style.PLAIN

    def text(self, width: int = SLIP_COLUMNS) -> str:
        """The row in at most so many columns."""
        if self.style is Style.CENTER or self.style is Style.TITLE:
            return center(self.left, width).rstrip()
        return spread(self.left, self.right, width).rstrip() if self.right else cut(self.left, width).rstrip()


RULE: Final = Row("-" * SLIP_COLUMNS)


class Slip(msgspec.Struct, frozen=True, kw_only=True):
    """One slip. `stan` is its transaction, 0 if it is about none; `qr` stands below the rows, on paper only."""

    copy: Copy
    stan: int
    rows: tuple[Row, ...]
    qr: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The rows as text; at most `SLIP_COLUMNS` columns each."""
        return tuple(row.text() for row in self.rows)

    @property
    def text(self) -> str:
        """Plain text, ready for a printer that wraps nothing: every line ended by a line feed."""
        return "".join(f"{line}\n" for line in self.lines)


def record_slip(
    record: Record,
    terminal: TerminalNumber,
    merchant: Merchant | None,
    copy: Copy,
    _: Translate,
    *,
    reprint: bool = False,
    zone: tzinfo = CHINA_TIME,
) -> Slip:
    """The slip of a transaction. The time is the host's posting time if there is one, else the terminal's claim."""
    rows = [
        *name_rows(merchant, _),
        Row(_(TITLE_TEXT[record.kind]), style=Style.TITLE),
        *(mark(text) for text in _marks(record, reprint, _)),
        RULE,
        *(Row(label, value) for label, value in _details(record, terminal, merchant, zone, _) if value),
        RULE,
        *_money(record, _),
        Row(_("Result"), _result(record, _)),
        RULE,
        *_closing(record, copy, _),
        Row(_(COPY_TEXT[copy]), style=Style.CENTER),
    ]
    refundable = copy is Copy.CUSTOMER and record.state is RecordState.APPROVED and record.rrn > 0
    return Slip(copy=copy, stan=record.stan, rows=tuple(rows), qr=f"{record.rrn:012d}" if refundable else "")


def name_rows(merchant: Merchant | None, _: Translate) -> list[Row]:
    """Who sells here, in the middle."""
    name = clean(merchant.name).strip() if merchant else ""
    return [Row(line, style=Style.CENTER) for line in wrap(name or _("Canteen"), SLIP_COLUMNS)]


def mark(text: str) -> Row:
    """What nobody may overlook below the title."""
    return Row(f"*** {text} ***", style=Style.CENTER)


# ------------------------------------------------------------------------------------------------ the pieces


def _marks(record: Record, reprint: bool, _: Translate) -> Iterator[str]:
    if reprint:
        yield _("REPRINT")
    if record.kind is TransactionKind.OFFLINE_SALE:
        yield _("OFFLINE")
    if record.state is RecordState.REVERSING or record.state is RecordState.REVERSED:
        yield _("REVERSAL NOTICE")


def _details(
    record: Record, terminal: TerminalNumber, merchant: Merchant | None, zone: tzinfo, _: Translate
) -> list[tuple[str, str]]:
    """Where, who and which: all that finds the transaction again."""
    at_s = record.posted_at_ms / 1000 if record.posted_at_ms else record.claimed_at_s
    is_code = record.entry_mode is EntryMode.CODE
    elsewhere = record.original_terminal not in (0, terminal.to_int())
    return [
        (_("Merchant no."), str(merchant.number) if merchant else ""),
        (_("Terminal"), str(terminal)),
        (_("Operator"), f"{record.operator:02d}" if record.operator else ""),
        (_("Payment code") if is_code else _("Card"), masked(record.payer, is_code=is_code)),
        (_("Batch"), f"{record.batch:06d}"),
        (_("Voucher"), f"{record.stan:06d}"),
        (_("Reference"), f"{record.rrn:012d}" if record.rrn else ""),
        (_("Orig. terminal"), str(TerminalNumber.from_int(record.original_terminal)) if elsewhere else ""),
        (_("Orig. batch"), f"{record.original_batch:06d}" if record.original_stan else ""),
        (_("Orig. voucher"), f"{record.original_stan:06d}" if record.original_stan else ""),
        (_("Time"), date_time(at_s, zone)),
    ]


def _money(record: Record, _: Translate) -> Iterator[Row]:
    """The amount, how the cashier came to it, and what the host made of it if that is something else."""
    label = _(AMOUNT_TEXT.get(record.kind, N_("Amount")))
    is_approved = record.state is RecordState.APPROVED
    if record.kind in COUNTS_POINTS:
        yield Row(label, sum_text(record.kind, record.amount_fen, _), Style.AMOUNT)
        if is_approved:
            yield Row(*points_left(record.balance_fen, _))
        return
    if record.discount_fen:
        yield Row(_("Full price"), rmb(record.amount_fen + record.discount_fen))
        yield Row(_("Discount"), rmb(record.discount_fen))
        if record.discount_allowed:
            yield Row(_("Allowed by"), _("Supervisor"))
    yield Row(label, rmb(record.amount_fen), Style.AMOUNT)
    if not is_approved:
        return
    adjusted = record.moved_fen - record.amount_fen
    if record.kind not in HOLDS_ONLY and adjusted < 0:
        yield Row(_("Discount"), rmb(-adjusted))
        yield Row(_(MOVED_TEXT.get(record.kind, N_("Charged"))), rmb(record.moved_fen))
    elif record.kind not in HOLDS_ONLY and adjusted > 0:
        is_taken = record.kind is TransactionKind.TOPUP_VOID
        yield Row(_("Bonus taken") if is_taken else _("Bonus"), rmb(adjusted))
        yield Row(_(MOVED_TEXT.get(record.kind, N_("Debited"))), rmb(record.moved_fen))
    if record.points:
        yield Row(_(POINTS_TEXT.get(record.kind, N_("Points"))), str(record.points))
        yield Row(*points_left(record.points_balance, _))
    if record.posted_at_ms:
        yield Row(_("Balance"), rmb(record.balance_fen))


def _result(record: Record, _: Translate) -> str:
    """The outcome, with the host's reason where it gave one and it fits."""
    state = _(STATE_TEXT[record.state])
    if record.state is not RecordState.DECLINED and record.state is not RecordState.REFUSED:
        return state
    reason = f"{state} {record.response_code} {_(advice_about(record.kind, record.response_code).reason)}"
    return reason if columns(reason) <= SLIP_COLUMNS - columns(_("Result")) - 1 else f"{state} {record.response_code}"


def _closing(record: Record, copy: Copy, _: Translate) -> Iterator[Row]:
    """What has to be signed, or told."""
    if record.state is RecordState.REVERSING:
        is_sale = record.kind is TransactionKind.SALE
        what = _("Not charged") if is_sale else _("Did not happen")
        yield Row(what)
        for line in wrap(_("The terminal tells the host until it confirms."), SLIP_COLUMNS):
            yield Row(line)
    if record.state is RecordState.REPEATING:
        for line in wrap(_("Not decided yet. The terminal asks the host until it is."), SLIP_COLUMNS):
            yield Row(line)
    if copy is Copy.MERCHANT and record.entry_mode is EntryMode.CODE and record.state is RecordState.APPROVED:
        yield Row(_("Signature"))
        yield Row("")
        yield RULE
