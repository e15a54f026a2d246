"""充值: the customer gives cash and has it on the card, with the bonus of the day; and its void."""

from __future__ import annotations

from protocol.messages.money import TransactionKind
from protocol.messages.password import SUPERVISOR_OPERATOR, PasswordPurpose
from terminal_emulator.dialog import Amount, Card, Confirm, Dialog
from terminal_emulator.functions.passwords import check_password
from terminal_emulator.functions.pay import pay
from terminal_emulator.functions.void import void_of
from terminal_emulator.texts import KIND_TEXT, masked, yuan
from terminal_emulator.till import Till


def top_up(till: Till) -> Dialog:
    """Recharge password, card, amount, a look at both, slip. Cash goes onto cards, not onto payment codes."""
    _ = till.translate
    title = _(KIND_TEXT[TransactionKind.TOPUP])
    yield from check_password(till, PasswordPurpose.RECHARGE, SUPERVISOR_OPERATOR)
    payer = yield Card(title)
    amount_fen = yield Amount(title, masked(payer.token))
    yield Confirm((f"{title} {masked(payer.token)}", f"RMB {yuan(amount_fen)}", _("Cash received?")))
    yield from pay(till, TransactionKind.TOPUP, amount_fen, payer)


def top_up_void(till: Till) -> Dialog:
    """Both passwords: the supervisor's has been given, the recharge password follows. The cash goes back."""
    yield from check_password(till, PasswordPurpose.RECHARGE, SUPERVISOR_OPERATOR)
    yield from void_of(till, TransactionKind.TOPUP, TransactionKind.TOPUP_VOID)
