"""The second opinion about the money: everything decided, gone through in order of its number, with dicts and sums.

It knows what the office did (openings, top-ups, cards frozen, terminals revoked: each with the number of the newest
transfer at that moment) and what was asked. For each transfer it says what should have been answered, code and balance,
and at the end what everybody should have. It shares no code with the server, and nothing but the rules' meaning.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.simulation.oracle import Content, Identity, Oracle, Said
from tests.simulation.world import World

FROZEN_CODES: Final = {"lost": "41", "frozen": "62", "closed": "54"}


class Step(NamedTuple):
    """One numbered transfer as people were told of it."""

    what: str
    """sale, upload, reversal, topup, or refused (a correction)."""
    identity: Identity
    content: Content | None
    said: Said
    customer: str = ""


class Change(NamedTuple):
    """What the office changed while transfer `head` was the newest: holds for every later one."""

    head: int
    what: str
    """card, terminal, merchant, sale_limit or day_limit."""
    key: bytes | int
    value: str | int


class Office:
    """What the office knows and has done."""

    def __init__(self, sale_limit_fen: int, day_limit_fen: int) -> None:
        self.sale_limit_fen = sale_limit_fen
        self.day_limit_fen = day_limit_fen
        self.owner: dict[bytes, str] = {}
        """Card -> customer."""
        self.merchant_of: dict[int, int] = {}
        """Terminal -> merchant."""
        self.changes: list[Change] = []
        self.topups: dict[int, Step] = {}
        self.era = 0
        """How often the host came back from a backup."""
        self.days: list[tuple[int, int]] = []
        """(first RRN, business day), oldest first."""

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
        self.topups[rrn] = Step("topup", (0, 0, rrn), None, Said("00", amount_fen, rrn, balance_fen, 0), customer)

    def refused(self, customer: str, amount_fen: int, rrn: int, balance_fen: int) -> None:
        """Note a correction that was refused for want of money."""
        self.topups[rrn] = Step("refused", (0, 0, rrn), None, Said("51", amount_fen, rrn, balance_fen, 0), customer)


class Model:
    """See the module's docstring. `run` once; then the attributes say how things should stand."""

    def __init__(self, world: World, office: Office, oracle: Oracle) -> None:
        self._world = world
        self._office = office
        self._oracle = oracle
        self.balances: dict[str, int] = dict.fromkeys(office.owner.values(), 0)
        self.earned: dict[int, int] = dict.fromkeys(office.merchant_of.values(), 0)
        self.debt_fen = 0
        """What OFFLINE_DEBT bears."""
        self._debts: dict[Identity, int] = {}
        self.charged: dict[Identity, int] = {}
        """What each sale has cost its payer in the end."""
        self._spent: dict[str, tuple[int, int]] = {}
        self._cards: dict[bytes, str] = {}
        self._closed: dict[int, str] = {}
        self._shut: dict[int, str] = {}
        self._limits: dict[tuple[str, bytes], int] = {}
        self._sales: dict[Identity, tuple[Content, bool, int]] = {}
        self._undone: set[Identity] = set()
        self._changes = sorted(office.changes, key=lambda change: change.head)
        self._day = 0

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
            getattr(self, f"_{step.what}")(step)
        for rrn in steps:
            self._world.violate("I6", f"transfer {rrn} was answered; the newest in the ledger is {newest_rrn}")

    def _steps(self) -> dict[int, Step]:
        steps = dict(self._office.topups)
        for identity, case in self._oracle.cases.items():
            for what, said in (("sale", case.said), ("reversal", case.reversal)):
                if said is None:
                    continue
                if said.rrn in steps:
                    self._world.violate("I4", f"transfer {said.rrn} stands for {identity} and {steps[said.rrn]}")
                kind = "upload" if what == "sale" and case.uploaded else what
                steps[said.rrn] = Step(kind, identity, case.content, said)
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
        else:
            assert isinstance(key, bytes)
            self._limits[change.what, key] = int(value)

    # --- What should have been answered

    def _compare(self, step: Step, code: str, amount_fen: int, balance_fen: int) -> None:
        said = step.said
        if (said.code, said.amount_fen, said.balance_fen) == (code, amount_fen, balance_fen):
            return
        if said.balance_fen is None and (said.code, said.amount_fen) == (code, amount_fen):
            return  # nobody has asked since it was uploaded
        invariant = "I2" if said.code == code else "I3" if said.code == "00" else "I10"
        self._world.violate(
            invariant,
            f"transfer {said.rrn}, {step.what} {step.identity}: answered {said.code} {said.amount_fen} fen, balance"
            f" {said.balance_fen}; expected {code} {amount_fen} fen, balance {balance_fen}",
        )

    def _topup(self, step: Step) -> None:
        self.balances[step.customer] += step.said.amount_fen
        self._compare(step, "00", step.said.amount_fen, self.balances[step.customer])

    def _refused(self, step: Step) -> None:
        balance_fen = self.balances[step.customer]
        code = "51" if balance_fen + step.said.amount_fen < 0 else "00"
        self._compare(step, code, step.said.amount_fen, balance_fen)

    def _sale(self, step: Step) -> None:
        content = step.content
        assert content is not None
        customer = self._office.owner.get(content.payer)
        code = "68" if step.identity in self._undone else self._decide(step.identity[0], content, customer)
        if code == "00":
            assert customer is not None
            day, spent_fen = self._spent.get(customer, (0, 0))
            self._spent[customer] = self._day, content.amount_fen + (spent_fen if day == self._day else 0)
            self.balances[customer] -= content.amount_fen
            self.earned[self._office.merchant_of[step.identity[0]]] += content.amount_fen
            self.charged[step.identity] = content.amount_fen
        self._sales[step.identity] = content, code == "00", self._day
        self._compare(step, code, content.amount_fen, 0 if customer is None else self.balances[customer])

    def _upload(self, step: Step) -> None:
        """A sale that a lost host had approved: the meal is eaten, and what the payer lacks is debt."""
        content = step.content
        assert content is not None
        customer = self._office.owner.get(content.payer)
        amount_fen = content.amount_fen
        if step.identity in self._undone:
            self._sales[step.identity] = content, False, self._day
            self._compare(step, "68", amount_fen, 0 if customer is None else self.balances[customer])
            return
        own_fen = 0
        if customer is not None:
            own_fen = min(amount_fen, self.balances[customer])
            self.balances[customer] -= own_fen
            day, spent_fen = self._spent.get(customer, (0, 0))
            self._spent[customer] = self._day, amount_fen + (spent_fen if day == self._day else 0)
        self.debt_fen += amount_fen - own_fen
        self._debts[step.identity] = amount_fen - own_fen
        self.earned[self._office.merchant_of[step.identity[0]]] += amount_fen
        self.charged[step.identity] = amount_fen
        self._sales[step.identity] = content, True, self._day
        self._compare(step, "00", amount_fen, 0 if customer is None else self.balances[customer])

    def _decide(self, terminal_id: int, content: Content, customer: str | None) -> str:
        """The first reason to refuse, in the order docs/protocol.md gives."""
        merchant = self._office.merchant_of.get(terminal_id)
        if merchant is None:
            return "97"
        if self._closed.get(terminal_id) == "revoked":
            return "58"
        if self._shut.get(merchant) == "closed":
            return "03"
        if customer is None:
            return "14"
        if (status := self._cards.get(content.payer, "active")) != "active":
            return FROZEN_CODES[status]
        return self._decide_amount(content, customer)

    def _decide_amount(self, content: Content, customer: str) -> str:
        amount_fen = content.amount_fen
        sale_limit_fen = self._limits.get(("sale_limit", content.payer)) or self._office.sale_limit_fen
        if sale_limit_fen and amount_fen > sale_limit_fen:
            return "61"
        day, spent_fen = self._spent.get(customer, (0, 0))
        day_limit_fen = self._limits.get(("day_limit", content.payer)) or self._office.day_limit_fen
        if day_limit_fen and (spent_fen if day == self._day else 0) + amount_fen > day_limit_fen:
            return "65"
        return "51" if amount_fen > self.balances[customer] else "00"

    def _reversal(self, step: Step) -> None:
        """Gives back what its sale has taken, once; without a sale it leaves a mark."""
        self._undone.add(step.identity)
        content, approved, day = self._sales.get(step.identity, (None, False, 0))
        if content is None:
            self._compare(step, "00", 0, 0)
            return
        customer = self._office.owner.get(content.payer)
        given_fen = 0
        if approved:
            assert customer is not None
            given_fen = self.charged.pop(step.identity, 0)
            debt_fen = self._debts.pop(step.identity, 0)
            self.debt_fen -= debt_fen
            self.balances[customer] += given_fen - debt_fen
            self.earned[self._office.merchant_of[step.identity[0]]] -= given_fen
            spent_day, spent_fen = self._spent.get(customer, (0, 0))
            if spent_day == day:
                self._spent[customer] = spent_day, max(0, spent_fen - given_fen)
        self._compare(step, "00", given_fen, 0 if customer is None else self.balances[customer])
