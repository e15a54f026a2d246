"""Query: what became of an identity, in one step. Writes nothing.

A query that names amount and payer asks about that sale only: the identity may belong to an older one, if the terminal
has lost its memory, and the approval of that one is not for the customer who stands there now.

It runs in the same serial order as payments, so "never seen" means: nothing that arrived before this has that identity.
"""

from __future__ import annotations

import msgspec

from server.ledger.batch import Batch, outcome_of, token_hash
from server.ledger.model import Decision, Outcome, Query, Side, TransferState

UNDONE = (Decision.APPROVED, Decision.REVERSED_BEFORE)


def apply(batch: Batch, query: Query) -> Outcome:
    """The original's outcome with its state as it is now; where only its reversal came, what it will be answered."""
    original = batch.transfers.get((query.identity, Side.ORIGINAL))
    reversed_ = (query.identity, Side.REVERSAL) in batch.transfers
    if original is None:
        if reversed_:
            return Outcome(Decision.REVERSED_BEFORE, state=TransferState.REVERSED)
        return Outcome(Decision.NEVER_SEEN, state=TransferState.NEVER_SEEN)
    asked = (query.amount_fen, token_hash(query.token), query.claimed_at_s)
    if query.names_content and (original.amount_fen, original.token_hash, original.claimed_at_s) != asked:
        # Final: the sale asked about was not posted, and under this identity never will be.
        return Outcome(Decision.ID_CONFLICT, state=TransferState.DECLINED)
    outcome = outcome_of(original)
    if reversed_ and original.decision in UNDONE:
        return msgspec.structs.replace(outcome, state=TransferState.REVERSED)
    return outcome
