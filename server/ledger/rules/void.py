"""Void: the whole of an earlier transaction is taken back, by the terminal that made it, on its day, within its batch.

One rule for all five: what moves is what the original and all that came of it have moved, the other way round.
"""

from __future__ import annotations

from typing import Final

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import Decision, Kind, Outcome, Side, Transfer, Void
from server.ledger.rules import checks, follow_up
from server.ledger.rules.posting import Wanted, inverse, post

VOIDS: Final[dict[Kind, tuple[Kind, ...]]] = {
    Kind.VOID: follow_up.SALES,
    Kind.PREAUTH_VOID: (Kind.PREAUTH,),
    Kind.COMPLETION_VOID: (Kind.COMPLETION,),
    Kind.TOPUP_VOID: (Kind.TOPUP,),
    Kind.POINTS_VOID: (Kind.POINTS_SALE,),
}
"""What each void may be about."""
ANY_DAY: Final = (Kind.PREAUTH_VOID,)
"""A hold may be freed later, too, and by another terminal of the merchant: the guest pays at another desk."""


def apply(batch: Batch, void: Void) -> Outcome:
    """Decide and record one void."""
    known = batch.replay(void.identity, Side.ORIGINAL, void.kind, void.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, void.identity.terminal_id, void.token)
    original = follow_up.original_of(batch, void)
    payer = asker.payer
    wanted: Wanted = {}
    decision = follow_up.refusal(batch, void, asker, original, VOIDS[void.kind])
    if decision == Decision.APPROVED:
        assert original is not None  # `refusal` has refused everything else
        payer = batch.accounts.get(original.account_id)
        decision = _decide(batch, void, original)
        wanted = inverse(batch.family.net(original))
        short = payer is not None and payer.balance_fen + wanted.get(payer.account_id, 0) < 0
        if decision == Decision.APPROVED and short:
            decision = Decision.INSUFFICIENT_FUNDS
    return outcome_of(
        post(
            batch,
            void,
            void.kind,
            decision,
            wanted,
            adjust_fen=original.adjust_fen if original is not None else 0,
            payer=payer,
            merchant_account_id=asker.terminal.merchant_account_id if asker.terminal is not None else 0,
            original=original if decision == Decision.APPROVED else None,
        )
    )


def _decide(batch: Batch, void: Void, original: Transfer) -> Decision:
    if void.kind not in ANY_DAY:
        if original.terminal_id != void.identity.terminal_id:
            return Decision.WRONG_TERMINAL
        if original.business_day != batch.today or original.batch != void.identity.batch:
            return Decision.WRONG_DAY
    if original.amount_fen != void.amount_fen:
        return Decision.WRONG_AMOUNT
    if not batch.family.stands(original) or batch.family.is_under_a_reversal(original):
        return Decision.ALREADY_UNDONE
    for follower in batch.family.standing(original):
        return Decision.HOLD_EXPIRED if follower.kind == Kind.HOLD_EXPIRY else Decision.ALREADY_UNDONE
    return Decision.APPROVED
