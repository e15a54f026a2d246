"""Bugs of what a terminal does by itself: no host hears of it, so the tests of its functions have to."""

from __future__ import annotations

from typing import Final

from tests.mutants.functions import one
from tests.mutants.mutant import Mutant

FUNCTIONS: Final = "terminal_emulator/functions/"

KEYPAD_MUTANTS: Final[tuple[Mutant, ...]] = (
    one(
        "repeat-guard-asleep",
        "the same payer pays the same amount twice in a row, and nobody is asked",
        "terminal_emulator/till.py",
        "        return last.amount_fen == amount_fen and same_payer(last, payer)\n",
        "        return last.amount_fen == amount_fen and same_payer(last, payer) and amount_fen < 0\n",
        "keypad",
    ),
    one(
        "discount-without-password",
        "a discount above the merchant's limit needs no manager",
        FUNCTIONS + "conveniences.py",
        "    if needs_manager:\n",
        "    if needs_manager and full_fen < 0:\n",
        "keypad",
    ),
    one(
        "exchange-of-the-whole",
        "who changes goods pays for the new ones and gets nothing back for the old",
        FUNCTIONS + "conveniences.py",
        "    owed_fen = new_fen - back_fen\n",
        "    owed_fen = new_fen\n",
        "keypad",
    ),
    one(
        "float-not-counted",
        "the change put into the drawer in the morning is missing on the totals",
        FUNCTIONS + "reprint.py",
        "            float_fen=till.float_fen,\n",
        "            float_fen=0,\n",
        "keypad",
    ),
    one(
        "lock-that-opens",
        "any password opens the lock",
        FUNCTIONS + "sign_on.py",
        "        if hmac.compare_digest(verifier_of(till, password, till.sign_on.salt), till.sign_on.verifier):\n",
        "        if verifier_of(till, password, till.sign_on.salt):\n",
        "keypad",
    ),
    one(
        "offline-card-by-card",
        "without a host, a card's limit is held against each sale by itself",
        "terminal_emulator/offline.py",
        "    if card_fen + amount_fen > limits.card_fen:\n",
        "    if amount_fen > limits.card_fen:\n",
        "keypad",
    ),
    one(
        "reprint-unmarked",
        "the slip of yesterday's sale is printed as if it were of now",
        "terminal_emulator/slip.py",
        '        yield _("REPRINT")\n',
        '        yield ""\n',
        "keypad",
    ),
)
