"""Sale: the payer's account pays the terminal's merchant, if every check allows it, and earns points."""

from __future__ import annotations

from server.ledger.batch import Batch, Movement, outcome_of, token_hash
from server.ledger.model import POINTS_ISSUED_ACCOUNT, Account, Decision, Kind, Outcome, Sale, Side, Terminal
from server.ledger.rules import checks
from server.ledger.rules.posting import points_account, spend


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
    decision = checks.paying(batch, sale, asker, charged_fen)
    movement: Movement = ()
    points = 0
    if decision == Decision.APPROVED:
        assert terminal is not None  # `paying` has refused everything else
        assert payer is not None
        if charged_fen > payer.balance_fen:
            decision = Decision.INSUFFICIENT_FUNDS
        else:
            spend(batch, payer, charged_fen)
            movement, points = _moves(batch, payer, terminal, charged_fen)
            if sale.code_step:
                checks.use_code(batch, sale, payer)
    transfer = batch.record(
        sale.identity,
        Side.ORIGINAL,
        Kind.SALE,
        sale.request_hash,
        decision,
        amount_fen=sale.amount_fen,
        token_hash=token_hash(sale.token),
        payer=payer,
        merchant_account_id=terminal.merchant_account_id if terminal is not None else 0,
        operator=sale.operator,
        claimed_at_s=sale.claimed_at_s,
        movement=movement,
        adjust_fen=adjust_fen if decision == Decision.APPROVED else 0,
        points=points,
    )
    return outcome_of(transfer)


def _moves(batch: Batch, payer: Account, terminal: Terminal, charged_fen: int) -> tuple[Movement, int]:
    """Money from payer to merchant, and the points that earns: four accounts at most, each once."""
    movement: list[tuple[Account, int]] = []
    if charged_fen:
        movement = [(payer, -charged_fen), (batch.accounts[terminal.merchant_account_id], charged_fen)]
    points = batch.tariff.points_of(terminal.merchant_id, charged_fen) if batch.tariff.points_rates else 0
    if points:
        movement += ((points_account(batch, payer), points), (batch.accounts[POINTS_ISSUED_ACCOUNT], -points))
    return movement, points
