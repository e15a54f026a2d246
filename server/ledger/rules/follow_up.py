"""What a void, a refund and a completion have in common: an earlier transaction, which has to be the one they name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from server.ledger.batch import Batch, token_hash
from server.ledger.model import Completion, Decision, Kind, Refund, Side, Transfer, Void
from server.ledger.rules import checks
from server.ledger.rules.checks import Asker

SALES: Final = (Kind.SALE, Kind.UPLOAD, Kind.OFFLINE_SALE)
"""What took money from a payer for a meal. An upload is its sale."""


def original_of(batch: Batch, command: Void | Refund | Completion) -> Transfer | None:
    """What it is about, as the journal knows it."""
    return batch.transfers.get((command.original, Side.ORIGINAL))


def refusal(
    batch: Batch,
    command: Void | Refund | Completion,
    asker: Asker,
    original: Transfer | None,
    kinds: Collection[Kind],
) -> Decision:
    """Who asks, and whether the original is this merchant's, of the right kind, and this payer's.

    Any card or code of the account will do: cards are replaced, and a code is another every time.
    """
    decision = checks.who_with_password(batch, command, asker)
    if decision:
        return decision
    terminal, card, payer = asker
    assert terminal is not None
    assert card is not None  # `who` has refused everything else
    if original is None or original.merchant_account_id != terminal.merchant_account_id:
        return Decision.ORIGINAL_UNKNOWN
    if original.decision != Decision.APPROVED:
        return Decision.ORIGINAL_UNKNOWN
    if original.kind not in kinds:
        return Decision.WRONG_KIND
    is_same_account = payer is not None and payer.account_id == original.account_id
    if not is_same_account and original.token_hash != token_hash(command.token):
        return Decision.WRONG_PAYER
    return checks.pin_refusal(batch, command.pin_verifier, terminal, card, is_required=False)
