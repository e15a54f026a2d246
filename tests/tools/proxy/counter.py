"""A real terminal at a counter, its line through the proxy, and what it has been told, for the audit."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from math import inf

import trio
from trio.testing import memory_stream_pair

from protocol import TerminalNumber
from terminal_emulator.brain import Brain
from terminal_emulator.desk import HOMES
from terminal_emulator.effects import Effect, Key, Outcome, Tap
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.terminal import run_terminal
from terminal_emulator.view import Screen
from tests.server.host import HostRig
from tools.proxy.proxy import Proxy

WALL_S = 1_788_200_000.0
POLL_S = 0.05


class Counter:
    """One terminal that sells. Waits for what it shows; nothing here sleeps."""

    def __init__(
        self,
        number: TerminalNumber,
        root_key: bytes,
        key_version: int,
        open_stream: Callable[[], Awaitable[trio.abc.Stream]],
        *,
        card: bytes,
    ) -> None:
        settings = Settings(terminal=number, root_key=root_key, key_version=key_version)
        self.number = number
        self.brain = Brain(settings, MemoryStorage(), jitter=random.Random(number.to_int()).random)
        self.records: list[Record] = []
        self._card = card
        self._open_stream = open_stream
        self._changed = trio.Event()
        self._send, self._inbox = trio.open_memory_channel[Key | Tap](inf)

    async def run(self) -> None:
        """Switched on until cancelled."""
        await run_terminal(
            self.brain,
            open_stream=self._open_stream,
            random_bytes=random.Random(self.number.to_int()).randbytes,
            wall_clock=lambda: WALL_S,
            inbox=self._inbox,
            show=self._show,
        )

    def _show(self, effect: Effect) -> None:
        if isinstance(effect, Outcome):
            self.records.append(effect.record)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until it is so. The terminal tells nobody when its state changes, so this looks now and then."""
        while not condition():  # noqa: ASYNC110
            await trio.sleep(POLL_S)

    async def online(self) -> None:
        await self.until(lambda: self.brain.online)

    async def at_rest(self) -> None:
        """READY, and the state of every sale is known."""
        await self.until(lambda: self.brain.online and not self.brain.unresolved and not self.brain.busy)

    async def customer(self, amount_fen: int) -> None:
        """Somebody pays, and is told that it worked or that it did not; without a session, once there is one."""
        before = self._sales
        while self._sales == before:
            await self.online()
            text = f"{amount_fen // 100}.{amount_fen % 100:02d}"
            # At rest, Clear would be the first key of a combination.
            clear = () if self.brain.view.screen in HOMES else (Key.CLEAR,)
            await self._do(*clear, *map(Key, text), Key.ENTER, Tap(self._card))
            if self.brain.view.screen is Screen.DIALOG:  # the same again?
                await self._do(Key.ENTER)
        await self.until(lambda: not self.brain.busy)

    async def _do(self, *inputs: Key | Tap) -> None:
        """Keys and taps, until the terminal has dealt with them."""
        for what in inputs:
            self._send.send_nowait(what)
        await self.until(lambda: not self._send.statistics().current_buffer_used)
        await trio.sleep(POLL_S)  # the last one has been taken out, and now it has been dealt with

    @property
    def _sales(self) -> int:
        """Sales that were begun."""
        return len(self.records) + self.brain.unresolved

    @property
    def approved(self) -> list[Record]:
        return [record for record in self.records if record.state is RecordState.APPROVED]

    @property
    def newest(self) -> Record:
        return self.records[-1]


class Bridge:
    """A proxy between terminals and a host, all in memory."""

    def __init__(self, rig: HostRig, nursery: trio.Nursery, *, seed: int = 1, source: str = "10.0.0.1") -> None:
        async def connect() -> trio.abc.HalfCloseableStream:
            stream = rig.connect(source)
            assert isinstance(stream, trio.StapledStream)
            return stream

        self.proxy = Proxy(connect, seed=seed)
        self._nursery = nursery

    async def open(self) -> trio.abc.Stream:
        """A terminal's end of a new connection."""
        near, far = memory_stream_pair()
        self._nursery.start_soon(self.proxy.handle, far)
        return near
