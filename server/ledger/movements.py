"""What a row of the journal has to have moved, given everything before it: said a second time, for `verify`.

It shares with the rules only how a transaction and its followers hang together (`server.ledger.family`). A row that may
not be there at all, as a second void of one sale, is named as a problem.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from server.ledger.family import Family
from server.ledger.model import (
    BONUS_ACCOUNT,
    FUNDING_ACCOUNT,
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    Kind,
    Transfer,
)

Moved = dict[int, int]
BalanceOf = Callable[[int], int]
"""An account's balance just before the row."""

SALES: Final = (Kind.SALE, Kind.UPLOAD, Kind.OFFLINE_SALE)
SPENDING: Final = (*SALES, Kind.PREAUTH)
"""What counts as spent on its business day, less all that came back of it."""
CLOCK_SET_MIN_S: Final = 1_577_836_800
"""2020: what says an earlier time has a clock that was never set, and says nothing."""
LATE_EDGE_MS: Final = 3_600_000
"""What came late counts as spent on the day on which it came if it was made after that day was opened, or so long
before."""
ORIGINALS: Final[dict[int, tuple[Kind, ...]]] = {
    Kind.VOID: SALES,
    Kind.REFUND: (*SALES, Kind.COMPLETION),
    Kind.PREAUTH_VOID: (Kind.PREAUTH,),
    Kind.COMPLETION: (Kind.PREAUTH,),
    Kind.COMPLETION_VOID: (Kind.COMPLETION,),
    Kind.TOPUP_VOID: (Kind.TOPUP,),
    Kind.POINTS_VOID: (Kind.POINTS_SALE,),
    Kind.HOLD_EXPIRY: (Kind.PREAUTH,),
}
"""What each follow-up must be about."""
WHOLE: Final = (Kind.VOID, Kind.PREAUTH_VOID, Kind.COMPLETION_VOID, Kind.TOPUP_VOID, Kind.POINTS_VOID)


def counts_as_spent(row: Transfer, opened_at_ms: int) -> bool:
    """Whether limits count a payment on its business day, which was opened then: what came late does not if its
    terminal made it on an earlier one, by a clock that was set."""
    came_late = row.kind in (Kind.UPLOAD, Kind.OFFLINE_SALE) or row.lost_rrn != 0
    return (
        not came_late or row.claimed_at_s < CLOCK_SET_MIN_S or row.claimed_at_s * 1_000 >= opened_at_ms - LATE_EDGE_MS
    )


def of_root(row: Transfer, balance_of: BalanceOf) -> Moved | None:
    """An approved row that is about nothing before it; None for a kind that nobody knows."""
    moved_fen = row.amount_fen + row.adjust_fen
    points = row.points
    moved: Moved
    if row.kind in SALES:
        moved = {row.account_id: -moved_fen, row.merchant_account_id: moved_fen}
    elif row.kind == Kind.PREAUTH:
        moved = {row.account_id: -moved_fen, HOLDS_ACCOUNT: moved_fen}
    elif row.kind == Kind.TOPUP:
        moved = {row.account_id: moved_fen, row.merchant_account_id: -row.amount_fen, BONUS_ACCOUNT: -row.adjust_fen}
    elif row.kind == Kind.POINTS_SALE:
        moved, points = {}, -row.amount_fen
    elif row.kind == Kind.ADJUSTMENT:
        moved = {row.account_id: moved_fen, FUNDING_ACCOUNT: -moved_fen}
    elif row.kind == Kind.CLEARING:
        moved = {row.merchant_account_id: -moved_fen, FUNDING_ACCOUNT: moved_fen}
    else:
        return None
    if points:
        moved |= {row.account_id + POINTS_ACCOUNT_OFFSET: points, POINTS_ISSUED_ACCOUNT: -points}
    if row.kind in (Kind.UPLOAD, Kind.OFFLINE_SALE) or row.lost_rrn:
        _with_debt(moved, row.account_id, balance_of)
    return moved


def of_follow_up(row: Transfer, original: Transfer, family: Family, balance_of: BalanceOf) -> Moved:
    """An approved void, refund, completion or expiry."""
    root = family.root(original)
    whole = family.net(root)
    held_fen, debt_fen = whole.get(HOLDS_ACCOUNT, 0), -whole.get(OFFLINE_DEBT_ACCOUNT, 0)
    moved_fen = row.amount_fen + row.adjust_fen
    if row.kind in WHOLE:
        moved = {account_id: -amount for account_id, amount in family.net(original).items()}
        if row.lost_rrn:
            _with_debt(moved, original.account_id, balance_of)
        return moved
    if row.kind == Kind.REFUND:
        moved = {original.merchant_account_id: -moved_fen}
        back_fen = moved_fen
    elif row.kind == Kind.COMPLETION:
        moved = {HOLDS_ACCOUNT: -held_fen, original.merchant_account_id: moved_fen}
        back_fen = held_fen - moved_fen
    else:
        moved = {HOLDS_ACCOUNT: -held_fen}
        back_fen = held_fen
    if row.points:
        moved |= {row.account_id + POINTS_ACCOUNT_OFFSET: row.points, POINTS_ISSUED_ACCOUNT: -row.points}
    to_debt_fen = max(0, min(back_fen, debt_fen))
    moved[OFFLINE_DEBT_ACCOUNT] = to_debt_fen
    moved[original.account_id] = back_fen - to_debt_fen
    if row.lost_rrn:
        _with_debt(moved, original.account_id, balance_of)
    return moved


