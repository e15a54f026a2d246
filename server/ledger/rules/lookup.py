"""Look-up and inquiry: what there is to know about one transaction, or one card. Neither writes to the journal."""

from __future__ import annotations

import msgspec

from server.ledger.batch import Batch, kind_of, outcome_of
from server.ledger.model import (
    Decision,
    Identity,
    Inquiry,
    Lookup,
    Outcome,
    Side,
    Terminal,
    Transfer,
    TransferState,
)
from server.ledger.rules import checks
from server.ledger.rules.refund import REFUNDABLE, remaining_of


def look_up(batch: Batch, lookup: Lookup) -> Outcome:
    """A transaction of this terminal's merchant with what is left of it. Of others' nothing is told."""
    terminal = batch.terminals.get(lookup.terminal_id)
    decision = checks.terminal_refusal(terminal)
    if decision:
        return Outcome(decision)
    assert terminal is not None  # refused before
    if lookup.original is not None:
        found = batch.transfers.get((lookup.original, Side.ORIGINAL))
    else:
        found = batch.family.get(lookup.rrn)
    if found is None or not _may_see(terminal, found):
        return Outcome(Decision.ORIGINAL_UNKNOWN)
    outcome = outcome_of(found)
    return msgspec.structs.replace(
        outcome,
        state=TransferState.REVERSED if batch.family.is_reversed(found) else outcome.state,
        remaining_fen=_remaining(batch, found),
        kind=kind_of(found),
        original=Identity(found.terminal_id, found.batch, found.stan),
        business_day=found.business_day,
    )


def _may_see(terminal: Terminal, found: Transfer) -> bool:
    return found.side == Side.ORIGINAL and found.merchant_account_id == terminal.merchant_account_id


def _remaining(batch: Batch, found: Transfer) -> int:
    """Of a sale what can be refunded, of all else the whole or nothing."""
    family = batch.family
    if not family.stands(found) or family.is_under_a_reversal(found):
        return 0
    if found.kind in REFUNDABLE:
        return remaining_of(batch, found)
    return 0 if family.standing(found) else found.amount_fen


def inquire(batch: Batch, inquiry: Inquiry) -> Outcome:
    """Balance, points and holds. A wrong PIN is counted as everywhere: this is no way to try them out."""
    asker = checks.asker_of(batch, inquiry.terminal_id, inquiry.token)
    terminal, card, payer = asker
    decision = checks.terminal_refusal(terminal)
    if not decision and inquiry.code_step:
        decision = checks.code_refusal(batch, inquiry, asker)
    decision = decision or checks.card_refusal(card, payer)
    if decision:
        return Outcome(decision, state=TransferState.DECLINED)
    assert terminal is not None
    assert card is not None
    assert payer is not None  # refused before
    decision = checks.pin_refusal(batch, inquiry.pin_verifier, terminal, card, is_required=False)
    if decision:
        return Outcome(decision, state=TransferState.DECLINED)
    return Outcome(
        Decision.APPROVED,
        balance_fen=payer.balance_fen,
        state=TransferState.APPROVED,
        points=batch.points_of(payer),
        held_fen=batch.held.get(payer.account_id, 0),
    )
