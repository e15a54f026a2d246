"""A busy lunch: customers at the tills, and the office at its desk. Both are tables of named actions with weights; a
new capability adds a line.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from protocol.messages import EntryMode
from protocol.messages.money import TransactionKind
from server.app import Host
from server.operations.desk import AdminError, Fields
from terminal_emulator.archive import KEPT_BATCHES
from terminal_emulator.record import Record, RecordState
from tests.simulation.campus import Device
from tests.simulation.host import HostDown
from tests.simulation.model import Office
from tests.simulation.wallet import code_at, draw_pin
from tests.simulation.world import describe

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

SETTLE_EVERY_S: Final = 200.0
"""How often a terminal is settled, about: not twenty hours apart, as at a canteen's."""
RETRY_S: Final = 2.0
"""The office tries an operation again when the host was down, until it knows that it is done."""


REFUNDABLE: Final = (TransactionKind.SALE, TransactionKind.OFFLINE_SALE, TransactionKind.COMPLETION)


PIN_KINDS: Final = (TransactionKind.PREAUTH, TransactionKind.POINTS_SALE, TransactionKind.TOPUP)
CODE_KINDS: Final = (TransactionKind.PREAUTH, TransactionKind.POINTS_SALE, TransactionKind.TOPUP)
CODE_SIZE: Final = 22


class Customer(msgspec.Struct, frozen=True):
    """Somebody with a card and an account."""

    student_number: str
    card: bytes


