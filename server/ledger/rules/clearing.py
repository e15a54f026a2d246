"""Clearing: a merchant is paid out what its account has, or pays in what it owes. Made by an administrator."""

from __future__ import annotations

from server.ledger.batch import Batch, Movement, outcome_of
from server.ledger.model import FUNDING_ACCOUNT, AccountKind, Clearing, Decision, Kind, Outcome, Side

NO_TOKEN = bytes(8)


def apply(batch: Batch, clearing: Clearing) -> Outcome:
    """Decide and record one clearing. A merchant may owe afterwards: refunds may come for what was paid out."""
    known = batch.replay(clearing.identity, Side.ORIGINAL, Kind.CLEARING, clearing.request_hash)
    if known is not None:
        return known
    merchant = batch.accounts.get(clearing.account_id)
    movement: Movement = ()
    if merchant is None or merchant.kind != AccountKind.MERCHANT:
        decision = Decision.ACCOUNT_UNKNOWN
    else:
        decision = Decision.APPROVED
        if clearing.amount_fen:
            movement = ((batch.accounts[FUNDING_ACCOUNT], clearing.amount_fen), (merchant, -clearing.amount_fen))
    transfer = batch.record(
        clearing.identity,
        Side.ORIGINAL,
        Kind.CLEARING,
        clearing.request_hash,
        decision,
        amount_fen=clearing.amount_fen,
        token_hash=NO_TOKEN,
        merchant_account_id=clearing.account_id if decision == Decision.APPROVED else 0,
        claimed_at_s=clearing.claimed_at_s,
        movement=movement,
    )
    return outcome_of(transfer)
