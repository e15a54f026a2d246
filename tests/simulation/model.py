"""The second opinion about the money: everything decided, gone through in order of its number, with dicts and sums.

It knows what the office did (openings, top-ups, cards frozen, terminals revoked: each with the number of the newest
transfer at that moment) and what was asked. For each transfer it says what should have been answered, code and balance,
and at the end what everybody should have. It shares no code with the server, and nothing but the rules' meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from tests.simulation.books import (
    BONUS,
    DEBT,
    FUNDING,
    HOLDS,
    ISSUED,
    Books,
    Deal,
    Moves,
    merchant_account,
    points_of,
)
from tests.simulation.oracle import Content, Identity, Oracle, Said
from tests.simulation.wallet import Guesses, token_of
from tests.simulation.world import World

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
OFFLINE_SALE_FEN: Final = 3_000
"""The largest sale without a host, where nobody has said otherwise."""
KIND_NUMBERS: Final = {
    "sale": 1,
    "void": 5,
    "refund": 6,
    "preauth": 7,
    "preauth_void": 8,
    "completion": 9,
    "completion_void": 10,
    "topup": 11,
    "topup_void": 12,
    "points_sale": 13,
    "points_void": 14,
    "offline_sale": 15,
}
"""As docs/protocol.md numbers them in totals."""
IN_POINTS: Final = ("points_sale", "points_void")


class Step(NamedTuple):
    """One numbered transfer as people were told of it."""

    what: str
    """The kind of request, upload, reversal, adjustment (of the office), refused (a correction), or expiry."""
    identity: Identity
    content: Content | None
    said: Said
    customer: str = ""
    about: int = 0
    """Of an expiry: the number of the pre-authorization."""
    told: tuple[int, int] = (0, 0)
    """Of an upload: what the terminal was told that was charged, and the points."""


class Change(NamedTuple):
    """What the office changed while transfer `head` was the newest: holds for every later one."""

    head: int
    what: str
    """card, terminal, merchant, sale_limit, day_limit or pin."""
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
        """Of every card, at any time."""
        self.hold_s = 30 * 86_400
        self.refund_days = 180
        self.pin_above_fen = 0
        """A card that has a PIN needs it for more than this; 0: never."""
        self.pin_after_sales = 0
        """And after so many payments on one day; 0: never."""


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
        self.topups: dict[int, Step] = {}
        self.era = 0
        """How often the host came back from a backup."""
        self.days: list[tuple[int, int]] = []
        """(first RRN, business day), oldest first."""
        self.settlements: list[Settled] = []
        """What was settled."""
        self.expiries: list[tuple[int, int, int, int]] = []
        """(RRN, RRN of the pre-authorization, fen, posted at) of holds that were freed because their time was over."""

    def change(self, head: int, what: str, key: bytes | int, value: str | int) -> None:
        """Note what was changed while `head` was the newest transfer."""
        self.changes.append(Change(head, what, key, value))

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


class Model:
    """See the module's docstring. `run` once; then the attributes say how things should stand."""

    def __init__(self, world: World, office: Office, oracle: Oracle) -> None:
        self._world = world
        self._office = office
        self._oracle = oracle
        self.books = Books()
        self.charged: dict[Identity, int] = {}
        """What each approved request has moved, if it was not reversed."""
        self._by_rrn: dict[int, Deal] = {}
        self._spent: dict[str, tuple[int, int]] = {}
        self._payments: dict[str, tuple[int, int]] = {}
        """Customer -> day, and payments on it."""
        self.guesses = Guesses(office.phones, office.jumps_ms)
        self._pin = ""
        self._said = Said("", 0, 0, None, None)
        """What was keyed for the request in hand, and what was said of it."""
        self._cards: dict[bytes, str] = {}
        self._closed: dict[int, str] = {}
        self._shut: dict[int, str] = {}
        self._limits: dict[tuple[str, bytes], int] = {}
        self._undone: set[Identity] = set()
        closed = [Change(found.through, "batch", found.terminal_id, found.batch) for found in office.settlements]
        self._changes = sorted([*office.changes, *closed], key=lambda change: change.head)
        self._day = 0
        self._estranged = False
        self._batch = 0
        """Of the request in hand."""
        self._settled: dict[int, int] = {}
        """Terminal -> the newest batch that is closed."""
        self._stopped = False
        """Whether the card of the offline sale in hand was on its terminal's list."""

    @property
    def balances(self) -> dict[str, int]:
        """What each customer should have."""
        return {customer: self.books.balances[customer] for customer in self._office.owner.values()}

    @property
    def earned(self) -> dict[int, int]:
        """What each merchant should have."""
        merchants = set(self._office.merchant_of.values())
        return {merchant: self.books.balances[merchant_account(merchant)] for merchant in merchants}

    def run(self, newest_rrn: int) -> None:
        """Everything from the first transfer to the newest."""
        steps = self._steps()
        days = dict(self._office.days)
        at = 0
        for rrn in range(1, newest_rrn + 1):
            while at < len(self._changes) and self._changes[at].head < rrn:
                self._take(self._changes[at])
                at += 1
            self._day = days.get(rrn, self._day)
            step = steps.pop(rrn, None)
            if step is None:
                self._world.violate("I4", f"transfer {rrn}: nobody asked for it")
                continue
            self._step(step)
        for rrn in steps:
            self._world.violate("I6", f"transfer {rrn} was answered; the newest in the ledger is {newest_rrn}")
        for name, total in zip(("money", "points"), self.books.check_sums(), strict=True):
            self._world.check(total == 0, "I1", f"the model's own books: {name} together come to {total}")

    def _steps(self) -> dict[int, Step]:
        steps = dict(self._office.topups)
        for rrn, about, amount_fen, at_ms in self._office.expiries:
            steps[rrn] = Step("expiry", (0, 1, rrn), None, Said("00", amount_fen, rrn, None, at_ms), about=about)
        for identity, case in self._oracle.cases.items():
            for what, said in (("", case.said), ("reversal", case.reversal)):
                if said is None:
                    continue
                if said.rrn in steps:
                    self._world.violate("I4", f"transfer {said.rrn} stands for {identity} and {steps[said.rrn]}")
                kind = what or ("upload" if case.uploaded or case.content is None else case.content.kind)
                steps[said.rrn] = Step(kind, identity, case.content, said, told=case.upload)
        return steps

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
        elif change.what == "pin":
            assert isinstance(key, bytes)
            self.guesses.set_pin(key, str(value))
        else:
            assert isinstance(key, bytes)
            self._limits[change.what, key] = int(value)

    def _step(self, step: Step) -> None:
        if step.what in IMMEDIATE:
            IMMEDIATE[step.what](self, step)
            return
        content = step.content
        assert content is not None
        customer = self._customer(content)
        deal = self._deal(step, content.kind)
        self.books.deals[step.identity] = deal
        # Which version of the stop list the terminal had, it alone knows; but the card has to be stopped now.
        stopped = self._cards.get(token_of(content), "active") != "active"
        self._stopped = step.said.code == "41" and stopped
        self._batch = step.identity[1]
        self._pin, self._said = self._oracle.pins.get((step.identity, content), ""), step.said
        self._estranged = step.said.code == "A0" and step.identity in self._oracle.estranged
        if step.identity in self._undone:
            code, moves, original = "68", {}, None
        else:
            code, moves, original = RULES[content.kind](self, step.identity, content)
        points = 0
        if code == "00":
            assert customer is not None
            if content.original is None:
                self.guesses.paid(content, step.said.posted_at_ms or 0)
            self._spend(customer, moves, deal, original)
            self.books.post(deal, moves, original)
            points = abs(moves.get(points_of(customer), 0))
            deal.charged_fen = self._charge(content, moves, customer)
            self.charged[step.identity] = deal.charged_fen
        self._compare(step, code, content.amount_fen, self._told(content.kind, customer), deal.charged_fen, points)

    def _deal(self, step: Step, kind: str) -> Deal:
        deal = Deal(step.identity, kind, step.content, step.said.rrn, self._day, step.said.posted_at_ms or 0)
        self._by_rrn[step.said.rrn] = deal
        return deal

    def _customer(self, content: Content) -> str | None:
        return self._office.owner.get(token_of(content))

    def _owner(self, content: Content) -> str:
        """The same where somebody has to be behind it."""
        return self._office.owner[token_of(content)]

    def _told(self, kind: str, customer: str | None) -> int:
        """The balance an answer names."""
        if customer is None:
            return 0
        return self.books.balances[points_of(customer) if kind in IN_POINTS else customer]

    def _charge(self, content: Content, moves: Moves, customer: str) -> int:
        """What the answer calls charged: what the payer gives or gets; of a completion what is taken."""
        if content.kind in IN_POINTS:
            return 0
        if content.kind in ("completion", "completion_void"):
            return content.amount_fen
        return abs(moves.get(customer, 0) + moves.get(DEBT, 0))

    def _spend(self, customer: str, moves: Moves, deal: Deal, original: Deal | None) -> None:
        """The day's sum, which the day limit counts."""
        spent_fen = -(moves.get(customer, 0) + moves.get(DEBT, 0))
        day, before_fen = self._spent.get(customer, (0, 0))
        if original is None:
            if deal.kind in SPENDING:
                self._spent[customer] = self._day, spent_fen + (before_fen if day == self._day else 0)
                self._payments[customer] = self._day, 1 + self._paid_today(customer)
        elif original.root.kind in SPENDING and day == original.root.day:
            self._spent[customer] = day, before_fen + spent_fen

    def _paid_today(self, customer: str) -> int:
        day, payments = self._payments.get(customer, (0, 0))
        return payments if day == self._day else 0

    def totals(self, settled: Settled) -> dict[int, tuple[int, int, int]]:
        """What a batch comes to, by kind, up to the moment it was closed."""
        found: dict[int, tuple[int, int, int]] = {}
        for identity, deal in self.books.deals.items():
            if identity[:2] != (settled.terminal_id, settled.batch) or not deal.ok or deal.content is None:
                continue
            undone = any(follower.kind == "reversal" and follower.rrn <= settled.through for follower in deal.came)
            if deal.rrn <= settled.through and not undone:
                kind = KIND_NUMBERS[deal.kind]
                count, amount_fen, charged_fen = found.get(kind, (0, 0, 0))
                found[kind] = count + 1, amount_fen + deal.content.amount_fen, charged_fen + deal.charged_fen
        return found

    def late(self, settled: Settled) -> list[Identity]:
        """What was approved in a batch after it was closed."""
        return [
            identity
            for identity, deal in self.books.deals.items()
            if identity[0] == settled.terminal_id and identity[1] == settled.batch
            if deal.ok and deal.rrn > settled.through
        ]

    def held_until_ms(self) -> dict[int, int]:
        """When what is still held has to be free again, by number of the pre-authorization."""
        # Of what came back by an upload nobody was told when.
        deals = [deal for deal in self.books.deals.values() if deal.kind == "preauth" and deal.at_ms]
        holds = [deal for deal in deals if deal.net[HOLDS]]
        return {deal.rrn: deal.at_ms + self._office.prices.hold_s * 1_000 for deal in holds}

    # --- What a question at the end should be answered

    def balance(self, terminal_id: int, asked: Content, pin: str, now_ms: int) -> tuple[str, int, int, int]:
        """Of a balance inquiry: code, balance, what is held, points. Guesses count here, too."""
        code, card = self.guesses.code(terminal_id, asked, now_ms, ""), token_of(asked)
        customer = self._office.owner.get(card)
        if code == "00" and customer is None:
            code = "14"
        if code == "00" and (status := self._cards.get(card, "active")) != "active":
            code = FROZEN_CODES[status]
        if code == "00":
            code = self.guesses.pin(terminal_id, card, pin, now_ms, required=False)
        if code != "00" or customer is None:
            return code, 0, 0, 0
        holds = [deal for deal in self.books.deals.values() if deal.kind == "preauth" and deal.ok]
        own = [deal for deal in holds if deal.content is not None and self._customer(deal.content) == customer]
        held_fen = sum(deal.net[HOLDS] for deal in own)
        return "00", self.books.balances[customer], held_fen, max(0, self.books.balances[points_of(customer)])

    def look_up(self, terminal_id: int, identity: Identity) -> tuple[str, str, int, int]:
        """Of a look-up: code, what became of it, what was charged, and what is left of it."""
        deal, merchant_of = self.books.deals.get(identity), self._office.merchant_of
        if deal is None or deal.content is None or merchant_of[identity[0]] != merchant_of[terminal_id]:
            return "25", "never_seen", 0, 0
        if any(follower.kind == "reversal" for follower in deal.came):
            state = "reversed"
        else:
            state = "approved" if deal.ok else "declined"
        return "00" if deal.ok else "", state, deal.charged_fen, self._remaining(deal, deal.content.amount_fen)

    def _remaining(self, deal: Deal, amount_fen: int) -> int:
        """Of what can be refunded the part that was not, of all else the whole or nothing."""
        if not deal.stands or deal.below_a_reversal:
            return 0
        if deal.kind in REFUNDABLE:
            return amount_fen - sum(back.content.amount_fen for back in deal.live_refunds if back.content is not None)
        return 0 if any(follower.stands for follower in deal.came) else amount_fen

    # --- What should have been answered

    def _compare(
        self, step: Step, code: str, amount_fen: int, balance_fen: int, charged_fen: int = 0, points: int = 0
    ) -> None:
        said = step.said
        expected = Said(code, amount_fen, said.rrn, balance_fen, said.posted_at_ms, charged_fen, points)
        if expected.agrees(said):
            return
        invariant = "I2" if said.code == code else "I3" if said.code == "00" else "I10"
        self._world.violate(
            invariant,
            f"transfer {said.rrn}, {step.what} {step.identity}: answered {said.code} {said.amount_fen} fen, charged"
            f" {said.charged_fen}, points {said.points}, balance {said.balance_fen}; expected {code} {amount_fen} fen,"
            f" charged {charged_fen}, points {points}, balance {balance_fen}; {step.content}",
        )

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
        return "00"

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
        sale_limit_fen = self._limits.get(("sale_limit", token)) or self._office.sale_limit_fen
        if sale_limit_fen and amount_fen > sale_limit_fen:
            return "61"
        day, spent_fen = self._spent.get(customer, (0, 0))
        day_limit_fen = self._limits.get(("day_limit", token)) or self._office.day_limit_fen
        if day_limit_fen and (spent_fen if day == self._day else 0) + amount_fen > day_limit_fen:
            return "65"
        many = 0 < prices.pin_after_sales <= self._paid_today(customer)
        required = many or 0 < prices.pin_above_fen < amount_fen
        if (code := self._keyed(terminal_id, content, required=required)) != "00":
            return code
        return "51" if amount_fen > self.books.balances[customer] else "00"

    def _earned(self, terminal_id: int) -> str:
        return merchant_account(self._office.merchant_of[terminal_id])

    # --- The rules, one a kind: code, moves, and what it is about

    def _sale(self, identity: Identity, content: Content) -> Ruled:
        terminal_id = identity[0]
        prices = self._office.prices
        off_fen = content.amount_fen * prices.discount_percent // 100
        charged_fen = content.amount_fen - off_fen
        if (code := self._pays(terminal_id, content, charged_fen)) != "00":
            return code, {}, None
        customer = self._owner(content)
        points = charged_fen // prices.fen_per_point if prices.fen_per_point else 0
        moves = {customer: -charged_fen, self._earned(terminal_id): charged_fen}
        return code, moves | {points_of(customer): points, ISSUED: -points}, None

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
        if customer is None:
            return "14", {}, None
        if self._stopped:
            return "41", {}, None
        amount_fen = content.amount_fen
        if amount_fen > OFFLINE_SALE_FEN:
            return "61", {}, None
        moves = {self._earned(identity[0]): amount_fen, customer: -amount_fen}
        self._bear(moves, customer)
        return "00", moves, None

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
        return code, moves | self._give_back(original, customer, held_fen - content.amount_fen), original

    def _give_back(self, original: Deal, customer: str, amount_fen: int) -> Moves:
        """First what the campus has borne for it."""
        debt_fen = max(0, min(amount_fen, -original.root.net[DEBT]))
        return {DEBT: debt_fen, customer: amount_fen - debt_fen}

    # --- What is no question, and always happens

    def _adjustment(self, step: Step) -> None:
        deal = self._deal(step, "adjustment")
        self.books.post(deal, {step.customer: step.said.amount_fen, FUNDING: -step.said.amount_fen})
        self._compare(step, "00", step.said.amount_fen, self.books.balances[step.customer])

    def _refused(self, step: Step) -> None:
        balance_fen = self.books.balances[step.customer]
        code = "51" if balance_fen + step.said.amount_fen < 0 else "00"
        self._compare(step, code, step.said.amount_fen, balance_fen)

    def _expiry(self, step: Step) -> None:
        """A hold whose time is over goes back to its payer."""
        original = self._by_rrn.get(step.about)
        if original is None or original.content is None or original.kind != "preauth":
            self._world.violate("I4", f"transfer {step.said.rrn}: frees {step.about}, which held nothing")
            return
        due_ms = original.at_ms + self._office.prices.hold_s * 1_000
        posted_ms = step.said.posted_at_ms or 0
        self._world.check(posted_ms >= due_ms, "I4", f"hold {step.about} is freed {due_ms - posted_ms} ms too early")
        held_fen = original.net[HOLDS]
        self._world.check(
            held_fen == step.said.amount_fen > 0,
            "I8",
            f"hold {step.about}: {step.said.amount_fen} fen are freed of {held_fen}",
        )
        customer = self._owner(original.content)
        deal = self._deal(step, "expiry")
        moves = {HOLDS: -held_fen} | self._give_back(original, customer, held_fen)
        self._spend(customer, moves, deal, original)
        self.books.post(deal, moves, original)

    def _upload(self, step: Step) -> None:
        """What a lost host had approved, as that had answered it. What the payer lacks is debt: the meal is eaten."""
        content = step.content
        assert content is not None
        customer = self._customer(content)
        deal = self._deal(step, content.kind)
        self.books.deals[step.identity] = deal
        if step.identity in self._undone:
            self._compare(step, "68", content.amount_fen, self._told(content.kind, customer))
            return
        original = None if content.original is None else self.books.deals.get(content.original)
        moves = self._moves_again(step, content, original)
        self._bear(moves, customer)
        if customer is not None:
            self._spend(customer, moves, deal, original)
        self.books.post(deal, moves, original)
        deal.charged_fen = self.charged[step.identity] = step.told[0]
        points = 0 if customer is None else abs(moves.get(points_of(customer), 0))
        self._compare(step, "00", content.amount_fen, self._told(content.kind, customer), step.told[0], points)

    def _moves_again(self, step: Step, content: Content, original: Deal | None) -> Moves:
        """What it had moved when it was approved."""
        customer, merchant = self._office.owner.get(token_of(content), DEBT), self._earned(step.identity[0])
        amount_fen, (charged_fen, points) = content.amount_fen, step.told
        purse = points_of(customer)
        if content.kind == "preauth":
            return {customer: -amount_fen, HOLDS: amount_fen}
        if content.kind == "topup":
            return {customer: charged_fen, merchant: -amount_fen, BONUS: amount_fen - charged_fen}
        if content.kind == "points_sale":
            return {purse: -amount_fen, ISSUED: amount_fen}
        if content.kind in VOIDS:
            assert original is not None
            return {account: -amount for account, amount in original.net.items()}
        if content.kind == "refund":
            assert original is not None
            moves = {merchant: -charged_fen, purse: -points, ISSUED: points}
            return moves | self._give_back(original, customer, charged_fen)
        if content.kind == "completion":
            assert original is not None
            held_fen = original.net[HOLDS]
            back = self._give_back(original, customer, held_fen - amount_fen)
            return {HOLDS: -held_fen, merchant: amount_fen} | back
        moves = {merchant: charged_fen, customer: -charged_fen}
        return moves if customer == DEBT else moves | {purse: points, ISSUED: -points}

    def _bear(self, moves: Moves, customer: str | None) -> None:
        """What the payer is to give and does not have, the campus gives."""
        if customer is None or moves.get(customer, 0) >= 0:
            return
        short_fen = -moves[customer] - self.books.balances[customer]
        if short_fen > 0:
            moves[customer] += short_fen
            moves[DEBT] = moves.get(DEBT, 0) - short_fen

    def _reversal(self, step: Step) -> None:
        """Gives back what its original and all that came of it have moved, once; without one it leaves a mark."""
        self._undone.add(step.identity)
        original = self.books.deals.get(step.identity)
        if original is None or original.content is None:
            self._compare(step, "00", 0, 0)
            return
        customer, kind = self._customer(original.content), original.kind
        moves: Moves = {}
        given_fen = 0
        if original.ok and not original.below_a_reversal:
            moves = {account: -amount for account, amount in original.net.items() if amount}
            lacks_fen = -moves.get(HOLDS, 0) - original.root.net[HOLDS]
            if HOLDS in moves and lacks_fen > 0 and customer is not None:
                moves[HOLDS] += lacks_fen
                moves[customer] = moves.get(customer, 0) - lacks_fen
            self._bear(moves, customer)
            given_fen = self._given(original, moves)
            self.charged.pop(step.identity, None)
        deal = self._deal(step, "reversal")
        if customer is not None and moves:
            self._spend(customer, moves, deal, original)
        self.books.post(deal, moves, original)
        self._compare(step, "00", given_fen, self._told(kind, customer))

    def _given(self, original: Deal, moves: Moves) -> int:
        """What a reversal says it gave back: all that somebody gets; of a completion what the merchant gave or got."""
        if original.kind in ("completion", "completion_void"):
            return abs(moves.get(self._earned(original.identity[0]), 0))
        in_points = original.kind in IN_POINTS
        return sum(
            amount
            for account, amount in moves.items()
            if amount > 0 and account.startswith(("points", ISSUED)) == in_points
        )


Ruled = tuple[str, Moves, Deal | None]

RULES: Final[dict[str, Callable[[Model, Identity, Content], Ruled]]] = {
    "sale": Model._sale,
    "preauth": Model._preauth,
    "topup": Model._topup,
    "points_sale": Model._points_sale,
    "refund": Model._refund,
    "completion": Model._completion,
    "offline_sale": Model._offline_sale,
    **dict.fromkeys(VOIDS, Model._void),
}

IMMEDIATE: Final[dict[str, Callable[[Model, Step], None]]] = {
    "adjustment": Model._adjustment,
    "refused": Model._refused,
    "expiry": Model._expiry,
    "upload": Model._upload,
    "reversal": Model._reversal,
}


def days_between(day: int, later: int) -> int:
    """Days from one YYYYMMDD to another."""
    first, last = (datetime.strptime(str(value), "%Y%m%d").replace(tzinfo=UTC) for value in (day, later))
    return (last - first).days
