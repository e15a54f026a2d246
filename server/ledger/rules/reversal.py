"""Reversal: whatever became of the original, the payer is not charged for it, now and for ever.

Never refused for being early: without an original it leaves a tombstone, and the late original is declined. Refused
only when it names another amount or payer than the original, for then it is not that original's reversal.
"""

from __future__ import annotations

from server.ledger.batch import Batch, Movement, outcome_of, token_hash
from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Account, Decision, Kind, Outcome, Reversal, Side, Transfer


def apply(batch: Batch, reversal: Reversal) -> Outcome:
    """Decide and record one reversal; `Outcome.amount_fen` is what was given back."""
    known = batch.replay(reversal.identity, Side.REVERSAL, Kind.REVERSAL, reversal.request_hash)
    if known is not None and known.decision != Decision.ID_CONFLICT:
        return known
    original = batch.transfers.get((reversal.identity, Side.ORIGINAL))
    hashed = token_hash(reversal.token)
    if original is not None and (original.amount_fen, original.token_hash) != (reversal.amount_fen, hashed):
        # Not recorded: the identity's reversal stays free for the true one. And said before ID_CONFLICT, so that a copy
        # of this refused request gets the same answer after the true one has come.
        return Outcome(Decision.ORIGINAL_MISMATCH)
    if known is not None:
        return known
    payer = None
    movement: Movement = ()
    if original is not None:
        payer = batch.accounts.get(original.account_id)
        if original.decision == Decision.APPROVED:
            movement = given_back(batch, original, payer)
            if payer is not None and payer.spent_day == original.business_day:
                payer.spent_fen = max(0, payer.spent_fen - original.amount_fen)
                batch.dirty[payer.account_id] = payer  # also where it gets no money back
    transfer = batch.record(
        reversal.identity,
        Side.REVERSAL,
        Kind.REVERSAL,
        reversal.request_hash,
        Decision.APPROVED,
        amount_fen=original.amount_fen if original is not None and movement else 0,
        token_hash=hashed,
        payer=payer,
        merchant_account_id=original.merchant_account_id if original is not None else 0,
        operator=reversal.operator,
        claimed_at_s=reversal.claimed_at_s,
        original_seq=original.seq if original is not None else 0,
        movement=movement,
    )
    return outcome_of(transfer)


def given_back(batch: Batch, original: Transfer, payer: Account | None) -> Movement:
    """The movement of an approved sale the other way round: what its payer could not cover returns to OFFLINE_DEBT."""
    debt_fen = batch.debts.get(original.seq, 0)
    movement = [(batch.accounts[original.merchant_account_id], -original.amount_fen)]
    if own_fen := original.amount_fen - debt_fen:
        assert payer is not None  # whoever paid has an account, and accounts are never deleted
        movement.append((payer, own_fen))
    if debt_fen:
        movement.append((batch.accounts[OFFLINE_DEBT_ACCOUNT], debt_fen))
    return movement
