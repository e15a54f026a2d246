"""How a decided request becomes a row of the journal with its entries, and what follows from it.

A rule says what is wanted, account by account. Here it becomes the movement, what was spent, the points, the holds.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from server.ledger.batch import IN_POINTS, Batch, Movement, token_hash
from server.ledger.model import (
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    Account,
    AccountKind,
    Asked,
    Decision,
    Hold,
    Kind,
    Reversal,
    Side,
    Transfer,
    Upload,
)
from server.ledger.recovery import EPOCH_TIME_MIN_S
from server.ledger.tariff import HOUR_MS, meal_key

Wanted = dict[int, int]
"""What each account of a transfer gets (negative: gives), in fen or points: zero in each currency."""

SPENDING: Final = (Kind.SALE, Kind.UPLOAD, Kind.PREAUTH, Kind.OFFLINE_SALE)
"""What counts as spent on its business day, less all that came back of it."""
LATE: Final = (Kind.UPLOAD, Kind.OFFLINE_SALE)
"""What had happened before it came here, like all that has a `lost_rrn`: only its terminal knows when."""
DAY_EDGE_MS: Final = HOUR_MS
"""What came late counts for the day on which it came if it was made since so long before that day was opened: the
clock of its terminal may have been slow."""


def add(wanted: Wanted, account_id: int, amount: int) -> None:
    """One account gets more."""
    if amount:
        wanted[account_id] = wanted.get(account_id, 0) + amount


def movement_of(batch: Batch, wanted: Wanted) -> Movement:
    """Entries are made where something moves."""
    return [(batch.accounts[account_id], amount) for account_id, amount in wanted.items() if amount]


def inverse(moved: Wanted) -> Wanted:
    """Everything back."""
    return {account_id: -amount for account_id, amount in moved.items()}


# --- who bears what


def bear(wanted: Wanted, payer_id: int, payer: Account | None) -> None:
    """What the payer is to give and does not have, OFFLINE_DEBT gives: the campus claims it."""
    given_fen = -wanted.get(payer_id, 0)
    short_fen = given_fen - (payer.balance_fen if payer is not None else 0)
    if given_fen > 0 and short_fen > 0:
        add(wanted, payer_id, short_fen)
        add(wanted, OFFLINE_DEBT_ACCOUNT, -short_fen)


def give_back(batch: Batch, wanted: Wanted, original: Transfer, amount_fen: int) -> None:
    """To whoever bore it: first to OFFLINE_DEBT what that gave for it, the rest to the payer."""
    assert amount_fen >= 0, f"expected an amount of at least 0 fen to give back, got {amount_fen}: the payer would pay"
    root = batch.family.root(original)
    debt_fen = min(amount_fen, -min(0, batch.family.net(root).get(OFFLINE_DEBT_ACCOUNT, 0)))
    add(wanted, OFFLINE_DEBT_ACCOUNT, debt_fen)
    add(wanted, original.account_id, amount_fen - debt_fen)


def held_of(batch: Batch, original: Transfer) -> int:
    """What the pre-authorization behind a transfer still holds."""
    return batch.family.net(batch.family.root(original)).get(HOLDS_ACCOUNT, 0)


def points_account(batch: Batch, payer: Account) -> Account:
    """The payer's points; made when first needed."""
    account_id = payer.account_id + POINTS_ACCOUNT_OFFSET
    account = batch.accounts.get(account_id)
    if account is None:
        assert account_id in batch.looked_for, f"points account {account_id} was not loaded: it may have points already"
        account = batch.accounts[account_id] = Account(account_id, AccountKind.POINTS, 0, 0, 0, 0)
    return account


def add_points(batch: Batch, wanted: Wanted, payer: Account | None, points: int) -> None:
    """The payer gets points, or gives them."""
    if points and payer is not None:
        add(wanted, points_account(batch, payer).account_id, points)
        add(wanted, POINTS_ISSUED_ACCOUNT, -points)


# --- the row


def post(
    batch: Batch,
    asked: Asked | Reversal | Upload,
    kind: Kind,
    decision: Decision,
    wanted: Wanted,
    *,
    side: Side = Side.ORIGINAL,
    amount_fen: int | None = None,
    adjust_fen: int = 0,
    payer: Account | None = None,
    merchant_account_id: int = 0,
    original: Transfer | None = None,
    original_seq: int = 0,
    lost_rrn: int = 0,
) -> Transfer:
    """Append the request as decided; nothing moves if it is refused. `original` is what it is about."""
    if decision != Decision.APPROVED:
        wanted, adjust_fen = {}, 0
    root = batch.family.root(original) if original is not None else None
    if payer is not None and decision == Decision.APPROVED:
        note_spending(batch, payer, wanted, kind, root, made_at_s(kind, lost_rrn, asked.claimed_at_s))
    transfer = batch.record(
        asked.identity,
        side,
        kind,
        asked.request_hash,
        decision,
        amount_fen=asked.amount_fen if amount_fen is None else amount_fen,
        token_hash=token_hash(asked.token),
        payer=payer,
        merchant_account_id=merchant_account_id,
        operator=asked.operator,
        claimed_at_s=asked.claimed_at_s,
        original_seq=original.seq if original is not None else original_seq,
        movement=movement_of(batch, wanted),
        adjust_fen=adjust_fen,
        points=wanted.get(payer.account_id + POINTS_ACCOUNT_OFFSET, 0) if payer is not None else 0,
        lost_rrn=lost_rrn,
        answered=_answered(batch, kind, payer, original),
    )
    if HOLDS_ACCOUNT in wanted:
        note_hold(batch, root if root is not None else transfer, wanted[HOLDS_ACCOUNT])
    return transfer


