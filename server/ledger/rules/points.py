"""Points sale: the payer spends points. They are a currency of their own, and no money moves."""

from __future__ import annotations

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import Decision, Kind, Outcome, PointsSale, Side
from server.ledger.rules import checks
from server.ledger.rules.posting import Wanted, add_points, points_account, post


def apply(batch: Batch, sale: PointsSale) -> Outcome:
    """Decide and record one points sale; its amount and its balance count points."""
    assert sale.amount_fen > 0, f"expected points above 0, got {sale.amount_fen}: nothing to spend"
    known = batch.replay(sale.identity, Side.ORIGINAL, Kind.POINTS_SALE, sale.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, sale.identity.terminal_id, sale.token)
    terminal, _, payer = asker
    decision = checks.served(batch, sale, asker)
    wanted: Wanted = {}
    if decision == Decision.APPROVED:
        assert payer is not None  # `served` has refused everything else
        if sale.amount_fen > points_account(batch, payer).balance_fen:
            decision = Decision.INSUFFICIENT_FUNDS
        else:
            add_points(batch, wanted, payer, -sale.amount_fen)
            checks.use_code(batch, sale, payer)
    return outcome_of(
        post(
            batch,
            sale,
            Kind.POINTS_SALE,
            decision,
            wanted,
            payer=payer,
            merchant_account_id=terminal.merchant_account_id if terminal is not None else 0,
        )
    )
