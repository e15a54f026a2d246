"""Adjustment: an administrator moves money between funding and a customer's account: opening balances, corrections."""

from __future__ import annotations

from server.ledger.batch import Batch, Movement, outcome_of
from server.ledger.model import FUNDING_ACCOUNT, AccountKind, Adjustment, Decision, Kind, Outcome, Side

NO_TOKEN = bytes(8)


def apply(batch: Batch, adjustment: Adjustment) -> Outcome:
    """Decide and record one adjustment. It may not take a customer's balance below zero."""
    known = batch.replay(adjustment.identity, Side.ORIGINAL, Kind.ADJUSTMENT, adjustment.request_hash)
    if known is not None:
        return known
    account = batch.accounts.get(adjustment.account_id)
    movement: Movement = ()
    if account is None or account.kind != AccountKind.CUSTOMER:
        decision = Decision.ACCOUNT_UNKNOWN
    elif account.balance_fen + adjustment.amount_fen < 0:
        decision = Decision.INSUFFICIENT_FUNDS
    else:
        decision = Decision.APPROVED
        movement = ((batch.accounts[FUNDING_ACCOUNT], -adjustment.amount_fen), (account, adjustment.amount_fen))
    transfer = batch.record(
        adjustment.identity,
        Side.ORIGINAL,
        Kind.ADJUSTMENT,
        adjustment.request_hash,
        decision,
        amount_fen=adjustment.amount_fen,
        token_hash=NO_TOKEN,
        payer=account,
        claimed_at_s=adjustment.claimed_at_s,
        movement=movement,
    )
    return outcome_of(transfer)
