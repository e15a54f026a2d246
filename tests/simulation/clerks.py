"""The office at its desk: a table of named acts with weights, each noted with the transfer from which on it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from server.app import Host
from server.ledger import clearing
from server.operations.desk import AdminError, Fields
from tests.simulation.campus import Device
from tests.simulation.host import HostDown
from tests.simulation.staff import FIRST_PASSWORDS, Person, Team
from tests.simulation.wallet import draw_pin
from tests.simulation.world import describe

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation
    from tests.simulation.workload import Customer

RETRY_S: Final = 2.0
"""The office tries an operation again when the host was down, until it knows that it is done."""

GOODS: Final = ("6901234567892", "17", "A4")
"""Codes of what is sold, as they stand on it."""


class Clerks:
    """Everything the office does during one run."""

    def __init__(self, simulation: Simulation, customers: list[Customer]) -> None:
        self.simulation = simulation
        self.world = simulation.world
        self.host = simulation.host
        self.office = simulation.office
        self.customers = customers
        self.undecided = 0
        """Operations under way that change something, of which nobody knows yet whether it is changed."""
        self._rng = self.world.rng("office")
        self._lines = 1_000

    async def administer(self, seconds: float) -> None:
        """Now and then the office does something, one operation after the other."""
        rng, time = self._rng, self.world.time
        acts, weights = [*OFFICE], [weight for weight, _ in OFFICE.values()]
        end_s = time.now + seconds
        while time.now < end_s:
            await time.sleep(rng.expovariate(1 / 6))
            [name] = rng.choices(acts, weights)
            self.world.counts[f"office {name}"] += 1
            await OFFICE[name][1](self, rng)

    async def _done(self, what: Callable[[Host], Any]) -> Any:
        """Have an operation done, however often the host dies meanwhile. The operation itself must bear repetition."""
        while True:
            try:
                return await self.host.call(what)
            except HostDown:
                await self.world.time.sleep(RETRY_S)
            except AdminError:
                return None  # refused: nothing has changed
            except Exception as error:
                if not self.host.disk.trouble.full and type(error).__name__ != "StoreBroken":
                    self.world.violate("S4", f"the office met {describe(error)}")
                    return None
                await self.world.time.sleep(RETRY_S)

    async def set_state(
        self, what: str, key: Any, value: str | int, is_so: Callable[[Host], bool], do: Callable[[Host], Any]
    ) -> None:
        """Change something, and note exactly from which transfer on it holds.

        A host that dies in the middle may have done it: then it was done when it was first tried, and not later.
        """
        tried: list[tuple[int, int]] = []

        def act(host: Host) -> None:
            era = self.office.era
            if is_so(host):
                if tried and tried[-1][0] == era:
                    self.office.change(tried[-1][1], what, key, value)
                return
            tried.append((era, host.ledger.head_seq))
            do(host)
            self.office.change(tried[-1][1], what, key, value)
            tried.clear()

        self.undecided += 1
        try:
            await self._done(act)
        finally:
            self.undecided -= 1
        self.world.note(f"office {what} {key!r} {value}")

    async def move_card(self, rng: Random, value: str, operation: str) -> None:
        """Freeze, unfreeze, report lost, found."""
        uid = rng.choice(self.customers).card
        await self.set_state(
            "card",
            uid,
            value,
            lambda host: host.admin.cards.show(uid.hex())["status"] == value,
            lambda host: getattr(host.admin.cards, operation)(uid.hex()),
        )

    async def set_limit(self, rng: Random, what: str) -> None:
        """A card's own limit of a sale or of a day."""
        uid, limit_fen = rng.choice(self.customers).card, rng.choice((0, 500, 5_000, 60_000))
        field = f"{what}_fen"
        await self.set_state(
            what,
            uid,
            limit_fen,
            lambda host: host.admin.cards.show(uid.hex())[field] == limit_fen,
            lambda host: host.admin.cards.limit(uid.hex(), **{field: limit_fen}),
        )

    async def set_meal_limit(self, rng: Random) -> None:
        """Another limit a meal for a card, or for a telephone."""
        token, limit_fen = self._any_payer(rng), rng.choice((0, 1_000, 4_000))
        await self._set_terms(token, "meal_limit", "meal_limit_fen", limit_fen, {"limit_fen": limit_fen})

    async def set_class(self, rng: Random) -> None:
        """A card, or a telephone, comes into another class."""
        token, class_id = self._any_payer(rng), rng.choice([0, *self.office.prices.classes])
        await self._set_terms(token, "set_class", "class_id", class_id, {"class_id": class_id}, what="class")

    async def _set_terms(
        self, token: bytes, operation: str, field: str, value: int, arguments: Fields, what: str = ""
    ) -> None:
        uid = self._uid(token)
        await self.set_state(
            what or operation,
            token,
            value,
            lambda host: host.admin.perform("card_terms.show", {"uid": uid})[field] == value,
            lambda host: host.admin.perform(f"card_terms.{operation}", {"uid": uid} | arguments),
        )

    def _any_payer(self, rng: Random) -> bytes:
        return rng.choice([*self.office.owner])

    def _uid(self, token: bytes) -> str:
        """As the office writes it."""
        return f"V{token.decode()}" if token in self.office.phones else token.hex()

    async def bind(self, rng: Random) -> None:
        """A card is good at one merchant more than before, at one less, or at all again."""
        token, merchant = self._any_payer(rng), rng.choice(sorted(set(self.office.merchant_of.values())))
        uid, bound = self._uid(token), {int(m) for m in self.office.newest("bound", token).split(",") if m}
        if merchant not in bound:
            wanted, operation, arguments = bound | {merchant}, "bind", {"merchant_id": merchant}
        elif len(bound) > 1 and rng.random() < 0.5:
            wanted, operation, arguments = bound - {merchant}, "unbind", {"merchant_id": merchant}
        else:
            wanted, operation, arguments = set(), "unbind", {}
        await self.set_state(
            "bound",
            token,
            ",".join(map(str, sorted(wanted))),
            lambda host: set(host.admin.perform("card_terms.show", {"uid": uid})["merchants"]) == wanted,
            lambda host: host.admin.perform(f"card_terms.{operation}", {"uid": uid} | arguments),
        )

    async def set_discount(self, rng: Random) -> None:
        """A class gets more off, or less: at a meal, or whenever it is another time."""
        prices = self.office.prices
        class_id, meal = rng.choice([0, *prices.classes]), rng.choice([0, *(meal for meal, _, _ in prices.meals)])
        percent = rng.choice((0, 5, 12, 33))

        def is_so(host: Host) -> bool:
            found = {one["class_id"]: one["discounts"] for one in host.admin.perform("class.listing", {})}
            return bool(found[class_id].get(str(meal)) == percent)

        def do(host: Host) -> None:
            host.admin.perform("class.discount", {"class_id": class_id, "meal_id": meal, "percent": percent})

        await self.set_state("discount", class_id * 100 + meal, percent, is_so, do)

    async def clear(self, rng: Random) -> None:
        """Every merchant is paid what it is owed for the newest day that is over."""

        def act(host: Host) -> None:
            days = sorted(found["day"] for found in host.admin.days.show(500))
            if len(days) < 2 or days[-2] < clearing.newest_cleared(host.ledger.store):
                return
            amounts = [(one.merchant_id, one.amount_fen) for one in clearing.owed(host.ledger.store, days[-2])]
            host.admin.perform("clearing.run", {"day": days[-2], "amounts": amounts})
            for row in host.admin.perform("clearing.show", {"day": days[-2]}):
                self.office.cleared(row["merchant_id"], row["day"], row["amount_fen"], row["rrn"])

        self.undecided += 1
        try:
            await self._done(act)
        finally:
            self.undecided -= 1

    # --- Who works at the tills

    async def help_operator(self, rng: Random) -> None:
        """Somebody has forgotten a password, or tried too often; comes, or leaves."""
        merchant = rng.choice(sorted(set(self.office.merchant_of.values())))
        team = self.simulation.staff.team(merchant)
        number, how = rng.choice(sorted(team)), rng.random()
        if how < 0.3:
            number, operation = rng.randrange(1, 100), "add"
        elif how < 0.4 and team[number].role == "teller":
            operation = "delete"
        else:
            operation = "reset" if how < 0.6 else "unlock"
        where = {"merchant_id": merchant, "operator": number}

        def change(before: Team) -> Team:
            person = before.get(number)
            if operation == "delete":
                return {other: found for other, found in before.items() if other != number}
            if person is None or operation == "add":
                return before | {number: Person("teller", FIRST_PASSWORDS["teller"])}
            if operation == "reset":
                return before | {number: Person(person.role, FIRST_PASSWORDS[person.role])}
            return before | {number: person._replace(tries=0)}

        staff = self.simulation.staff
        await self._done(
            lambda host: staff.open_desk(merchant, lambda: host.admin.perform(f"operator.{operation}", where), change)
        )

    async def set_price(self, rng: Random) -> None:
        """Something costs more, or less, or is sold no longer."""
        merchant = rng.choice(sorted(set(self.office.merchant_of.values())))
        code, price_fen, staff = rng.choice(GOODS), rng.choice((0, 150, 880, 2_400)), self.simulation.staff

        def act(host: Host) -> None:
            if price_fen:
                operation, fields = "product.set", {"name": f"goods {code}", "price_fen": price_fen}
            elif staff.price(merchant, code):
                operation, fields = "product.delete", {}
            else:
                return
            fields |= {"merchant_id": merchant, "code": code}
            staff.set_price(merchant, code, price_fen, lambda: host.admin.perform(operation, fields))

        await self._done(act)

    # --- Cards, money, terminals

    async def another_pin(self, rng: Random) -> None:
        """A card gets another PIN, or loses it; either ends a lock."""
        card, pin = rng.choice(self.customers).card, draw_pin(rng) if rng.random() < 0.8 else ""

        def is_so(host: Host) -> bool:
            has = host.admin.perform("card_terms.show", {"uid": card.hex()})["has_pin"]
            if not pin or not has:
                return bool(pin) == bool(has)
            [found] = host.ledger.store.load_cards([card]).values()
            return bool(found.pin_verifier == host.admin.desk.secrets.pin_verifier(card, pin))

        def do(host: Host) -> None:
            if pin:
                host.admin.perform("card_terms.set_pin", {"uid": card.hex(), "pin": pin})
            else:
                host.admin.perform("card_terms.reset_pin", {"uid": card.hex()})

        await self.set_state("pin", card, pin, is_so, do)

    async def pay_in(self, rng: Random) -> None:
        """A top-up at the desk; now and then a correction downwards."""
        customer = rng.choice(self.customers)
        amount_fen = rng.choice((1_000, 5_000, 20_000, -700))
        self._lines += 1
        line = self._lines

        def act(host: Host) -> None:
            adjust = host.admin.accounts.topup if amount_fen > 0 else host.admin.accounts.correct
            try:
                paid = adjust(customer.student_number, amount_fen, 3, line)
            except AdminError:
                self._note_refused(host, customer, amount_fen, line)
                raise
            self.office.topped_up(customer.student_number, amount_fen, paid["rrn"], paid["balance_fen"])

        await self._done(act)

    def _note_refused(self, host: Host, customer: Customer, amount_fen: int, line: int) -> None:
        """A refused correction has its number in the journal, too; the desk does not show it, so it is looked up."""
        rows = host.ledger.store.execute(
            "SELECT seq, balance_fen FROM transfers WHERE terminal_id = 0 AND batch = 3 AND stan = ?", (line,)
        )
        for rrn, balance_fen in rows:
            self.office.refused(customer.student_number, amount_fen, rrn, balance_fen)

    async def revoke(self, rng: Random) -> None:
        """A terminal is stolen, and found again."""
        device = rng.choice(self.simulation.devices)
        name = str(device.settings.terminal)
        if rng.random() < 0.7 and not self.host.slow_s:
            # Somebody pays at that moment: the sale waits behind the revocation in the host's queue.
            self.host.slow_s = 0.5
            self.world.time.after(0.001, device.sell, rng.choice(self.customers).card, 500)
            self.world.time.after(0.6, self._hurry)
        await self._terminal_state(device, "revoked", lambda host: host.admin.terminals.revoke(name))
        await self.world.time.sleep(rng.uniform(1, 20))
        await self.reinstate(device)

    def _hurry(self) -> None:
        self.host.slow_s = 0.0

    async def reinstate(self, device: Device) -> None:
        """It is good again."""
        name = str(device.settings.terminal)
        await self._terminal_state(device, "enrolled", lambda host: host.admin.terminals.reinstate(name))

    async def _terminal_state(self, device: Device, value: str, do: Callable[[Host], Any]) -> None:
        def is_so(host: Host) -> bool:
            after = f"{device.settings.terminal.group}-{device.settings.terminal.device - 1}"
            [found] = host.admin.terminals.listing(after, 1)
            return str(found["state"]).startswith(value)

        await self.set_state("terminal", device.terminal_id, value, is_so, do)

    async def rotate(self, rng: Random) -> None:
        """A terminal gets a new key, at once or when it connects next."""
        device, now = rng.choice(self.simulation.devices), rng.random() < 0.5
        if device.terminal_id in self.simulation.oracle.tainted:
            return  # its double would take the key away
        device.rotating = True
        made = await self._done(lambda host: host.admin.terminals.rotate(str(device.settings.terminal), 1, now))
        self.world.note(f"office rotates {device.name}: {made}")

    async def enrol_anew(self) -> None:
        """After a restore: whoever has proved a newer key than the backup knows gets another."""
        for device in self.simulation.devices:
            name = str(device.settings.terminal)

            def act(host: Host, name: str = name, device: Device = device) -> Fields:
                known = host.registry.find_terminal(device.terminal_id)
                assert known is not None
                if known.key_version >= device.settings.key_version:
                    return {}
                return host.admin.terminals.enrol(name)

            while (enrolled := await self._done(act)) is None:  # refused: its merchant is closed, as in the backup
                await self._merchant_state(self.office.merchant_of[device.terminal_id], "active")
            if enrolled:
                self.world.counts["enrolled anew"] += 1
                self.world.note(
                    f"{device.name} gets key {enrolled['key_version']} in place of {device.settings.key_version}"
                )
                device.enrol_anew(
                    msgspec.structs.replace(
                        device.settings,
                        root_key=bytes.fromhex(enrolled["root_key"]),
                        key_version=enrolled["key_version"],
                        next_root_key=b"",
                        next_key_version=0,
                    )
                )

    async def shut(self, rng: Random) -> None:
        """A merchant closes for a moment."""
        merchant = rng.choice(sorted(set(self.office.merchant_of.values())))
        for value in ("closed", "active"):
            await self._merchant_state(merchant, value)
            await self.world.time.sleep(rng.uniform(0.5, 8))

    async def _merchant_state(self, merchant: int, value: str) -> None:
        def is_so(host: Host) -> bool:
            found = {m["merchant_id"]: m["status"] for m in host.admin.merchants.listing()}
            return bool(found[merchant] == value)

        def do(host: Host) -> None:
            merchants = host.admin.merchants
            (merchants.close if value == "closed" else merchants.reopen)(merchant)

        await self.set_state("merchant", merchant, value, is_so, do)

    async def set_right(self) -> None:
        """At the end of the day everybody may sell: a restore can have brought back what was ended since."""
        for merchant in sorted(set(self.office.merchant_of.values())):
            await self._merchant_state(merchant, "active")
        for device in self.simulation.devices:
            await self.reinstate(device)

    async def next_day(self, rng: Random) -> None:
        """Somebody opens tomorrow by hand."""

        def act(host: Host) -> None:
            today = datetime.strptime(str(host.ledger.business_day), "%Y%m%d").replace(tzinfo=UTC)
            host.admin.days.open(int(f"{today + timedelta(days=1):%Y%m%d}"))

        await self._done(act)
        if rng.random() < 0.7:
            await self.world.time.sleep(rng.uniform(1, 10))  # with sales that are not of the day that is cleared
            await self.clear(rng)

    async def look(self, rng: Random) -> None:
        """Somebody looks into an account."""
        customer = rng.choice(self.customers)
        await self._done(lambda host: host.admin.accounts.show(customer.student_number))


