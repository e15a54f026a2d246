"""One run: a campus is built from a seed, has its lunch while things go wrong, is healed, and is judged."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, Final

import msgspec
import trio

from protocol import TerminalNumber
from server.admin import Admin
from server.app import Host
from server.config import Config, Day, LedgerSettings, Limits, Rules
from terminal_emulator.functions.offline_mode import offline_mode
from terminal_emulator.settings import Settings
from tests.simulation import determinism
from tests.simulation.campus import Device, quick_locks
from tests.simulation.chaos import Chaos
from tests.simulation.clerks import GOODS, Clerks
from tests.simulation.faults import Fault, draw_plan
from tests.simulation.final import FinalReads
from tests.simulation.host import HostProcess
from tests.simulation.invariants import (
    Rivals,
    check_balances,
    check_books,
    check_holds,
    check_ledger,
    check_limits,
    check_memories,
    check_settlements,
    own_accounts,
    settled_batches,
    watched_calls,
    watched_seals,
)
from tests.simulation.model import Model
from tests.simulation.network import Line
from tests.simulation.office import Office
from tests.simulation.oracle import Oracle
from tests.simulation.staff import Staff
from tests.simulation.store import CrashDisk, MemoryDisk
from tests.simulation.wallet import draw_pin
from tests.simulation.workload import Customer, Workload
from tests.simulation.world import Violation, World, describe

RECOVERY_S: Final = 240.0
"""I21: within this time after the last fault every terminal is online with nothing open. A dead session is noticed by a
heartbeat (30 s) and its answer's time (3 s), reconnecting waits up to 20 s, a reversal steps back up to 60 s."""
EXACT_SHARE: Final = 0.1
"""Seeds whose ledger lies on the exact disk, sector by sector."""
EXPIRY_S: Final = 130.0
"""I7: holds are looked through every minute."""
SETTLE_AGAIN_S: Final = 5.0
"""A cashier who is told that a settlement is not done presses the key again: longer than an answer may take."""
WATCH_EVERY_S: Final = 5.0
FOREVER_S: Final = 30 * 86_400.0
GROUP: Final = 3
SIGN_ON_SHARE: Final = 0.25
"""Seeds in whose canteens somebody has to sign on before anything is sold, again after each power cut."""
PIN_SHARE: Final = 0.4
PHONE_SHARE: Final = 0.3
"""Customers whose card has a PIN, and those who have a telephone that pays."""


class Options(msgspec.Struct, frozen=True):
    """What a run may be told from outside; everything else comes from the seed."""

    terminals: int = 0
    """0: drawn, 2..50."""
    minutes: float = 0.0
    """Of selling; 0: drawn."""
    faults: tuple[int, ...] | None = None
    """Numbers of the faults to keep; None: all."""
    keep_trace: bool = False
    small: bool = False
    """A campus of a few terminals for a few minutes."""


class Result(msgspec.Struct):
    """What came out of one run."""

    seed: int
    digest: str
    violations: list[Violation]
    plan: list[Fault]
    counts: dict[str, int]
    terminals: int
    virtual_s: float
    cpu_s: float
    exact: bool
    trace: list[str]


