"""Pre-authorization: an amount is moved from the payer to the account HOLDS, for this merchant. Also its expiry.

A completion takes it from there, a void or the expiry brings it back.
"""

from __future__ import annotations

from typing import Final

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import (
    CONSOLE,
    HOLDS_ACCOUNT,
    Decision,
    ExpireHolds,
    Hold,
    Identity,
    Kind,
    Outcome,
    PreAuth,
    Side,
    TransferState,
)
from server.ledger.rules import checks
from server.ledger.rules.posting import Wanted, give_back, held_of, movement_of, note_hold, note_spending, post

EXPIRY_BATCH: Final = 1 << 30
"""Batch of the console's own in which each hold that expires has its number as STAN: it can expire once."""
NO_HASH: Final = bytes(16)
NO_TOKEN: Final = bytes(8)


def apply(batch: Batch, preauth: PreAuth) -> Outcome:
    """Decide and record one pre-authorization."""
    assert preauth.amount_fen > 0, f"expected an amount above 0 fen, got {preauth.amount_fen}: nothing to hold"
    known = batch.replay(preauth.identity, Side.ORIGINAL, Kind.PREAUTH, preauth.request_hash)
    if known is not None:
        return known
    asker = checks.asker_of(batch, preauth.identity.terminal_id, preauth.token)
    terminal, _, payer = asker
    wanted: Wanted = {}
    decision = checks.paying(batch, preauth, asker, preauth.amount_fen)
    if decision == Decision.APPROVED:
        assert payer is not None  # `paying` has refused everything else
        if preauth.amount_fen > payer.balance_fen:
            decision = Decision.INSUFFICIENT_FUNDS
        else:
            wanted = {payer.account_id: -preauth.amount_fen, HOLDS_ACCOUNT: preauth.amount_fen}
            checks.use_code(batch, preauth, payer)
    return outcome_of(
        post(
            batch,
            preauth,
            Kind.PREAUTH,
            decision,
            wanted,
            payer=payer,
            merchant_account_id=terminal.merchant_account_id if terminal is not None else 0,
        )
    )


def expire(batch: Batch, command: ExpireHolds) -> Outcome:
    """Free the holds whose time is over. `Outcome.amount_fen` is what was freed, 0 = nothing was due."""
    freed_fen = sum(_expire(batch, hold) for hold in batch.due[: command.limit])
    return Outcome(Decision.APPROVED, freed_fen, state=TransferState.APPROVED)


def _expire(batch: Batch, hold: Hold) -> int:
    original = batch.family.get(hold.seq)
    assert original is not None, f"hold {hold.seq}: there is no such pre-authorization"
    held_fen = held_of(batch, original)
    if not held_fen:
        return 0  # an earlier command of this batch has freed it
    payer = batch.accounts.get(original.account_id)
    wanted: Wanted = {HOLDS_ACCOUNT: -held_fen}
    give_back(batch, wanted, original, held_fen)
    if payer is not None:
        note_spending(batch, payer, wanted, Kind.HOLD_EXPIRY, original)
    batch.record(
        Identity(CONSOLE, EXPIRY_BATCH, original.seq),
        Side.ORIGINAL,
        Kind.HOLD_EXPIRY,
        NO_HASH,
        Decision.APPROVED,
        amount_fen=held_fen,
        token_hash=NO_TOKEN,
        payer=payer,
        merchant_account_id=original.merchant_account_id,
        original_seq=original.seq,
        movement=movement_of(batch, wanted),
    )
    note_hold(batch, original, -held_fen)
    return held_fen
