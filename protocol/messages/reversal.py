"""Reversal (冲正), 0400/00: whatever became of that request, of whatever kind, make it not have happened.

It is never refused for being early.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, code2, unsigned
from protocol.messages.money import Told, decided_fields, identity_fields, request_fields
from protocol.state import Kind


class ReversalRequest(Told, frozen=True, kw_only=True):
    """Terminal to host: the request of the original, again, and why it is reversed."""

    reason: str = "98"


class ReversalAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal. 00 means: the payer is not, and never will be, charged for the original."""

    stan: int
    batch: int
    reversed_fen: int
    response_code: str
    rrn: int
    balance_fen: int
    posted_at_ms: int


LAYOUTS: Final = (
    Layout(
        ReversalRequest,
        0x0400,
        0x00,
        "reversal",
        [
            *request_fields(),
            code2("reason", "why: 98 no answer in time, A0 answer not authentic, 96 terminal fault, 06 other"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        ReversalAnswer,
        0x0410,
        0x00,
        "reversal answer",
        [
            *identity_fields(),
            unsigned(
                "reversed_fen",
                4,
                "what the original had moved and this moved back, in fen; 0 when it had moved nothing",
            ),
            code2("response_code", "response code"),
            *decided_fields(),
        ],
        kind=Kind.ANSWER,
    ),
)
