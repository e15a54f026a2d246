"""A host and a terminal that both lose power: what survives is the host's ledger file and the terminal's key file."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import trio
from trio.testing import memory_stream_pair

from server.gate import InlineExecutor
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from terminal_emulator.brain import Brain
from terminal_emulator.effects import Effect, Key, Outcome, Tap
from terminal_emulator.settings import Settings
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.terminal import run_terminal
from tests.server.host import CARD, START_MS, HostRig, config_of

PATIENCE_S: Final = 600
"""Virtual seconds after which a terminal that is not back counts as locked out."""


class Fault(NamedTuple):
    """At the `at`-th frame sent from now on, `before` or after it leaves, the `who` of it loses power or breaks."""

    at: int
    before: bool
    who: str  # line, terminal, host


class World:
    """`until` waits for a condition; whoever loses power is switched on again at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.sent = 0
        self.effects: list[Effect] = []
        self.kept: list[Settings] = []
        """Every state of the key file."""
        self.disk_is_full = False
        self.is_cut = self.cut_when_kept = self.cut_when_struck = False
        """No new connection: from now on, from the next change of the key file on, or from the next fault on."""
        self.rig: HostRig | None = None
        self.memory = MemoryStorage()
        self._host_scope = self._terminal_scope = trio.CancelScope()
        self._restored: bytes | None = None
        store = SqliteStore(path / "ledger.db")
        rig = HostRig(config_of(), InlineExecutor(), store)
        rig._people()
        till = rig.enrol()
        store.close()
        self.number = till.number
        self.filed = Settings(terminal=till.number, root_key=till.root_key, key_version=till.key_version)
        self.brain = self._new_brain()

    # --- The host

    async def run_host(self) -> None:
        while True:
            if self._restored is not None:
                for name in ("ledger.db-wal", "ledger.db-shm"):
                    (self.path / name).unlink(missing_ok=True)
                (self.path / "ledger.db").write_bytes(self._restored)
                self._restored = None
            store = SqliteStore(self.path / "ledger.db")
            try:
                with trio.CancelScope() as self._host_scope:
                    self.rig = HostRig(config_of(), InlineExecutor(), store)
                    async with trio.open_nursery() as nursery:
                        self.rig.start(nursery)
                        await nursery.start(self.rig.host.run)
                        await trio.sleep_forever()
            finally:
                self.rig = None
                store.close()

    async def restore(self, ledger: bytes) -> None:
        """The host loses its ledger and goes on with an older one."""
        before = self.rig
        self._restored = ledger
        self._host_scope.cancel()
        await self.until(lambda: self.rig not in (None, before))

    def backup(self) -> bytes:
        """The ledger as it is now."""
        self.store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return (self.path / "ledger.db").read_bytes()

    @property
    def store(self) -> Store:
        assert self.rig is not None
        return self.rig.store

    @property
    def record(self):
        """The terminal as the host knows it."""
        assert self.rig is not None
        return self.rig.host.registry.find_terminal(self.number.to_int())

    def rotate(self, *, now: bool = True) -> None:
        assert self.rig is not None
        self.rig.host.admin.terminals.rotate(str(self.number), 1, now)

    def enrol_anew(self) -> Settings:
        """The key file that an administrator makes."""
        assert self.rig is not None
        made = self.rig.host.admin.terminals.enrol(str(self.number))
        return Settings(terminal=self.number, root_key=bytes.fromhex(made["root_key"]), key_version=made["key_version"])

    # --- The line

    async def open_stream(self) -> trio.abc.Stream:
        if self.rig is None or self.is_cut:
            raise OSError("the host is down")
        near, far = memory_stream_pair()
        assert self.rig._nursery is not None
        self.rig._nursery.start_soon(self.rig.link.serve, Spy(far, self), "10.0.0.1")
        return Spy(near, self)

    async def carry(self, stream: trio.abc.Stream, data: bytes) -> None:
        """One frame, in either direction."""
        self.sent += 1
        fault = next((fault for fault in self.faults if fault.at == self.sent), None)
        if fault is not None and fault.before:
            await self._strike(fault, stream)
        await stream.send_all(data)
        if fault is not None:
            await self._strike(fault, stream)

    async def _strike(self, fault: Fault, stream: trio.abc.Stream) -> None:
        self.is_cut = self.is_cut or self.cut_when_struck
        if fault.who == "line":
            await trio.aclose_forcefully(stream)
            raise trio.BrokenResourceError
        scope = self._host_scope if fault.who == "host" else self._terminal_scope
        scope.cancel()
        await trio.lowlevel.checkpoint()

    # --- The terminal

    def _new_brain(self) -> Brain:
        return Brain(self.filed, self.memory, jitter=lambda: 0.5)

    def keep(self, settings: Settings) -> None:
        if self.disk_is_full:
            raise OSError("no space left on device")
        self.filed = settings
        self.kept.append(settings)
        self.is_cut = self.is_cut or self.cut_when_kept

    async def run_terminal(self) -> None:
        while True:
            with trio.CancelScope() as self._terminal_scope:
                self.brain = self._new_brain()
                self._inbox, inbox = trio.open_memory_channel[Key | Tap](math.inf)
                await run_terminal(
                    self.brain,
                    open_stream=self.open_stream,
                    random_bytes=bytes,
                    wall_clock=lambda: START_MS / 1000,
                    inbox=inbox,
                    show=self.effects.append,
                    keep_settings=self.keep,
                )

    def switch_off_and_on(self) -> None:
        self._terminal_scope.cancel()

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the clock jumps, and a condition is easier to read than its event
                await trio.sleep(0.05)

    async def online(self) -> None:
        await self.until(lambda: self.rig is not None and self.brain.online)

    async def sell(self) -> str:
        """A sale, keyed in by a cashier: its state."""
        before = len(self.outcomes)
        for key in (*"1.5", Key.ENTER):
            self._inbox.send_nowait(Key(key))
        self._inbox.send_nowait(Tap(CARD))
        await self.until(lambda: len(self.outcomes) > before)
        return str(self.outcomes[-1].state)

    @property
    def outcomes(self) -> list:
        return [effect.record for effect in self.effects if isinstance(effect, Outcome)]

    def rotated_to(self, version: int) -> bool:
        """Whether both ends have this version and no other key."""
        if self.rig is None or not self.brain.online:
            return False
        record, filed = self.record, self.filed
        return (record.key_version, record.next_wrapped_key, filed.key_version, filed.next_key_version) == (
            version,
            None,
            version,
            0,
        )


class Spy(trio.abc.Stream):
    """A stream whose frames the world counts, and at some of which it strikes."""

    def __init__(self, stream: trio.abc.Stream, world: World) -> None:
        self._stream = stream
        self._world = world

    async def send_all(self, data) -> None:
        await self._world.carry(self._stream, data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    """Both switched on, the terminal online."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run_host)
        await world.until(lambda: world.rig is not None)
        nursery.start_soon(world.run_terminal)
        await world.online()
        world.sent = 0
        yield world
        nursery.cancel_scope.cancel()
