"""积分消费: points are spent in place of money; and its void."""

from __future__ import annotations

from typing import Final

from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Card, Dialog, Digits, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.functions.pay import pay
from terminal_emulator.functions.void import void_of
from terminal_emulator.texts import KIND_TEXT, sum_text
from terminal_emulator.till import Till

POINTS_DIGITS: Final = 9
"""As many as an amount has."""


def points_sale(till: Till) -> Dialog:
    """How many points, and whose."""
    _ = till.translate
    title = _(KIND_TEXT[TransactionKind.POINTS_SALE])
    while not (points := int((yield Digits(title, _("Points"), 1, POINTS_DIGITS)))):
        yield Show((title, _("Invalid amount"), _("Key it again")), BeepKind.ERROR)
    payer = yield Card(sum_text(TransactionKind.POINTS_SALE, points, _), may_scan=True)
    yield from pay(till, TransactionKind.POINTS_SALE, points, payer)


def points_void(till: Till) -> Dialog:
    """Points go back. The supervisor's password has been given."""
    yield from void_of(till, TransactionKind.POINTS_SALE, TransactionKind.POINTS_VOID)
