"""Many terminals in one process: real brains with real keys and cards, and how long their customers waited.

Open loop (`rate_per_s`): customers come at random moments that are fixed beforehand, whether the host keeps up or
not, and wait in line at a terminal that is busy. Latency counts from the moment the customer came, so a stalled host
is not flattered by the customers it kept from asking (no coordinated omission). Closed loop (`rate_per_s=None`): every
terminal sells again at once; that finds the most the host can do, and its latencies are those of a full house.

One task a terminal, one ticker for all deadlines, and nothing drawn on any screen: the generator has to be faster than
the host it measures.
"""

from __future__ import annotations

import gc
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from math import inf
from random import Random
from typing import Any, Final

import msgspec
import trio
from hdrh.histogram import HdrHistogram

from terminal_emulator.brain import Brain
from terminal_emulator.effects import Effect, Key, Now, Outcome
from terminal_emulator.load_mix import Mix
from terminal_emulator.load_result import FinalSale, LoadProgress, LoadResult
from terminal_emulator.outage import Outage, OutageFigures
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage, Storage
from terminal_emulator.terminal import Terminal, Ticker, Write

CONNECTING_MAX: Final = 16
"""Handshakes under way at once while the terminals are switched on: hosts bound them, and bound them by address."""

CONNECT_STALL_S: Final = 30.0
"""Without one more terminal coming online for this long, the load is not started."""

WAITING_MAX: Final = 10_000
"""Customers in line at one terminal. More would need a host that is down for hours; they are counted as failed."""

DRAIN_TIMEOUT_S: Final = 30.0
"""For the lines to empty after the last customer came. Who is still waiting then is counted as failed."""

RESOLVE_TIMEOUT_S: Final = 120.0
"""For every sale to be resolved at the end. Two of the longest waits between two sendings of one reversal."""

PROGRESS_EVERY_S: Final = 0.5
UPLOAD_LOOK_S: Final = 0.5
"""How often it is seen whether an upload is over."""
ARRIVAL_TICK_S: Final = 0.001
"""Customers are looked for this often."""
POLL_S: Final = 0.02
CONNECT_POLL_S: Final = 0.002
"""How often the load looks whether a phase is over, and whether the next terminal may connect."""

MICROSECONDS: Final = 1_000_000
LATENCY_MAX_S: Final = 3_600
LATENCY_DIGITS: Final = 3


class LoadError(Exception):
    """The load cannot be run; the text says what to do."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. `seed` fixes who buys what, where and when."""

    terminals: tuple[Settings, ...]
    """All of them connect."""
    selling: int | None = None
    """How many of them sell (the first ones); None: all. The others stay connected and idle."""
    cards: tuple[bytes, ...]
    """Card UIDs of the customers."""
    seconds: float
    warm_up_s: float = 0.0
    """Selling goes on this long before anything is counted."""
    rate_per_s: float | None = None
    """Customers a second over all terminals; None: closed loop."""
    amounts_fen: tuple[int, int] = (300, 2_500)
    """Smallest and largest amount."""
    seed: int = 1
    mixed: bool = False
    """Three of ten want something else than to pay (`terminal_emulator.load_mix`)."""
    uploaders: tuple[Settings, ...] = ()
    """Terminals that sell nothing now, and come back from an outage halfway (`terminal_emulator.outage`)."""
    records: int = 0
    """How many sales each of them has made offline."""

    def __post_init__(self) -> None:
        if not self.terminals or not self.cards:
            raise LoadError("a load needs at least one terminal and one card")
        if self.selling is not None and not 0 < self.selling <= len(self.terminals):
            raise LoadError(f"selling terminals: expected 1..{len(self.terminals)}, got {self.selling}")
        if self.seconds <= 0 or self.warm_up_s < 0 or (self.rate_per_s is not None and self.rate_per_s <= 0):
            raise LoadError("seconds and rate must be above zero, warm-up not below")
        if not 0 < self.amounts_fen[0] <= self.amounts_fen[1]:
            raise LoadError(f"amounts: expected smallest and largest, above zero, got {self.amounts_fen}")


@lru_cache(maxsize=65_536)
def keys_for(amount_fen: int) -> tuple[Key, ...]:
    """The keys a cashier presses for an amount, Enter included."""
    text = f"{amount_fen // 100}.{amount_fen % 100:02d}".rstrip("0").rstrip(".")
    return (*map(Key, text), Key.ENTER)


