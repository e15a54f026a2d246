"""消费撤销: a whole sale of this batch goes back to its payer. Supervisor's password, voucher number, check, card."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from protocol.messages.money import EntryMode, TransactionKind
from terminal_emulator.columns import beside
from terminal_emulator.dialog import Card, Confirm, Dialog, Digits, Prompt, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.functions.lookups import VOUCHER_DIGITS
from terminal_emulator.functions.pay import pay
from terminal_emulator.functions.refund import REFUNDABLE
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import Record, RecordState
from terminal_emulator.texts import COUNTS_POINTS, KIND_TEXT, SHORT_TEXT, masked, sum_text
from terminal_emulator.till import Till

SAME_AS = {TransactionKind.OFFLINE_SALE: TransactionKind.SALE}
"""What is voided as something else is: once it is uploaded, a sale made offline is a sale."""


def void(till: Till) -> Dialog:
    """The supervisor's password has been given."""
    yield from void_of(till, TransactionKind.SALE, TransactionKind.VOID)


def void_of(till: Till, original_kind: TransactionKind, kind: TransactionKind) -> Dialog:
    """A void of any kind: by voucher number, after a look at what it is, with the card that paid."""
    _ = till.translate
    title = _(KIND_TEXT[kind])
    record = yield from _find(till, title, original_kind)
    paid_by = masked(record.payer, is_code=record.entry_mode is EntryMode.CODE)
    voucher = beside(_(SHORT_TEXT[kind]), f"{record.stan:06d}", PANEL_COLUMNS)
    yield Confirm((voucher, sum_text(record.kind, record.amount_fen, _), paid_by))
    payer = yield Card(title, None if record.kind in COUNTS_POINTS else record.amount_fen, may_scan=True)
    yield from pay(till, kind, record.amount_fen, payer, record)


def _find(till: Till, title: str, original_kind: TransactionKind) -> Generator[Prompt, Any, Record]:
    """Ask for a voucher number until it is that of something to be voided.

    The next number is keyed here and not at rest, where it would be the amount of a sale.
    """
    _ = till.translate
    while True:
        stan = yield Digits(title, _("Voucher no."), 1, VOUCHER_DIGITS)
        record = till.find(int(stan))
        if record is not None and record.state is RecordState.OFFLINE and original_kind is TransactionKind.SALE:
            why, action = _("Not uploaded yet"), _("Try again later")
        elif (
            record is None
            or SAME_AS.get(record.kind, record.kind) is not original_kind
            or record.state is not RecordState.APPROVED
        ):
            why, action = _("Sale not found"), _("Check voucher no")
        elif record.identity not in till.storage.records:
            why = _("Settled already")
            action = _("Refund it") if record.kind in REFUNDABLE else _("Call the manager")
        elif undone := till.undone_by(record):
            is_refunded = any(one.kind is TransactionKind.REFUND for one in undone)
            why = _("Refunded already") if is_refunded else _("Voided already")
            action = _("Refund the rest") if is_refunded else _("Check voucher no")
        else:
            return record
        yield Show((title, why, action), BeepKind.ERROR)
