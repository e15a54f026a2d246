"""退货: part or all of an earlier sale goes back to its payer, also on later days and from another terminal."""

from __future__ import annotations

from protocol.messages.money import TransactionKind
from terminal_emulator.columns import beside
from terminal_emulator.dialog import Amount, Card, Dialog, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.functions.lookups import find_original, follow_up
from terminal_emulator.functions.passwords import check_password
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.texts import KIND_TEXT, yuan
from terminal_emulator.till import Till

REFUNDABLE = (TransactionKind.SALE, TransactionKind.COMPLETION, TransactionKind.OFFLINE_SALE)


def refund(till: Till) -> Dialog:
    """Which sale, how much of it, the supervisor's password, and the card that paid."""
    _ = till.translate
    title = _(KIND_TEXT[TransactionKind.REFUND])
    found = yield from find_original(till, title, *REFUNDABLE)
    amount_fen = yield Amount(title, beside(_("At most"), yuan(found.remaining_fen), PANEL_COLUMNS))
    while amount_fen > found.remaining_fen:
        yield Show(
            (title, _("More than left"), beside(_("Left"), yuan(found.remaining_fen), PANEL_COLUMNS)), BeepKind.ERROR
        )
        amount_fen = yield Amount(title, beside(_("At most"), yuan(found.remaining_fen), PANEL_COLUMNS))
    yield from check_password(till)
    payer = yield Card(title, amount_fen, may_scan=True)
    yield from follow_up(till, TransactionKind.REFUND, amount_fen, payer, found)
