"""A busy lunch: customers at the tills, as a table of named actions with weights; a new capability adds a line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec

from protocol.messages import EntryMode
from protocol.messages.money import TransactionKind
from terminal_emulator.archive import KEPT_BATCHES
from terminal_emulator.functions.conveniences import price
from terminal_emulator.functions.offline_mode import offline_mode
from terminal_emulator.functions.people import (
    recharge_password,
    supervisor_password,
    teller_add,
    teller_delete,
    teller_list,
    teller_password,
)
from terminal_emulator.functions.sign_on import lock, sign_off, sign_on, unlock
from terminal_emulator.record import Record, RecordState
from tests.simulation.campus import Device
from tests.simulation.clerks import GOODS
from tests.simulation.office import Office
from tests.simulation.staff import FIRST_PASSWORDS, RECHARGE, SUPERVISOR
from tests.simulation.wallet import code_at, draw_pin

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

GUESS_EVERY_S: Final = 2.0
SETTLE_EVERY_S: Final = 200.0
"""How often a terminal is settled, about: not twenty hours apart, as at a canteen's."""

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
        self._rng = self.world.rng("customers")

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
        """Any; where nobody may sell, somebody tries to get in first."""
        sellers = self.simulation.sellers
        till = sellers[int(rng.random() * len(sellers))]
        if till.is_shut:
            self.world.counts["tills shut"] += 1
            self._let_in(rng, till)
        return till

    def _let_in(self, rng: Random, till: Device) -> None:
        """The lock wants the password of whoever has locked; where nobody is signed on, anybody will do."""
        terminal = till.terminal
        if terminal is None:
            return
        sign_on_of_till = terminal.brain.till.sign_on
        if sign_on_of_till.is_locked and rng.random() < 0.8:
            till.work(unlock, self._known(till, sign_on_of_till.operator), "999999")
            return
        team = self.simulation.staff.team(self.office.merchant_of[till.terminal_id])
        number = rng.choice([number for number in sorted(team) if number < RECHARGE])
        till.work(sign_on, str(number), team[number].password, "246810", "246810")

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
        if original is not None and self._is_not_back(of or till, original):
            return
        self.world.counts[f"wanted {name}"] += 1
        if len(payer) == CODE_SIZE:
            payer, entry_mode = self._shown(payer[2:12], self._rng.choice((0, 600))), EntryMode.CODE
        if not till.follow_up(kind, amount_fen, payer, original, of, entry_mode=entry_mode, pin=pin):
            self.world.counts["customers not served"] += 1

    def _is_not_back(self, seller: Device, original: Record) -> bool:
        """Whether a till has followed it up already, and a restored host may not know. Who does so once more before
        the first one is back leaves that one waiting: it is on the settlement's list, and for people to sort out."""
        if not self.office.era:
            return False
        about = (seller.terminal_id, *original.identity)
        for device in self.simulation.devices:
            if self.host.is_up and self.simulation.has_uploaded(device):
                continue
            for one in (*device.image.records.values(), *device.image.archived.values()):
                named = (one.original_terminal or device.terminal_id, one.original_batch, one.original_stan)
                if named == about:
                    return True
        return False

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
        amount_fen = rng.choice((100, 5_000, 10_000, 20_000, 50_000, 100_001))
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
        """Somebody tries out PINs of a card found on the floor, again and again at one till; or of many cards."""
        with_pin = [customer.card for customer in self.customers if self.pin_of(customer.card)]
        if not with_pin:
            return
        card, tries = rng.choice(with_pin), rng.choice((1, 1, 3, 8))
        seller = self.simulation.sellers[0 if rng.random() < 0.8 else -1]
        self.simulation.start(self._guess, rng, seller, card, tries)

    async def _guess(self, rng: Random, seller: Device, card: bytes, tries: int) -> None:
        for _ in range(tries):
            if not self.world.calm:
                self._follow_up(seller, TransactionKind.POINTS_SALE, 1, card, pin=draw_pin(rng))
            await self.world.time.sleep(GUESS_EVERY_S)

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
        code, entry_mode = self._shown(number, rng.choice((0, 0, 0, 0, 15, 30, 45, 900))), EntryMode.CODE
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

    # --- Whoever works at the till

    def _known(self, till: Device, number: int) -> str:
        """The password somebody should have; somebody unknown tries the one everybody begins with."""
        person = self.simulation.staff.team(self.office.merchant_of[till.terminal_id]).get(number)
        return FIRST_PASSWORDS["teller"] if person is None else person.password

    def _keyed(self, rng: Random, till: Device, number: int) -> str:
        """Mostly it; else some digits."""
        return self._known(till, number) if rng.random() < 0.7 else "8" * rng.randrange(4, 9)

    def _operator(self, rng: Random, till: Device) -> int:
        """Mostly somebody who works here."""
        team = self.simulation.staff.team(self.office.merchant_of[till.terminal_id])
        return rng.choice([*(number for number in sorted(team) if number < RECHARGE), 57])

    def sign_on(self, rng: Random) -> None:
        """Somebody begins to work, and has to think of another password the first time."""
        till = self._till(rng)
        number = self._operator(rng, till)
        new = rng.choice(("246810", "13579", "0000", "123456"))
        till.work(sign_on, str(number), self._keyed(rng, till, number), new, new)

    def sign_off(self, rng: Random) -> None:
        """Somebody goes home."""
        self._till(rng).work(sign_off)

    def lock(self, rng: Random) -> None:
        """Somebody goes away for a moment."""
        self._till(rng).work(lock)

    def switch_offline(self, rng: Random) -> None:
        """Somebody has had enough of a bad line, or has not any more."""
        self._till(rng).work(offline_mode)

    def change_password(self, rng: Random) -> None:
        """A teller's, the supervisor's, or the one for top-ups."""
        till = self._till(rng)
        new = rng.choice(("975310", "1357", "111111", "123456", "0000"))
        if rng.random() < 0.5:
            number = max(1, self._operator(rng, till))
            till.work(teller_password, str(number), self._keyed(rng, till, number), new, new)
        elif rng.random() < 0.5:
            till.work(supervisor_password, self._keyed(rng, till, SUPERVISOR), new, new)
        else:
            till.work(recharge_password, self._keyed(rng, till, RECHARGE), new, new)

    def manage_tellers(self, rng: Random) -> None:
        """The supervisor adds a teller, deletes one, or looks who there is. First passwords of the factory have to be
        changed before anything else."""
        till = self._till(rng)
        password = self._keyed(rng, till, SUPERVISOR)
        first = ("864200", "864200") if password == FIRST_PASSWORDS["supervisor"] else ()
        how = rng.random()
        if how < 0.4:
            till.work(teller_add, password, *first, str(rng.choice((2, 3, 4, 0, 99))), rng.choice(("4444", "0000")))
        elif how < 0.6:
            till.work(teller_delete, password, *first, str(rng.choice((0, 1, 2, 3, 4))))
        else:
            till.work(teller_list, password, *first)

    def look_up_price(self, rng: Random) -> None:
        """Somebody asks what something costs, and does not buy it."""
        self._till(rng).work(price, rng.choice((*GOODS, "404")))

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
    "guess": (2, Workload.guess),
    "pay_by_phone": (10, Workload.pay_by_phone),
    "sign_on": (4, Workload.sign_on),
    "sign_off": (1, Workload.sign_off),
    "lock": (1, Workload.lock),
    "switch_offline": (1, Workload.switch_offline),
    "change_password": (2, Workload.change_password),
    "manage_tellers": (2, Workload.manage_tellers),
    "look_up_price": (2, Workload.look_up_price),
    "void_of_anything": (1, lambda work, rng: work.undo(rng, TransactionKind.VOID, *TransactionKind)),
}
