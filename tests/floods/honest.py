"""A process of honest terminals: an open-loop trade at a steady rate, and one sign-on after the other beside it.

Reads an Order from standard input, says "ready" when everybody is online, reads a Schedule, works through it, and
writes a Trade. Run by `python -m tests.floods`.
"""

from __future__ import annotations

import gc
import sys
import time
from random import Random

import msgspec
import trio

from protocol import NEED_DATA, PEER_CLOSED, Connection, RemoteProtocolError, Role, TerminalNumber
from protocol.messages import Auth, Hello, Message, Ready
from terminal_emulator.brain import Brain
from terminal_emulator.load import LoadPlan, LoadTerminal, Tally, _Load
from terminal_emulator.record import RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.terminal import Ticker
from tests.floods.lines import Address, open_from, source_of
from tests.floods.schedule import Schedule, SharedClock

HONEST_NET, SIGN_ON_NET = 10, 11
SIGN_ON_EVERY_S = 0.1
SIGN_ON_AGAIN_S = 0.1
"""Wait after a sign-on that was refused. A real terminal waits longer; this shows what the host would have let in."""
SIGN_ON_PATIENCE_S = 10.0
"""An honest sign-on is waited for this long; then it counts as failed. Longer than a handshake may take."""
ONLINE_AGAIN_S = 60.0


class Key(msgspec.Struct, frozen=True):
    """A terminal and how it proves itself."""

    number: str
    version: int
    root_key: bytes

    @property
    def terminal(self) -> TerminalNumber:
        return TerminalNumber.parse(self.number)

    def settings(self) -> Settings:
        return Settings(terminal=self.terminal, root_key=self.root_key, key_version=self.version)


class Order(msgspec.Struct, frozen=True):
    """What the honest ones are to do."""

    address: Address
    terminals: list[Key]
    sign_ons: list[Key]
    cards: list[bytes]
    rate_per_s: float
    seed: int = 1


class Sale(msgspec.Struct, frozen=True, gc=False):
    """An approved sale, for the audit."""

    terminal_id: int
    batch: int
    stan: int
    amount_fen: int
    rrn: int
    payer: bytes


class Trade(msgspec.Struct):
    """What came of it: for every customer and every sign-on, when it began (monotonic clock) and how long it took."""

    customers: list[tuple[float, float, bool]] = []
    """(came, seconds, whether approved)"""
    sign_ons: list[tuple[float, float, bool]] = []
    """(began, seconds, whether READY)"""
    approved: list[Sale] = []
    unresolved: int = 0
    online_at_end: int = 0
    reconnects: int = 0


class WindowTally(Tally):
    """Keeps every customer with the time he came."""

    def __init__(self) -> None:
        super().__init__()
        self.customers: list[tuple[float, float, bool]] = []

    def told(self, state: RecordState | None, intended_s: float, now_s: float) -> None:
        super().told(state, intended_s, now_s)
        self.customers.append((intended_s, now_s - intended_s, state is RecordState.APPROVED))


