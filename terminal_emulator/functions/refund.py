"""退货: part or all of an earlier sale goes back to its payer, also on later days and from another terminal."""

from __future__ import annotations

from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Card, Dialog
from terminal_emulator.functions.lookups import amount_up_to, at_most, find_original, follow_up
from terminal_emulator.functions.passwords import check_password
from terminal_emulator.texts import KIND_TEXT
from terminal_emulator.till import Till

REFUNDABLE = (TransactionKind.SALE, TransactionKind.COMPLETION, TransactionKind.OFFLINE_SALE)


def refund(till: Till) -> Dialog:
    """Which sale, how much of it, the supervisor's password, and the card that paid."""
    _ = till.translate
    title = _(KIND_TEXT[TransactionKind.REFUND])
    found = yield from find_original(till, title, *REFUNDABLE)
    most_fen = found.remaining_fen
    amount_fen = yield from amount_up_to(till, title, at_most(most_fen, _), most_fen)
    yield from check_password(till)
    payer = yield Card(title, amount_fen, may_scan=True)
    yield from follow_up(till, TransactionKind.REFUND, amount_fen, payer, found)
