"""Slips: what the printer puts on its roll of 32 half-width columns.

A slip is made from the terminal's record of the sale, never from what happens to be on the screen, so the same slip can
be printed again at any time; a reprint says that it is one. Printing is the last thing that happens to a sale: nothing
here can fail for odd contents, and whatever the printer does, the sale stays what it is.
"""

from __future__ import annotations

from datetime import tzinfo
from enum import StrEnum
from typing import Final

import msgspec

from protocol import TerminalNumber
from terminal_emulator.columns import center, clean, columns, spread, wrap
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.texts import CHINA_TIME, advice, date_time, masked, yuan

SLIP_COLUMNS: Final = 32
"""A 58 mm printer with its usual font: 384 dots, 12 to a half-width column."""

RULE: Final = "-" * SLIP_COLUMNS


class Copy(StrEnum):
    """Whom a slip is for."""

    MERCHANT = "merchant"
    CUSTOMER = "customer"


COPY_TEXT: Final = {Copy.MERCHANT: N_("Merchant copy"), Copy.CUSTOMER: N_("Customer copy")}

STATE_TEXT: Final = {
    RecordState.PENDING: N_("Result unknown"),
    RecordState.APPROVED: N_("Approved"),
    RecordState.DECLINED: N_("Declined"),
    RecordState.REVERSING: N_("Not charged"),
    RecordState.REVERSED: N_("Reversed"),
    RecordState.REPEATING: N_("Result unknown"),
}


class Slip(msgspec.Struct, frozen=True, kw_only=True):
    """One slip; `lines` have at most `SLIP_COLUMNS` columns each."""

    copy: Copy
    stan: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Plain text, ready for a printer that wraps nothing: every line ended by a line feed."""
        return "".join(f"{line}\n" for line in self.lines)


def sale_slip(
    record: Record,
    terminal: TerminalNumber,
    merchant: Merchant | None,
    copy: Copy,
    _: Translate,
    *,
    reprint: bool = False,
    zone: tzinfo = CHINA_TIME,
) -> Slip:
    """The slip of a sale. The time is the host's posting time if there is one, else the terminal's claim."""
    at_s = record.posted_at_ms / 1000 if record.posted_at_ms else record.claimed_at_s
    details = [
        (_("Merchant no."), str(merchant.number) if merchant else ""),
        (_("Terminal"), str(terminal)),
        (_("Operator"), f"{record.operator:02d}" if record.operator else ""),
        (_("Card"), masked(record.payer)),
        (_("Batch"), f"{record.batch:06d}"),
        (_("Voucher"), f"{record.stan:06d}"),
        (_("Reference"), f"{record.rrn:012d}" if record.rrn else ""),
        (_("Time"), date_time(at_s, zone)),
    ]
    money = [(_("Amount"), f"RMB {yuan(record.amount_fen)}")]
    if record.state is RecordState.APPROVED:
        money.append((_("Balance"), f"RMB {yuan(record.balance_fen)}"))
    name = clean(merchant.name).strip() if merchant else ""
    lines = [
        *(center(line, SLIP_COLUMNS) for line in wrap(name or _("Canteen"), SLIP_COLUMNS)),
        center(_("SALE"), SLIP_COLUMNS),
        *([center(f"*** {_('REPRINT')} ***", SLIP_COLUMNS)] if reprint else []),
        RULE,
        *(_row(label, value) for label, value in details if value),
        RULE,
        *(_row(label, value) for label, value in money),
        _row(_("Result"), _result(record, _)),
        RULE,
        center(_(COPY_TEXT[copy]), SLIP_COLUMNS),
    ]
    return Slip(copy=copy, stan=record.stan, lines=tuple(line.rstrip() for line in lines))


def _row(label: str, value: str) -> str:
    return spread(label, value, SLIP_COLUMNS)


def _result(record: Record, _: Translate) -> str:
    """The outcome, with the host's reason where it gave one and it fits."""
    state = _(STATE_TEXT[record.state])
    if record.state is not RecordState.DECLINED:
        return state
    reason = f"{state} {record.response_code} {_(advice(record.response_code).reason)}"
    return reason if columns(reason) <= SLIP_COLUMNS - columns(_("Result")) - 1 else f"{state} {record.response_code}"
