"""Memory of one idle connected terminal: the host's resident memory with and without some thousand of them."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

import trio

from protocol import NEED_DATA, Connection, Role, TerminalNumber
from protocol.messages import Auth, Hello, Message, Ready
from protocol.security import CHALLENGE_SIZE
from server.stream import open_request_stream
from tools.host_process import HostProcess

CONNECTING_MAX: Final = 32
SETTLE_S: Final = 1.0


async def connect(port: int, terminal: TerminalNumber, key_version: int, root_key: bytes) -> trio.abc.Stream:
    """One authenticated session that then says nothing."""
    stream = await open_request_stream("127.0.0.1", port)
    connection = Connection(Role.TERMINAL, terminal=terminal, root_key=root_key)
    hello = Hello(key_version=key_version, terminal_challenge=secrets.token_bytes(CHALLENGE_SIZE), firmware="bench")
    request: Message = hello
    while True:
        await stream.send_all(connection.send(request))
        while (event := connection.next_event()) is NEED_DATA:
            connection.receive_data(await stream.receive_some(4096))
        if isinstance(event, Ready):
            return stream
        request = Auth()


async def hold(host: HostProcess, terminals: list[tuple[TerminalNumber, int, bytes]]) -> float:
    """KiB of the host per idle terminal."""
    connecting = trio.Semaphore(CONNECTING_MAX)
    streams: list[trio.abc.Stream] = []

    async def one(terminal: tuple[TerminalNumber, int, bytes]) -> None:
        async with connecting:
            streams.append(await connect(host.running.terminals[1], *terminal))

    async def all_of(some: list[tuple[TerminalNumber, int, bytes]]) -> None:
        async with trio.open_nursery() as nursery:
            for terminal in some:
                nursery.start_soon(one, terminal)
        await trio.sleep(SETTLE_S)

    # The first ones also pay for what the process sets up once.
    warm_up = len(terminals) // 10
    await all_of(terminals[:warm_up])
    before_kib = host.resident_kib()
    await all_of(terminals[warm_up:])
    per_terminal_kib = (host.resident_kib() - before_kib) / (len(terminals) - warm_up)
    for stream in streams:
        await trio.aclose_forcefully(stream)
    return per_terminal_kib


def measure(host: HostProcess, terminals: list[tuple[TerminalNumber, int, bytes]]) -> float:
    """KiB of the host's resident memory per idle connected terminal."""
    return trio.run(partial(hold, host, terminals))