class HonestLoad:
    """The terminals of an order, and what they have lived through."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.rng = Random(order.seed)
        self.clock = SharedClock()
        self.tally = WindowTally()
        self.ticker = Ticker()
        self.plan = LoadPlan(
            terminals=tuple(key.settings() for key in order.terminals), cards=tuple(order.cards), seconds=1.0
        )
        self.connects = 0
        self.sign_ons: list[tuple[float, float, bool]] = []
        terminals = [self._terminal(number, settings) for number, settings in enumerate(self.plan.terminals)]
        self.load = _Load(self.plan, terminals, self.tally, self.rng)

    def _terminal(self, number: int, settings: Settings) -> LoadTerminal:
        async def open_stream() -> trio.abc.Stream:
            self.connects += 1
            return await open_from(self.order.address, source_of(HONEST_NET, number))

        return LoadTerminal(
            Brain(settings, MemoryStorage(), jitter=self.rng.random),
            plan=self.plan,
            tally=self.tally,
            rng=self.rng,
            open_stream=open_stream,
            random_bytes=self.rng.randbytes,
            wall_clock=time.time,
            ticker=self.ticker,
        )

    async def run(self) -> Trade:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ticker.run)
            await self.load.connect(nursery)
            gc.collect()
            gc.freeze()
            print("ready", flush=True)
            schedule = msgspec.json.decode(await trio.to_thread.run_sync(sys.stdin.buffer.readline), type=Schedule)
            await self.clock.sleep_until(schedule.start_s)
            end_s = self.clock.to_trio(schedule.end_s)
            self.tally.count_until_s = end_s
            with trio.CancelScope() as signing_on:
                for number, key in enumerate(self.order.sign_ons):
                    nursery.start_soon(self._sign_on_and_off, key, number, end_s)
                await self.load._let_them_come(trio.current_time(), end_s, self.order.rate_per_s)
            signing_on.cancel()
            unresolved = await self.load.settle()
            with trio.move_on_after(ONLINE_AGAIN_S):
                while self.tally.online < len(self.load.terminals):  # noqa: ASYNC110 - nobody tells
                    await trio.sleep(0.05)
            trade = self._trade(unresolved)
            nursery.cancel_scope.cancel()
        return trade

    def _trade(self, unresolved: int) -> Trade:
        return Trade(
            customers=[(self.clock.from_trio(came_s), took_s, ok) for came_s, took_s, ok in self.tally.customers],
            sign_ons=[(self.clock.from_trio(began_s), took_s, ok) for began_s, took_s, ok in self.sign_ons],
            approved=[
                Sale(
                    terminal.brain.settings.terminal.to_int(),
                    record.batch,
                    record.stan,
                    record.amount_fen,
                    record.rrn,
                    record.payer,
                )
                for terminal in self.load.terminals
                for record in terminal.finals
                if record.state is RecordState.APPROVED
            ],
            unresolved=unresolved,
            online_at_end=self.tally.online,
            reconnects=self.connects - len(self.load.terminals),
        )

    async def _sign_on_and_off(self, key: Key, number: int, end_s: float) -> None:
        """A terminal that is switched on and off all the time: how long until it is READY, again and again."""
        while trio.current_time() < end_s - SIGN_ON_EVERY_S:
            began_s = trio.current_time()
            ready = False
            with trio.move_on_after(SIGN_ON_PATIENCE_S):
                while True:
                    source = source_of(SIGN_ON_NET, number)
                    if ready := await sign_on_once(self.order.address, source, key, self.rng):
                        break
                    await trio.sleep(SIGN_ON_AGAIN_S)
            self.sign_ons.append((began_s, trio.current_time() - began_s, ready))
            await trio.sleep(SIGN_ON_EVERY_S)


async def sign_on_once(address: Address, source: str, key: Key, rng: Random) -> bool:
    """From connecting to READY, and away again; False if the host closed before."""
    try:
        stream = await open_from(address, source)
    except OSError:
        return False
    try:
        return await shake_hands(stream, key, rng)
    finally:
        await trio.aclose_forcefully(stream)


async def shake_hands(stream: trio.abc.Stream, key: Key, rng: Random) -> bool:
    """HELLO to READY on an open stream; False if the host closed."""
    connection = Connection(Role.TERMINAL, terminal=key.terminal, root_key=key.root_key)
    request: Message = Hello(key_version=key.version, terminal_challenge=rng.randbytes(16), firmware="flood")
    try:
        while True:
            await stream.send_all(connection.send(request))
            while (event := connection.next_event()) is NEED_DATA:
                connection.receive_data(await stream.receive_some(4096))
            if event is PEER_CLOSED:
                return False
            if isinstance(event, Ready):
                return True
            request = Auth()
    except (trio.BrokenResourceError, RemoteProtocolError):
        return False


def main() -> None:
    """The process."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    gc.set_threshold(50_000, 20, 50)

    async def work() -> Trade:
        return await HonestLoad(order).run()

    trade = trio.run(work)
    sys.stdout.buffer.write(msgspec.json.encode(trade) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