class Simulation:
    """See the module's docstring."""

    def __init__(self, seed: int, options: Options, plan: list[Fault] | None = None) -> None:
        began_s = time.process_time()
        self.world = World(seed, keep_trace=options.keep_trace)
        rng = self.world.rng("campus")
        terminals, minutes = rng.choice((2, 3, 5, 8, 12, 20, 35, 50)), rng.choice((2.0, 4.0, 8.0, 12.0))
        if options.small:
            terminals, minutes = 2 + terminals % 5, minutes / 4
        self.terminals = options.terminals or terminals
        self.seconds = 60 * (options.minutes or minutes)
        self.rate_per_s = self.terminals / rng.uniform(1.5, 8.0)
        self.exact = rng.random() < EXACT_SHARE
        self.config = self._configure(rng)
        self.plan = draw_plan(self.world.rng("plan"), self.terminals, self.seconds) if plan is None else plan
        if options.faults is not None:
            self.plan = [fault for fault in self.plan if fault.number in options.faults]
        self.oracle = Oracle(self.world)
        self.office = Office(self.config.rules.sale_limit_fen, self.config.rules.day_limit_fen)
        disk = CrashDisk(self.world.rng("disk")) if self.exact else MemoryDisk()
        self.host = HostProcess(self.world, self.config, disk)
        self.staff = Staff(self)
        self.devices: list[Device] = []
        self.sellers: list[Device] = []
        """Devices customers go to: the terminals, and doubles while they last."""
        self._nursery: trio.Nursery | None = None
        # The host's clock begins within the hour before the next business day in some seeds.
        self.host.clock_offset_ms = rng.choice((0, 0, 17 * 3_600_000 + 1_500_000))
        self._sign_on_required = self.world.rng("sign-on").random() < SIGN_ON_SHARE
        self.workload = self._build(rng)
        self.clerks = Clerks(self, self.workload.customers)
        self.chaos = Chaos(self, self.plan)
        self.setup_cpu_s = time.process_time() - began_s

    def _configure(self, rng: Random) -> Config:
        return Config(
            limits=Limits(
                connections=rng.choice((12_000, 4 * self.terminals + 100)),
                requests_per_s=rng.choice((50.0, 1_000.0)),
            ),
            ledger=LedgerSettings(
                gather_s=rng.choice((0.0, 0.01, 0.01)),
                batch_max=rng.choice((1, 4, 256)),
                queue_max=rng.choice((1, 4096, 4096)),
            ),
            rules=Rules(sale_limit_fen=50_000, day_limit_fen=rng.choice((0, 30_000, 200_000))),
            day=Day(),
        )

    def _build(self, rng: Random) -> Workload:
        """Merchants, customers with money, terminals with keys: the host's life 0, before anything can go wrong."""
        admin = self.host.boot().admin
        merchants = [admin.merchants.add(f"canteen {number}")["merchant_id"] for number in (1, 2)]
        customers = [Customer(f"S{number}", rng.randbytes(4)) for number in range(3 + 4 * self.terminals)]
        for line, customer in enumerate(customers, 1):
            name, amount_fen = customer.student_number, rng.choice((100, 3_000, 100_000, 1_000_000, 1_000_000))
            admin.cards.issue(customer.card.hex(), name, "Ann")
            self.office.owner[customer.card] = name
            paid = admin.accounts.topup(name, amount_fen, 2, line)
            self.office.topped_up(name, amount_fen, paid["rrn"], paid["balance_fen"])
        self._hand_out(admin, customers)
        for merchant in merchants:
            for number, code in enumerate(GOODS):
                goods = {
                    "merchant_id": merchant,
                    "code": code,
                    "name": f"goods {code}",
                    "price_fen": 100 * merchant + number,
                }
                self.staff.set_price(merchant, code, goods["price_fen"], partial(admin.perform, "product.set", goods))
        self._agree_on_prices(admin)
        for number in range(1, self.terminals + 1):
            merchant = merchants[number % 2]
            enrolled = admin.terminals.enrol(f"{GROUP}-{number}", merchant)
            self._add_device(TerminalNumber(GROUP, number), enrolled, merchant, rng)
        self.sellers = [*self.devices]
        return Workload(self, self.office, customers, self.rate_per_s)

    def _hand_out(self, admin: Admin, customers: list[Customer]) -> None:
        """PINs to some, telephones that pay to others."""
        rng = self.world.rng("wallets")
        for customer in customers:
            if rng.random() < PIN_SHARE:
                pin = draw_pin(rng)
                admin.perform("card_terms.set_pin", {"uid": customer.card.hex(), "pin": pin})
                self.office.change(admin.desk.ledger.head_seq, "pin", customer.card, pin)
            if rng.random() < PHONE_SHARE:
                number = admin.perform("virtual_card.issue", {"student_number": customer.student_number})["number"]
                self.office.owner[number.encode()] = customer.student_number
                self.office.phones[number.encode()] = admin.desk.secrets.code_secret(number)

    def _agree_on_prices(self, admin: Admin) -> None:
        """Discount, points, bonus, how long a hold lasts: drawn, and told to the host and to the model."""
        rng, prices = self.world.rng("prices"), self.office.prices
        self._agree_on_meals(admin, rng)
        # What a checked password allows is forgotten by a host that dies; the model does not follow that.
        admin.perform("parameter.set", {"name": "check_passwords", "value": 0})
        if percent := rng.choice((0, 0, 7, 15, 100)):
            prices.discount_percent = percent
            admin.perform("class.discount", {"class_id": 0, "meal_id": 0, "percent": percent})
        if fen_per_point := rng.choice((0, 30, 100)):
            prices.fen_per_point = fen_per_point
            admin.perform("points.set", {"fen_per_point": fen_per_point})
        for threshold_fen, bonus_fen in rng.choice(((), ((10_000, 500),), ((5_000, 33), (20_000, 2_000)))):
            prices.bonus.append((threshold_fen, bonus_fen))
            admin.perform("bonus.set", {"threshold_fen": threshold_fen, "bonus_fen": bonus_fen})
        if rng.random() < 0.5:
            prices.hold_s = 3_600
            admin.perform("parameter.set", {"name": "hold_hours", "value": 1})
        prices.pin_above_fen = rng.choice((0, 800, 2_000))
        admin.perform("parameter.set", {"name": "pin_sale_fen", "value": prices.pin_above_fen})
        prices.pin_after_sales = rng.choice((0, 0, 3))
        admin.perform("parameter.set", {"name": "pin_count", "value": prices.pin_after_sales})
        prices.refund_days = rng.choice((180, 180, 1, 0))
        admin.perform("parameter.set", {"name": "refund_days", "value": prices.refund_days})

    def _agree_on_meals(self, admin: Admin, rng: Random) -> None:
        """When there is a meal, and what each class of cards may spend in it: lunch ends soon after the run begins."""
        prices, campus = self.office.prices, admin.perform
        if rng.random() < 0.7:
            ends, begins = rng.choice((636, 640)), rng.choice((637, 641, 660))
            prices.meals = [(1, 200, 300), (2, 600, ends), (3, max(ends, begins), 1_200)]
        for meal, start, end in prices.meals:
            campus("meal.set", {"meal_id": meal, "name": f"meal {meal}", "start_minute": start, "end_minute": end})
        for number in range(1, rng.choice((1, 3))):
            limits = (rng.choice((0, 1_500, 40_000)), rng.choice((0, 3_000)), rng.choice((0, 20_000)))
            names = ("sale_limit_fen", "meal_limit_fen", "day_limit_fen")
            made = campus("class.add", {"name": f"class {number}", **dict(zip(names, limits, strict=True))})
            prices.classes[made["class_id"]] = limits
        prices.meal_limit_fen = rng.choice((0, 0, 20_000))
        campus("parameter.set", {"name": "meal_limit_fen", "value": prices.meal_limit_fen})
        prices.topup_limit_fen = rng.choice((0, 100_000, 20_000))
        campus("parameter.set", {"name": "topup_limit_fen", "value": prices.topup_limit_fen})

    def _add_device(self, number: TerminalNumber, enrolled: dict[str, Any], merchant: int, rng: Random) -> None:
        settings = Settings(
            terminal=number,
            root_key=bytes.fromhex(enrolled["root_key"]),
            key_version=enrolled["key_version"],
            operator=rng.randrange(100),
            sign_on_required=self._sign_on_required,
        )
        name = f"T{number.device}"
        line = Line(self.world, name, self.host.accept)
        device = Device(self.world, name, settings, line, self.oracle)
        device.wall_offset_s = rng.uniform(-3, 3)
        self.office.merchant_of[device.terminal_id] = merchant
        self.host.on_death(lambda told: line.lose_host(told=told))
        self.devices.append(device)

    @property
    def all_devices(self) -> list[Device]:
        """The terminals, and their doubles."""
        return [*self.devices, *self.chaos.doubles]

    def start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """A task of the run."""
        assert self._nursery is not None
        self._nursery.start_soon(function, *args)

    # --- The run

    async def run(self) -> None:
        """Lunch, chaos, healing, judgement."""
        with trio.fail_after(FOREVER_S):
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self.host.run)
                for device in self.devices:
                    nursery.start_soon(device.run)
                nursery.start_soon(self._watch)
                self.chaos.start()
                await self._lunch()
                await self._judge()
                nursery.cancel_scope.cancel()

    async def _watch(self) -> None:
        rivals = Rivals(self)
        while True:
            await self.world.time.sleep(WATCH_EVERY_S)
            rivals.check()
            check_limits(self)

    async def _lunch(self) -> None:
        time_, world = self.world.time, self.world
        async with trio.open_nursery() as people:
            people.start_soon(self.workload.serve, self.seconds)
            people.start_soon(self.clerks.administer, self.seconds)
            people.start_soon(self.workload.close_batches, self.seconds)
            await time_.sleep(self.seconds)
            self.chaos.heal()
            world.note("healed")
        self.sellers = [*self.devices]
        self.start(self._back_to_the_host)
        await self.clerks.set_right()
        healed = await time_.until(lambda: self.host.is_up and all(map(self._is_done, self.devices)), RECOVERY_S)
        if not healed:
            late = [device.name for device in self.devices if not self._is_done(device)]
            world.violate("I21", f"not online, or something open, {RECOVERY_S:g} s after the last fault: {late}")
        await self._settle()
        # An hour or two later, in half of all runs: holds whose time is over by then have to be free again.
        self.host.clock_offset_ms += self.world.rng("late").choice((0, 2 * 3_600_000))
        await time_.sleep(EXPIRY_S)

    async def _back_to_the_host(self) -> None:
        """Nobody sells without it at the end of the day."""
        while True:
            for device in self.devices:
                if device.is_offline_by_hand:
                    device.work(offline_mode)
            await self.world.time.sleep(SETTLE_AGAIN_S)

    async def _settle(self) -> None:
        """The end of the day: every honest terminal settles, and what was cut off is gone on with."""
        honest = [device for device in self.devices if device.terminal_id not in self.oracle.tainted]
        for device in honest:
            device.settle()
        end_s = self.world.time.now + RECOVERY_S
        while self.world.time.now < end_s:
            await self.world.time.sleep(SETTLE_AGAIN_S)
            late = [device for device in honest if device.image.settlement is not None]
            if not late and all(device.is_free for device in honest):
                return
            for device in late:
                device.settle()
        states = [(device.name, device.image.settlement) for device in honest]
        self.world.violate("I21", f"not settled {RECOVERY_S:g} s after the last fault: {states}")

    def _is_done(self, device: Device) -> bool:
        if device.terminal_id in self.oracle.tainted:
            return device.terminal is not None and device.terminal.brain.online
        return device.is_done and self.has_uploaded(device)

    def has_uploaded(self, device: Device) -> bool:
        """A restored host has back all that this terminal remembers."""
        host = self.host.host
        assert host is not None
        ledger = host.ledger
        return ledger.history == 1 or device.image.history == (ledger.history, ledger.restored_at_s)

    async def _judge(self) -> None:
        """Switch the terminals off, ask everything again, compare."""
        for device in self.devices:
            device.powered = False
            device.cut_power("the day is over")
        reads = FinalReads(self, 1.0 if len(self.oracle.cases) < 400 else 0.15)
        await reads.run()
        newest = await self.host.call(lambda host: host.ledger.head_seq)
        found = await self.host.call(lambda host: host.admin.accounts.listing())
        merchants = await self.host.call(lambda host: host.admin.merchants.listing())
        days = await self.host.call(lambda host: host.admin.days.show(500))
        self.office.days = sorted([(day["first_rrn"], day["day"]) for day in days])
        self.office.opened_ms = {day["day"]: day["opened_at_ms"] for day in days}
        self.office.expiries = await self.host.call(expiries)
        self.office.posted_ms = dict(await self.host.call(posted))
        self.office.settlements = await self.host.call(settled_batches)
        model = Model(self.world, self.office, self.oracle)
        model.run(newest)
        await reads.inquire(model)
        balances = {account["student_number"]: account["balance_fen"] for account in found}
        earned = {merchant["merchant_id"]: merchant["balance_fen"] for merchant in merchants}
        check_balances(self, model, balances, earned)
        check_books(self, model, await self.host.call(own_accounts))
        check_memories(self, model)
        check_settlements(self, model, self.office.settlements)
        check_holds(self, model, self.host.now_ms() - int(EXPIRY_S * 1_000))
        self.world.note(f"judged: {newest} transfers, {sum(balances.values())} fen")
        self.host.stop(restart_s=FOREVER_S)
        await self.world.time.until(lambda: self.host.is_stopped, 60.0)
        check_ledger(self)


