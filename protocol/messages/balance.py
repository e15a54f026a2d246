"""Balance inquiry (查询余额), 0200/31: what the payer has. It moves nothing: it has no identity and leaves no trace."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2, signed64, unsigned
from protocol.messages.money import NO_PIN_BLOCK, EntryMode, cashier_field, entry_mode_field, payer_field, pin_field
from protocol.state import Kind


class CardStatus(IntEnum):
    """State of a card, for the card information of the member menu."""

    UNKNOWN = 0
    ACTIVE = 1
    FROZEN = 2
    LOST = 3
    CLOSED = 4


class BalanceRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: whose balance?"""

    operator: int = 0
    entry_mode: EntryMode = EntryMode.CARD
    payer: bytes
    pin_block: bytes = NO_PIN_BLOCK


class BalanceAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: zeros unless approved."""

    response_code: str
    balance_fen: int = 0
    held_fen: int = 0
    points: int = 0
    card_status: CardStatus = CardStatus.UNKNOWN


LAYOUTS: Final = (
    Layout(
        BalanceRequest,
        0x0200,
        0x31,
        "balance inquiry",
        [
            cashier_field(),
            entry_mode_field(),
            payer_field(),
            pin_field(),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        BalanceAnswer,
        0x0210,
        0x31,
        "balance inquiry answer",
        [
            code2("response_code", "response code"),
            signed64("balance_fen", "what the payer may spend, in fen: without what is held"),
            unsigned("held_fen", 8, "what pre-authorizations hold, in fen"),
            signed64("points", "balance of points, negative: owed"),
            choice("card_status", CardStatus, "state of the card"),
        ],
        kind=Kind.ANSWER,
    ),
)
