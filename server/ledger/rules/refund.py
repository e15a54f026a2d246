"""Refund: part or all of an earlier sale goes back, as often as something is left of it.

The discount, the points and what OFFLINE_DEBT bore are shared out: after the last refund all of it is back, to the fen.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import Decision, Kind, Outcome, Refund, Side, Transfer
from server.ledger.rules import checks, follow_up
from server.ledger.rules.posting import Wanted, add_points, give_back, post

REFUNDABLE = (*follow_up.SALES, Kind.COMPLETION)
REFUNDS_MAX: Final = 99
"""Parts in which one sale may be refunded, those that were reversed included. Each costs as many steps as there are
before it, here and in `verify`: a terminal gone wrong that refunded one sale fen by fen would stop all the others."""


def apply(batch: Batch, refund: Refund) -> Outcome:
    """Decide and record one refund."""
    assert refund.amount_fen > 0, f"expected an amount above 0 fen, got {refund.amount_fen}: the payer would pay"
    known = batch.replay(refund.identity, Side.ORIGINAL, Kind.REFUND, refund.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, refund.identity.terminal_id, refund.token)
    original = follow_up.original_of(batch, refund)
    payer = asker.payer
    wanted: Wanted = {}
    adjust_fen = 0
    decision = follow_up.refusal(batch, refund, asker, original, REFUNDABLE)
    if decision == Decision.APPROVED:
        assert original is not None  # `refusal` has refused everything else
        decision = _decide(batch, refund, original)
        payer = batch.accounts.get(original.account_id)
    if decision == Decision.APPROVED:
        assert original is not None
        charged_fen, points = share(batch, original, refund.amount_fen)
        adjust_fen = charged_fen - refund.amount_fen
        wanted = wanted_of(batch, original, charged_fen, points)
    return outcome_of(
        post(
            batch,
            refund,
            Kind.REFUND,
            decision,
            wanted,
            adjust_fen=adjust_fen,
            payer=payer,
            merchant_account_id=asker.terminal.merchant_account_id if asker.terminal is not None else 0,
            original=original if decision == Decision.APPROVED else None,
        )
    )


def share(batch: Batch, original: Transfer, amount_fen: int) -> tuple[int, int]:
    """What of the charge and of the points goes back with this part of the amount; never less than nothing.

    Earlier refunds may have been given more than this rule would give now: one whose share was rounded up still stands,
    and another before it has been reversed, or is not back yet after a restore.
    """
    amount_back, charge_back, points_back = batch.family.refunded(original)
    amount_back += amount_fen
    charged_fen = (original.amount_fen + original.adjust_fen) * amount_back // original.amount_fen - charge_back
    points = max(0, original.points) * amount_back // original.amount_fen - points_back
    return max(0, charged_fen), max(0, points)


def wanted_of(batch: Batch, original: Transfer, charged_fen: int, points: int) -> Wanted:
    """From the merchant to whoever bore it."""
    wanted: Wanted = {original.merchant_account_id: -charged_fen}
    give_back(batch, wanted, original, charged_fen)
    add_points(batch, wanted, batch.accounts.get(original.account_id), -points)
    return wanted


def remaining_of(batch: Batch, original: Transfer) -> int:
    """What can still be refunded of a sale that stands."""
    return original.amount_fen - batch.family.refunded(original)[0]


def are_too_many(batch: Batch, original: Transfer) -> bool:
    """Whether there are as many refunds of a sale already as there may be."""
    refunds = [follower for follower in batch.family.followers(original) if follower.kind == Kind.REFUND]
    return len(refunds) >= REFUNDS_MAX


def _decide(batch: Batch, refund: Refund, original: Transfer) -> Decision:
    if are_too_many(batch, original):
        return Decision.TOO_MANY_REFUNDS
    if not batch.family.stands(original) or batch.family.is_under_a_reversal(original):
        return Decision.ALREADY_UNDONE
    if _days_between(original.business_day, batch.today) > batch.tariff.refund_days:
        return Decision.REFUND_TOO_LATE
    if refund.amount_fen > remaining_of(batch, original):
        return Decision.OVER_REMAINDER
    return Decision.APPROVED


def _days_between(day: int, later: int) -> int:
    return (_date(later) - _date(day)).days


def _date(day: int) -> date:
    return date(day // 10_000, day // 100 % 100, day % 100)
