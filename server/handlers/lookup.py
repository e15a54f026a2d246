"""Look-up on the host's floor: by the numbers of a slip to what has become of that transaction."""

from __future__ import annotations

from typing import Final

from protocol.messages import LookupAnswer, LookupRequest, TransactionKind
from protocol.messages.money import THIS_TERMINAL
from server.handlers.outcomes import RESPONSE_CODES, STATES
from server.handlers.permitted import NOT_FOUND
from server.handlers.upload import RRN_MAX
from server.ledger.model import Decision, Identity, Lookup, Outcome
from server.payers import Caller

KINDS: Final = frozenset(int(kind) for kind in TransactionKind)


def to_command(caller: Caller, message: LookupRequest) -> Lookup:
    """The ledger's command: whatever is found must be of the terminal's merchant."""
    if message.original_stan == 0:
        return Lookup(caller.terminal_id, rrn=min(message.rrn, RRN_MAX))
    terminal = caller.terminal_id if message.original_terminal == THIS_TERMINAL else message.original_terminal
    return Lookup(caller.terminal_id, Identity(terminal, message.original_batch, message.original_stan))


def to_answer(_message: LookupRequest, outcome: Outcome) -> LookupAnswer:
    """The wire's answer. What is no transaction of a terminal, a clearing for one, is nothing it may see."""
    code = RESPONSE_CODES[outcome.decision]
    original, kind = outcome.original, outcome.kind
    if original is None or kind is None or kind not in KINDS:
        return LookupAnswer(response_code=code if outcome.decision != Decision.APPROVED else NOT_FOUND)
    return LookupAnswer(
        response_code=code,
        state=STATES[outcome.state],
        kind=TransactionKind(kind),
        original_terminal=original.terminal_id,
        original_batch=original.batch,
        original_stan=original.stan,
        amount_fen=outcome.amount_fen,
        charged_fen=outcome.charged_fen,
        remaining_fen=outcome.remaining_fen,
        rrn=outcome.rrn,
        posted_at_ms=outcome.posted_at_ms,
        business_day=outcome.business_day,
    )
