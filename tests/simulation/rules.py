"""The meaning of the rules, written down a second time: what an honest host answers, kind by kind.

Dicts and sums. `tests.simulation.model` goes through everything decided and asks here what each should have come to.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tests.simulation.books import BONUS, DEBT, HOLDS, ISSUED, Books, Deal, Moves, merchant_account, points_of
from tests.simulation.office import Change, Office
from tests.simulation.oracle import Content, Identity, Said
from tests.simulation.wallet import Guesses, token_of

FROZEN_CODES: Final = {"lost": "41", "frozen": "62", "closed": "54"}
VOIDS: Final = {
    "void": ("sale", "offline_sale"),
    "preauth_void": ("preauth",),
    "completion_void": ("completion",),
    "topup_void": ("topup",),
    "points_void": ("points_sale",),
}
"""What each void may be about."""
REFUNDABLE: Final = ("sale", "offline_sale", "completion")
SPENDING: Final = ("sale", "offline_sale", "preauth")
"""What counts for the day's limit, less what came back of it."""
CLOCK_SET_S: Final = 1_577_836_800
"""An earlier time is that of a clock which was never set."""
LATE_MS: Final = 3_600_000
"""What was made so long before a day was opened may still be that day's."""
OFFLINE_SALE_FEN: Final = 3_000
"""The largest sale without a host, where nobody has said otherwise."""
IN_POINTS: Final = ("points_sale", "points_void")


