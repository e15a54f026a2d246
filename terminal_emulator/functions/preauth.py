"""预授权 and its kin: hold an amount, take up to that much of it later, and the void of either."""

from __future__ import annotations

from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Amount, Card, Dialog
from terminal_emulator.functions.lookups import amount_up_to, at_most, find_original, follow_up
from terminal_emulator.functions.pay import pay
from terminal_emulator.functions.void import void_of
from terminal_emulator.i18n import N_
from terminal_emulator.texts import KIND_TEXT
from terminal_emulator.till import Till


def pre_auth(till: Till) -> Dialog:
    """Hold an amount."""
    _ = till.translate
    title = _(KIND_TEXT[TransactionKind.PREAUTH])
    amount_fen = yield Amount(title, _("Amount to hold"))
    payer = yield Card(title, amount_fen, may_scan=True)
    yield from pay(till, TransactionKind.PREAUTH, amount_fen, payer)


def completion(till: Till) -> Dialog:
    """Take what was consumed, up to what is held; the rest is free again."""
    _ = till.translate
    title = _(KIND_TEXT[TransactionKind.COMPLETION])
    found = yield from find_original(till, title, TransactionKind.PREAUTH)
    most_fen = found.remaining_fen
    amount_fen = yield from amount_up_to(
        till, title, at_most(most_fen, _), most_fen, too_much=N_("More than held"), most=N_("Held")
    )
    payer = yield Card(title, amount_fen, may_scan=True)
    yield from follow_up(till, TransactionKind.COMPLETION, amount_fen, payer, found)


def pre_auth_void(till: Till) -> Dialog:
    """Free what is held, also on later days. The supervisor's password has been given."""
    title = till.translate(KIND_TEXT[TransactionKind.PREAUTH_VOID])
    found = yield from find_original(till, title, TransactionKind.PREAUTH)
    payer = yield Card(title, found.amount_fen, may_scan=True)
    yield from follow_up(till, TransactionKind.PREAUTH_VOID, found.amount_fen, payer, found)


def completion_void(till: Till) -> Dialog:
    """A completion of this batch shall not have happened. The supervisor's password has been given."""
    yield from void_of(till, TransactionKind.COMPLETION, TransactionKind.COMPLETION_VOID)
