"""The proxy itself: accepts, connects to the host, and carries bytes both ways through a pipe each.

    proxy = Proxy(connect_to_host, seed=7)
    address = await nursery.start(proxy.serve, "127.0.0.1", 0)
    proxy.add("slow", Latency(delay_s=0.2))       for open connections and those to come
    proxy.remove("slow"); proxy.clear()
    await proxy.follow(plan)                      the steps of a plan, at their times

`carry` joins any two streams, so that tests need no sockets. Time is trio's.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import msgspec
import trio

from tools.proxy.pipe import BUFFER_BYTES, Pipe
from tools.proxy.plan import Plan
from tools.proxy.stages import What
from tools.proxy.toxics import Direction, Toxic

RECEIVE_BYTES: Final = 8192
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends a reset instead of an orderly end."""

HalfCloseable = trio.abc.HalfCloseableStream
Connect = Callable[[], Awaitable[HalfCloseable]]
"""Opens a stream to the host, or raises OSError."""
OnBytes = Callable[[int, Direction, float, bytes], None]
"""Told of every piece of bytes as it came in, before any fault: connection number, direction, time, bytes."""


class ProxyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a proxy may hold."""

    connections: int = 10_000
    """More are closed at once, and counted."""
    buffer_bytes: int = BUFFER_BYTES
    """Bytes one direction of one connection holds back; then its sender waits. One receive may be on top."""
    connect_timeout_s: float = 10.0


class Statistics(msgspec.Struct, kw_only=True):
    """What has passed so far. Open connections are counted in."""

    accepted: int = 0
    refused: int = 0
    """Closed at once: as many connections as allowed were open."""
    unreachable: int = 0
    """Closed because the host could not be reached."""
    open: int = 0
    received_up_bytes: int = 0
    received_down_bytes: int = 0
    sent_up_bytes: int = 0
    sent_down_bytes: int = 0
    resets: int = 0
    closes: int = 0
    """Connections a fault has closed."""
    touched_bytes: dict[str, int] = {}
    """Bytes that met a fault, by its name."""


class _Line:
    """One connection: two streams, two pipes."""

    def __init__(self, number: int, near: HalfCloseable, far: HalfCloseable, up: Pipe, down: Pipe) -> None:
        self.number = number
        self.pipes = {Direction.UP: up, Direction.DOWN: down}
        self.senders = {Direction.UP: near, Direction.DOWN: far}
        self.changed = {Direction.UP: trio.Event(), Direction.DOWN: trio.Event()}
        self.scope = trio.CancelScope()

    def wake(self, direction: Direction) -> None:
        """Somebody fed or changed the pipe, or made room in it."""
        self.changed[direction].set()
        self.changed[direction] = trio.Event()

    @property
    def is_over(self) -> bool:
        """Neither end will send, and nothing is on its way."""
        return all(pipe.ended and pipe.next_s == inf for pipe in self.pipes.values())


class Proxy:
    """See the module's docstring. `seed` and the number of a connection decide all chance in it."""

    def __init__(
        self,
        connect: Connect,
        *,
        seed: int = 0,
        limits: ProxyLimits | None = None,
        on_bytes: OnBytes | None = None,
    ) -> None:
        self._connect = connect
        self._seed = seed
        self._limits = limits or ProxyLimits()
        self._on_bytes = on_bytes
        self._faults: dict[str, Toxic] = {}
        self._lines: dict[int, _Line] = {}
        self._ended = Statistics()
        self._pending = 0

    # --- Faults

    @property
    def faults(self) -> dict[str, Toxic]:
        """Those that new connections get, in order."""
        return dict(self._faults)

    def add(self, name: str, toxic: Toxic) -> None:
        """A fault for all connections, behind those there are. One of the same name is replaced."""
        self._faults.pop(name, None)
        self._faults[name] = toxic
        self._change(lambda pipe, now_s: pipe.add(name, toxic, now_s))

    def remove(self, name: str) -> None:
        """No more of this fault; what it held goes on at once."""
        self._faults.pop(name, None)
        self._change(lambda pipe, now_s: pipe.remove(name, now_s))

    def clear(self) -> None:
        """No more faults."""
        for name in [*self._faults]:
            self.remove(name)

    async def follow(self, plan: Plan) -> None:
        """Take the steps of a plan at their times, from now on. Its seed is used from now on too."""
        began_s = trio.current_time()
        self._seed = plan.seed
        for step in plan.steps:
            await trio.sleep_until(began_s + step.at_s)
            if step.toxic is not None:
                self.add(step.name, step.toxic)
            elif step.name:
                self.remove(step.name)
            else:
                self.clear()

    def _change(self, change: Callable[[Pipe, float], None]) -> None:
        now_s = trio.current_time()
        for line in self._lines.values():
            for direction, pipe in line.pipes.items():
                change(pipe, now_s)
                line.wake(direction)

    # --- Connections

    async def serve(
        self, host: str, port: int, *, task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen until cancelled; says at which address as soon as it does. OSError if it cannot."""
        listeners = await trio.open_tcp_listeners(port, host=host)
        address = listeners[0].socket.getsockname()[:2]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self.handle, listeners)
            task_status.started(address)

    async def handle(self, near: HalfCloseable) -> None:
        """One connection that has been accepted, until its end."""
        if self._pending + len(self._lines) >= self._limits.connections:
            self._ended.refused += 1
            await trio.aclose_forcefully(near)
            return
        self._ended.accepted += 1
        number = self._ended.accepted
        self._pending += 1
        far: HalfCloseable | None = None
        try:
            with trio.move_on_after(self._limits.connect_timeout_s):
                far = await self._connect()
        except OSError:
            pass
        finally:
            self._pending -= 1
        if far is None:
            self._ended.unreachable += 1
            await trio.aclose_forcefully(near)
            return
        await self.carry(near, far, number)

    async def carry(self, near: HalfCloseable, far: HalfCloseable, number: int) -> None:
        """Carry bytes between a terminal's stream and the host's, until both have ended; then both are closed.

        `number` decides, with the seed, what chance does to this connection.
        """
        now_s = trio.current_time()
        up, down = (
            Pipe(
                direction,
                self._faults,
                seed=f"{self._seed}/{number}",
                now_s=now_s,
                buffer_bytes=self._limits.buffer_bytes,
            )
            for direction in (Direction.UP, Direction.DOWN)
        )
        line = self._lines[number] = _Line(number, near, far, up, down)
        try:
            with line.scope:
                async with trio.open_nursery() as nursery:
                    for direction in (Direction.UP, Direction.DOWN):
                        nursery.start_soon(self._read, line, direction)
                        nursery.start_soon(self._write, line, direction)
        finally:
            del self._lines[number]
            _count(self._ended, line)
            try:
                await trio.aclose_forcefully(near)
            finally:  # closing is a checkpoint: whoever cancels us there has both closed all the same
                await trio.aclose_forcefully(far)

    async def _read(self, line: _Line, direction: Direction) -> None:
        """From one end into its pipe, as long as there is room."""
        pipe, stream = line.pipes[direction], line.senders[direction]
        while not pipe.ended:
            while pipe.is_full:
                await line.changed[direction].wait()
            try:
                data = await stream.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pipe.lost(trio.current_time())
            else:
                if data:
                    self._take_in(line, direction, bytes(data))
                else:
                    pipe.end(trio.current_time())
            line.wake(direction)

    def _take_in(self, line: _Line, direction: Direction, data: bytes) -> None:
        now_s = trio.current_time()
        if self._on_bytes is not None:
            self._on_bytes(line.number, direction, now_s, data)
        line.pipes[direction].feed(data, now_s)

    async def _write(self, line: _Line, direction: Direction) -> None:
        """What a pipe lets out, to the other end, at its times."""
        pipe = line.pipes[direction]
        receiver = line.senders[Direction.DOWN if direction is Direction.UP else Direction.UP]
        while True:
            for item in pipe.take(trio.current_time()):
                if item.what is What.CLOSE:
                    self._ended.closes += 1
                    line.scope.cancel()
                elif item.what is What.RESET:
                    self._ended.resets += 1
                    make_reset(*line.senders.values())
                    line.scope.cancel()
                else:
                    await _pass_on(receiver, item.data)
            if line.is_over:
                line.scope.cancel()
            line.wake(direction)  # there may be room again
            changed = line.changed[direction]
            with trio.move_on_at(pipe.next_s):
                await changed.wait()

    # --- What has passed

    def statistics(self) -> Statistics:
        """Counts up to now."""
        counted = msgspec.structs.replace(
            self._ended, open=len(self._lines), touched_bytes=dict(self._ended.touched_bytes)
        )
        for line in self._lines.values():
            _count(counted, line)
        return counted


def _count(counted: Statistics, line: _Line) -> None:
    """Add what a connection has carried."""
    up, down = line.pipes[Direction.UP], line.pipes[Direction.DOWN]
    counted.received_up_bytes += up.received_bytes
    counted.received_down_bytes += down.received_bytes
    counted.sent_up_bytes += up.sent_bytes
    counted.sent_down_bytes += down.sent_bytes
    for pipe in (up, down):
        for name, touched_bytes in pipe.touched().items():
            counted.touched_bytes[name] = counted.touched_bytes.get(name, 0) + touched_bytes


async def _pass_on(receiver: HalfCloseable, data: bytes) -> None:
    """Bytes, or (none) the end of the stream. An end that is gone is noticed by whoever reads from it."""
    try:
        if data:
            await receiver.send_all(data)
        else:
            await receiver.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


def make_reset(*streams: HalfCloseable) -> None:
    """From now on, closing these sends a TCP reset. Streams without a socket are simply closed."""
    for stream in streams:
        if isinstance(stream, trio.SocketStream):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