class Tally:
    """What is counted while it runs. Times are trio's clock."""

    def __init__(self) -> None:
        self.count_from_s = 0.0
        self.count_until_s = 0.0
        self.selling_goes_on = False
        """Closed loop: whether a terminal that is free sells again."""
        self.approved = self.declined = self.failed = 0
        self.approved_in_time = 0
        self.waiting = 0
        self.online = 0
        self.latencies_s = array("d")

    def told(self, state: RecordState | None, intended_s: float, now_s: float) -> None:
        """A customer got a final word, or (None) was told "not charged" because there was none."""
        if state is RecordState.APPROVED and self.count_from_s <= now_s < self.count_until_s:
            self.approved_in_time += 1
        if intended_s < self.count_from_s:
            return
        self.latencies_s.append(now_s - intended_s)
        if state is RecordState.APPROVED:
            self.approved += 1
        elif state is RecordState.DECLINED:
            self.declined += 1
        else:
            self.failed += 1


class LoadTerminal(Terminal):
    """A terminal with a line of customers: whenever it is free, it serves the next."""

    def __init__(self, brain: Brain, *, plan: LoadPlan, tally: Tally, rng: Random, **shell: Any) -> None:
        super().__init__(brain, show=self._notice, **shell)
        self.finals: list[Record] = []
        self.line: deque[float] = deque()
        """When the customers in line came."""
        self.sells = False
        self._plan = plan
        self._tally = tally
        self._rng = rng
        self._intended_s: float | None = None  # when the customer being served came
        self._state: RecordState | None = None  # what he was told
        self._was_online = False
        self._mix = Mix(rng, self._tell) if plan.mixed else None

    def _tell(self, state: RecordState | None) -> None:
        """A question has its answer, or none."""
        self._state = state

    @property
    def is_busy(self) -> bool:
        """Whether somebody is being served."""
        return self.brain.busy or (self._mix is not None and self._mix.is_asking)

    def _notice(self, effect: Effect) -> None:
        if isinstance(effect, Outcome):
            self.finals.append(effect.record)
            if self._mix is not None:
                self._mix.remember(effect.record)
            if effect.record.state is not RecordState.REVERSED:
                self._state = effect.record.state

    def come(self, intended_s: float) -> list[Write]:
        """A customer comes."""
        if len(self.line) >= WAITING_MAX:
            self._tally.told(None, intended_s, trio.current_time())
            return []
        self.line.append(intended_s)
        self._tally.waiting += 1
        return [] if self.is_busy else self._serve(self.now())

    def after(self, effects: list[Effect]) -> list[Write]:
        """See Terminal: and if the customer has been told, the next one."""
        writes = super().after(effects)
        brain = self.brain
        if brain.online is not self._was_online:
            self._was_online = brain.online
            self._tally.online += 1 if brain.online else -1
        if self.is_busy:
            return writes
        now = self.now()
        if self._intended_s is not None:
            self._tally.told(self._state, self._intended_s, now.monotonic_s)
            self._intended_s = None
        return writes + self._serve(now)

    def _serve(self, now: Now) -> list[Write]:
        """Key the amount and tap the card of the next customer, if there is one and a session."""
        brain = self.brain
        if not brain.online:
            return []
        if self.line:
            intended_s = self.line.popleft()
            self._tally.waiting -= 1
        elif self.sells and self._tally.selling_goes_on:
            intended_s = now.monotonic_s
        else:
            return []
        self._intended_s, self._state = intended_s, None
        random = self._rng.random
        low, high = self._plan.amounts_fen
        cards = self._plan.cards
        card, amount_fen = cards[int(random() * len(cards))], low + int(random() * (high - low + 1))
        dialog = None if self._mix is None else self._mix.next(brain.till, card, amount_fen)
        return self.sell_once(card, amount_fen, now) if dialog is None else super().after(brain.begin(dialog, now))

    def sell_once(self, card: bytes, amount_fen: int, now: Now) -> list[Write]:
        """Key an amount and tap a card."""
        brain = self.brain
        for key in keys_for(amount_fen):
            brain.key(key, now)  # beeps, which nobody hears
        effects = brain.tap(card, now)
        if not brain.busy:
            effects += brain.key(Key.ENTER, now)  # the same card and amount as before: it is meant
        return super().after(effects)


async def _until(timeout_s: float, condition: Callable[[], bool]) -> None:
    """Look now and then whether it is so, at most this long. An event would have to be told of by every terminal."""
    with trio.move_on_after(timeout_s):
        while not condition():  # noqa: ASYNC110 - see the docstring
            await trio.sleep(POLL_S)


