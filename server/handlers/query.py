"""Transaction query on the host's floor: message to command, outcome to message."""

from __future__ import annotations

from protocol.messages import QueryAnswer, QueryRequest
from server.handlers.outcomes import RESPONSE_CODES, STATES
from server.ledger.model import Decision, Identity, Outcome, Query, TransferState
from server.payers import Caller, token_of


def to_command(caller: Caller, message: QueryRequest) -> Query:
    """The ledger's command: a terminal can only ask for its own."""
    identity = Identity(caller.terminal_id, message.batch, message.stan)
    return Query(identity, message.amount_fen, token_of(message.entry_mode, message.payer), message.claimed_at_s)


def to_answer(message: QueryRequest, outcome: Outcome) -> QueryAnswer:
    """The wire's answer. A busy or faulty ledger has not looked: in progress, ask again.

    The amount is the request's: whatever is said here is said about the sale it names, and about no other.
    """
    undecided = outcome.decision in (Decision.BUSY, Decision.FAULT)
    state = TransferState.IN_PROGRESS if undecided else outcome.state
    return QueryAnswer(
        stan=message.stan,
        batch=message.batch,
        state=STATES[state],
        response_code=RESPONSE_CODES[outcome.decision],
        amount_fen=message.amount_fen,
        charged_fen=outcome.charged_fen,
        points=outcome.points,
        points_balance=outcome.points_balance,
        rrn=outcome.rrn,
        balance_fen=outcome.balance_fen,
        posted_at_ms=outcome.posted_at_ms,
    )
