"""A transaction with all that came of it: its voids, refunds, completions, reversals, and theirs.

Rows of the journal never change. Whether a transaction still stands, and what is left of it, follows from the rows that
name it in `original_seq`. Rules and `verify` both look at it through this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from server.ledger.model import Decision, Kind
from server.ledger.rows import Entry, Transfer

UNDOING: Final = frozenset(
    (Kind.REVERSAL, Kind.VOID, Kind.PREAUTH_VOID, Kind.COMPLETION_VOID, Kind.TOPUP_VOID, Kind.POINTS_VOID)
)
"""Kinds that undo what they are about: the reversal and the five voids."""


class Family:
    """Transfers and their entries, as many as somebody has added."""

    __slots__ = ("_followers", "_legs", "_transfers")

    def __init__(self) -> None:
        self._transfers: dict[int, Transfer] = {}
        self._legs: dict[int, list[Entry]] = {}
        self._followers: dict[int, list[Transfer]] = {}

    def add(self, transfer: Transfer, legs: list[Entry]) -> None:
        """Know one more row, in the order of the journal."""
        self._transfers[transfer.seq] = transfer
        self._legs[transfer.seq] = legs
        if (
            0 < transfer.original_seq < transfer.seq
            and transfer.kind != Kind.UPLOAD
            and transfer.decision == Decision.APPROVED
        ):
            self._followers.setdefault(transfer.original_seq, []).append(transfer)

    def add_all(self, transfers: Iterable[Transfer], entries: Iterable[Entry]) -> None:
        """Know these rows, which are in the order of the journal."""
        legs: dict[int, list[Entry]] = {}
        for entry in entries:
            legs.setdefault(entry.seq, []).append(entry)
        for transfer in transfers:
            self.add(transfer, legs.get(transfer.seq, []))

    def get(self, seq: int) -> Transfer | None:
        """One row."""
        return self._transfers.get(seq)

    def legs(self, seq: int) -> list[Entry]:
        """The entries of one row."""
        return self._legs.get(seq, [])

    def original(self, transfer: Transfer) -> Transfer | None:
        """What a row is about; None for a tombstone and for what is about nothing."""
        if transfer.kind == Kind.UPLOAD or transfer.original_seq >= transfer.seq:
            return None
        return self._transfers.get(transfer.original_seq)

    def root(self, transfer: Transfer) -> Transfer:
        """What it all began with."""
        while (original := self.original(transfer)) is not None:
            transfer = original
        return transfer

    def followers(self, transfer: Transfer) -> list[Transfer]:
        """Approved rows directly about this one."""
        return self._followers.get(transfer.seq, [])

    def standing(self, transfer: Transfer) -> list[Transfer]:
        """Those of them that are not undone themselves."""
        return [follower for follower in self.followers(transfer) if self.stands(follower)]

    def stands(self, transfer: Transfer) -> bool:
        """Approved and not undone; a void that was reversed undoes nothing."""
        return transfer.decision == Decision.APPROVED and not any(
            follower.kind in UNDOING and self.stands(follower) for follower in self.followers(transfer)
        )

    def is_reversed(self, transfer: Transfer) -> bool:
        """Whether it was reversed, which is for ever: a reversal is never undone."""
        return any(follower.kind == Kind.REVERSAL for follower in self.followers(transfer))

    def is_under_a_reversal(self, transfer: Transfer) -> bool:
        """Whether something it is about was reversed: then all of it moved back, and this with it."""
        original = self.original(transfer)
        while original is not None:
            if self.is_reversed(original):
                return True
            original = self.original(original)
        return False

    def tree(self, transfer: Transfer) -> Iterator[Transfer]:
        """A row and all that came of it."""
        yield transfer
        for follower in self.followers(transfer):
            yield from self.tree(follower)

    def net(self, transfer: Transfer) -> dict[int, int]:
        """What a row and all that came of it have moved together: account -> fen or points, never 0."""
        moved: dict[int, int] = {}
        for row in self.tree(transfer):
            for leg in self.legs(row.seq):
                moved[leg.account_id] = moved.get(leg.account_id, 0) + leg.amount_fen
        return {account_id: amount for account_id, amount in moved.items() if amount}

    def refunded(self, transfer: Transfer) -> tuple[int, int, int]:
        """What refunds that stand have given back: of the amount, of what was charged, of the points."""
        refunds = [follower for follower in self.standing(transfer) if follower.kind == Kind.REFUND]
        return (
            sum(refund.amount_fen for refund in refunds),
            sum(refund.amount_fen + refund.adjust_fen for refund in refunds),
            -sum(refund.points for refund in refunds),
        )
