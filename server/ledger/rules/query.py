"""Query: what became of an identity, in one step. Writes nothing.

It runs in the same serial order as payments, so "never seen" means: nothing that arrived before this has that identity.
"""

from __future__ import annotations

import msgspec

from server.ledger.batch import Batch, outcome_of
from server.ledger.model import Decision, Outcome, Query, Side, TransferState


def apply(batch: Batch, query: Query) -> Outcome:
    """The original's outcome, with its state as it is now."""
    original = batch.transfers.get((query.identity, Side.ORIGINAL))
    reversed_ = (query.identity, Side.REVERSAL) in batch.transfers
    if original is None:
        state = TransferState.REVERSED if reversed_ else TransferState.NEVER_SEEN
        return Outcome(Decision.APPROVED if reversed_ else Decision.CARD_UNKNOWN, state=state)
    outcome = outcome_of(original)
    if reversed_ and original.decision == Decision.APPROVED:
        return msgspec.structs.replace(outcome, state=TransferState.REVERSED)
    return outcome
