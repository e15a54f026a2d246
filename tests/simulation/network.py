"""The campus network: one line per terminal, and everything that can happen to bytes on it.

TCP's promises hold between two ends that both live: bytes come in order. What breaks them (lost, doubled and changed
bytes) models the serial bridges and bad boxes on the way, for which the frames have a CRC and a tag.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec
import trio

from tests.simulation.determinism import VirtualTime
from tests.simulation.world import World

CONNECT_TIMEOUT_S: Final = 4.0
"""How long a connection to nowhere is tried."""
END: Final = b""
"""Delivered like data: the other end has closed."""


class Reset:
    """Delivered like data: the connection is broken."""


RESET: Final = Reset()
Piece = bytes | Reset


class Weather(msgspec.Struct):
    """The state of a line. Chances are per piece of data sent."""

    latency_s: tuple[float, float] = (0.0004, 0.004)
    lose: float = 0.0
    double: float = 0.0
    corrupt: float = 0.0
    slice: float = 0.0
    ghost: float = 0.0
    """Chance that a connection gets a second one that repeats every byte of the terminal to the host."""
    up: bool = True
    """A cable; without it nobody connects and nothing arrives."""
    refuse: bool = False
    """Connections are refused."""
    stalled_up: bool = False
    """Nothing reaches the host, until it does."""
    stalled_down: bool = False
    """Nothing reaches the terminal, until it does."""


class End(trio.abc.Stream):
    """One end of a connection, with the errors of `trio.abc.Stream`."""

    def __init__(self, line: Line, *, at_host: bool) -> None:
        self.line = line
        self.at_host = at_host
        self.peer: End | None = None
        """None once this end can reach nobody any more, without knowing it."""
        self.closed = False
        self.broken = False
        self.ended = False
        self.copy_to: End | None = None
        """A ghost's end: gets a copy of all that is sent here."""
        self._inbox = bytearray()
        self._reader: trio.lowlevel.Task | None = None
        self._last_s = 0.0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; b"" at the peer's end."""
        if self._inbox:
            await trio.lowlevel.checkpoint()
        while True:
            if self.closed:
                raise trio.ClosedResourceError("closed here")
            if self._inbox:
                data = bytes(self._inbox[:max_bytes])
                del self._inbox[: len(data)]
                return data
            if self.broken:
                raise trio.BrokenResourceError("reset by the network")
            if self.ended:
                return b""
            assert self._reader is None, "two tasks read one stream"
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            trio.lowlevel.reschedule(reader)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the network, which has room for all that this protocol says at once."""
        if self.closed:
            raise trio.ClosedResourceError("closed here")
        if self.broken:
            raise trio.BrokenResourceError("reset by the network")
        self.line.send(self, bytes(data))
        if not self.at_host:
            await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """There is always room."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close; the peer is told, if it can be reached."""
        if not self.closed:
            self.closed = True
            self._wake()
            self.line.forget(self)
            if not self.broken:
                self.line.transmit(self, END)
        await trio.lowlevel.checkpoint()

    def arrive(self, piece: Piece) -> None:
        """What the network delivers."""
        if self.closed or self.broken:
            if self.peer is not None and isinstance(piece, bytes) and piece:
                self.line.transmit(self, RESET)  # nobody reads here any more: the sender is told
            return
        if isinstance(piece, Reset):
            self.broken = True
            self._inbox.clear()
            self.line.forget(self)
        elif piece:
            self._inbox += piece
        else:
            self.ended = True
        self._wake()

    def vanish(self) -> None:
        """Whoever had this end has lost power: it is gone, and nobody is told."""
        self.closed = True
        self._wake()
        self.line.forget(self)
        if self.peer is not None:
            self.peer.peer = None
            self.peer = None


