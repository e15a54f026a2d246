"""The second opinion about the money: everything decided, gone through in order of its number, with dicts and sums.

It knows what the office did (openings, top-ups, cards frozen, terminals revoked: each with the number of the newest
transfer at that moment) and what was asked. For each transfer it says what should have been answered, code and balance,
and at the end what everybody should have. It shares no code with the server, and nothing but the rules' meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.simulation.books import BONUS, DEBT, FUNDING, HOLDS, ISSUED, Deal, Moves, merchant_account, points_of
from tests.simulation.office import Change, Office, Settled, Step
from tests.simulation.oracle import Content, Identity, Oracle, Said
from tests.simulation.rules import FROZEN_CODES, IN_POINTS, REFUNDABLE, RULES, VOIDS, Rules
from tests.simulation.wallet import token_of
from tests.simulation.world import World

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


class Model(Rules):
    """See the module's docstring. `run` once; then the attributes say how things should stand."""

    def __init__(self, world: World, office: Office, oracle: Oracle) -> None:
        super().__init__(office)
        self._world = world
        self._oracle = oracle
        self.charged: dict[Identity, int] = {}
        """What each approved request has moved, if it was not reversed."""
        self._by_rrn: dict[int, Deal] = {}
        self._undone: set[Identity] = set()
        self._ends: dict[int, dict[str, int]] = {}
        """Day -> everybody's balance when it was over, less what was cleared since."""
        closed = [Change(found.through, "batch", found.terminal_id, found.batch) for found in office.settlements]
        self._changes = sorted([*office.changes, *closed], key=lambda change: change.head)

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
        days = sorted(self._office.days)
        at = 0
        for rrn in range(1, newest_rrn + 1):
            while at < len(self._changes) and self._changes[at].head < rrn:
                self._take(self._changes[at])
                at += 1
            while days and days[0][0] <= rrn:
                self._ends[self._day] = dict(self.books.balances)
                self._day = days.pop(0)[1]
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

    def _step(self, step: Step) -> None:
        if step.what in IMMEDIATE:
            IMMEDIATE[step.what](self, step)
            return
        content = step.content
        assert content is not None
        customer = self._customer(content)
        deal = self._deal(step, content.kind)
        deal.late = content.kind == "offline_sale"
        self.books.deals[step.identity] = deal
        # Which version of the stop list the terminal had, mostly it alone knows; but the card has to be stopped now.
        stopped = self._cards.get(token_of(content), "active") != "active"
        self._stopped = stopped and (step.said.code == "41" or step.identity in self._oracle.listed)
        self._batch = step.identity[1]
        self._pin, self._said = self._oracle.pins.get((step.identity, content), ""), step.said
        self._estranged = step.said.code == "A0" and step.identity in self._oracle.estranged
        if step.identity in self._undone:
            code, moves, original = "68", {}, None
        else:
            code, moves, original = RULES[content.kind](self, step.identity, content)
        points = left = 0
        if code == "00":
            assert customer is not None
            if content.original is None:
                self.guesses.paid(content, step.said.posted_at_ms or 0)
            self._spend(customer, moves, deal, original)
            self.books.post(deal, moves, original)
            points, left = self._points_told(customer, moves)
            deal.charged_fen = self._charge(content, moves, customer)
            self.charged[step.identity] = deal.charged_fen
        told = self._told(content.kind, customer)
        self._compare(step, code, content.amount_fen, told, deal.charged_fen, points, left)

    def _points_told(self, customer: str | None, moves: Moves) -> tuple[int, int]:
        """How many points were moved, and what the customer has then; below zero: owes."""
        if customer is None or not moves.get(points_of(customer)):
            return 0, 0
        return abs(moves[points_of(customer)]), self.books.balances[points_of(customer)]

    def _deal(self, step: Step, kind: str) -> Deal:
        at_ms = step.said.posted_at_ms or self._office.posted_ms.get(step.said.rrn, 0)
        deal = Deal(step.identity, kind, step.content, step.said.rrn, self._day, at_ms)
        self._by_rrn[step.said.rrn] = deal
        return deal

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
        return "00", self.books.balances[customer], held_fen, self.books.balances[points_of(customer)]

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
        self,
        step: Step,
        code: str,
        amount_fen: int,
        balance_fen: int,
        charged_fen: int = 0,
        points: int = 0,
        points_left: int = 0,
    ) -> None:
        said = step.said
        moved = (charged_fen, points, points_left)
        expected = Said(code, amount_fen, said.rrn, balance_fen, said.posted_at_ms, *moved)
        if expected.agrees(said):
            return
        invariant = "I2" if said.code == code else "I3" if said.code == "00" else "I10"
        self._world.violate(
            invariant,
            f"transfer {said.rrn}, {step.what} {step.identity}: answered {said.code} {said.amount_fen} fen, charged"
            f" {said.charged_fen}, points {said.points} of {said.points_balance}, balance {said.balance_fen}; expected"
            f" {code} {amount_fen} fen, charged {charged_fen}, points {points} of {points_left}, balance {balance_fen};"
            f" {step.content}",
        )

    # --- What is no question, and always happens

    def _adjustment(self, step: Step) -> None:
        deal = self._deal(step, "adjustment")
        self.books.post(deal, {step.customer: step.said.amount_fen, FUNDING: -step.said.amount_fen})
        self._compare(step, "00", step.said.amount_fen, self.books.balances[step.customer])

    def _refused(self, step: Step) -> None:
        balance_fen = self.books.balances[step.customer]
        code = "51" if balance_fen + step.said.amount_fen < 0 else "00"
        self._compare(step, code, step.said.amount_fen, balance_fen)

    def _clearing(self, step: Step) -> None:
        """A merchant is paid what its account held when the day was over, and was not paid since."""
        merchant, amount_fen = step.customer, step.said.amount_fen
        owed_fen = self._ends.get(step.about, {}).get(merchant, 0)
        self._world.check(
            amount_fen == owed_fen, "I13", f"{merchant} is paid {amount_fen} fen for {step.about}, expected {owed_fen}"
        )
        self.books.post(self._deal(step, "clearing"), {merchant: -amount_fen, FUNDING: amount_fen})
        for end in self._ends.values():
            end[merchant] = end.get(merchant, 0) - amount_fen

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
        deal.late = True
        self.books.deals[step.identity] = deal
        if step.identity in self._undone:
            self._compare(step, "68", content.amount_fen, self._told(content.kind, customer))
            return
        original = None if content.original is None else self.books.deals.get(content.original)
        if original is not None and content.kind == "refund":
            step = step._replace(told=self._left_of(original, customer, step.told))
        moves = self._moves_again(step, content, original)
        self._bear(moves, customer)
        if customer is not None:
            self._spend(customer, moves, deal, original)
        self.books.post(deal, moves, original)
        deal.charged_fen = self.charged[step.identity] = step.told[0]
        told = self._told(content.kind, customer)
        self._compare(step, "00", content.amount_fen, told, step.told[0], *self._points_told(customer, moves))

    def _left_of(self, original: Deal, customer: str | None, told: tuple[int, int]) -> tuple[int, int]:
        """A refund that was rounded up may find that the fen has gone back with another meanwhile."""
        before, purse = original.live_refunds, points_of(customer or DEBT)
        charged_fen = original.charged_fen - sum(deal.charged_fen for deal in before)
        points = max(0, original.moves.get(purse, 0)) + sum(deal.moves.get(purse, 0) for deal in before)
        return min(told[0], charged_fen), min(told[1], points)

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
            earned = {} if customer == DEBT else {purse: points, ISSUED: -points}
            return {HOLDS: -held_fen, merchant: amount_fen} | earned | back
        moves = {merchant: charged_fen, customer: -charged_fen}
        return moves if customer == DEBT else moves | {purse: points, ISSUED: -points}

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


IMMEDIATE: Final[dict[str, Callable[[Model, Step], None]]] = {
    "adjustment": Model._adjustment,
    "refused": Model._refused,
    "clearing": Model._clearing,
    "expiry": Model._expiry,
    "upload": Model._upload,
    "reversal": Model._reversal,
}