class Rules:
    """What holds while a request is looked at, and what each kind of request comes to then: code, moves, original."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.books = Books()
        self._spent: dict[str, tuple[int, int]] = {}
        self._payments: dict[str, tuple[int, int]] = {}
        """Customer -> day, and payments on it."""
        self._eaten: dict[str, tuple[int, int, int]] = {}
        """Customer -> day, meal, and what was spent in it."""
        self.guesses = Guesses(office.phones, office.jumps_ms)
        self._pin = ""
        self._said = Said("", 0, 0, None, None)
        """What was keyed for the request in hand, and what was said of it."""
        self._cards: dict[bytes, str] = {}
        self._closed: dict[int, str] = {}
        self._shut: dict[int, str] = {}
        self._limits: dict[tuple[str, bytes], int] = {}
        """A card's own; and its class."""
        self._bound: dict[bytes, frozenset[int]] = {}
        """Card -> the merchants it is good at, if not at all of them."""
        self._discounts = {(0, 0): office.prices.discount_percent}
        """Class and meal (0: any other time) -> percent."""
        self._day = 0
        self._estranged = False
        self._batch = 0
        """Of the request in hand."""
        self._settled: dict[int, int] = {}
        """Terminal -> the newest batch that is closed."""
        self._stopped = False
        """Whether the card of the offline sale in hand was on its terminal's list."""

    def _take(self, change: Change) -> None:
        key, value = change.key, change.value
        if change.what == "card":
            assert isinstance(key, bytes)
            self._cards[key] = str(value)
        elif change.what == "terminal":
            assert isinstance(key, int)
            self._closed[key] = str(value)
        elif change.what == "merchant":
            assert isinstance(key, int)
            self._shut[key] = str(value)
        elif change.what == "batch":
            assert isinstance(key, int)
            self._settled[key] = max(int(value), self._settled.get(key, 0))
        elif change.what == "discount":
            assert isinstance(key, int)
            self._discounts[divmod(key, 100)] = int(value)
        elif change.what == "bound":
            assert isinstance(key, bytes)
            self._bound[key] = frozenset(int(merchant) for merchant in str(value).split(",") if merchant)
        elif change.what == "pin":
            assert isinstance(key, bytes)
            self.guesses.set_pin(key, str(value))
        else:
            assert isinstance(key, bytes)
            self._limits[change.what, key] = int(value)

    def _customer(self, content: Content) -> str | None:
        return self._office.owner.get(token_of(content))

    def _owner(self, content: Content) -> str:
        """The same where somebody has to be behind it."""
        return self._office.owner[token_of(content)]

    def _spend(self, customer: str, moves: Moves, deal: Deal, original: Deal | None) -> None:
        """The sums of the day and of the meal, which limits count."""
        spent_fen = -(moves.get(customer, 0) + moves.get(DEBT, 0))
        day, before_fen = self._spent.get(customer, (0, 0))
        root = deal if original is None else original.root
        if root.kind not in SPENDING or not self._made_on_its_day(root):
            return
        if original is None:
            self._spent[customer] = self._day, spent_fen + (before_fen if day == self._day else 0)
            self._payments[customer] = self._day, 1 + self._paid_today(customer)
        elif day == root.day:
            self._spent[customer] = day, before_fen + spent_fen
        if self._made_at_its_meal(root):
            self._eat(customer, root.day, root.at_ms, spent_fen, is_new=original is None)

    def _made_on_its_day(self, deal: Deal) -> bool:
        """What was told later may have been eaten on a day before: the terminal says when."""
        if not deal.late or deal.content is None:
            return True
        return (
            deal.content.claimed_at_s < CLOCK_SET_S
            or deal.content.claimed_at_s * 1_000 >= self._office.opened_ms.get(deal.day, 0) - LATE_MS
        )

    def _made_at_its_meal(self, deal: Deal) -> bool:
        meal_at = self._office.prices.meal_at
        if not deal.late or deal.content is None or deal.content.claimed_at_s < CLOCK_SET_S:
            return True
        return meal_at(deal.content.claimed_at_s * 1_000) == meal_at(deal.at_ms)

    def _eat(self, customer: str, day: int, at_ms: int, spent_fen: int, *, is_new: bool) -> None:
        """What comes back of an earlier meal than the newest is of no interest any more."""
        meal, (newest, eaten_fen) = self._office.prices.meal_at(at_ms), self._newest_meal(customer)
        if meal and (is_new or newest == (day, meal)):
            self._eaten[customer] = day, meal, spent_fen + (eaten_fen if newest == (day, meal) else 0)

    def _newest_meal(self, customer: str) -> tuple[tuple[int, int], int]:
        day, meal, eaten_fen = self._eaten.get(customer, (0, 0, 0))
        return (day, meal), eaten_fen

    def _paid_today(self, customer: str) -> int:
        day, payments = self._payments.get(customer, (0, 0))
        return payments if day == self._day else 0

    # --- Who asks

    def _who(self, terminal_id: int, content: Content) -> str:
        """The first reason to refuse that lies in who asks, in the order docs/protocol.md gives."""
        merchant = self._office.merchant_of.get(terminal_id)
        if merchant is None:
            return "97"
        if self._closed.get(terminal_id) == "revoked":
            return "58"
        if self._shut.get(merchant) == "closed":
            return "03"
        if self._batch <= self._settled.get(terminal_id, 0):
            return "77"
        at_ms = self._said.posted_at_ms or 0
        # What is about an earlier request moves no money but that: its code may be old, or have paid.
        if content.original is None:
            code = self.guesses.code(terminal_id, content, at_ms, self._said.code)
            if code != "00":
                return code
        if self._customer(content) is None:
            return "14"
        if (status := self._cards.get(token_of(content), "active")) != "active":
            return FROZEN_CODES[status]
        bound = self._bound.get(token_of(content))
        return "57" if bound and merchant not in bound else "00"

    def _keyed(self, terminal_id: int, content: Content, *, required: bool = False) -> str:
        """What comes of the PIN that was keyed, or was not."""
        at_ms = self._said.posted_at_ms or 0
        return self.guesses.pin(terminal_id, token_of(content), self._pin, at_ms, required=required)

    def _who_keyed(self, terminal_id: int, content: Content) -> str:
        """Who asks, and the PIN if there is one. None is needed."""
        code = self._who(terminal_id, content)
        return code if code != "00" else self._keyed(terminal_id, content)

    def _limit(self, terminal_id: int, content: Content, customer: str, amount_fen: int) -> str:
        token, prices = token_of(content), self._office.prices
        of_class = prices.classes.get(self._class(token), (0, 0, 0))
        of_campus = (self._office.sale_limit_fen, prices.meal_limit_fen, self._office.day_limit_fen)
        sale_limit_fen, meal_limit_fen, day_limit_fen = (
            self._limits.get((what, token)) or by_class or by_campus
            for what, by_class, by_campus in zip(
                ("sale_limit", "meal_limit", "day_limit"), of_class, of_campus, strict=True
            )
        )
        if sale_limit_fen and amount_fen > sale_limit_fen:
            return "61"
        now, (newest, eaten_fen) = (self._day, self._meal()), self._newest_meal(customer)
        if meal_limit_fen and now[1] and (eaten_fen if newest == now else 0) + amount_fen > meal_limit_fen:
            return "65"
        day, spent_fen = self._spent.get(customer, (0, 0))
        if day_limit_fen and (spent_fen if day == self._day else 0) + amount_fen > day_limit_fen:
            return "65"
        many = 0 < prices.pin_after_sales <= self._paid_today(customer)
        required = many or 0 < prices.pin_above_fen < amount_fen
        if (code := self._keyed(terminal_id, content, required=required)) != "00":
            return code
        return "51" if amount_fen > self.books.balances[customer] else "00"

    def _meal(self) -> int:
        return self._office.prices.meal_at(self._said.posted_at_ms or 0)

    def _class(self, token: bytes) -> int:
        return self._limits.get(("class", token), 0)

    def _earned(self, terminal_id: int) -> str:
        return merchant_account(self._office.merchant_of[terminal_id])

    # --- The rules, one a kind: code, moves, and what it is about

    def _sale(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        by_class = self._class(token_of(content))
        usual = self._discounts.get((by_class, 0), 0)
        off_fen = content.amount_fen * self._discounts.get((by_class, self._meal()), usual) // 100
        charged_fen = content.amount_fen - off_fen
        if (code := self._pays(terminal_id, content, charged_fen)) != "00":
            return code, {}, None
        customer = self._owner(content)
        moves = {customer: -charged_fen, self._earned(terminal_id): charged_fen}
        return code, moves | self._points(customer, charged_fen), None

    def _points(self, customer: str, charged_fen: int) -> Moves:
        """What whoever pays so much earns."""
        fen_per_point = self._office.prices.fen_per_point
        points = charged_fen // fen_per_point if fen_per_point else 0
        return {points_of(customer): points, ISSUED: -points}

    def _pays(self, terminal_id: int, content: Content, amount_fen: int) -> str:
        code = self._who(terminal_id, content)
        return code if code != "00" else self._limit(terminal_id, content, self._owner(content), amount_fen)

    def _preauth(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        if (code := self._pays(terminal_id, content, content.amount_fen)) != "00":
            return code, {}, None
        return code, {self._owner(content): -content.amount_fen, HOLDS: content.amount_fen}, None

    def _topup(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        if (code := self._who_keyed(terminal_id, content)) != "00":
            return code, {}, None
        if 0 < self._office.prices.topup_limit_fen < content.amount_fen:
            return "61", {}, None
        reached = [tier for tier in self._office.prices.bonus if tier[0] <= content.amount_fen]
        bonus_fen = max(reached)[1] if reached else 0
        customer, amount_fen = self._owner(content), content.amount_fen
        return code, {customer: amount_fen + bonus_fen, self._earned(terminal_id): -amount_fen, BONUS: -bonus_fen}, None

    def _points_sale(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        if (code := self._who_keyed(terminal_id, content)) != "00":
            return code, {}, None
        points = points_of(self._owner(content))
        if content.amount_fen > self.books.balances[points]:
            return "51", {}, None
        return code, {points: -content.amount_fen, ISSUED: content.amount_fen}, None

    def _offline_sale(self, identity: Identity, content: Content) -> Ruled:
        """The meal is eaten: nothing is asked but whose card it is, and what the terminal could have known."""
        if self._estranged:
            return "A0", {}, None
        customer = self._customer(content)
        if customer is None or token_of(content) in self._office.phones:
            return "14", {}, None  # the number of a telephone is no card, and its codes nobody can check there
        if self._stopped:
            return "41", {}, None
        amount_fen = content.amount_fen
        if amount_fen > OFFLINE_SALE_FEN:
            return "61", {}, None
        moves = {self._earned(identity[0]): amount_fen, customer: -amount_fen}
        self._bear(moves, customer)
        return "00", moves | self._points(customer, amount_fen), None

    def _about(self, terminal_id: int, content: Content, kinds: tuple[str, ...]) -> tuple[str, Deal | None]:
        """Whether there is such an original, of this merchant, of the right kind, and this payer's."""
        if (code := self._who(terminal_id, content)) != "00":
            return code, None
        original = None if content.original is None else self.books.deals.get(content.original)
        merchant_of = self._office.merchant_of
        if original is None or merchant_of.get(original.identity[0]) != merchant_of[terminal_id] or not original.ok:
            return "25", None
        assert original.content is not None
        if original.kind not in kinds:
            return "12", None
        payer = self._customer(content)
        is_same_account = payer is not None and payer == self._customer(original.content)
        if not is_same_account and token_of(original.content) != token_of(content):
            return "F6", None
        code = self._keyed(terminal_id, content)
        return code, (original if code == "00" else None)

    def _void(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        code, original = self._about(terminal_id, content, VOIDS[content.kind])
        if original is None:
            return code, {}, None
        assert original.content is not None
        customer = self._owner(content)
        moves = {account: -amount for account, amount in original.net.items()}
        here = original.identity[0] == terminal_id
        today = original.day == self._day and original.identity[1] == identity[1]
        if content.kind != "preauth_void" and not (here and today):
            code = "12"
        elif original.content.amount_fen != content.amount_fen:
            code = "64"
        elif not original.stands or original.below_a_reversal:
            code = "21"
        elif standing := [deal for deal in original.came if deal.stands]:
            code = "F4" if standing[0].kind == "expiry" else "21"
        elif self.books.balances[customer] + moves.get(customer, 0) < 0:
            code = "51"
        return code, moves, original

    def _refund(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        code, original = self._about(terminal_id, content, REFUNDABLE)
        if original is None:
            return code, {}, None
        assert original.content is not None
        whole_fen, back_fen = original.content.amount_fen, content.amount_fen
        before = original.live_refunds
        returned_fen = sum(deal.content.amount_fen for deal in before if deal.content is not None)
        if not original.stands or original.below_a_reversal:
            return "21", {}, None
        if days_between(original.day, self._day) > self._office.prices.refund_days:
            return "F1", {}, None
        if returned_fen + back_fen > whole_fen:
            return "61", {}, None
        customer = self._owner(content)
        # Shares are counted from the beginning, so that the last refund brings back the last fen and the last point.
        share = returned_fen + back_fen
        charged_fen = original.charged_fen * share // whole_fen - sum(deal.charged_fen for deal in before)
        points = max(0, original.moves.get(points_of(customer), 0)) * share // whole_fen
        points += sum(deal.moves.get(points_of(customer), 0) for deal in before)
        moves = {self._earned(original.identity[0]): -charged_fen, points_of(customer): -points, ISSUED: points}
        return code, moves | self._give_back(original, customer, charged_fen), original

    def _completion(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        code, original = self._about(terminal_id, content, ("preauth",))
        if original is None:
            return code, {}, None
        assert original.content is not None
        if not original.stands:
            return "21", {}, None
        if standing := [deal for deal in original.came if deal.stands]:
            return ("F4" if standing[0].kind == "expiry" else "21"), {}, None
        if content.amount_fen > original.content.amount_fen:
            return "61", {}, None
        held_fen = original.net[HOLDS]
        moves = {HOLDS: -held_fen, self._earned(original.identity[0]): content.amount_fen}
        customer = self._owner(content)
        moves |= self._points(customer, content.amount_fen)
        return code, moves | self._give_back(original, customer, held_fen - content.amount_fen), original

    def _give_back(self, original: Deal, customer: str, amount_fen: int) -> Moves:
        """First what the campus has borne for it."""
        debt_fen = max(0, min(amount_fen, -original.root.net[DEBT]))
        return {DEBT: debt_fen, customer: amount_fen - debt_fen}

    def _bear(self, moves: Moves, customer: str | None) -> None:
        """What the payer is to give and does not have, the campus gives."""
        if customer is None or moves.get(customer, 0) >= 0:
            return
        short_fen = -moves[customer] - self.books.balances[customer]
        if short_fen > 0:
            moves[customer] += short_fen
            moves[DEBT] = moves.get(DEBT, 0) - short_fen


Ruled = tuple[str, Moves, Deal | None]

RULES: Final[dict[str, Callable[[Rules, Identity, Content], Ruled]]] = {
    "sale": Rules._sale,
    "preauth": Rules._preauth,
    "topup": Rules._topup,
    "points_sale": Rules._points_sale,
    "refund": Rules._refund,
    "completion": Rules._completion,
    "offline_sale": Rules._offline_sale,
    **dict.fromkeys(VOIDS, Rules._void),
}


def days_between(day: int, later: int) -> int:
    """Days from one YYYYMMDD to another."""
    first, last = (datetime.strptime(str(value), "%Y%m%d").replace(tzinfo=UTC) for value in (day, later))
    return (last - first).days
