"""Reversal on the host's floor: message to command, outcome to message."""

from __future__ import annotations

from hashlib import sha256

from protocol.messages import ReversalAnswer, ReversalRequest
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Identity, Outcome, Reversal
from server.payers import Caller, token_of


def to_command(caller: Caller, message: ReversalRequest) -> Reversal:
    """The ledger's command. The hash covers amount and payer only: a reversal repeated after a power cut may give
    another reason or time, and is still the same reversal."""
    return Reversal(
        Identity(caller.terminal_id, message.batch, message.stan),
        sha256(f"reversal {message.amount_fen} {message.payer.hex()}".encode()).digest()[:16],
        token_of(message.entry_mode, message.payer),
        message.amount_fen,
        message.operator,
        message.claimed_at_s,
    )


def to_answer(message: ReversalRequest, outcome: Outcome) -> ReversalAnswer:
    """The wire's answer."""
    return ReversalAnswer(
        stan=message.stan,
        batch=message.batch,
        reversed_fen=outcome.amount_fen if outcome.decision == Decision.APPROVED else 0,
        response_code=RESPONSE_CODES[outcome.decision],
        rrn=outcome.rrn,
        balance_fen=outcome.balance_fen,
        posted_at_ms=outcome.posted_at_ms,
    )
