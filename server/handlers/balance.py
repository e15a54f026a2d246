"""Balance inquiry on the host's floor."""

from __future__ import annotations

from typing import Final

from protocol.messages import BalanceAnswer, BalanceRequest, CardStatus
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Inquiry, Outcome
from server.payers import Caller, token_of

STATUSES: Final = {
    Decision.APPROVED: CardStatus.ACTIVE,
    Decision.CARD_FROZEN: CardStatus.FROZEN,
    Decision.CARD_LOST: CardStatus.LOST,
    Decision.CARD_CLOSED: CardStatus.CLOSED,
}


def to_command(caller: Caller, message: BalanceRequest) -> Inquiry:
    """The ledger's command. A code is looked at, for a balance is nobody else's business, but it is not used up."""
    token = token_of(message.entry_mode, message.payer)
    return Inquiry(
        caller.terminal_id,
        token,
        caller.payers.pin_verifier(caller.keys, message.payer, token, message.pin_block),
        caller.payers.code_step(message.entry_mode, message.payer),
    )


def to_answer(_message: BalanceRequest, outcome: Outcome) -> BalanceAnswer:
    """The wire's answer. Of a card that may not pay, only why."""
    code, status = RESPONSE_CODES[outcome.decision], STATUSES.get(outcome.decision, CardStatus.UNKNOWN)
    if outcome.decision != Decision.APPROVED:
        return BalanceAnswer(response_code=code, card_status=status)
    return BalanceAnswer(
        response_code=code,
        balance_fen=outcome.balance_fen,
        held_fen=outcome.held_fen,
        points=outcome.points,
        card_status=status,
    )
