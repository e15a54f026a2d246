"""A process that floods in the attacked windows of a schedule. Every flood is bounded in rate, count and time.

Reads Orders from standard input and writes what it did. It runs at the lowest priority, so that it floods with what the
host and the honest terminals leave of the machine: a real attacker has a machine of its own. Run by
`python -m tests.floods`.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random

import msgspec
import trio

from protocol import NEED_DATA, Connection, LocalProtocolError, RemoteProtocolError, Role, TerminalNumber
from protocol.framing import build_header, close_frame
from protocol.messages import Auth, EchoRequest, Hello, QueryRequest, Ready, SaleRequest
from tests.floods.honest import Key
from tests.floods.lines import Address, open_from, source_of
from tests.floods.schedule import Schedule, SharedClock
from tests.protocol.pair import forge

NICE = 19
ATTACK_NET = 66
WORKERS = 32
CONNECTS_PER_S_MAX = 4_000
"""New connections a second of a flood at most: more than 5,000 terminals make when they all come back at once."""
OPEN_MAX = 2_000
"""Connections a flood holds at most."""
REOPEN_S = 0.05
"""Wait of a holding attacker before it opens the next one."""
DRIP_S = 1.0
SPAM_FRAMES = 32
"""Requests a rogue terminal sends without waiting for answers."""
CLAIMED_AT_S = 1_788_200_000


class Attack(msgspec.Struct, frozen=True):
    """What to do and when."""

    name: str
    address: Address
    schedule: Schedule
    keys: list[Key]
    seed: int = 1
    nice: int = NICE


class Field:
    """One attacked window: where, how long, and what was done."""

    def __init__(self, attack: Attack, rng: Random, did: Counter[str]) -> None:
        self.address = attack.address
        self.keys = attack.keys
        self.rng = rng
        self.did = did
        self._earned_s = trio.current_time()

    async def pace(self, per_s: float) -> None:
        """No faster than this, all workers together."""
        self._earned_s = max(self._earned_s + 1 / per_s, trio.current_time())
        await trio.sleep_until(self._earned_s)

    async def open(self, source: int) -> trio.abc.Stream | None:
        """A connection from hostile address `source`, or None."""
        self.did["connects"] += 1
        try:
            return await open_from(self.address, source_of(ATTACK_NET, source), reset=True)
        except OSError:
            self.did["not connected"] += 1
            return None


async def until_closed(stream: trio.abc.Stream) -> None:
    """Wait until the host closes, reading whatever it says."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some(65536):
            pass


async def say(stream: trio.abc.Stream, data: bytes) -> bool:
    """Send; False if the host has closed."""
    try:
        await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return False
    return True


# --- The floods: each is one worker; `number` is its own


async def connect_and_leave(field: Field, number: int, sources: int) -> None:
    """Connect, and go away again at once."""
    while True:
        await field.pace(CONNECTS_PER_S_MAX)
        stream = await field.open(field.rng.randrange(sources))
        if stream is not None:
            await trio.aclose_forcefully(stream)


async def huge_length(field: Field, number: int, sources: int) -> None:
    """A header that announces the longest body there can be, and rubbish behind it."""
    bodies = (0xFFFF, 4096, 77)
    while True:
        await field.pace(CONNECTS_PER_S_MAX)
        stream = await field.open(field.rng.randrange(sources))
        if stream is None:
            continue
        header = build_header(0, 0x0800, 0, TerminalNumber(3, 1), 0)
        header = header[:6] + field.rng.choice(bodies).to_bytes(2, "big") + header[8:]
        if await say(stream, header + field.rng.randbytes(4096)):
            await until_closed(stream)
        await trio.aclose_forcefully(stream)


async def hold(
    field: Field, number: int, sources: int, keep: Callable[[Field, trio.abc.Stream], Awaitable[None]]
) -> None:
    """Keep one connection busy as `keep` does, and open the next when it is closed."""
    while True:
        await field.pace(CONNECTS_PER_S_MAX)
        stream = await field.open(number % sources)
        if stream is not None:
            try:
                await keep(field, stream)
            finally:
                await trio.aclose_forcefully(stream)
        await trio.sleep(REOPEN_S)


async def drip(field: Field, stream: trio.abc.Stream) -> None:
    """A slowloris: the bytes of a good HELLO, one a second."""
    for byte in hello_of(field):
        if not await say(stream, bytes([byte])):
            return
        field.did["bytes dripped"] += 1
        with trio.move_on_after(DRIP_S):
            await until_closed(stream)
            return


async def half_handshake(field: Field, stream: trio.abc.Stream) -> None:
    """A good HELLO, and never the AUTH."""
    if await say(stream, hello_of(field)):
        field.did["half handshakes"] += 1
        await until_closed(stream)


def hello_of(field: Field) -> bytes:
    """HELLO of a terminal the host knows."""
    key = field.rng.choice(field.keys)
    hello = Hello(key_version=key.version, terminal_challenge=field.rng.randbytes(16))
    body = hello.layout.encode(hello)
    return close_frame(build_header(0, hello.layout.mti, len(body), key.terminal, 0), body)


