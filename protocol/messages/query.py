"""Transaction query (查询交易), 0600/30: what became of (batch, STAN) of this terminal? One step, one final word."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2, unsigned
from protocol.messages.sale import decided_fields, identity_fields
from protocol.state import Kind


class TransactionState(IntEnum):
    """What the host knows of a transaction."""

    APPROVED = 1
    DECLINED = 2
    REVERSED = 3
    IN_PROGRESS = 4
    NEVER_SEEN = 5


class QueryRequest(Message, frozen=True, kw_only=True):
    """Terminal to host."""

    stan: int
    batch: int


class QueryAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the state, and what the original was answered."""

    stan: int
    batch: int
    state: TransactionState
    response_code: str
    amount_fen: int
    rrn: int
    balance_fen: int
    posted_at_ms: int


LAYOUTS: Final = (
    Layout(QueryRequest, 0x0600, 0x30, "transaction query", identity_fields(), kind=Kind.REQUEST),
    Layout(
        QueryAnswer,
        0x0610,
        0x30,
        "transaction query answer",
        [
            *identity_fields(),
            choice("state", TransactionState, "what became of it"),
            code2("response_code", "what the original was answered; 25 never seen; 09 or 96: ask again"),
            unsigned("amount_fen", 4, "amount of the original in fen; 0 when never seen"),
            *decided_fields(),
        ],
        kind=Kind.ANSWER,
    ),
)
