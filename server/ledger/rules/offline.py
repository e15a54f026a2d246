"""Offline sale: a terminal that had no host has sold within its limits, and now the ledger judges, in its order.

The records of a terminal come in the order they were made: one that does not follow the newest is a gap, and nothing
is decided about it. One that does follow moves the chain on, whatever becomes of it, so that nothing is skipped and
nothing holds up what comes after it. The meal is eaten, so no balance is asked for: what the payer's account does not
cover, OFFLINE_DEBT bears; it earns the points of a sale of now, as the payer owes all of it. What the terminal could
have known when it sold, the merchant bears: a card on the stop list it had, or unknown here, or an amount above the
largest limit of one sale in force lately. The other offline limits, of one card, all together and their number, are
the terminal's alone to keep. It is the merchant's for whom the terminal sold when it was made.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Final

import msgspec

from server.ledger.batch import Batch, outcome_of, token_hash
from server.ledger.model import (
    Account,
    Decision,
    Kind,
    OfflineSale,
    Outcome,
    Side,
    Status,
    Terminal,
)
from server.ledger.moves import as_of
from server.ledger.quarantine import Reason, quarantined
from server.ledger.rules.checks import payer_of
from server.ledger.rules.posting import Wanted, add_points, bear, post

NO_TAG: Final = bytes(16)
"""What stands before a terminal's first record."""


def apply(batch: Batch, sale: OfflineSale) -> Outcome:
    """Decide and record one record of a terminal's chain. Every outcome says where the chain stands then.

    `Outcome.replayed`: it came before, and this is what was decided then. OFFLINE_GAP: nothing is decided.
    """
    assert sale.amount_fen > 0, f"expected an amount above 0 fen, got {sale.amount_fen}: the merchant would pay"
    terminal = batch.terminals.get(sale.identity.terminal_id)
    if terminal is None:
        return Outcome(Decision.TERMINAL_UNKNOWN)
    follows = sale.saf_sequence == terminal.saf_sequence + 1
    follows = follows and compare_digest(sale.previous_tag, terminal.saf_tag or NO_TAG)
    known = batch.replay(sale.identity, Side.ORIGINAL, Kind.OFFLINE_SALE, sale.request_hash)
    is_new = known is None or known.decision == Decision.ID_CONFLICT
    if not follows and is_new and (known is None or sale.saf_sequence > terminal.saf_sequence):
        return _at(terminal, Outcome(Decision.OFFLINE_GAP))
    if follows:
        terminal = msgspec.structs.replace(terminal, saf_sequence=sale.saf_sequence, saf_tag=sale.tag)
        batch.set_terminal(terminal)
    if known is not None:
        if follows and is_new:
            batch.quarantined.append(quarantined(sale, Reason.CONFLICT, batch.now_ms))
        return _at(terminal, known)
    if terminal.status != Status.ACTIVE:
        batch.quarantined.append(quarantined(sale, Reason.REVOKED, batch.now_ms))
        return _at(terminal, Outcome(Decision.TERMINAL_REVOKED))
    return _at(terminal, _judge(batch, sale, terminal))


def _at(terminal: Terminal, outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, saf_sequence=terminal.saf_sequence, saf_tag=terminal.saf_tag or NO_TAG)


def _decide(batch: Batch, sale: OfflineSale, payer: Account | None) -> Decision:
    """The first reason not to book it, or APPROVED."""
    if (sale.identity, Side.REVERSAL) in batch.transfers:
        return Decision.REVERSED_BEFORE
    if not sale.is_authentic:
        return Decision.OFFLINE_TAMPERED
    if payer is None or sale.code_step:
        return Decision.CARD_UNKNOWN  # nobody can check a payment code offline, so no terminal may take one
    stopped_in = batch.stopped.get(token_hash(sale.token))
    if stopped_in is not None and stopped_in <= sale.stop_list_version:
        return Decision.STOPPED
    if sale.amount_fen > batch.tariff.offline_limit_fen(batch.now_ms):
        return Decision.OVER_OFFLINE_LIMIT
    return Decision.APPROVED


def _judge(batch: Batch, sale: OfflineSale, terminal: Terminal) -> Outcome:
    payer = payer_of(batch, batch.cards.get(sale.token))
    terminal = as_of(terminal, batch.moves.get(terminal.terminal_id, ()), sale.claimed_at_s)
    decision = _decide(batch, sale, payer)
    if decision == Decision.OFFLINE_TAMPERED:
        batch.quarantined.append(quarantined(sale, Reason.TAMPERED, batch.now_ms))
    wanted: Wanted = {}
    if decision == Decision.APPROVED:
        assert payer is not None  # `_decide` has refused everything else
        wanted = {terminal.merchant_account_id: sale.amount_fen, payer.account_id: -sale.amount_fen}
        bear(wanted, payer.account_id, payer)
        add_points(batch, wanted, payer, batch.tariff.points_of(terminal.merchant_id, sale.amount_fen))
    transfer = post(
        batch,
        sale,
        Kind.OFFLINE_SALE,
        decision,
        wanted,
        payer=payer,
        merchant_account_id=terminal.merchant_account_id,
    )
    return outcome_of(transfer)
