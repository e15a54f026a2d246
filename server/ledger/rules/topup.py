"""Top-up: the merchant got cash for it, so its account falls and the payer's grows, by the bonus more than that."""

from __future__ import annotations

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import BONUS_ACCOUNT, Decision, Kind, Outcome, Side, TopUp
from server.ledger.rules import checks
from server.ledger.rules.posting import Wanted, add, post


def apply(batch: Batch, topup: TopUp) -> Outcome:
    """Decide and record one top-up. It needs no PIN: it takes nothing from the payer. Its limit is one for typing."""
    assert topup.amount_fen > 0, f"expected an amount above 0 fen, got {topup.amount_fen}: the payer would pay"
    known = batch.replay(topup.identity, Side.ORIGINAL, Kind.TOPUP, topup.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, topup.identity.terminal_id, topup.token)
    terminal, _, payer = asker
    decision = checks.served(batch, topup, asker)
    if decision == Decision.APPROVED and 0 < batch.tariff.topup_limit_fen < topup.amount_fen:
        decision = Decision.OVER_SALE_LIMIT
    wanted: Wanted = {}
    bonus_fen = 0
    if decision == Decision.APPROVED:
        assert terminal is not None
        assert payer is not None  # `served` has refused everything else
        bonus_fen = batch.tariff.bonus_fen(terminal.merchant_id, topup.amount_fen)
        wanted = wanted_of(payer.account_id, terminal.merchant_account_id, topup.amount_fen, bonus_fen)
        checks.use_code(batch, topup, payer)
    return outcome_of(
        post(
            batch,
            topup,
            Kind.TOPUP,
            decision,
            wanted,
            adjust_fen=bonus_fen,
            payer=payer,
            merchant_account_id=terminal.merchant_account_id if terminal is not None else 0,
        )
    )


def wanted_of(payer_id: int, merchant_account_id: int, amount_fen: int, bonus_fen: int) -> Wanted:
    """The cash from the merchant, the bonus from BONUS."""
    wanted: Wanted = {payer_id: amount_fen + bonus_fen, merchant_account_id: -amount_fen}
    add(wanted, BONUS_ACCOUNT, -bonus_fen)
    return wanted