def expiries(host: Host) -> list[tuple[int, int, int, int]]:
    """Holds that were freed because their time was over: nobody asked, so nobody was told."""
    return [
        (seq, about, amount_fen, at_ms)
        for seq, about, amount_fen, at_ms in host.ledger.store.execute(
            "SELECT seq, original_seq, amount_fen, posted_at_ms FROM transfers WHERE kind = 16 ORDER BY seq"
        )
    ]


def posted(host: Host) -> list[tuple[int, int]]:
    """When each transfer was posted. Terminals are told of most, and then it has to be the same."""
    return [(seq, at_ms) for seq, at_ms in host.ledger.store.execute("SELECT seq, posted_at_ms FROM transfers")]


def simulate(seed: int, options: Options = Options()) -> Result:  # noqa: B008 - immutable
    """One run from its seed; never raises for what happens inside."""
    return run_to_end(Simulation(seed, options))


def run_to_end(simulation: Simulation) -> Result:
    """Run what was built, and say what came out."""
    world = simulation.world
    began_s = time.process_time()

    def tell(kind: str, event: str, error: BaseException | None) -> None:
        world.counts["host log errors"] += 1
        if kind == "exception":
            world.violate("S4", f"the host met an exception: {event}: {describe(error)}")

    try:
        with determinism.quiet_logs(tell), watched_seals(world), watched_calls(simulation), quick_locks():
            determinism.run(world.seed, world.time, simulation.run)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        world.violate("S4", f"the run ended with {describe(error)}")
    finally:
        simulation.host.disk.close()
    counts = dict(sorted(world.counts.items()))
    counts["transfers"] = simulation.oracle.newest_rrn
    counts["host lives"] = simulation.host.life
    return Result(
        seed=world.seed,
        digest=world.digest,
        violations=world.violations,
        plan=simulation.plan,
        counts=counts,
        terminals=simulation.terminals,
        virtual_s=world.time.now - determinism.START_S,
        cpu_s=simulation.setup_cpu_s + time.process_time() - began_s,
        exact=simulation.exact,
        trace=list(world.trace),
    )
