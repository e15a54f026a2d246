"""Look-up (交易查询), 0600/31: one transaction of this merchant by what stands on its slip, for a void or a refund.

Unlike the query 0600/30 it knows nothing of the transaction but its number, and shows what is left of it. It decides
nothing: the request that follows is checked again.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2, unsigned
from protocol.messages.money import MAX_BATCH, MAX_STAN, THIS_TERMINAL, TransactionKind
from protocol.messages.query import TransactionState
from protocol.state import Kind


class LookupRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: by terminal, batch and STAN; with STAN 0 by RRN."""

    original_terminal: int = THIS_TERMINAL
    original_batch: int = 0
    original_stan: int = 0
    rrn: int = 0


class LookupAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: 25 and zeros if this merchant has no such transaction. Of a declined one the code it had."""

    response_code: str
    state: TransactionState = TransactionState.NEVER_SEEN
    kind: TransactionKind = TransactionKind.SALE
    original_terminal: int = 0
    original_batch: int = 0
    original_stan: int = 0
    amount_fen: int = 0
    charged_fen: int = 0
    remaining_fen: int = 0
    rrn: int = 0
    posted_at_ms: int = 0
    business_day: int = 0


LAYOUTS: Final = (
    Layout(
        LookupRequest,
        0x0600,
        0x31,
        "look-up",
        [
            unsigned("original_terminal", 4, "terminal number, as in the header; 0 = this terminal"),
            unsigned("original_batch", 3, "batch number", high=MAX_BATCH),
            unsigned("original_stan", 3, "STAN, the voucher number; 0 = look up by RRN", high=MAX_STAN),
            unsigned("rrn", 8, "RRN; looked at only when the STAN is 0"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        LookupAnswer,
        0x0610,
        0x31,
        "look-up answer",
        [
            code2(
                "response_code",
                "what it was answered; never_seen with 25: this merchant has no such transaction; 09 or 96: ask again",
            ),
            choice("state", TransactionState, "what became of it"),
            choice("kind", TransactionKind, "what it is; of no meaning when it was not found"),
            unsigned("original_terminal", 4, "its terminal number"),
            unsigned("original_batch", 3, "its batch number", high=MAX_BATCH),
            unsigned("original_stan", 3, "its STAN", high=MAX_STAN),
            unsigned("amount_fen", 4, "its amount in fen"),
            unsigned("charged_fen", 4, "what was taken from the payer, or given, in fen"),
            unsigned("remaining_fen", 4, "what can still be voided, refunded or completed of it, in fen"),
            unsigned("rrn", 8, "its RRN"),
            unsigned("posted_at_ms", 8, "posting time, milliseconds since 1970-01-01 UTC"),
            unsigned("business_day", 4, "its business day as YYYYMMDD"),
        ],
        kind=Kind.ANSWER,
    ),
)
