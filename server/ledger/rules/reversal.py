"""Reversal: whatever became of the original, of whatever kind, it has not happened, now and for ever.

Never refused for being early: without an original it leaves a tombstone, and the late original is declined. Never for
want of money: what a customer would have to give and does not have, OFFLINE_DEBT bears. Refused only when it names
another amount or payer than the original, for then it is not that original's reversal.

What moves back is what the original and all that came of it have moved together: a sale refunded in part gives back the
rest, one that was voided nothing. And a void that is reversed lets its original stand again.
"""

from __future__ import annotations

from server.ledger.batch import IN_POINTS, Batch, outcome_of, token_hash
from server.ledger.model import (
    HOLDS_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    Decision,
    Kind,
    Outcome,
    Reversal,
    Side,
    Transfer,
)
from server.ledger.rules.posting import Wanted, add, bear, held_of, inverse, post

COMPLETIONS = (Kind.COMPLETION, Kind.COMPLETION_VOID)


def apply(batch: Batch, reversal: Reversal) -> Outcome:
    """Decide and record one reversal; `Outcome.amount_fen` is what was moved back."""
    known = batch.replay(reversal.identity, Side.REVERSAL, Kind.REVERSAL, reversal.request_hash)
    if known is not None and known.decision != Decision.ID_CONFLICT:
        return known
    original = batch.transfers.get((reversal.identity, Side.ORIGINAL))
    if original is not None and (original.amount_fen, original.token_hash) != (
        reversal.amount_fen,
        token_hash(reversal.token),
    ):
        # Not recorded: the identity's reversal stays free for the true one. And said before ID_CONFLICT, so that a copy
        # of this refused request gets the same answer after the true one has come.
        return Outcome(Decision.ORIGINAL_MISMATCH)
    if known is not None:
        return known
    wanted = moved_back(batch, original) if original is not None else {}
    return outcome_of(
        post(
            batch,
            reversal,
            Kind.REVERSAL,
            Decision.APPROVED,
            wanted,
            side=Side.REVERSAL,
            amount_fen=amount_of(original, wanted) if original is not None else 0,
            payer=batch.accounts.get(original.account_id) if original is not None else None,
            merchant_account_id=original.merchant_account_id if original is not None else 0,
            original=original,
        )
    )


def moved_back(batch: Batch, original: Transfer) -> Wanted:
    """What its reversal moves; nothing if it was declined, undone before, or lies under something that was reversed."""
    if original.decision != Decision.APPROVED or batch.family.is_under_a_reversal(original):
        return {}
    wanted = inverse(batch.family.net(original))
    missing_fen = -wanted.get(HOLDS_ACCOUNT, 0) - held_of(batch, original)
    if HOLDS_ACCOUNT in wanted and missing_fen > 0:
        # The hold it would be taken from has expired since: the payer had it back, and gives it.
        add(wanted, HOLDS_ACCOUNT, missing_fen)
        add(wanted, original.account_id, -missing_fen)
    bear(wanted, original.account_id, batch.accounts.get(original.account_id))
    return wanted


def amount_of(original: Transfer, wanted: Wanted) -> int:
    """What was moved back, as one number: of a completion what the merchant gives, else all that somebody gets."""
    if original.kind in COMPLETIONS:
        return abs(wanted.get(original.merchant_account_id, 0))
    in_points = original.kind in IN_POINTS
    return sum(amount for account_id, amount in wanted.items() if amount > 0 and _is_points(account_id) == in_points)


def _is_points(account_id: int) -> bool:
    return account_id == POINTS_ISSUED_ACCOUNT or account_id >= POINTS_ACCOUNT_OFFSET
