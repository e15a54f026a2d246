"""Upload of an approved transaction on the host's floor: message to command, outcome to message."""

from __future__ import annotations

from typing import Final

from protocol.messages import UploadAnswer, UploadRequest, UploadVerdict
from server.handlers.money import original_of, request_hash
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Identity, Kind, Outcome, Upload
from server.payers import Caller, token_of

RRN_MAX: Final = (1 << 63) - 1
"""What the journal can hold. This host never gives a greater one, so a greater one is remembered as this."""

VERDICTS: Final[dict[Decision, UploadVerdict]] = {
    Decision.REVERSED_BEFORE: UploadVerdict.REVERSED,
    Decision.ID_CONFLICT: UploadVerdict.CONFLICT,
    Decision.RECOVERY_CLOSED: UploadVerdict.NOT_OPEN,
}
"""Every decision but these and APPROVED is about this moment (busy, faulty, revoked): nothing was decided."""


def to_command(caller: Caller, message: UploadRequest) -> Upload:
    """The ledger's command, with the hash that the lost request had."""
    return Upload(
        Identity(caller.terminal_id, message.batch, message.stan),
        request_hash(message.kind, caller.terminal_id, message),
        token_of(message.entry_mode, message.payer),
        message.amount_fen,
        message.operator,
        message.claimed_at_s,
        min(message.rrn, RRN_MAX),
        kind=Kind(message.kind),
        original=original_of(caller.terminal_id, message),
        charged_fen=message.charged_fen,
        points=message.points,
    )


def verdict_of(outcome: Outcome) -> UploadVerdict:
    """How the sale stands, in the wire's words."""
    if outcome.decision == Decision.APPROVED:
        return UploadVerdict.KNOWN if outcome.replayed else UploadVerdict.RESTORED
    return VERDICTS.get(outcome.decision, UploadVerdict.UNDECIDED)


def to_answer(message: UploadRequest, outcome: Outcome) -> UploadAnswer:
    """The wire's answer."""
    return UploadAnswer(
        stan=message.stan,
        batch=message.batch,
        amount_fen=message.amount_fen,
        verdict=verdict_of(outcome),
        response_code=RESPONSE_CODES[outcome.decision],
        rrn=outcome.rrn,
    )