async def rogue(field: Field, number: int, sources: int) -> None:
    """An authentic terminal that asks without pause: sales with made-up cards, and queries."""
    key = field.keys[number]
    while True:
        stream = await field.open(number)
        if stream is None:
            await trio.sleep(REOPEN_S)
            continue
        try:
            await spam(field, stream, key)
        finally:
            await trio.aclose_forcefully(stream)
        await trio.sleep(REOPEN_S)


async def spam(field: Field, stream: trio.abc.Stream, key: Key) -> None:
    """Requests without waiting for answers, as many as the host takes, until it closes."""
    connection = Connection(Role.TERMINAL, terminal=key.terminal, root_key=key.root_key)
    if not await greet(field, stream, connection, key):
        return
    stan = field.rng.randrange(1, 900_000)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            await until_closed(stream)
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        while True:
            frames = b""
            for _ in range(SPAM_FRAMES):
                stan += 1
                kind = SaleRequest if stan % 2 else QueryRequest
                request = kind(
                    stan=stan % 999_999 + 1,
                    batch=field.rng.randrange(1, 9_999),
                    amount_fen=field.rng.randrange(1, 99_999),
                    payer=field.rng.randbytes(7),
                    claimed_at_s=CLAIMED_AT_S,
                )
                frames += forge(connection, request.layout.mti, request.layout.encode(request), flags=1)
                connection._sent += 1
            if not await say(stream, frames):
                return
            field.did["requests"] += SPAM_FRAMES


async def greet(field: Field, stream: trio.abc.Stream, connection: Connection, key: Key) -> bool:
    """The handshake on a connection that goes on; False if the host closed."""
    request: Hello | Auth = Hello(key_version=key.version, terminal_challenge=field.rng.randbytes(16))
    try:
        while True:
            await stream.send_all(connection.send(request))
            while (event := connection.next_event()) is NEED_DATA:
                connection.receive_data(await stream.receive_some(4096))
            if isinstance(event, Ready):
                return True
            request = Auth()
    except (trio.BrokenResourceError, RemoteProtocolError, LocalProtocolError):
        return False


async def ping_pong(field: Field, number: int, sources: int) -> None:
    """Two devices with one number push each other out, over and over."""
    key = field.keys[number // 2]
    while True:
        await field.pace(CONNECTS_PER_S_MAX)
        stream = await field.open(number)
        if stream is None:
            continue
        try:
            connection = Connection(Role.TERMINAL, terminal=key.terminal, root_key=key.root_key)
            if await greet(field, stream, connection, key):
                field.did["takeovers"] += 1
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(connection.send(EchoRequest(claimed_at_s=CLAIMED_AT_S)))
                with trio.move_on_after(REOPEN_S):
                    await until_closed(stream)
        finally:
            await trio.aclose_forcefully(stream)


Worker = Callable[[Field, int], Awaitable[None]]

FLOODS: dict[str, tuple[int, Worker, str]] = {
    "connects": (WORKERS, partial(connect_and_leave, sources=64), "connections that say nothing and leave"),
    "lengths": (WORKERS, partial(huge_length, sources=64), "headers announcing the longest body, and rubbish"),
    "slowloris": (OPEN_MAX, partial(hold, sources=40, keep=drip), "2,000 held, a byte of HELLO a second, 40 addresses"),
    "handshakes-4": (
        OPEN_MAX,
        partial(hold, sources=4, keep=half_handshake),
        "2,000 times HELLO, never AUTH, 4 addresses",
    ),
    "handshakes": (
        OPEN_MAX,
        partial(hold, sources=500, keep=half_handshake),
        "2,000 times HELLO, never AUTH, 500 addresses",
    ),
    "rogue": (10, partial(rogue, sources=10), "10 authentic terminals that ask without pause, made-up cards"),
    "takeover": (20, partial(ping_pong, sources=20), "10 numbers with two devices each that push each other out"),
}
"""Name to (workers, what each does, what it is)."""


async def run(attack: Attack) -> dict[str, int]:
    """Flood in every attacked window; what was done."""
    workers, work, _ = FLOODS[attack.name]
    clock = SharedClock()
    did: Counter[str] = Counter()
    rng = Random(attack.seed)
    for window in attack.schedule.windows:
        if not window.attack:
            continue
        await clock.sleep_until(window.start_s)
        with trio.move_on_at(clock.to_trio(window.end_s)):
            field = Field(attack, rng, did)
            async with trio.open_nursery() as nursery:
                for number in range(workers):
                    nursery.start_soon(work, field, number)
    return dict(did)


def main() -> None:
    """The process: one Attack after the other, each answered by what was done."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for line in sys.stdin.buffer:
        attack = msgspec.json.decode(line, type=Attack)
        if os.getpriority(os.PRIO_PROCESS, 0) < attack.nice:
            os.nice(attack.nice - os.getpriority(os.PRIO_PROCESS, 0))
        sys.stdout.buffer.write(msgspec.json.encode(trio.run(run, attack)) + b"\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