class Workload:
    """Everything people do during one run."""

    def __init__(self, simulation: Simulation, office: Office, customers: list[Customer], rate_per_s: float) -> None:
        self.simulation = simulation
        self.world = simulation.world
        self.host = simulation.host
        self.office = office
        self.customers = customers
        self.rate_per_s = rate_per_s
        self.open = True
        self.busy = 0
        """Office operations under way."""
        self.undecided = 0
        """Those of them that change something, of which nobody knows yet whether it is changed."""
        self._rng = self.world.rng("customers")
        self._office_rng = self.world.rng("office")
        self._lines = 1_000

    # --- Customers

    async def serve(self, seconds: float) -> None:
        """Customers come, most of them in the middle, until the lunch is over."""
        rng, time = self._rng, self.world.time
        sales, weights = [*SALES], [weight for weight, _ in SALES.values()]
        began_s = time.now
        while (elapsed_s := time.now - began_s) < seconds:
            rush = 0.3 + 0.7 * math.sin(math.pi * elapsed_s / seconds)
            await time.sleep(rng.expovariate(self.rate_per_s * rush))
            [name] = rng.choices(sales, weights)
            SALES[name][1](self, rng)

    def _till(self, rng: Random) -> Device:
        sellers = self.simulation.sellers
        return sellers[int(rng.random() * len(sellers))]

    def _sell(self, till: Device, customer: Customer, amount_fen: int, taps: int = 1) -> None:
        self.world.counts["customers"] += 1
        if not till.sell(customer.card, amount_fen, taps=taps):
            self.world.counts["customers not served"] += 1

    def meal(self, rng: Random) -> None:
        """A meal."""
        self._sell(self._till(rng), rng.choice(self.customers), rng.randrange(300, 2_500))

    def snack(self, rng: Random) -> None:
        """Something small, down to a single fen."""
        self._sell(self._till(rng), rng.choice(self.customers), rng.choice((1, 10, 50, 150)))

    def feast(self, rng: Random) -> None:
        """More than most have, or may spend at once."""
        self._sell(self._till(rng), rng.choice(self.customers), rng.choice((8_000, 30_000, 50_000, 50_001, 999_999)))

    def impatient(self, rng: Random) -> None:
        """Holds the card to the reader again and again."""
        self._sell(self._till(rng), rng.choice(self.customers), rng.randrange(300, 2_500), taps=4)

    def same_card(self, rng: Random) -> None:
        """One card at several tills in the same instant: friends share a number."""
        customer = rng.choice(self.customers)
        tills = self.simulation.sellers
        for till in rng.sample(tills, min(len(tills), rng.randrange(2, 6))):
            self._sell(till, customer, rng.randrange(300, 6_000))

    def favourite(self, rng: Random) -> None:
        """The same few customers spend until their money or their day is used up."""
        self._sell(self._till(rng), self.customers[int(rng.random() * 3)], rng.randrange(2_000, 20_000))

    def stranger(self, rng: Random) -> None:
        """A card nobody has issued."""
        self._sell(self._till(rng), Customer("nobody", rng.randbytes(4)), 500)

    # --- Whatever is no plain sale. Now and then somebody gets it wrong, and is refused.

    def _approved(self, till: Device, *kinds: TransactionKind) -> list[Record]:
        """What this terminal remembers as approved, of these kinds, oldest first."""
        records = till.image.records.values()
        return [record for record in records if record.state is RecordState.APPROVED and record.kind in kinds]

    def _follow_up(
        self,
        till: Device,
        kind: TransactionKind,
        amount_fen: int,
        payer: bytes,
        original: Record | None = None,
        of: Device | None = None,
        *,
        pin: str = "",
    ) -> None:
        """What was paid by telephone is taken back by telephone, too: with the code of now, or the old one."""
        name, entry_mode = kind.name.lower(), EntryMode.CARD
        self.world.counts[f"wanted {name}"] += 1
        if len(payer) == CODE_SIZE:
            payer, entry_mode = self._shown(payer[2:12], self._rng.choice((0, 600))), EntryMode.CODE
        if not till.follow_up(kind, amount_fen, payer, original, of, entry_mode=entry_mode, pin=pin):
            self.world.counts["customers not served"] += 1

    def _pick(self, rng: Random, records: list[Record]) -> Record | None:
        """One of the newest; now and then any."""
        if not records:
            return None
        return rng.choice(records[-4:] if rng.random() < 0.8 else records)

    def undo(self, rng: Random, kind: TransactionKind, *originals: TransactionKind) -> None:
        """A void: of what is not undone yet, or (refused) of what is, by another card, or for another amount."""
        till = self._till(rng)
        record = self._pick(rng, self._approved(till, *originals))
        if record is None:
            return
        amount_fen, payer = record.amount_fen, record.payer
        if rng.random() < 0.05:
            amount_fen += 1
        if rng.random() < 0.05:
            payer = rng.choice(self.customers).card
        self._follow_up(till, kind, amount_fen, payer, record)

    def refund(self, rng: Random) -> None:
        """A part of a sale goes back: at this till, or at another of the same merchant."""
        till, of = self._till(rng), None
        seller = till
        if rng.random() < 0.3:
            merchants = self.office.merchant_of
            others = [d for d in self.sellers_of(merchants[till.terminal_id]) if d.terminal_id != till.terminal_id]
            if others:
                seller = of = rng.choice(others)
        record = self._pick(rng, self._approved(seller, *REFUNDABLE))
        if record is None:
            return
        share = rng.choice((1, 1, 2, 3, 7))
        amount_fen = max(1, record.amount_fen // share) + (rng.random() < 0.1)
        self._follow_up(till, TransactionKind.REFUND, amount_fen, record.payer, record, of)

    def sellers_of(self, merchant: int) -> list[Device]:
        """The terminals of a merchant, without doubles."""
        merchant_of = self.office.merchant_of
        return [device for device in self.simulation.devices if merchant_of[device.terminal_id] == merchant]

    def hold(self, rng: Random) -> None:
        """A deposit is held."""
        amount_fen = rng.choice((500, 2_000, 10_000, 60_000))
        self._follow_up(self._till(rng), TransactionKind.PREAUTH, amount_fen, rng.choice(self.customers).card)

    def complete(self, rng: Random) -> None:
        """What was held is paid, or most of it; now and then somebody wants more."""
        till = self._till(rng)
        record = self._pick(rng, self._approved(till, TransactionKind.PREAUTH))
        if record is not None:
            amount_fen = max(1, int(record.amount_fen * rng.choice((1.0, 1.0, 0.7, 0.3, 1.1))))
            self._follow_up(till, TransactionKind.COMPLETION, amount_fen, record.payer, record)

    def top_up(self, rng: Random) -> None:
        """Cash onto a card, at a till."""
        amount_fen = rng.choice((100, 5_000, 10_000, 20_000, 50_000))
        self._follow_up(self._till(rng), TransactionKind.TOPUP, amount_fen, rng.choice(self.customers).card)

    def spend_points(self, rng: Random) -> None:
        """Points in place of money."""
        amount = rng.choice((1, 5, 20, 100, 1_000))
        self._follow_up(self._till(rng), TransactionKind.POINTS_SALE, amount, rng.choice(self.customers).card)

    # --- PINs and telephones

    def pin_of(self, card: bytes) -> str:
        """What its owner was told last, if anything."""
        told = (c.value for c in reversed(self.office.changes) if c.what == "pin" and c.key == card)
        return str(next(told, ""))

    def pay_with_pin(self, rng: Random) -> None:
        """Somebody keys a PIN: the right one, mostly; or where there is none to be keyed."""
        with_pin = [customer for customer in self.customers if self.pin_of(customer.card)]
        card = rng.choice(with_pin or self.customers).card
        pin = self.pin_of(card) if rng.random() < 0.8 else draw_pin(rng)
        if rng.random() < 0.05:
            card = rng.choice(self.customers).card
        kind = rng.choice((TransactionKind.SALE, TransactionKind.SALE, *PIN_KINDS))
        self._follow_up(self._till(rng), kind, rng.choice((1, 700, 900, 2_500)), card, pin=pin)

    def guess(self, rng: Random) -> None:
        """Somebody tries out PINs of the cards of others, in one corner of the hall."""
        card = self.customers[int(rng.random() * 12) % len(self.customers)].card
        seller = self.simulation.sellers[0 if rng.random() < 0.8 else -1]
        self._follow_up(seller, TransactionKind.POINTS_SALE, 1, card, pin=draw_pin(rng))

    def _shown(self, number: bytes, ago_s: int = 0) -> bytes:
        """What a telephone shows, or showed some time ago. Its clock goes by the host's."""
        secret = self.office.phones.get(number, b"nobody's")
        return code_at(secret, number.decode(), self.host.now_ms() // 1_000 - ago_s)

    def pay_by_phone(self, rng: Random) -> None:
        """A code is shown: of now, of a while ago, twice, a changed one, nobody's, or the number without one."""
        phones = [*self.office.phones]
        if not phones:
            return
        number, how = rng.choice(phones), rng.random()
        code, entry_mode = self._shown(number, rng.choice((0, 0, 0, 0, 15, 30, 45, 600))), EntryMode.CODE
        if how < 0.05:
            code = code[:12] + b"%010d" % rng.randrange(2**31)
        elif how < 0.08:
            code = self._shown(b"%010d" % rng.randrange(10**10))
        elif how < 0.11:
            code, entry_mode = number, EntryMode.CARD
        kind = rng.choice((TransactionKind.SALE,) * 6 + CODE_KINDS)
        for _ in range(2 if rng.random() < 0.3 else 1):  # the second time at whichever till: a picture of the screen
            self.world.counts["codes shown"] += 1
            amount_fen = rng.choice((1, 700, 900))
            self._till(rng).follow_up(kind, amount_fen, code, entry_mode=entry_mode)

    async def close_batches(self, seconds: float) -> None:
        """Now and then a cashier settles, in the middle of it all; one that was cut off is gone on with."""
        rng, time = self.world.rng("settlements"), self.world.time
        settled: Counter[str] = Counter()
        end_s = time.now + seconds
        while time.now < end_s:
            await time.sleep(rng.expovariate(len(self.simulation.devices) / SETTLE_EVERY_S))
            device = rng.choice(self.simulation.devices)
            # A host may come back from a backup made long before: then the terminal has no more than its archive.
            if settled[device.name] < KEPT_BATCHES or device.image.settlement is not None:
                is_new = device.image.settlement is None
                settled[device.name] += device.settle() and is_new
                self.world.counts["settlements wanted"] += 1

    # --- The office

    async def administer(self, seconds: float) -> None:
        """Now and then the office does something, one operation after the other."""
        rng, time = self._office_rng, self.world.time
        acts, weights = [*OFFICE], [weight for weight, _ in OFFICE.values()]
        end_s = time.now + seconds
        while time.now < end_s:
            await time.sleep(rng.expovariate(1 / 6))
            [name] = rng.choices(acts, weights)
            self.world.counts[f"office {name}"] += 1
            await OFFICE[name][1](self, rng)

    async def _done(self, what: Callable[[Host], Any]) -> Any:
        """Have an operation done, however often the host dies meanwhile. The operation itself must bear repetition."""
        self.busy += 1
        try:
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
        finally:
            self.busy -= 1

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
        """A card's own limit."""
        uid, limit_fen = rng.choice(self.customers).card, rng.choice((0, 500, 5_000, 60_000))
        field = f"{what}_fen"
        await self.set_state(
            what,
            uid,
            limit_fen,
            lambda host: host.admin.cards.show(uid.hex())[field] == limit_fen,
            lambda host: host.admin.cards.limit(uid.hex(), **{field: limit_fen}),
        )

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
            self.world.time.after(0.001, self._sell, device, rng.choice(self.customers), 500)
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

    async def look(self, rng: Random) -> None:
        """Somebody looks into an account."""
        customer = rng.choice(self.customers)
        await self._done(lambda host: host.admin.accounts.show(customer.student_number))


SALES: Final[dict[str, tuple[int, Callable[[Workload, Random], None]]]] = {
    "meal": (70, Workload.meal),
    "snack": (10, Workload.snack),
    "feast": (2, Workload.feast),
    "impatient": (4, Workload.impatient),
    "same_card": (3, Workload.same_card),
    "favourite": (5, Workload.favourite),
    "stranger": (2, Workload.stranger),
    "void": (8, lambda work, rng: work.undo(rng, TransactionKind.VOID, *REFUNDABLE[:2])),
    "refund": (8, Workload.refund),
    "hold": (6, Workload.hold),
    "complete": (5, Workload.complete),
    "free": (2, lambda work, rng: work.undo(rng, TransactionKind.PREAUTH_VOID, TransactionKind.PREAUTH)),
    "complete_void": (2, lambda work, rng: work.undo(rng, TransactionKind.COMPLETION_VOID, TransactionKind.COMPLETION)),
    "top_up": (6, Workload.top_up),
    "top_up_void": (2, lambda work, rng: work.undo(rng, TransactionKind.TOPUP_VOID, TransactionKind.TOPUP)),
    "spend_points": (3, Workload.spend_points),
    "points_void": (2, lambda work, rng: work.undo(rng, TransactionKind.POINTS_VOID, TransactionKind.POINTS_SALE)),
    "pay_with_pin": (8, Workload.pay_with_pin),
    "guess": (6, Workload.guess),
    "pay_by_phone": (10, Workload.pay_by_phone),
    "void_of_anything": (1, lambda work, rng: work.undo(rng, TransactionKind.VOID, *TransactionKind)),
}

OFFICE: Final[dict[str, tuple[int, Callable[[Workload, Random], Awaitable[None]]]]] = {
    "pay_in": (20, Workload.pay_in),
    "look": (4, Workload.look),
    "freeze": (4, lambda work, rng: work.move_card(rng, "frozen", "freeze")),
    "unfreeze": (4, lambda work, rng: work.move_card(rng, "active", "unfreeze")),
    "lost": (4, lambda work, rng: work.move_card(rng, "lost", "lost")),
    "found": (4, lambda work, rng: work.move_card(rng, "active", "found")),
    "sale_limit": (2, lambda work, rng: work.set_limit(rng, "sale_limit")),
    "day_limit": (2, lambda work, rng: work.set_limit(rng, "day_limit")),
    "another_pin": (4, Workload.another_pin),
    "revoke": (2, Workload.revoke),
    "rotate": (2, Workload.rotate),
    "shut": (1, Workload.shut),
    "next_day": (1, Workload.next_day),
}
