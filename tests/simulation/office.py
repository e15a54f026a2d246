"""What the office knows and has done, in the order it was done: the model's other source beside the terminals."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.simulation.books import merchant_account
from tests.simulation.oracle import Content, Identity, Said

OF_TERMINALS: Final = frozenset({"merchant", "discount"})
"""Changes that terminals are told to ask for."""


class Step(NamedTuple):
    """One numbered transfer as people were told of it."""

    what: str
    """The kind of request, upload, reversal, adjustment or clearing (of the office), refused (a correction), expiry."""
    identity: Identity
    content: Content | None
    said: Said
    customer: str = ""
    about: int = 0
    """Of an expiry: the number of the pre-authorization; of a clearing: the day."""
    told: tuple[int, int] = (0, 0)
    """Of an upload: what the terminal was told that was charged, and the points."""


class Change(NamedTuple):
    """What the office changed while transfer `head` was the newest: holds for every later one."""

    head: int
    what: str
    """card, terminal, merchant, sale_limit, meal_limit, day_limit, class, bound, discount or pin."""
    key: bytes | int
    value: str | int


class Settled(NamedTuple):
    """A batch that the host has closed after its transfer `through`."""

    terminal_id: int
    batch: int
    through: int
    is_balanced: bool
    theirs: dict[int, tuple[int, int, int]]
    """What the terminal said: kind -> count, amount, charged."""
    ours: dict[int, tuple[int, int, int]]
    """What the host says."""


class Prices:
    """What a campus has agreed on before the day begins."""

    def __init__(self) -> None:
        self.fen_per_point = 0
        self.bonus: list[tuple[int, int]] = []
        """(from, bonus) in fen."""
        self.discount_percent = 0
        """Of every card that was given no class, at any time."""
        self.meals: list[tuple[int, int, int]] = []
        """(number, first minute of the day, first minute that is not of it any more)."""
        self.meal_limit_fen = 0
        self.classes: dict[int, tuple[int, int, int]] = {}
        """Class -> limits of a sale, a meal and a day; 0: the campus's."""
        self.topup_limit_fen = 100_000
        self.hold_s = 30 * 86_400
        self.refund_days = 180
        self.pin_above_fen = 0
        """A card that has a PIN needs it for more than this; 0: never."""
        self.pin_after_sales = 0
        """And after so many payments on one day; 0: never."""

    def meal_at(self, at_ms: int) -> int:
        """The meal at this moment, by the clock on the wall of the campus; 0: none."""
        minute = (at_ms // 60_000 + 8 * 60) % (24 * 60)
        return next((meal for meal, start, end in self.meals if start <= minute < end), 0)


class Office:
    """What the office knows and has done."""

    def __init__(self, sale_limit_fen: int, day_limit_fen: int) -> None:
        self.sale_limit_fen = sale_limit_fen
        self.day_limit_fen = day_limit_fen
        self.prices = Prices()
        self.owner: dict[bytes, str] = {}
        """Card, or number of a telephone -> customer."""
        self.phones: dict[bytes, bytes] = {}
        """Number -> secret."""
        self.jumps_ms: list[tuple[int, int]] = []
        """What the host's clock showed before and after, each time it was set."""
        self.merchant_of: dict[int, int] = {}
        """Terminal -> merchant."""
        self.changes: list[Change] = []
        self.stops = 0
        """How often a card was stopped, or a stopped one let go."""
        self.terms = 0
        """How often something was changed that terminals have to know."""
        self.topups: dict[int, Step] = {}
        self.posted_ms: dict[int, int] = {}
        """When each transfer was posted: of some that nobody was told."""
        self.era = 0
        """How often the host came back from a backup."""
        self.days: list[tuple[int, int]] = []
        """(first RRN, business day), oldest first."""
        self.opened_ms: dict[int, int] = {}
        """When each business day was opened, where that is known."""
        self.settlements: list[Settled] = []
        """What was settled."""
        self.expiries: list[tuple[int, int, int, int]] = []
        """(RRN, RRN of the pre-authorization, fen, posted at) of holds that were freed because their time was over."""

    def change(self, head: int, what: str, key: bytes | int, value: str | int) -> None:
        """Note what was changed while `head` was the newest transfer."""
        if what == "card":
            before = self.newest("card", key) or "active"
            self.stops += (before == "active") != (value == "active")
        self.terms += what in OF_TERMINALS
        self.changes.append(Change(head, what, key, value))

    def newest(self, what: str, key: bytes | int) -> str:
        """What something was changed to last; empty: it is as it was in the beginning."""
        found = (change.value for change in reversed(self.changes) if (change.what, change.key) == (what, key))
        return str(next(found, ""))

    def mark(self) -> int:
        """Where things stand, for `go_back`."""
        return len(self.changes)

    def go_back(self, mark: int, head: int) -> None:
        """The host came back from a backup made at `mark`, with `head` its newest transfer: what came later is lost."""
        self.era += 1
        del self.changes[mark:]
        self.topups = {rrn: step for rrn, step in self.topups.items() if rrn <= head}

    def topped_up(self, customer: str, amount_fen: int, rrn: int, balance_fen: int) -> None:
        """Note a confirmed top-up or correction."""
        self.topups[rrn] = Step("adjustment", (0, 0, rrn), None, Said("00", amount_fen, rrn, balance_fen, 0), customer)

    def refused(self, customer: str, amount_fen: int, rrn: int, balance_fen: int) -> None:
        """Note a correction that was refused for want of money."""
        self.topups[rrn] = Step("refused", (0, 0, rrn), None, Said("51", amount_fen, rrn, balance_fen, 0), customer)

    def cleared(self, merchant: int, day: int, amount_fen: int, rrn: int) -> None:
        """Note what a merchant was paid out, or paid in, for a day."""
        self.topups[rrn] = Step(
            "clearing", (0, day, merchant), None, Said("00", amount_fen, rrn, None, 0), merchant_account(merchant), day
        )