class Line:
    """One terminal's way to the host. `weather` may be changed at any moment; call `changed` after a stall."""

    def __init__(self, world: World, name: str, accept: Callable[[End, str], bool]) -> None:
        self.name = name
        self.weather = Weather()
        self.ends: list[End] = []
        """Open ends, the terminal's and the host's."""
        self._world = world
        self._time: VirtualTime = world.time
        self._rng: Random = world.rng("line", name)
        self._accept = accept
        self._held: list[tuple[End, Piece]] = []

    # --- Connecting

    async def connect(self) -> End:
        """A new connection to the host, as a terminal opens one. OSError if there is none to be had."""
        weather = self.weather
        if not weather.up or weather.stalled_up or weather.stalled_down:
            await self._time.sleep(CONNECT_TIMEOUT_S * self._rng.random())
            if not self.weather.up or self.weather.stalled_up or self.weather.stalled_down:
                raise TimeoutError(f"{self.name}: no way to the host")
        await self._time.sleep(2 * self._latency_s())
        near = self._pair()
        if weather.refuse or near is None:
            raise ConnectionRefusedError(f"{self.name}: the host refuses")
        if weather.ghost and self._rng.random() < weather.ghost:
            self._world.counts["ghosts"] += 1
            near.copy_to = self._pair()
        return near

    def _pair(self) -> End | None:
        near, far = End(self, at_host=False), End(self, at_host=True)
        near.peer, far.peer = far, near
        if not self._accept(far, f"10.0.{len(self.name) % 7}.{sum(self.name.encode()) % 250}"):
            return None
        self.ends += (near, far)
        return near

    def forget(self, end: End) -> None:
        """An end that is closed."""
        if end in self.ends:
            self.ends.remove(end)

    # --- Sending

    def _latency_s(self) -> float:
        low, high = self.weather.latency_s
        return low + (high - low) * self._rng.random()

    def send(self, source: End, data: bytes) -> None:
        """Take what an end sends, and do to it what the weather does."""
        if source.copy_to is not None:
            self.transmit(source.copy_to, data)
        weather, random = self.weather, self._rng.random
        if weather.lose and random() < weather.lose:
            self._count("lose")
            return
        if weather.corrupt and random() < weather.corrupt:
            self._count("corrupt")
            at = int(random() * len(data))
            data = data[:at] + bytes([data[at] ^ 1 << int(random() * 8)]) + data[at + 1 :]
        if weather.double and random() < weather.double:
            self._count("double")
            self.transmit(source, data)
        if weather.slice and random() < weather.slice:
            self._count("slice")
            while len(data) > 1:
                cut = 1 + int(random() * (len(data) - 1))
                self.transmit(source, data[:cut])
                data = data[cut:]
        self.transmit(source, data)

    def _count(self, what: str) -> None:
        self._world.counts[f"bytes {what}"] += 1

    def transmit(self, source: End, piece: Piece) -> None:
        """Put a piece on the way; pieces of one end never overtake each other."""
        if source.peer is None or not self.weather.up:
            return
        when_s = source._last_s = max(source._last_s, self._time.now + self._latency_s())
        self._time.at(when_s, self._deliver, source.peer, piece)

    def _deliver(self, target: End, piece: Piece) -> None:
        weather = self.weather
        if not weather.up:
            return
        if weather.stalled_up if target.at_host else weather.stalled_down:
            self._held.append((target, piece))
        else:
            target.arrive(piece)

    # --- What faults do

    def changed(self) -> None:
        """The weather has changed: what was held back and need not be any more is delivered."""
        held, self._held = self._held, []
        for target, piece in held:
            self._deliver(target, piece)

    def reset(self) -> None:
        """Every connection breaks, and both ends are told."""
        for end in [*self.ends]:
            end.arrive(RESET)

    def half_open(self) -> None:
        """Every connection is forgotten on the way: neither end is told, and nothing arrives any more."""
        for end in self.ends:
            end.peer = None

    def lose_host(self, *, told: bool) -> None:
        """The host's ends are gone. `told`: its kernel lives and says so."""
        self._lose([end for end in self.ends if end.at_host], told)

    def lose_terminal(self, *, told: bool) -> None:
        """The terminal's ends are gone."""
        self._lose([end for end in self.ends if not end.at_host], told)

    def _lose(self, ends: list[End], told: bool) -> None:
        for end in ends:
            peer = end.peer
            end.vanish()
            if told and peer is not None and self.weather.up:
                self._time.after(self._latency_s(), self._deliver, peer, RESET)

    def cut(self) -> None:
        """The cable is out."""
        self.weather.up = False
        self._held.clear()

    def plug(self) -> None:
        """The cable is in again."""
        self.weather.up = True

    def heal(self) -> None:
        """Good weather, for ever. Connections that were forgotten stay so until somebody notices."""
        self.weather = Weather()
        self.changed()