class _Load:
    """One run: connect, sell, drain, resolve."""

    def __init__(
        self,
        plan: LoadPlan,
        terminals: list[LoadTerminal],
        tally: Tally,
        rng: Random,
        uploaders: Sequence[LoadTerminal] = (),
    ) -> None:
        self.plan = plan
        self.terminals = [*terminals, *uploaders]
        self.sellers = terminals[: plan.selling or len(terminals)]
        self.tally = tally
        self.rng = rng
        self.phase = "connecting"
        self.began_s = trio.current_time()
        self.stopped = trio.Event()
        self.outage = Outage(uploaders, plan.records, rng) if uploaders else None
        self._alone = self._beside = 0  # how many latencies there were when the upload began, and ended
        self._reported = 0  # latencies that have been in a report

    async def connect(self, nursery: trio.Nursery) -> None:
        """Switch all terminals on, a few at a time; LoadError if they do not come online."""
        heard_s, heard = trio.current_time(), 0
        for index, terminal in enumerate(self.terminals):
            terminal.after(terminal.brain.power_on(terminal.now()))
            nursery.start_soon(terminal.run)
            last = index + 1 == len(self.terminals)
            while index + 1 - self.tally.online >= (1 if last else CONNECTING_MAX):
                await trio.sleep(CONNECT_POLL_S)
                if self.tally.online > heard:
                    heard_s, heard = trio.current_time(), self.tally.online
                elif trio.current_time() > heard_s + CONNECT_STALL_S:
                    silent = [t for t in self.terminals[: index + 1] if not t.brain.online]
                    raise LoadError(
                        f"{len(silent)} of {len(self.terminals)} terminals have no session, nothing new for "
                        f"{CONNECT_STALL_S:g} s. The first, {silent[0].brain.settings.terminal}: {silent[0].last_error}"
                    )

    async def sell(self) -> None:
        """The load itself, warm-up included."""
        tally, plan = self.tally, self.plan
        self.phase = "warming up" if plan.warm_up_s else "selling"
        start_s = trio.current_time()
        tally.count_from_s = start_s + plan.warm_up_s
        tally.count_until_s = end_s = tally.count_from_s + plan.seconds
        if plan.rate_per_s is not None:
            await self._let_them_come(start_s, end_s, plan.rate_per_s)
            if self.outage is not None and not self.stopped.is_set():
                await self._upload_beside(self.outage, plan.rate_per_s)
            return
        tally.selling_goes_on = True
        for terminal in self.sellers:
            terminal.sells = True
            await terminal.perform(terminal.after([]))
        await self._sleep_until(end_s)
        tally.selling_goes_on = False

    async def _upload_beside(self, outage: Outage, rate_per_s: float) -> None:
        """All records go up, and customers keep coming until they are; and then for as long as before, alone again: the
        ledger has grown meanwhile, and that is not the upload's doing."""
        self.phase = "uploading"
        self._alone = len(self.tally.latencies_s)
        self.tally.count_until_s = inf
        await outage.release()
        while not (outage.is_over or self.stopped.is_set()):
            now_s = trio.current_time()
            await self._let_them_come(now_s, now_s + UPLOAD_LOOK_S, rate_per_s)
        outage.end()
        self._beside = len(self.tally.latencies_s)
        now_s = trio.current_time()
        await self._let_them_come(now_s, now_s + self.plan.seconds, rate_per_s)
        self.tally.count_until_s = trio.current_time()

    async def _let_them_come(self, start_s: float, end_s: float, rate_per_s: float) -> None:
        """Poisson arrivals at all terminals together, until the end. Who comes within ARRIVAL_TICK_S comes in together:
        a wake-up for each would cost more than the sale. Latency counts from the coming all the same.
        """
        rng, sellers = self.rng, self.sellers
        coming_s = start_s + rng.expovariate(rate_per_s)
        while coming_s < end_s and not self.stopped.is_set():
            now_s = trio.current_time()
            while coming_s <= now_s and coming_s < end_s:
                terminal = sellers[int(rng.random() * len(sellers))]
                await terminal.perform(terminal.come(coming_s))
                coming_s += rng.expovariate(rate_per_s)
            await self._sleep_until(min(max(coming_s, now_s + ARRIVAL_TICK_S), end_s))
        await self._sleep_until(end_s)

    async def heed(self, stop: Stop) -> None:
        """Wait until somebody wants it to end, then let no more customers come."""
        await stop()
        self.tally.count_until_s = min(self.tally.count_until_s, trio.current_time())
        self.tally.selling_goes_on = False
        self.stopped.set()

    async def _sleep_until(self, when_s: float) -> None:
        """Until then, or until the load is stopped."""
        with trio.move_on_at(when_s):
            await self.stopped.wait()

    async def settle(self) -> int:
        """Let the lines empty, then wait until every sale is resolved; returns how many are not."""
        self.phase = "draining"
        await _until(
            DRAIN_TIMEOUT_S, lambda: not (self.tally.waiting or any(terminal.is_busy for terminal in self.sellers))
        )
        now_s = trio.current_time()
        for terminal in self.sellers:
            while terminal.line:
                self.tally.told(None, terminal.line.popleft(), now_s)
        self.tally.waiting = 0
        self.phase = "resolving"
        await _until(RESOLVE_TIMEOUT_S, lambda: not any(terminal.brain.unresolved for terminal in self.terminals))
        return sum(terminal.brain.unresolved for terminal in self.terminals)

    async def tell(self, report: Report) -> None:
        """Until cancelled: report what is going on."""
        while True:
            await trio.sleep(PROGRESS_EVERY_S)
            tally = self.tally
            if self.phase == "warming up" and trio.current_time() >= tally.count_from_s:
                self.phase = "selling"
            fresh = sorted(tally.latencies_s[self._reported :])
            self._reported += len(fresh)
            report(
                LoadProgress(
                    phase=self.phase,
                    elapsed_s=trio.current_time() - self.began_s,
                    online=tally.online,
                    approved=tally.approved,
                    declined=tally.declined,
                    failed=tally.failed,
                    waiting=tally.waiting,
                    latency_ms=(fresh[len(fresh) // 2] * 1000, fresh[len(fresh) * 99 // 100] * 1000) if fresh else None,
                )
            )

    def result(self, unresolved: int) -> LoadResult:
        """The figures."""
        tally, plan = self.tally, self.plan
        stopped = self.stopped.is_set()
        is_other = stopped or self.outage is not None
        measured_s = max(0.0, tally.count_until_s - tally.count_from_s) if is_other else plan.seconds
        histogram = HdrHistogram(1, LATENCY_MAX_S * MICROSECONDS, LATENCY_DIGITS)
        for latency_s in tally.latencies_s:
            histogram.record_value(min(max(1, int(latency_s * MICROSECONDS)), LATENCY_MAX_S * MICROSECONDS))
        return LoadResult(
            terminals=len(self.terminals),
            selling=len(self.sellers),
            seconds=round(measured_s, 3),
            offered_per_s=plan.rate_per_s,
            approved=tally.approved,
            declined=tally.declined,
            failed=tally.failed,
            throughput_per_s=tally.approved_in_time / measured_s if measured_s else 0.0,
            latency=histogram,
            sales=[
                FinalSale(terminal.brain.settings.terminal, record)
                for terminal in self.terminals
                for record in terminal.finals
            ],
            unresolved=unresolved,
            outage=self._outage_figures(),
            stopped=stopped,
        )

    def _outage_figures(self) -> OutageFigures | None:
        if self.outage is None:
            return None
        latencies_s = self.tally.latencies_s
        alone_s = latencies_s[: self._alone] + latencies_s[self._beside :]
        return self.outage.figures(alone_s, latencies_s[self._alone : self._beside])


Report = Callable[[LoadProgress], None]
Stop = Callable[[], Awaitable[None]]
"""Returns when somebody wants the load to end early."""


async def run_load(
    plan: LoadPlan,
    *,
    open_stream: Callable[[Settings], Awaitable[trio.abc.Stream]],
    rng: Random,
    wall_clock: Callable[[], float],
    report: Report | None = None,
    stop: Stop | None = None,
    make_storage: Callable[[Settings], Storage] = lambda _settings: MemoryStorage(),
) -> LoadResult:
    """Run a load to its end.

    Args:
      plan: what to do.
      open_stream: opens a stream to the host of these settings, or raises OSError.
      rng: seeded randomness; it decides customers, amounts and jitter. Handshake challenges come from it too, so that a
        run can be repeated: the keys of these terminals protect nothing.
      wall_clock: seconds since 1970 UTC.
      report: called every PROGRESS_EVERY_S.
      stop: awaited once all terminals are connected; when it returns, no more customers come.
      make_storage: the memory of each terminal.

    Raises:
      LoadError: the terminals do not come online.
    """
    tally, ticker = Tally(), Ticker()

    def make(settings: Settings) -> LoadTerminal:
        return LoadTerminal(
            Brain(settings, make_storage(settings), jitter=rng.random),
            plan=plan,
            tally=tally,
            rng=rng,
            open_stream=lambda settings=settings: open_stream(settings),
            random_bytes=rng.randbytes,
            wall_clock=wall_clock,
            ticker=ticker,
        )

    terminals = [make(settings) for settings in plan.terminals]
    load = _Load(plan, terminals, tally, rng, [make(settings) for settings in plan.uploaders])
    failure: LoadError | None = None
    unresolved = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ticker.run)
        if report is not None:
            nursery.start_soon(load.tell, report)
        try:
            await load.connect(nursery)
            gc.collect()
            gc.freeze()  # thousands of terminals that stay need not be looked through again and again
            if stop is not None:
                nursery.start_soon(load.heed, stop)
            if load.outage is not None:
                await load.outage.sell(plan.cards, plan.amounts_fen)
            await load.sell()
            unresolved = await load.settle()
        except LoadError as error:
            failure = error
        finally:
            gc.unfreeze()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return load.result(unresolved)
