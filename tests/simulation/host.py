"""The host as a process on virtual time: the real server.app.Host, life after life on the same disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

import trio
from outcome import Error

from protocol.messages import (
    BalanceRequest,
    BatchEndRequest,
    BatchUploadRequest,
    DifferencesRequest,
    LookupRequest,
    Message,
    OfflineSaleRequest,
    ParametersRequest,
    PasswordChangeRequest,
    PasswordRequest,
    ProductRequest,
    QueryRequest,
    ReversalRequest,
    SettlementCloseRequest,
    SettlementRequest,
    SignOnRequest,
    StopListRequest,
    TellerRequest,
    UploadRequest,
)
from server.app import Host, Outside
from server.config import Config
from server.keys import KeyRing
from server.ledger.store import StoreError, StoreFull
from tests.simulation.determinism import Sleeper
from tests.simulation.network import End
from tests.simulation.oracle import KINDS
from tests.simulation.store import Killed, SimDisk, SimStore
from tests.simulation.world import World, describe

T = TypeVar("T")

KEK: Final = bytes(range(32))
NAMES: Final = KINDS | {
    ReversalRequest: "reversal",
    QueryRequest: "query",
    UploadRequest: "upload",
    BalanceRequest: "balance",
    LookupRequest: "lookup",
    OfflineSaleRequest: "offline_sale",
    ParametersRequest: "parameters",
    StopListRequest: "stop_list",
    PasswordRequest: "password",
    SignOnRequest: "sign_on",
    PasswordChangeRequest: "password_change",
    TellerRequest: "tellers",
    ProductRequest: "product",
    SettlementRequest: "settlement",
    SettlementCloseRequest: "settlement_close",
    BatchUploadRequest: "batch_upload",
    BatchEndRequest: "batch_end",
    DifferencesRequest: "differences",
}
"""What the host counts, by the words of its metric."""
RESTART_MAX_S: Final = 20.0


class HostDown(Exception):
    """No host, or it died before it could say what became of this."""


class SimExecutor:
    """The ledger's "thread": its work takes virtual time before and after, and no cancellation ends it."""

    def __init__(self, process: HostProcess) -> None:
        self._process = process
        self._rng = process.world.rng("executor")
        self.sleeper = Sleeper(process.world.time)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See `server.gate.Executor`."""
        random, slow_s = self._rng.random, self._process.slow_s
        await self.sleeper.sleep(random() * 0.0005 + random() * slow_s)
        while (paused_s := self._process.paused_until_s - self._process.world.time.now) > 0:
            await self.sleeper.sleep(paused_s)
        result = function(*args)
        await self.sleeper.sleep(random() * 0.0005)
        return result


class StepKill(trio.abc.Instrument):
    """Calls a function after so many more steps of the scheduler: an interruption between any two lines that await."""

    def __init__(self, steps: int, strike: Callable[[], None]) -> None:
        self._steps = steps
        self._strike = strike
        trio.lowlevel.add_instrument(self)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See trio."""
        self._steps -= 1
        if self._steps == 0:
            trio.lowlevel.remove_instrument(self)
            self._strike()


