"""Sale: the payer's account pays the terminal's merchant, if every check allows it, and earns points."""

from __future__ import annotations

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import Decision, Kind, Outcome, Sale, Side
from server.ledger.rules import checks
from server.ledger.rules.posting import add_points, post


def apply(batch: Batch, sale: Sale) -> Outcome:
    """Decide and record one sale; a known identity gets its original answer."""
    assert sale.amount_fen > 0, f"expected an amount above 0 fen, got {sale.amount_fen}: the merchant would pay"
    known = batch.replay(sale.identity, Side.ORIGINAL, Kind.SALE, sale.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, sale.identity.terminal_id, sale.token)
    terminal, card, payer = asker
    adjust_fen = 0
    if card is not None and batch.tariff.classes:
        adjust_fen = -batch.tariff.discount_fen(card.class_id, batch.meal_id, sale.amount_fen)
    charged_fen = sale.amount_fen + adjust_fen
    if (sale.identity, Side.REVERSAL) in batch.transfers:
        decision = Decision.REVERSED_BEFORE
    else:
        decision = checks.paying(batch, sale, asker, charged_fen)
    wanted: dict[int, int] = {}
    if decision == Decision.APPROVED:
        assert terminal is not None  # `paying` has refused everything else
        assert payer is not None
        if charged_fen > payer.balance_fen:
            decision = Decision.INSUFFICIENT_FUNDS
        else:
            wanted = {payer.account_id: -charged_fen, terminal.merchant_account_id: charged_fen}
            if batch.tariff.points_rates:
                add_points(batch, wanted, payer, batch.tariff.points_of(terminal.merchant_id, charged_fen))
            if sale.code_step:
                checks.use_code(batch, sale, payer)
    return outcome_of(
        post(
            batch,
            sale,
            Kind.SALE,
            decision,
            wanted,
            adjust_fen=adjust_fen,
            payer=payer,
            merchant_account_id=terminal.merchant_account_id if terminal is not None else 0,
        )
    )
