"""What helps a cashier between sales: the opening float, prices by code, discounts, exchange of goods."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from protocol.messages import LookupAnswer, ProductAnswer, ProductRequest
from protocol.messages.money import TransactionKind
from protocol.messages.product import PRODUCT_CODE_SIZE
from terminal_emulator.columns import clean, cut, spread
from terminal_emulator.dialog import Amount, Ask, Card, Confirm, Dialog, Digits, Menu, Print, Prompt, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.functions.lookups import amount_up_to, find_original, follow_up
from terminal_emulator.functions.passwords import check_password, must_be_answered
from terminal_emulator.functions.pay import NO_DISCOUNT, Discount, ask_repeat, pay
from terminal_emulator.functions.refund import REFUNDABLE
from terminal_emulator.keepsakes import OpeningFloat
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import HAPPENED, Record, RecordState
from terminal_emulator.slip_day import ExchangeReport, FloatReport
from terminal_emulator.texts import yuan
from terminal_emulator.till import Till

PERCENT_DIGITS: Final = 3
"""One more than a discount may have: "100" is refused, not taken for 10."""


def opening_float(till: Till) -> Dialog:
    """存零头: the change put into the drawer before the first sale, on paper for whoever counts it at night, and on the
    batch's totals. Keyed again, the new one counts."""
    _ = till.translate
    amount_fen = yield Amount(_("Opening float"), _("Cash in drawer"))
    till.keep(OpeningFloat(amount_fen, till.storage.used[0]))
    printed_at_s = int(till.clock_s)
    yield Print(
        FloatReport(merchant=till.merchant, operator=till.operator, printed_at_s=printed_at_s, amount_fen=amount_fen)
    )
    yield Show((_("Opening float"), f"RMB {yuan(amount_fen)}", _("Printed")), BeepKind.OK)


def price(till: Till) -> Dialog:
    """查价: what something costs, by the code on it; Enter sells it."""
    _ = till.translate
    while True:
        code = yield Digits(_("Price"), _("Code of goods"), 1, PRODUCT_CODE_SIZE, may_scan=True)
        answer: ProductAnswer | None = yield Ask(ProductRequest(code=code), _("Looking it up"))
        if answer is None:
            yield from must_be_answered(till, answer, goes_on=True)
        elif answer.response_code != APPROVED:
            declined = f"{_('Declined')} {answer.response_code}"
            yield Show((declined, _("No such goods"), cut(code, PANEL_COLUMNS)), BeepKind.ERROR)
        else:
            break
    yield Confirm((cut(clean(answer.name), PANEL_COLUMNS), f"RMB {yuan(answer.price_fen)}", _("Enter: sell it")))
    yield from _sell(till, _("Sale"), answer.price_fen)


def discount(till: Till) -> Dialog:
    """折扣: a percentage or an amount off, above the merchant's limit with the manager's password; the rest is sold."""
    _ = till.translate
    title = _("Discount")
    full_fen = yield Amount(title, _("Full price"))
    key = yield Menu(title, (("1", _("Percent off")), ("2", _("Amount off"))))
    if key is None:
        return
    off_fen = yield from _off(till, title, full_fen, is_percent=key == "1")
    while not 0 < off_fen < full_fen:
        yield Show((title, _("Invalid amount"), _("Key it again")), BeepKind.ERROR)
        off_fen = yield from _off(till, title, full_fen, is_percent=key == "1")
    needs_manager = off_fen > _percentage(full_fen, till.parameters.discount_limit_percent)
    if needs_manager:
        yield from check_password(till)
    yield Confirm(
        (
            spread(_("Full"), yuan(full_fen), PANEL_COLUMNS),
            spread(title, yuan(-off_fen), PANEL_COLUMNS),
            spread(_("To pay"), yuan(full_fen - off_fen), PANEL_COLUMNS),
        )
    )
    yield from _sell(till, title, full_fen - off_fen, Discount(off_fen, is_allowed=needs_manager))


def _off(till: Till, title: str, full_fen: int, *, is_percent: bool) -> Generator[Prompt, Any, int]:
    """What is taken off."""
    _ = till.translate
    if not is_percent:
        off_fen: int = yield Amount(title, _("Amount off"))
        return off_fen
    return _percentage(full_fen, int((yield Digits(title, _("Percent off"), 1, PERCENT_DIGITS))))


def _percentage(full_fen: int, percent: int) -> int:
    """Rounded to the customer's good, by less than a fen."""
    return -(-full_fen * percent // 100)


def _sell(till: Till, title: str, amount_fen: int, discount: Discount = NO_DISCOUNT) -> Dialog:
    payer = yield Card(title, amount_fen, may_scan=True)
    if till.is_repeat(payer, amount_fen):
        yield from ask_repeat(till, payer, amount_fen)
    yield from pay(till, TransactionKind.SALE, amount_fen, payer, discount=discount)


def exchange(till: Till) -> Dialog:
    """换货: goods of an earlier sale come back, others are taken; the difference is sold or refunded."""
    _ = till.translate
    title = _("Exchange")
    found = yield from find_original(till, title, *REFUNDABLE)
    back_fen = yield from amount_up_to(till, title, _("Goods returned"), found.remaining_fen)
    new_fen = yield Amount(title, _("Goods taken"))
    owed_fen = new_fen - back_fen
    label = _("To pay") if owed_fen >= 0 else _("Give back")
    yield Confirm((title, spread(label, yuan(abs(owed_fen)), PANEL_COLUMNS)))
    left, moved_fen = "", 0
    if owed_fen:
        record = yield from _settle_difference(till, title, owed_fen, found)
        if record.state not in HAPPENED:
            return
        moved_fen = record.moved_fen
        if record.state is RecordState.APPROVED:  # sold offline, nobody knows the balance
            left = spread(_("Balance"), yuan(record.balance_fen), PANEL_COLUMNS)
    yield Print(
        ExchangeReport(
            merchant=till.merchant,
            operator=till.operator,
            printed_at_s=int(till.clock_s),
            returned_fen=back_fen,
            taken_fen=new_fen,
            moved_fen=moved_fen,
        )
    )
    yield Show((title, spread(label, yuan(moved_fen), PANEL_COLUMNS), left, _("Printed")), BeepKind.OK)


def _settle_difference(till: Till, title: str, owed_fen: int, found: LookupAnswer) -> Generator[Prompt, Any, Record]:
    """What the customer owes is sold; what is owed to the customer is refunded, with the supervisor's password."""
    if owed_fen < 0:
        yield from check_password(till)
    payer = yield Card(title, abs(owed_fen), may_scan=True)
    if owed_fen > 0:
        return (yield from pay(till, TransactionKind.SALE, owed_fen, payer))
    return (yield from follow_up(till, TransactionKind.REFUND, -owed_fen, payer, found))
