"""Upload: a sale that a host now lost has approved comes back, out of the memory of the terminal that made it.

The meal is eaten, so nothing is refused for want of money, for a limit or for a card reported lost since: what the
payer's balance does not cover, the account OFFLINE_DEBT bears, and so it does all of a sale whose card this ledger does
not know. Only the identity decides: what is here already is not posted twice, what was reversed stays so, and what
contradicts the journal is never posted.

Not a request for an answer once given, but for how the sale stands now: a copy of an upload is told that it is known.
"""

from __future__ import annotations

import msgspec

from server.ledger.batch import Batch, Movement, outcome_of, token_hash
from server.ledger.model import (
    OFFLINE_DEBT_ACCOUNT,
    Account,
    AccountKind,
    Decision,
    Kind,
    Outcome,
    Side,
    Status,
    Transfer,
    TransferState,
    Upload,
)
from server.ledger.rules.query import UNDONE
from server.ledger.rules.sale import spent_on

SALES = (Kind.SALE, Kind.UPLOAD)


def apply(batch: Batch, upload: Upload) -> Outcome:
    """Say how the sale stands, and post it if it is missing. `Outcome.replayed`: it was here before.

    REVERSED_BEFORE: it is not charged, whichever of sale and reversal came first. ID_CONFLICT: the journal knows
    something else of this identity, or declined what the terminal says was approved. RECOVERY_CLOSED: it is missing,
    and is not taken any more.
    """
    assert upload.amount_fen > 0, f"expected an amount above 0 fen, got {upload.amount_fen}: the merchant would pay"
    original = batch.transfers.get((upload.identity, Side.ORIGINAL))
    tombstone = batch.transfers.get((upload.identity, Side.REVERSAL))
    if original is not None:
        return _as_it_stands(original, upload, is_reversed=tombstone is not None)
    terminal = batch.terminals.get(upload.identity.terminal_id)
    if terminal is None or terminal.status != Status.ACTIVE:
        return Outcome(Decision.TERMINAL_REVOKED)
    if not batch.is_recovery_open:
        return Outcome(Decision.RECOVERY_CLOSED)
    if tombstone is None:
        return _post(batch, upload, batch.accounts[terminal.merchant_account_id])
    if tombstone.token_hash != token_hash(upload.token):
        return Outcome(Decision.ID_CONFLICT)  # somebody else's reversal: two terminals have made this identity
    transfer = _record(batch, upload, Decision.REVERSED_BEFORE, _payer(batch, upload), terminal.merchant_account_id, ())
    return _reversed(transfer)


def _as_it_stands(original: Transfer, upload: Upload, *, is_reversed: bool) -> Outcome:
    if original.kind not in SALES or original.request_hash != upload.request_hash:
        return Outcome(Decision.ID_CONFLICT)
    if is_reversed and original.decision in UNDONE:
        return _reversed(original)
    if original.decision != Decision.APPROVED:
        return Outcome(Decision.ID_CONFLICT)  # two histories of one sale: who approved it was not this ledger's past
    return outcome_of(original, replayed=True)


def _reversed(original: Transfer) -> Outcome:
    return msgspec.structs.replace(
        outcome_of(original), decision=Decision.REVERSED_BEFORE, state=TransferState.REVERSED
    )


def _payer(batch: Batch, upload: Upload) -> Account | None:
    """Whose card it is, whatever has become of the card since; None if this ledger has never heard of it."""
    card = batch.cards.get(upload.token)
    account = batch.accounts.get(card.account_id) if card is not None else None
    return account if account is not None and account.kind == AccountKind.CUSTOMER else None


def _post(batch: Batch, upload: Upload, merchant: Account) -> Outcome:
    payer = _payer(batch, upload)
    own_fen = 0
    if payer is not None:
        own_fen = min(payer.balance_fen, upload.amount_fen)
        payer.spent_fen = spent_on(payer, batch.today) + upload.amount_fen
        payer.spent_day = batch.today
        batch.dirty[payer.account_id] = payer
    debt_fen = upload.amount_fen - own_fen
    movement = [(merchant, upload.amount_fen)]
    if payer is not None and own_fen:
        movement.append((payer, -own_fen))
    if debt_fen:
        movement.append((batch.accounts[OFFLINE_DEBT_ACCOUNT], -debt_fen))
    transfer = _record(batch, upload, Decision.APPROVED, payer, merchant.account_id, movement)
    batch.debts[transfer.seq] = debt_fen
    return outcome_of(transfer)


def _record(
    batch: Batch,
    upload: Upload,
    decision: Decision,
    payer: Account | None,
    merchant_account_id: int,
    movement: Movement,
) -> Transfer:
    return batch.record(
        upload.identity,
        Side.ORIGINAL,
        Kind.UPLOAD,
        upload.request_hash,
        decision,
        amount_fen=upload.amount_fen,
        token_hash=token_hash(upload.token),
        payer=payer,
        merchant_account_id=merchant_account_id,
        operator=upload.operator,
        claimed_at_s=upload.claimed_at_s,
        original_seq=upload.lost_rrn,
        movement=movement,
    )
