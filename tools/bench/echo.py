"""The yardstick: a trio echo server and its clients, two processes, with the frame sizes of a sale and nothing else.

Written as anyone would write it, with trio's own streams: what the system gives away before any work is done.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from protocol.limits import CRC_SIZE, HEADER_SIZE, TAG_SIZE
from protocol.messages import SaleAnswer, SaleRequest

REQUEST_SIZE: Final = HEADER_SIZE + SaleRequest.layout.size + TAG_SIZE + CRC_SIZE
ANSWER_SIZE: Final = HEADER_SIZE + SaleAnswer.layout.size + TAG_SIZE + CRC_SIZE
BACKLOG: Final = 4096
CONNECTING_MAX: Final = 32
"""Connects under way at once, as in the load generator."""


async def answer(stream: trio.SocketStream) -> None:
    """The server's side of one connection."""
    reply = bytes(ANSWER_SIZE)
    try:
        while await stream.receive_some(4096):
            await stream.send_all(reply)
    except trio.BrokenResourceError:
        return  # the client process ended first


async def serve() -> None:
    """Serve on a free port, which is printed, until killed."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=BACKLOG)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(answer, listeners)


@contextmanager
def serving() -> Iterator[int]:
    """The echo server as a process of its own; its port."""
    with subprocess.Popen([sys.executable, "-m", "tools.bench.echo"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def saturate(port: int, connections: int, warm_up_s: float, seconds: float) -> float:
    """Exchanges per second with every connection asking again as soon as it is answered."""
    exchanges = 0
    connecting = trio.Semaphore(CONNECTING_MAX)
    connected = 0
    all_connected = trio.Event()

    async def ask() -> None:
        nonlocal exchanges, connected
        request = bytes(REQUEST_SIZE)
        async with connecting:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        connected += 1
        if connected == connections:
            all_connected.set()
        await all_connected.wait()
        async with stream:
            while True:
                await stream.send_all(request)
                got = 0
                while got < ANSWER_SIZE:
                    got += len(await stream.receive_some(4096))
                exchanges += 1

    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(ask)
        await all_connected.wait()
        await trio.sleep(warm_up_s)
        before, started_s = exchanges, trio.current_time()
        await trio.sleep(seconds)
        rate = (exchanges - before) / (trio.current_time() - started_s)
        nursery.cancel_scope.cancel()
    return rate


def measure(connections: int, warm_up_s: float, seconds: float) -> float:
    """Echo exchanges per second between two processes."""
    with serving() as port:
        return trio.run(partial(saturate, port, connections, warm_up_s, seconds))


if __name__ == "__main__":
    trio.run(serve)
