"""Sale: the payer's account pays the terminal's merchant, if every check allows it."""

from __future__ import annotations

from typing import Final

from server.ledger.batch import Batch, Movement, outcome_of, token_hash
from server.ledger.model import (
    Account,
    AccountKind,
    Card,
    Decision,
    Kind,
    Outcome,
    Sale,
    SaleLimits,
    Side,
    Status,
    Terminal,
)

CARD_REFUSALS: Final[dict[int, Decision]] = {
    Status.LOST: Decision.CARD_LOST,
    Status.FROZEN: Decision.CARD_FROZEN,
}
"""Every other state but ACTIVE counts as closed, one that a later version may have written included."""


def decide(
    amount_fen: int, terminal: Terminal | None, card: Card | None, payer: Account | None, today: int, limits: SaleLimits
) -> Decision:
    """The first reason to refuse, in the order of `Decision`, or APPROVED. Pure."""
    if terminal is None:
        return Decision.TERMINAL_UNKNOWN
    if terminal.status != Status.ACTIVE:
        return Decision.TERMINAL_REVOKED
    if terminal.merchant_status != Status.ACTIVE:
        return Decision.MERCHANT_CLOSED
    if card is None or payer is None or payer.kind != AccountKind.CUSTOMER:
        return Decision.CARD_UNKNOWN
    if card.status != Status.ACTIVE:
        return CARD_REFUSALS.get(card.status, Decision.CARD_CLOSED)
    sale_limit_fen = card.sale_limit_fen or limits.sale_limit_fen
    if sale_limit_fen and amount_fen > sale_limit_fen:
        return Decision.OVER_SALE_LIMIT
    day_limit_fen = card.day_limit_fen or limits.day_limit_fen
    if day_limit_fen and spent_on(payer, today) + amount_fen > day_limit_fen:
        return Decision.OVER_DAY_LIMIT
    if amount_fen > payer.balance_fen:
        return Decision.INSUFFICIENT_FUNDS
    return Decision.APPROVED


def spent_on(payer: Account, today: int) -> int:
    """What the account has spent on this business day, in fen."""
    return payer.spent_fen if payer.spent_day == today else 0


def apply(batch: Batch, sale: Sale) -> Outcome:
    """Decide and record one sale; a known identity gets its original answer."""
    assert sale.amount_fen > 0, f"expected an amount above 0 fen, got {sale.amount_fen}: the merchant would pay"
    known = batch.replay(sale.identity, Side.ORIGINAL, Kind.SALE, sale.request_hash)
    if known is not None:
        return known
    terminal = batch.terminals.get(sale.identity.terminal_id)
    card = batch.cards.get(sale.token)
    payer = batch.accounts.get(card.account_id) if card is not None else None
    if (sale.identity, Side.REVERSAL) in batch.transfers:
        decision = Decision.REVERSED_BEFORE
    else:
        decision = decide(sale.amount_fen, terminal, card, payer, batch.today, batch.limits)
    movement: Movement = ()
    if decision == Decision.APPROVED:
        assert terminal is not None  # `decide` has refused everything else
        assert payer is not None
        payer.spent_fen = spent_on(payer, batch.today) + sale.amount_fen
        payer.spent_day = batch.today
        merchant = batch.accounts[terminal.merchant_account_id]
        movement = ((payer, -sale.amount_fen), (merchant, sale.amount_fen))
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
    )
    return outcome_of(transfer)
