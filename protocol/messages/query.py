"""Transaction query (查询交易), 0600/30: what became of this transaction of this terminal? One step, one final word.

It names the sale's amount, payer and time besides its identity: a terminal that has lost its memory may ask under a
number that an older sale has, and must not take that one's approval for its own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2
from protocol.messages.money import (
    EntryMode,
    amount_field,
    charged_fields,
    claimed_at_field,
    decided_fields,
    entry_mode_field,
    identity_fields,
    payer_field,
    points_balance_field,
)
from protocol.state import Kind


class TransactionState(IntEnum):
    """What the host knows of a transaction."""

    APPROVED = 1
    DECLINED = 2
    REVERSED = 3
    IN_PROGRESS = 4
    NEVER_SEEN = 5


class QueryRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: the identity of a sale, and what was to be paid, by whom and when."""

    stan: int
    batch: int
    amount_fen: int
    entry_mode: EntryMode = EntryMode.CARD
    payer: bytes
    claimed_at_s: int


class QueryAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the state, and what the original was answered."""

    stan: int
    batch: int
    state: TransactionState
    response_code: str
    amount_fen: int
    charged_fen: int = 0
    points: int = 0
    points_balance: int = 0
    rrn: int
    balance_fen: int
    posted_at_ms: int


LAYOUTS: Final = (
    Layout(
        QueryRequest,
        0x0600,
        0x30,
        "transaction query",
        [
            *identity_fields(),
            amount_field("amount of the transaction in fen"),
            entry_mode_field(),
            payer_field(),
            claimed_at_field(),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        QueryAnswer,
        0x0610,
        0x30,
        "transaction query answer",
        [
            *identity_fields(),
            choice("state", TransactionState, "what became of it"),
            code2(
                "response_code",
                "what the sale was answered; 25 never seen; 94 the number is another sale's; 09 or 96: ask again",
            ),
            amount_field("amount in fen, equal to the request's"),
            *charged_fields(),
            points_balance_field(),
            *decided_fields(),
        ],
        kind=Kind.ANSWER,
    ),
)
