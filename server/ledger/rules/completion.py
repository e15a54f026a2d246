"""Completion: the merchant gets up to what was held, once, and the rest is the payer's again. It earns points as a sale
does: it is what the payer pays."""

from __future__ import annotations

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import HOLDS_ACCOUNT, Completion, Decision, Kind, Outcome, Side, Transfer
from server.ledger.rules import checks, follow_up
from server.ledger.rules.posting import Wanted, add, add_points, give_back, held_of, post


def apply(batch: Batch, completion: Completion) -> Outcome:
    """Decide and record one completion."""
    assert completion.amount_fen > 0, f"expected an amount above 0 fen, got {completion.amount_fen}: void the hold"
    known = batch.replay(completion.identity, Side.ORIGINAL, Kind.COMPLETION, completion.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, completion.identity.terminal_id, completion.token)
    original = follow_up.original_of(batch, completion)
    payer = asker.payer
    wanted: Wanted = {}
    decision = follow_up.refusal(batch, completion, asker, original, (Kind.PREAUTH,))
    if decision == Decision.APPROVED:
        assert original is not None  # `refusal` has refused everything else
        decision = _decide(batch, completion, original)
        payer = batch.accounts.get(original.account_id)
    if decision == Decision.APPROVED:
        assert original is not None
        assert asker.terminal is not None
        points = batch.tariff.points_of(asker.terminal.merchant_id, completion.amount_fen)
        wanted = wanted_of(batch, original, completion.amount_fen, points)
    return outcome_of(
        post(
            batch,
            completion,
            Kind.COMPLETION,
            decision,
            wanted,
            payer=payer,
            merchant_account_id=asker.terminal.merchant_account_id if asker.terminal is not None else 0,
            original=original if decision == Decision.APPROVED else None,
        )
    )


def wanted_of(batch: Batch, original: Transfer, amount_fen: int, points: int) -> Wanted:
    """Out of what is held to the merchant, the rest back, and the points earned. What is held no more, the payer has to
    give."""
    held_fen = held_of(batch, original)
    wanted: Wanted = {HOLDS_ACCOUNT: -held_fen, original.merchant_account_id: amount_fen}
    if held_fen >= amount_fen:
        give_back(batch, wanted, original, held_fen - amount_fen)
    else:
        add(wanted, original.account_id, held_fen - amount_fen)
    add_points(batch, wanted, batch.accounts.get(original.account_id), points)
    return wanted


def _decide(batch: Batch, completion: Completion, original: Transfer) -> Decision:
    if not batch.family.stands(original):
        return Decision.ALREADY_UNDONE
    for follower in batch.family.standing(original):
        return Decision.HOLD_EXPIRED if follower.kind == Kind.HOLD_EXPIRY else Decision.ALREADY_UNDONE
    if completion.amount_fen > original.amount_fen:
        return Decision.OVER_REMAINDER
    return Decision.APPROVED
