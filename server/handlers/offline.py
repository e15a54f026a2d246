"""Upload of a sale made offline on the host's floor: its tag is checked here, where the session's keys are."""

from __future__ import annotations

from typing import Final

from protocol.messages import OfflineSaleAnswer, OfflineSaleRequest, OfflineVerdict, TransactionKind
from protocol.messages.offline import NO_TAG, tag_of
from protocol.security import same_bytes
from server.handlers.money import request_hash
from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Identity, OfflineSale, Outcome
from server.payers import Caller, token_of

VERDICTS: Final[dict[Decision, OfflineVerdict]] = {
    Decision.APPROVED: OfflineVerdict.ACCEPTED,
    Decision.OVER_OFFLINE_LIMIT: OfflineVerdict.OVER_LIMIT,
    Decision.STOPPED: OfflineVerdict.STOPPED,
    Decision.OFFLINE_TAMPERED: OfflineVerdict.TAMPERED,
    Decision.OFFLINE_GAP: OfflineVerdict.GAP,
    Decision.BUSY: OfflineVerdict.UNDECIDED,
    Decision.FAULT: OfflineVerdict.UNDECIDED,
}
"""Every other decision is a refusal for a reason that its response code says."""


def to_command(caller: Caller, message: OfflineSaleRequest) -> OfflineSale:
    """The ledger's command. A payment code is checked by nobody offline: it stands for no card here."""
    key = caller.keys.saf_key
    return OfflineSale(
        Identity(caller.terminal_id, message.batch, message.stan),
        request_hash(TransactionKind.OFFLINE_SALE, caller.terminal_id, message),
        token_of(message.entry_mode, message.payer),
        message.amount_fen,
        message.operator,
        message.claimed_at_s,
        code_step=caller.payers.code_step(message.entry_mode, message.payer),
        saf_sequence=message.saf_sequence,
        previous_tag=message.previous_tag,
        tag=message.tag,
        stop_list_version=message.stop_list_version,
        is_authentic=key != b"" and same_bytes(tag_of(key, message), message.tag),
    )


def verdict_of(outcome: Outcome) -> OfflineVerdict:
    """What became of the record, in the wire's words."""
    return OfflineVerdict.DUPLICATE if outcome.replayed else VERDICTS.get(outcome.decision, OfflineVerdict.REFUSED)


def to_answer(message: OfflineSaleRequest, outcome: Outcome) -> OfflineSaleAnswer:
    """The wire's answer."""
    verdict = verdict_of(outcome)
    is_decided = verdict is not OfflineVerdict.UNDECIDED
    return OfflineSaleAnswer(
        stan=message.stan,
        batch=message.batch,
        amount_fen=message.amount_fen,
        verdict=verdict,
        response_code=RESPONSE_CODES[outcome.decision],
        rrn=outcome.rrn,
        charged_fen=outcome.charged_fen,
        points=outcome.points,
        points_balance=outcome.points_balance,
        next_saf_sequence=outcome.saf_sequence + 1 if is_decided else 0,
        last_tag=outcome.saf_tag if is_decided and outcome.saf_tag else NO_TAG,
    )