OFFICE: Final[dict[str, tuple[int, Callable[[Clerks, Random], Awaitable[None]]]]] = {
    "pay_in": (20, Clerks.pay_in),
    "look": (4, Clerks.look),
    "freeze": (4, lambda work, rng: work.move_card(rng, "frozen", "freeze")),
    "unfreeze": (4, lambda work, rng: work.move_card(rng, "active", "unfreeze")),
    "lost": (4, lambda work, rng: work.move_card(rng, "lost", "lost")),
    "found": (4, lambda work, rng: work.move_card(rng, "active", "found")),
    "sale_limit": (2, lambda work, rng: work.set_limit(rng, "sale_limit")),
    "day_limit": (2, lambda work, rng: work.set_limit(rng, "day_limit")),
    "set_meal_limit": (3, Clerks.set_meal_limit),
    "set_class": (3, Clerks.set_class),
    "bind": (3, Clerks.bind),
    "set_discount": (2, Clerks.set_discount),
    "set_price": (2, Clerks.set_price),
    "help_operator": (4, Clerks.help_operator),
    "clear": (1, Clerks.clear),
    "another_pin": (4, Clerks.another_pin),
    "revoke": (2, Clerks.revoke),
    "rotate": (2, Clerks.rotate),
    "shut": (1, Clerks.shut),
    "next_day": (2, Clerks.next_day),
}
