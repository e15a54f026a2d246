"""Upload: what a host now lost has approved comes back, out of the memory of the terminal that made it.

The meal is eaten, so nothing is refused for want of money, for a limit or for a card reported lost since: what the
payer's balance does not cover, the account OFFLINE_DEBT bears, and so it does all of a sale whose card this ledger does
not know. It is posted as the lost host had answered it, discount, bonus and points, whatever the tariff is now, and for
the merchant to whom the terminal belonged then.
Only the identity decides: what is here already is not posted twice, what was reversed stays so, and what contradicts
the journal is never posted: a refund of more than its sale, a void of less than the whole. What is about something
that is not here yet, or that is voided or used up for now, waits: terminals come back in any order.

Not a request for an answer once given, but for how it stands now: a copy of an upload is told that it is known.
"""

from __future__ import annotations

from typing import Final

import msgspec

from server.ledger.batch import Batch, kind_of, outcome_of, token_hash
from server.ledger.model import (
    CHARGED_AMOUNT,
    HOLDS_ACCOUNT,
    Account,
    Decision,
    Kind,
    Outcome,
    Side,
    Status,
    Terminal,
    Transfer,
    TransferState,
    Upload,
)
from server.ledger.moves import as_of
from server.ledger.rules import completion, refund, topup
from server.ledger.rules.checks import payer_of
from server.ledger.rules.posting import Wanted, add, add_points, bear, inverse, post
from server.ledger.rules.query import UNDONE
from server.ledger.rules.void import VOIDS

ABOUT: Final[dict[Kind, tuple[Kind, ...]]] = {
    **VOIDS,
    Kind.REFUND: refund.REFUNDABLE,
    Kind.COMPLETION: (Kind.PREAUTH,),
}
"""What a follow-up may be about."""
GIVES: Final = (Kind.TOPUP, Kind.POINTS_SALE)
"""They wait for a card that is not known here: nobody could have the money, or give the points, in its place."""


def apply(batch: Batch, upload: Upload) -> Outcome:
    """Say how it stands, and post it if it is missing. `Outcome.replayed`: it was here before.

    REVERSED_BEFORE: it is not charged, whichever of it and its reversal came first. ID_CONFLICT: the journal knows
    something else of this identity, or declined what the terminal says was approved, or what it is about is reversed
    or another's. RECOVERY_CLOSED: it is missing, and is not taken any more. ORIGINAL_UNKNOWN, CARD_UNKNOWN: not yet.
    """
    assert upload.amount_fen > 0, f"expected an amount above 0 fen, got {upload.amount_fen}: the merchant would pay"
    known = batch.transfers.get((upload.identity, Side.ORIGINAL))
    tombstone = batch.transfers.get((upload.identity, Side.REVERSAL))
    if known is not None:
        return _as_it_stands(known, upload, is_reversed=tombstone is not None)
    terminal = batch.terminals.get(upload.identity.terminal_id)
    if terminal is None or terminal.status != Status.ACTIVE:
        return Outcome(Decision.TERMINAL_REVOKED)
    if not batch.is_recovery_open:
        return Outcome(Decision.RECOVERY_CLOSED)
    terminal = as_of(terminal, batch.moves.get(terminal.terminal_id, ()), upload.claimed_at_s)
    original = None
    if upload.kind in ABOUT:
        original = batch.transfers.get((upload.original, Side.ORIGINAL)) if upload.original is not None else None
        if original is None:
            return Outcome(Decision.ORIGINAL_UNKNOWN)
    # Whoever paid the original; else whose card it is.
    card = batch.cards.get(upload.token)
    payer = payer_of(batch, card) if original is None else batch.accounts.get(original.account_id)
    if tombstone is not None:
        if tombstone.token_hash != token_hash(upload.token):
            return Outcome(Decision.ID_CONFLICT)  # somebody else's reversal: two terminals have made this identity
        return _reversed(_record(batch, upload, Decision.REVERSED_BEFORE, payer, terminal, None, {}))
    if payer is None and upload.kind in GIVES:
        return Outcome(Decision.CARD_UNKNOWN)
    if original is not None:
        refusal = _refusal(batch, upload, terminal, original)
        if refusal != Decision.APPROVED:
            return Outcome(refusal)
        if upload.kind == Kind.REFUND:
            upload = _of_the_rest(batch, upload, original)
    wanted = _wanted(batch, upload, payer, terminal, original)
    bear(wanted, payer.account_id if payer is not None else 0, payer)
    return outcome_of(_record(batch, upload, Decision.APPROVED, payer, terminal, original, wanted))


def _as_it_stands(known: Transfer, upload: Upload, *, is_reversed: bool) -> Outcome:
    if kind_of(known) != upload.kind or known.request_hash != upload.request_hash:
        return Outcome(Decision.ID_CONFLICT)
    if is_reversed and known.decision in UNDONE:
        return _reversed(known)
    if known.decision != Decision.APPROVED:
        return Outcome(Decision.ID_CONFLICT)  # two histories of it: who approved it was not this ledger's past
    return outcome_of(known, replayed=True)


def _reversed(known: Transfer) -> Outcome:
    return msgspec.structs.replace(outcome_of(known), decision=Decision.REVERSED_BEFORE, state=TransferState.REVERSED)


