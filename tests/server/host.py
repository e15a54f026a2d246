"""A whole host inside a test: real ledger on SQLite in memory, real gate and sessions, memory streams for sockets."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, TypeVarTuple

import msgspec
import trio
from trio.testing import MockClock, memory_stream_pair

from protocol import NEED_DATA, PEER_CLOSED, PeerClosed, TerminalNumber
from protocol.messages import Auth, Challenge, Message, Ready, SaleAnswer, SaleRequest
from server.app import Host, Outside
from server.config import Config, Day, LedgerSettings, Limits
from server.gate import Executor, InlineExecutor
from server.keys import KeyRing
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from tests.wire import Till

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_MS: Final = 1_788_200_000_000
BUSINESS_DAY: Final = 20260831
KEK: Final = bytes(range(32))
MERCHANT: Final = "一食堂"
CARD, OTHER_CARD, STRANGER = b"\x04\xa1\xb2\xc3", b"\x04\xd4\xe5\xf6", b"\x09\x09\x09\x09"
START_FEN: Final = 10_000
"""What each card's owner has at the start."""


class WallClock:
    """The host's wall clock: stands still unless a test moves it, so that nothing can depend on it by accident."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


class SlowLedger:
    """An executor whose ledger takes its time, on the virtual clock. `delay_s` may be changed at any moment."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        with trio.CancelScope(shield=True):  # a commit cannot be cancelled
            await trio.sleep(self.delay_s)
        return function(*args)


class HostRig:
    """A host with one merchant, two cards with money, and terminals as a test enrols them."""

    def __init__(self, config: Config, executor: Executor, store: Store | None = None) -> None:
        self.clock = WallClock()
        self.store = store or SqliteStore(":memory:")
        outside = Outside(self.clock.now_ms, random.Random(11).randbytes, executor)
        self.host = Host(self.store, config, KeyRing(KEK), outside)
        self.gate, self.link = self.host.gate, self.host.link
        self._devices = 0
        self._nursery: trio.Nursery | None = None
        if store is None:
            self._people()

    def _people(self) -> None:
        admin = self.host.admin
        self.merchant_id = admin.merchants.add(MERCHANT)["merchant_id"]
        for line, (card, student_number) in enumerate(((CARD, "S1"), (OTHER_CARD, "S2")), 1):
            admin.cards.issue(card.hex(), student_number, "Ann")
            admin.accounts.topup(student_number, START_FEN, 2, line)

    def enrol(self) -> Till:
        """One more terminal, with a key of its own."""
        self._devices += 1
        number = TerminalNumber(3, self._devices)
        enrolled = self.host.admin.terminals.enrol(str(number), self.merchant_id)
        return Till(number, bytes.fromhex(enrolled["root_key"]), enrolled["key_version"])

    def start(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def connect(self, source: str = "10.0.0.1") -> trio.abc.Stream:
        """A terminal's end of a new connection that the host has just accepted."""
        assert self._nursery is not None
        near, far = memory_stream_pair()
        self._nursery.start_soon(self.link.serve, far, source)
        return near

    def line(self, till: Till, source: str = "10.0.0.1") -> Line:
        """A new connection, nothing said yet."""
        return Line(till, self.connect(source))

    async def sign_on(self, till: Till, source: str = "10.0.0.1") -> Line:
        """An open session."""
        line = self.line(till, source)
        await line.shake_hands()
        return line

    def fill_disk(self) -> None:
        """From now on the database cannot grow: a write that needs a page meets SQLite's own "disk full"."""
        [(pages,)] = self.store.execute("PRAGMA page_count")
        self.store.execute(f"PRAGMA max_page_count = {pages}")

    def free_disk(self) -> None:
        """There is space again."""
        self.store.execute("PRAGMA max_page_count = 1073741823")

    # --- What has become of it

    def count(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 if it was never counted."""
        return self.host.metrics.registry.get_sample_value(f"fanka_{name}", labels) or 0.0

    def transfers(self) -> int:
        """Rows in the journal: grows with everything that is decided."""
        return int(self.store.execute("SELECT count(*) FROM transfers")[0][0])

    def balance_fen(self, card: bytes = CARD) -> int:
        record = self.host.registry.find_card(card)
        assert record is not None
        return record.balance_fen

    def assert_at_rest(self, sessions: int = 0) -> None:
        """Nobody is connected but `sessions` open sessions, and nothing is left over from anybody."""
        assert (self.count("connections"), self.count("sessions")) == (sessions, sessions)
        assert self.link.admission.under_way == 0
        assert self.count("ledger_queue_depth") == 0
        assert {session.busy for session in self.link._connections} <= {False}


class Line:
    """A terminal's end of a memory stream. The async twin of `tests.wire.Wire`."""

    def __init__(self, till: Till, stream: trio.abc.Stream) -> None:
        self.till = till
        self.connection = till.connection()
        self.stream = stream
        self.last_frame = self.last_answer = b""

    async def say(self, message: Message) -> bytes:
        """Send a message by the protocol's rules; the frame it became."""
        frame = self.connection.send(message)
        await self.stream.send_all(frame)
        return frame

    async def hear(self) -> Message | PeerClosed:
        """The next message, or PEER_CLOSED when the host has closed."""
        while True:
            event = self.connection.next_event()
            if event is not NEED_DATA:
                assert isinstance(event, Message | PeerClosed), event
                return event
            try:
                self.connection.receive_data(await self.stream.receive_some(65536))
            except trio.BrokenResourceError:
                self.connection.receive_data(b"")

    async def ask(self, message: Message) -> Message:
        await self.say(message)
        answer = await self.hear()
        assert isinstance(answer, Message), f"{message}: expected an answer, got {answer}"
        return answer

    async def shake_hands(self) -> Ready:
        challenge = await self.ask(self.till.hello())
        assert isinstance(challenge, Challenge)
        ready = await self.ask(Auth())
        assert isinstance(ready, Ready)
        return ready

    async def sell(self, sale: SaleRequest) -> SaleAnswer:
        answer = await self.ask(sale)
        assert isinstance(answer, SaleAnswer), answer
        return answer

    async def is_over(self) -> bool:
        """Whether the host has closed and said nothing more."""
        return await self.hear() is PEER_CLOSED

    async def rest(self) -> bytes:
        """Every byte until the host closes."""
        received = b""
        try:
            while data := await self.stream.receive_some(65536):
                received += data
        except trio.BrokenResourceError:
            pass
        return received


def config_of(**limits: Any) -> Config:
    """The default configuration with other limits, and commits at once: time is what these tests look at."""
    return Config(limits=msgspec.structs.replace(Limits(), **limits), ledger=LedgerSettings(gather_s=0.0), day=Day())


@asynccontextmanager
async def open_host(
    config: Config | None = None, *, executor: Executor | None = None, store: Store | None = None, **limits: Any
) -> AsyncIterator[HostRig]:
    """A running host. At the end everything is cancelled, as if the process had been killed.

    A test that waits for what never comes fails: after ten hours on a virtual clock, which is at once, or five minutes.
    """
    rig = HostRig(config or config_of(**limits), executor or InlineExecutor(), store)
    virtual = isinstance(trio.lowlevel.current_clock(), MockClock)
    try:
        with trio.fail_after(36_000 if virtual else 300):
            async with trio.open_nursery() as nursery:
                rig.start(nursery)
                await nursery.start(rig.host.run)
                yield rig
                nursery.cancel_scope.cancel()
    finally:
        rig.store.close()