def of_reversal(original: Transfer, family: Family, balance_of: BalanceOf) -> Moved:
    """The reversal of a row that is here: nothing if that was declined, or something it is about was reversed."""
    above = family.original(original)
    while above is not None:
        if any(follower.kind == Kind.REVERSAL for follower in family.followers(above)):
            return {}
        above = family.original(above)
    if original.decision:
        return {}
    moved = {account_id: -amount for account_id, amount in family.net(original).items()}
    held_fen = family.net(family.root(original)).get(HOLDS_ACCOUNT, 0)
    expired_fen = -moved.get(HOLDS_ACCOUNT, 0) - held_fen
    if expired_fen > 0:
        moved[HOLDS_ACCOUNT] += expired_fen
        moved[original.account_id] = moved.get(original.account_id, 0) - expired_fen
    _with_debt(moved, original.account_id, balance_of)
    return moved


def problems_of(row: Transfer, original: Transfer | None, family: Family) -> list[str]:
    """Why an approved follow-up should not be there."""
    if original is None:
        return [f"expected to be about a transfer before it, got {row.original_seq}"]
    found = []
    if original.kind not in ORIGINALS[row.kind]:
        found.append(f"is about transfer {original.seq} of kind {original.kind}")
    if original.merchant_account_id != row.merchant_account_id or original.account_id != row.account_id:
        found.append(
            f"expected payer {original.account_id} and merchant {original.merchant_account_id}, as transfer"
            f" {original.seq} has, got {row.account_id} and {row.merchant_account_id}"
        )
    if not family.stands(original):
        found.append(f"transfer {original.seq} was undone before")
    standing = family.standing(original)
    if row.kind == Kind.REFUND:
        found += _refund_problems(row, original, family)
    elif any(not (row.lost_rrn and follower.kind == Kind.HOLD_EXPIRY) for follower in standing):
        found.append(f"transfer {original.seq} has transfer {standing[0].seq} about it already")
    if row.kind == Kind.COMPLETION and row.points < 0:
        found.append(f"expected to earn points, got {row.points:+d} points")
    if row.kind in WHOLE and (row.amount_fen, row.adjust_fen) != (original.amount_fen, original.adjust_fen):
        found.append(
            f"expected the amount of transfer {original.seq}, {original.amount_fen:+d} {original.adjust_fen:+d} fen,"
            f" got {row.amount_fen:+d} {row.adjust_fen:+d}"
        )
    return found


def _refund_problems(row: Transfer, original: Transfer, family: Family) -> list[str]:
    """All refunds together are of no more than the sale, give back no more than it took, and take no more points."""
    where = f"refunds of transfer {original.seq}"
    amount_fen, back_fen, points = family.refunded(original)
    amount_fen += row.amount_fen
    back_fen += row.amount_fen + row.adjust_fen
    points -= row.points
    charged_fen, earned = original.amount_fen + original.adjust_fen, max(0, original.points)
    found = []
    if amount_fen > original.amount_fen:
        found.append(f"{where}: expected {original.amount_fen} fen at the most, got {amount_fen}")
    if back_fen > charged_fen:
        found.append(f"{where}: expected {charged_fen} fen to be given back at the most, got {back_fen}")
    if points > earned:
        found.append(f"{where}: expected {earned} points to be taken back at the most, got {points}")
    gives_fen = row.amount_fen + row.adjust_fen
    if gives_fen < 0 or row.points > 0:
        found.append(
            f"{where}: expected to give fen and to take points, got {gives_fen:+d} fen, {row.points:+d} points"
        )
    return found


def _with_debt(moved: Moved, payer_id: int, balance_of: BalanceOf) -> None:
    """What the payer does not have, OFFLINE_DEBT bears; whoever is unknown (account 0) has nothing."""
    given_fen = -moved.get(payer_id, 0)
    short_fen = min(given_fen, given_fen - (balance_of(payer_id) if payer_id else 0))
    if short_fen > 0:
        moved[payer_id] += short_fen
        moved[OFFLINE_DEBT_ACCOUNT] = moved.get(OFFLINE_DEBT_ACCOUNT, 0) - short_fen