def _refusal(batch: Batch, upload: Upload, terminal: Terminal, original: Transfer) -> Decision:
    """APPROVED if it can be about this original; ID_CONFLICT if it never can; else what it waits for, card or original.

    Terminals upload in any order. What is voided or used up here now may be free again once the void of another
    terminal is here, or was undone; only a reversal is for ever.
    """
    if original.kind not in ABOUT[upload.kind] or original.merchant_account_id != terminal.merchant_account_id:
        return Decision.ID_CONFLICT
    if not _is_within(upload, original):
        return Decision.ID_CONFLICT
    if original.token_hash != token_hash(upload.token):
        # Another card of the account, or a code: the lost host took any. One that is not known here is to be issued.
        card = batch.cards.get(upload.token)
        if card is None:
            return Decision.CARD_UNKNOWN
        if card.account_id != original.account_id:
            return Decision.ID_CONFLICT
    family = batch.family
    if original.decision != Decision.APPROVED or family.is_reversed(original) or family.is_under_a_reversal(original):
        return Decision.ID_CONFLICT
    if not family.stands(original):
        return Decision.ORIGINAL_UNKNOWN
    if upload.kind == Kind.REFUND:
        if refund.are_too_many(batch, original):
            return Decision.ID_CONFLICT
        is_free = _is_left(batch, upload, original)
    else:
        is_free = all(follower.kind == Kind.HOLD_EXPIRY for follower in family.standing(original))
    return Decision.APPROVED if is_free else Decision.ORIGINAL_UNKNOWN


def _is_within(upload: Upload, original: Transfer) -> bool:
    """Whether it is of no more than the original, were that untouched; a void is of the whole."""
    if upload.kind == Kind.REFUND:
        return (
            upload.amount_fen <= original.amount_fen
            and 0 <= _charged(upload) <= original.amount_fen + original.adjust_fen
            and 0 <= upload.points <= max(0, original.points)
        )
    if upload.kind == Kind.COMPLETION:
        return upload.amount_fen <= original.amount_fen
    return upload.amount_fen == original.amount_fen


def _is_left(batch: Batch, upload: Upload, original: Transfer) -> bool:
    """Whether so much of the sale is left to be refunded: of its amount, of what was charged, of the points.

    What is its share, rounded up, is left as long as the amount is: the fen it lacks went back with another refund.
    """
    amount_back, _, _ = batch.family.refunded(original)
    charge_left, points_left = _rest(batch, original)
    charge, points = original.amount_fen + original.adjust_fen, max(0, original.points)
    return (
        amount_back + upload.amount_fen <= original.amount_fen
        and _charged(upload) <= max(charge_left, _rounded_up(charge * upload.amount_fen, original.amount_fen))
        and upload.points <= max(points_left, _rounded_up(points * upload.amount_fen, original.amount_fen))
    )


def _rounded_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _rest(batch: Batch, original: Transfer) -> tuple[int, int]:
    """What of the charge, and of the points, no refund has given back yet."""
    _, charge_back, points_back = batch.family.refunded(original)
    return original.amount_fen + original.adjust_fen - charge_back, max(0, original.points) - points_back


def _of_the_rest(batch: Batch, upload: Upload, original: Transfer) -> Upload:
    """A refund gives back no more than is left. It was rounded up, and the fen has gone back with another meanwhile."""
    charge_left, points_left = _rest(batch, original)
    charged_fen, points = min(_charged(upload), charge_left), min(upload.points, points_left)
    return msgspec.structs.replace(upload, charged_fen=charged_fen, points=points)


def _charged(upload: Upload) -> int:
    return upload.amount_fen if upload.charged_fen == CHARGED_AMOUNT else upload.charged_fen


def _wanted(
    batch: Batch, upload: Upload, payer: Account | None, terminal: Terminal, original: Transfer | None
) -> Wanted:
    """What it had moved when it was approved."""
    payer_id = payer.account_id if payer is not None else 0
    merchant_id = terminal.merchant_account_id
    charged_fen = _charged(upload)
    wanted: Wanted = {}
    if original is not None and upload.kind == Kind.REFUND:
        wanted = refund.wanted_of(batch, original, charged_fen, upload.points)
    elif original is not None and upload.kind == Kind.COMPLETION:
        wanted = completion.wanted_of(batch, original, upload.amount_fen, upload.points)
    elif original is not None:
        wanted = inverse(batch.family.net(original))
    elif upload.kind == Kind.PREAUTH:
        wanted = {payer_id: -upload.amount_fen, HOLDS_ACCOUNT: upload.amount_fen}
    elif upload.kind == Kind.TOPUP:
        wanted = topup.wanted_of(payer_id, merchant_id, upload.amount_fen, charged_fen - upload.amount_fen)
    elif upload.kind == Kind.POINTS_SALE:
        add_points(batch, wanted, payer, -upload.amount_fen)
    else:
        add(wanted, merchant_id, charged_fen)
        add(wanted, payer_id, -charged_fen)
        add_points(batch, wanted, payer, upload.points)
    return wanted


def _record(
    batch: Batch,
    upload: Upload,
    decision: Decision,
    payer: Account | None,
    terminal: Terminal,
    original: Transfer | None,
    wanted: Wanted,
) -> Transfer:
    is_sale = upload.kind == Kind.SALE
    adjust_fen = _charged(upload) - upload.amount_fen
    if upload.kind in (Kind.POINTS_SALE, Kind.POINTS_VOID, Kind.PREAUTH, Kind.COMPLETION):
        adjust_fen = 0
    elif original is not None and upload.kind in VOIDS:
        adjust_fen = original.adjust_fen
    return post(
        batch,
        upload,
        Kind.UPLOAD if is_sale else upload.kind,
        decision,
        wanted,
        adjust_fen=adjust_fen,
        payer=payer,
        merchant_account_id=terminal.merchant_account_id,
        original=original,
        original_seq=upload.lost_rrn if is_sale else 0,
        lost_rrn=0 if is_sale else upload.lost_rrn or LOST_UNKNOWN,
    )


LOST_UNKNOWN: Final = -1
"""In place of a number at the lost host that nobody knows."""
