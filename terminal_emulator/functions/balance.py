"""查询余额 and 查询卡信息: what is on a card, and in what state it is. Nothing is moved."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from protocol.messages import BalanceAnswer, BalanceRequest
from protocol.messages.balance import CardStatus
from protocol.messages.money import EntryMode
from protocol.pin_block import PIN_DIGITS_MAX, PIN_DIGITS_MIN
from terminal_emulator.columns import spread
from terminal_emulator.dialog import Ask, Card, Dialog, Digits, Payer, Prompt, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.functions.passwords import must_be_answered, refused
from terminal_emulator.functions.pay import PIN_CODES, PIN_WRONG
from terminal_emulator.i18n import N_
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.texts import masked, points_left, yuan
from terminal_emulator.till import Till

STATUS_TEXT: Final = {
    CardStatus.UNKNOWN: N_("Unknown card"),
    CardStatus.ACTIVE: N_("Card is in use"),
    CardStatus.FROZEN: N_("Card is frozen"),
    CardStatus.LOST: N_("Card is lost"),
    CardStatus.CLOSED: N_("Card is closed"),
}


def balance(till: Till) -> Dialog:
    """What the payer may spend, what is held of it, and the points."""
    _ = till.translate
    title = _("Balance")
    payer = yield Card(title, may_scan=True)
    answer = yield from inquire(till, title, payer)
    yield Show(
        (
            f"{title} {masked(payer.token, is_code=payer.entry_mode is EntryMode.CODE)}",
            spread(_("Balance"), yuan(answer.balance_fen), PANEL_COLUMNS),
            spread(_("Held"), yuan(answer.held_fen), PANEL_COLUMNS) if answer.held_fen else "",
            spread(*points_left(answer.points, _, N_("Points")), PANEL_COLUMNS),
        ),
        BeepKind.OK,
    )


def card_information(till: Till) -> Dialog:
    """The state of a card, and its balance."""
    _ = till.translate
    title = _("Card details")
    payer = yield Card(title)
    answer = yield from inquire(till, title, payer)
    yield Show(
        (
            spread(_("Card"), masked(payer.token), PANEL_COLUMNS),
            _(STATUS_TEXT[answer.card_status]),
            spread(_("Balance"), yuan(answer.balance_fen), PANEL_COLUMNS),
            spread(*points_left(answer.points, _, N_("Points")), PANEL_COLUMNS),
        ),
        BeepKind.OK,
    )


def inquire(till: Till, title: str, payer: Payer) -> Generator[Prompt, Any, BalanceAnswer]:
    """Ask the host, with as many PINs as it wants; Stop if it refuses."""
    _ = till.translate
    request = BalanceRequest(operator=till.operator, entry_mode=payer.entry_mode, payer=payer.token)
    pin = ""
    while True:
        answer: BalanceAnswer | None = yield Ask(request, _("Asking the host"), pin)
        yield from must_be_answered(till, answer)
        assert answer is not None
        if answer.response_code == APPROVED:
            return answer
        if answer.response_code not in PIN_CODES:
            yield from refused(till, answer.response_code)
        label = _("Wrong PIN, again") if answer.response_code == PIN_WRONG else _("PIN of the payer")
        pin = yield Digits(title, label, PIN_DIGITS_MIN, PIN_DIGITS_MAX, masked=True)