class Box:
    """What becomes of a call to the host."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """It came to nothing."""
        self.error = error
        self.done.set()


class HostProcess:
    """See the module's docstring."""

    def __init__(self, world: World, config: Config, disk: SimDisk) -> None:
        self.world = world
        self.config = config
        self.disk = disk
        self.life = 0
        self.clock_offset_ms = 0
        self.slow_s = 0.0
        """The disk's own slowness, at most, per commit."""
        self.paused_until_s = 0.0
        self.host: Host | None = None
        self.store: SimStore | None = None
        self.answers: Counter[tuple[str, str]] = Counter()
        """What this life has answered, by type and code: the simulator's own count."""
        self.restart_s = 1.0
        """How long until the next life begins."""
        self.expect_end = ""
        """Why this life may end; empty: it may not."""
        self.held_down = False
        self._rng = world.rng("host")
        self._nursery: trio.Nursery | None = None
        self._executor = SimExecutor(self)
        self._epoch: tuple[object, int] = (None, 0)
        """The store and the epoch of the life before."""
        self._boxes: list[Box] = []
        self._on_death: list[Callable[[bool], None]] = []
        disk.trouble.kill = lambda: self._die("kill at a seam", told=True)
        disk.trouble.on_broken = self._broken

    def _broken(self) -> None:
        self.expect_end = self.expect_end or "a sync failed"

    def on_death(self, tell: Callable[[bool], None]) -> None:
        """Call with whether the network is told (a killed process) or not (a power cut)."""
        self._on_death.append(tell)

    @property
    def is_up(self) -> bool:
        """Whether it accepts connections."""
        return self.host is not None

    @property
    def is_stopped(self) -> bool:
        """Whether no life of it is left."""
        return self._nursery is None

    @property
    def tasks(self) -> int:
        """How many tasks it has."""
        return 0 if self._nursery is None else len(self._nursery.child_tasks)

    def now_ms(self) -> int:
        """The host's wall clock."""
        return self.world.wall_ms() + self.clock_offset_ms

    # --- Lives

    def boot(self) -> Host:
        """Open the store and build the host, as `fanka serve` does before it listens."""
        self.life += 1
        self.answers = Counter()
        self.store = self.disk.open()
        outside = Outside(self.now_ms, self._rng.randbytes, self._executor)
        host = Host(self.store, self.config, KeyRing(KEK), outside)
        epoch = host.ledger.epoch
        if self.store.inner is self._epoch[0]:
            self.world.check(epoch > self._epoch[1], "I15", f"epoch {epoch} of a new life, after {self._epoch[1]}")
        self._epoch = self.store.inner, epoch
        self._count_answers(host)
        return host

    def _count_answers(self, host: Host) -> None:
        handle = host.service.handle

        async def counted(terminal: Any, message: Message, *keys: Any) -> Message:
            answer = await handle(terminal, message, *keys)
            name = NAMES.get(type(message))
            if name is not None:
                self.answers[name, getattr(answer, "response_code", "00")] += 1
            return answer

        vars(host.service)["handle"] = counted

    async def run(self) -> None:
        """Life after life, until cancelled."""
        while True:
            while self.held_down:
                await self.world.time.sleep(0.2)
            self.expect_end = ""
            await self._live()
            self.world.note(f"host down: {self.expect_end}")
            await self.world.time.sleep(self.restart_s)

    async def _live(self) -> None:
        try:
            host = self.boot()
        except (StoreError, Killed) as error:
            self._ended(error)
            return
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(host.run)
                self.host = host
                self.world.note(f"host up: life {self.life}")
                await trio.sleep_forever()
        except* Killed:
            self._ended(Killed())
        except* StoreError as group:
            self._ended(group.exceptions[0])
        except* Exception as group:
            self.world.violate("S4", f"the host died of {describe(group)}")
        finally:
            self.check_metrics(host)
            self._nursery = None
            self._die(self.expect_end, told=True)

    def _ended(self, error: BaseException) -> None:
        """A life may end by what was done to it, and by nothing else."""
        self.world.note(f"host ended by {type(error).__name__}")
        full = isinstance(error, StoreFull) and self.disk.trouble.full
        if not self.expect_end and not full:
            self.world.violate("S4", f"the host died of {describe(error)}")

    def check_metrics(self, host: Host) -> None:
        """I24: what it exports is what it did."""
        exported = {
            (sample.labels["type"], sample.labels["code"]): sample.value
            for family in host.metrics.authorizations.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.value
        }
        self.world.check(
            exported == dict(self.answers), "I24", f"fanka_authorizations_total {exported}, counted {self.answers}"
        )
        faults = sum(  # looked for in the whole registry it would take longer than all else of a short life
            sample.value
            for family in host.metrics.ledger_faults.collect()
            for sample in family.samples
            if sample.name.endswith("_total") and sample.labels["kind"] == "command"
        )
        self.world.check(faults == 0, "S4", f"{faults} commands tripped a bug of the ledger")

    # --- Deaths

    def _die(self, why: str, *, told: bool) -> None:
        """From this instant nothing of this life is heard or written any more."""
        if self.store is not None:
            self.store.dead = True
        self.expect_end = self.expect_end or why
        if self.host is not None:
            self.host = None
            for tell in self._on_death:
                tell(told)
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            box.fail(HostDown())
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        self._executor.sleeper.end(Error(Killed()))

    def kill(self, why: str, *, restart_s: float, power: bool = False) -> None:
        """kill -9 now; with `power`, the machine's plug is pulled."""
        if self.host is None or self.world.calm:
            return
        self.restart_s = restart_s
        if power:
            self.disk.lose_power()
        self._die(why, told=not power)

    def kill_after(self, steps: int, why: str, *, restart_s: float, power: bool = False) -> None:
        """The same after so many steps of the scheduler."""
        StepKill(steps, lambda: self.kill(why, restart_s=restart_s, power=power))

    def stop(self, *, restart_s: float) -> None:
        """SIGTERM: drain, then end."""
        host, nursery = self.host, self._nursery
        if host is None or nursery is None:
            return
        self.restart_s = restart_s
        self.host = None
        host.draining = True
        nursery.start_soon(self._drain, host, nursery)

    async def _drain(self, host: Host, nursery: trio.Nursery) -> None:
        await host.link.drain()
        self.expect_end = self.expect_end or "stopped"
        for tell in self._on_death:
            tell(True)
        nursery.cancel_scope.cancel()

    # --- What others want of it

    def accept(self, end: End, source: str) -> bool:
        """A new connection; False if nobody listens."""
        if self.host is None or self._nursery is None:
            return False
        self._nursery.start_soon(self.host.link.serve, end, source)
        return True

    async def call(self, function: Callable[[Host], T]) -> T:
        """Run something in the ledger's "thread", as the control socket does. HostDown if there is no answer."""
        if self.host is None or self._nursery is None:
            raise HostDown
        box = Box()
        self._boxes.append(box)
        self._nursery.start_soon(self._call, self.host, function, box)
        await box.done.wait()
        if box.error is not None:
            raise box.error
        result: T = box.result
        return result

    async def _call(self, host: Host, function: Callable[[Host], Any], box: Box) -> None:
        try:
            box.result = await host.gate.call(function, host)
        except Exception as error:
            box.error = error
        else:
            box.error = None
        if box in self._boxes:
            self._boxes.remove(box)
        box.done.set()