def _answered(batch: Batch, kind: Kind, payer: Account | None, original: Transfer | None) -> Account | None:
    """Whose balance is told: of what moves points, the points'."""
    if payer is None or not (kind in IN_POINTS or (original is not None and original.kind in IN_POINTS)):
        return None
    return points_account(batch, payer)


def made_at_s(kind: int, lost_rrn: int, claimed_at_s: int) -> int | None:
    """When what came late was made, as its terminal says; None of what is posted when it happens."""
    return claimed_at_s if lost_rrn or kind in LATE else None


def note_spending(
    batch: Batch, payer: Account, wanted: Wanted, kind: Kind, root: Transfer | None, made_s: int | None = None
) -> None:
    """Keep what limits count. `root` is what it all began with, None if that is this very request, of which `made_s`
    is the time if it came late."""
    spent_fen = -(wanted.get(payer.account_id, 0) + wanted.get(OFFLINE_DEBT_ACCOUNT, 0))
    if root is None:
        if kind in SPENDING:
            spend(batch, payer, spent_fen, made_s)
    elif root.kind in SPENDING:
        made_s = made_at_s(root.kind, root.lost_rrn, root.claimed_at_s)
        if payer.spent_day == root.business_day and _is_of_day(batch, root.business_day, made_s):
            payer.spent_fen += spent_fen
        meal_id = batch.tariff.meal_at(root.posted_at_ms)
        key = meal_key(root.business_day, meal_id)
        if key and payer.meal_key == key and _is_of_meal(batch, root.business_day, meal_id, made_s):
            payer.meal_fen += spent_fen
        batch.dirty[payer.account_id] = payer  # also where it moves no money


def spend(batch: Batch, payer: Account, spent_fen: int, made_s: int | None = None) -> None:
    """A new payment: the day's and the meal's sum, and how many there were on the day. What came late and was made on
    another day, or at another meal, counts for neither: nobody may go hungry today for what he ate yesterday."""
    if payer.spent_day != batch.today:
        payer.spent_day, payer.spent_fen, payer.day_count = batch.today, 0, 0
    if _is_of_day(batch, batch.today, made_s):
        payer.spent_fen += spent_fen
        payer.day_count += 1
    if batch.meal_id and _is_of_meal(batch, batch.today, batch.meal_id, made_s):
        key = meal_key(batch.today, batch.meal_id)
        if payer.meal_key != key:
            payer.meal_key, payer.meal_fen = key, 0
        payer.meal_fen += spent_fen
    batch.dirty[payer.account_id] = payer


def tells_time(made_s: int | None) -> TypeGuard[int]:
    """Whether it came late, and its terminal knows when it was made: a clock that was never set says nothing."""
    return made_s is not None and made_s >= EPOCH_TIME_MIN_S


def _is_of_day(batch: Batch, day: int, made_s: int | None) -> bool:
    """Whether what was posted on a business day was made on it."""
    return not tells_time(made_s) or made_s * 1_000 >= batch.opened_ms.get(day, 0) - DAY_EDGE_MS


def _is_of_meal(batch: Batch, day: int, meal_id: int, made_s: int | None) -> bool:
    """Whether what was posted at a meal was made at it."""
    return not tells_time(made_s) or (
        _is_of_day(batch, day, made_s) and batch.tariff.meal_at(made_s * 1_000) == meal_id
    )


def note_hold(batch: Batch, root: Transfer, moved_fen: int) -> None:
    """Keep what a pre-authorization holds now, `moved_fen` more than before, or that it holds nothing any more."""
    held_fen = held_of(batch, root)
    batch.held[root.account_id] = batch.held.get(root.account_id, 0) + moved_fen
    if held_fen:
        expires_at_ms = root.posted_at_ms + batch.tariff.hold_lifetime_s * 1_000
        batch.holds[root.seq] = Hold(root.seq, root.account_id, held_fen, expires_at_ms)
        batch.freed.discard(root.seq)
    else:
        batch.holds.pop(root.seq, None)
        batch.freed.add(root.seq)
