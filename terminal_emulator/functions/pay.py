"""What every payment has in common: the repeat guard (重复支付?), and the PIN when the host asks for one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from protocol.messages import EntryMode
from protocol.messages.money import TransactionKind
from protocol.pin_block import PIN_DIGITS_MAX, PIN_DIGITS_MIN
from terminal_emulator.columns import beside
from terminal_emulator.dialog import Amount, Card, Confirm, Dialog, Digits, Payer, Prompt, Transact
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import Record, RecordState
from terminal_emulator.texts import SHORT_TEXT, figure_text, masked, yuan
from terminal_emulator.till import Till

PIN_REQUIRED: Final = "1A"
PIN_WRONG: Final = "55"
PIN_CODES: Final = frozenset({PIN_REQUIRED, PIN_WRONG})
"""Declined, and will be approved with the right PIN, under a new number."""


class Discount(NamedTuple):
    """What the cashier took off the full price, and whether a supervisor's password allowed it."""

    off_fen: int
    is_allowed: bool


NO_DISCOUNT: Final = Discount(0, is_allowed=False)


def pay(
    till: Till,
    kind: TransactionKind,
    amount_fen: int,
    payer: Payer,
    original: Record | None = None,
    pin: str = "",
    discount: Discount = NO_DISCOUNT,
) -> Generator[Prompt, Any, Record]:
    """Move money, with as many PINs as the host asks for; the record as it is in the end."""
    record = till.new_record(kind, amount_fen, payer, original)
    off_fen, is_allowed = discount
    decided: Record = yield Transact(replace(record, discount_fen=off_fen, discount_allowed=is_allowed), pin)
    return (yield from with_pin(till, decided))


def with_pin(till: Till, record: Record) -> Generator[Prompt, Any, Record]:
    """While a record was declined for want of the right PIN: the same again with one, under a new number."""
    _ = till.translate
    payer = Payer(record.payer, record.entry_mode)
    while record.state is RecordState.DECLINED and record.response_code in PIN_CODES:
        label = _("Wrong PIN, again") if record.response_code == PIN_WRONG else _("PIN of the payer")
        title = beside(_(SHORT_TEXT[record.kind]), figure_text(record.kind, record.amount_fen), PANEL_COLUMNS)
        pin = yield Digits(title, label, PIN_DIGITS_MIN, PIN_DIGITS_MAX, masked=True)
        again = till.new_record(
            record.kind,
            record.amount_fen,
            payer,
            original_terminal=record.original_terminal,
            original_batch=record.original_batch,
            original_stan=record.original_stan,
        )
        again = replace(again, discount_fen=record.discount_fen, discount_allowed=record.discount_allowed)
        record = yield Transact(again, pin, online_only=True)
    return record


def pay_with_pin(till: Till, declined: Record) -> Dialog:
    """A plain sale was answered "PIN required"."""
    yield from with_pin(till, declined)


def confirm_repeat(till: Till, payer: Payer, amount_fen: int) -> Dialog:
    """The same payer pays the same amount as the sale before: never silently. The payer says whether it is meant."""
    yield from ask_repeat(till, payer, amount_fen)
    yield from pay(till, TransactionKind.SALE, amount_fen, payer)


def ask_repeat(till: Till, payer: Payer, amount_fen: int) -> Generator[Prompt, Any, None]:
    """Go on only if Enter says that the second payment is meant. It says whose card it was: the next in the queue may
    have the same dish, and the card before still lie on the reader."""
    _ = till.translate
    card = masked(payer.token, is_code=payer.entry_mode is EntryMode.CODE)
    yield Confirm((_("Pay again?"), f"RMB {yuan(amount_fen)}", beside(_("As last"), card, PANEL_COLUMNS)))


def sale(till: Till) -> Dialog:
    """消费, where digits at rest mean something else: amount, card or code. A card swiped first pays."""
    _ = till.translate
    amount_fen = yield Amount(_("Sale"), _("Amount in yuan"))
    payer = yield Card(_("Sale"), amount_fen, may_scan=True)
    if till.is_repeat(payer, amount_fen):
        yield from ask_repeat(till, payer, amount_fen)
    yield from pay(till, TransactionKind.SALE, amount_fen, payer)
