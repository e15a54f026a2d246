"""Sale on the host's floor: message to command, outcome to message."""

from __future__ import annotations

from hashlib import sha256

from protocol.messages import SaleAnswer, SaleRequest, UploadRequest
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Identity, Outcome, Sale
from server.payers import Caller, token_of


def request_hash(message: SaleRequest | UploadRequest) -> bytes:
    """Of all that the terminal says of a sale, now or when it uploads it. It is stored, so its recipe never changes."""
    said = f"{message.amount_fen} {message.operator} {message.entry_mode.value} {message.payer.hex()}"
    return sha256(f"sale {said} {message.claimed_at_s}".encode()).digest()[:16]


def to_command(caller: Caller, message: SaleRequest) -> Sale:
    """The ledger's command."""
    return Sale(
        Identity(caller.terminal_id, message.batch, message.stan),
        request_hash(message),
        token_of(message.entry_mode, message.payer),
        message.amount_fen,
        message.operator,
        message.claimed_at_s,
    )


def to_answer(message: SaleRequest, outcome: Outcome) -> SaleAnswer:
    """The wire's answer: a pure function of request and outcome, so copies get the same bytes."""
    return SaleAnswer(
        stan=message.stan,
        batch=message.batch,
        amount_fen=message.amount_fen,
        response_code=RESPONSE_CODES[outcome.decision],
        rrn=outcome.rrn,
        balance_fen=outcome.balance_fen,
        posted_at_ms=outcome.posted_at_ms,
    )
