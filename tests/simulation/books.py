"""The books as the model keeps them: named accounts, and deals with what came of each. Dicts and sums; no line of the
server's.

A *deal* is one approved or refused request. What came of it (voids, refunds, completions, its reversal) hangs below it,
so what a deal has moved in the end is the sum over its tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.simulation.oracle import Content, Identity

Moves = dict[str, int]
"""Account -> fen, or points; what one account gets another gives."""

FUNDING, DEBT, HOLDS, BONUS, ISSUED = "funding", "debt", "holds", "bonus", "issued"
UNDO: Final = frozenset({"void", "preauth_void", "completion_void", "topup_void", "points_void", "reversal"})
"""What undoes the deal it is about."""


def points_of(customer: str) -> str:
    """The account of a customer's points."""
    return f"points of {customer}"


def merchant_account(merchant: int) -> str:
    """The account of a merchant."""
    return f"merchant {merchant}"


class Deal:
    """One request as it was decided."""

    __slots__ = (
        "at_ms",
        "came",
        "charged_fen",
        "content",
        "day",
        "identity",
        "kind",
        "late",
        "moves",
        "ok",
        "original",
        "rrn",
    )

    def __init__(self, identity: Identity, kind: str, content: Content | None, rrn: int, day: int, at_ms: int) -> None:
        self.identity = identity
        self.kind = kind
        self.content = content
        self.rrn = rrn
        self.day = day
        self.at_ms = at_ms
        self.ok = False
        self.late = False
        """It had happened before the host heard of it."""
        self.charged_fen = 0
        self.moves: Moves = {}
        self.original: Deal | None = None
        self.came: list[Deal] = []

    @property
    def root(self) -> Deal:
        """What it all began with."""
        return self if self.original is None else self.original.root

    @property
    def stands(self) -> bool:
        """Approved and not undone. A void that was reversed undoes nothing."""
        return self.ok and not any(deal.kind in UNDO and deal.stands for deal in self.came)

    @property
    def tree(self) -> Iterator[Deal]:
        """It and all that came of it."""
        yield self
        for deal in self.came:
            yield from deal.tree

    @property
    def net(self) -> Counter[str]:
        """What it has moved, all that came of it counted in."""
        moved: Counter[str] = Counter()
        for deal in self.tree:
            for account, amount in deal.moves.items():
                moved[account] += amount
        return moved

    @property
    def live_refunds(self) -> list[Deal]:
        """Refunds of it that were not undone."""
        return [deal for deal in self.came if deal.kind == "refund" and deal.stands]

    @property
    def below_a_reversal(self) -> bool:
        """Whether something above it was reversed: all of it went back then."""
        above = self.original
        while above is not None:
            if any(deal.kind == "reversal" and deal.ok and deal is not self for deal in above.came):
                return True
            above = above.original
        return False


class Books:
    """Balances, and every deal by its identity."""

    def __init__(self) -> None:
        self.balances: Counter[str] = Counter()
        self.deals: dict[Identity, Deal] = {}
        self.reversals: dict[Identity, Deal] = {}

    def post(self, deal: Deal, moves: Moves, original: Deal | None = None) -> None:
        """An approved deal takes place."""
        deal.ok, deal.moves = True, {account: amount for account, amount in moves.items() if amount}
        deal.original = original
        if original is not None:
            original.came.append(deal)
        for account, amount in deal.moves.items():
            self.balances[account] += amount

    def check_sums(self) -> tuple[int, int]:
        """All money together, and all points: both have to be zero."""
        points = sum(amount for account, amount in self.balances.items() if account.startswith(("points", ISSUED)))
        return sum(self.balances.values()) - points, points
