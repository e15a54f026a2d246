"""The proxy around the pipes: streams in memory on a virtual clock, and real sockets where only they can show it."""

import errno
import socket
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from tools.proxy import toxics
from tools.proxy.plan import parse_plan
from tools.proxy.proxy import RECEIVE_BYTES, Proxy, ProxyLimits
from tools.proxy.toxics import Direction

TEXT = bytes(range(200))


class Ends:
    """A terminal's and a host's end with a proxy between them, in memory."""

    def __init__(self, proxy, nursery, number=1):
        self.proxy = proxy
        self.terminal, near = memory_stream_pair()
        far, self.host = memory_stream_pair()
        nursery.start_soon(proxy.carry, near, far, number)


def proxy_of(**options):
    return Proxy(nowhere, **options)


async def nowhere():
    raise OSError(errno.ECONNREFUSED, "nobody listens")


@asynccontextmanager
async def ends_of(number=1, **options):
    async with trio.open_nursery() as nursery:
        ends = Ends(proxy_of(**options), nursery, number)
        yield ends
        nursery.cancel_scope.cancel()


async def all_of(stream):
    received = b""
    try:
        while data := await stream.receive_some():
            received += data
    except trio.BrokenResourceError:
        pass
    return received


async def test_bytes_and_ends_pass_both_ways(autojump_clock):
    async with ends_of() as ends:
        await ends.terminal.send_all(b"request")
        assert await ends.host.receive_some() == b"request"
        await ends.host.send_all(b"answer")
        assert await ends.terminal.receive_some() == b"answer"
        await ends.terminal.send_eof()
        assert await ends.host.receive_some() == b""
        await ends.host.send_all(b"the other way works on")
        assert await ends.terminal.receive_some() == b"the other way works on"
        await ends.host.aclose()
        assert await ends.terminal.receive_some() == b""
        await wait_all_tasks_blocked()
        statistics = ends.proxy.statistics()
        assert (statistics.open, statistics.received_up_bytes, statistics.sent_down_bytes) == (0, 7, 28)


async def test_a_fault_can_come_and_go_while_a_connection_is_open(autojump_clock):
    async with ends_of() as ends:
        ends.proxy.add("slow", toxics.Latency(delay_s=3.0, direction=Direction.UP))
        began_s = trio.current_time()
        await ends.terminal.send_all(b"x")
        assert await ends.host.receive_some() == b"x"
        assert trio.current_time() == began_s + 3.0
        ends.proxy.add("hole", toxics.BlackHole())
        await ends.terminal.send_all(b"lost")
        await trio.sleep(10)
        ends.proxy.clear()
        await ends.terminal.send_all(b"y")
        assert await ends.host.receive_some() == b"y"
        assert ends.proxy.faults == {}
        assert ends.proxy.statistics().touched_bytes == {"slow": 5, "hole": 4}


async def test_what_a_removed_fault_held_arrives_at_once(autojump_clock):
    async with ends_of() as ends:
        ends.proxy.add("slow", toxics.Latency(delay_s=1000.0))
        await ends.terminal.send_all(b"x")
        await wait_all_tasks_blocked()
        began_s = trio.current_time()
        ends.proxy.remove("slow")
        assert await ends.host.receive_some() == b"x"
        assert trio.current_time() == began_s


@pytest.mark.parametrize(
    ("fault", "closes", "resets"),
    [(toxics.Limit(size_bytes=5), 1, 0), (toxics.Timeout(wait_s=1), 1, 0), (toxics.Reset(after_bytes=5), 0, 1)],
)
async def test_a_fault_that_ends_it_ends_both_sides(fault, closes, resets, autojump_clock):
    async with ends_of() as ends:
        ends.proxy.add("end", fault)
        await ends.terminal.send_all(TEXT)
        expected = b"" if isinstance(fault, toxics.Timeout) else TEXT[:5]
        assert await all_of(ends.host) == expected
        assert await all_of(ends.terminal) == b""
        await wait_all_tasks_blocked()
        statistics = ends.proxy.statistics()
        assert (statistics.closes, statistics.resets, statistics.open) == (closes, resets, 0)


async def test_behind_a_black_hole_an_end_is_not_heard_of_until_the_other_side_ends_too(autojump_clock):
    async with ends_of() as ends:
        ends.proxy.add("hole", toxics.BlackHole())
        await ends.terminal.aclose()
        with trio.move_on_after(1000) as waited:
            await ends.host.receive_some()
        assert waited.cancelled_caught
        assert ends.proxy.statistics().open == 1
        await ends.host.aclose()
        await wait_all_tasks_blocked()
        assert ends.proxy.statistics().open == 0


async def test_a_sender_waits_when_the_buffer_is_full(autojump_clock):
    """Memory of a connection is bounded: what it holds, one receive, and nothing more is read."""
    async with ends_of(limits=ProxyLimits(buffer_bytes=1000)) as ends:
        ends.proxy.add("stuck", toxics.Latency(delay_s=50.0))
        for _ in range(100):
            await ends.terminal.send_all(bytes(RECEIVE_BYTES))
        await wait_all_tasks_blocked()
        assert ends.proxy.statistics().received_up_bytes <= 1000 + RECEIVE_BYTES
        received = 0
        with trio.move_on_after(1e6):
            while received < 100 * RECEIVE_BYTES:
                received += len(await ends.host.receive_some())
        assert received == 100 * RECEIVE_BYTES


async def test_an_observer_sees_what_was_sent_before_any_fault(autojump_clock):
    seen = []
    async with ends_of(number=8, on_bytes=lambda *what: seen.append(what)) as ends:
        ends.proxy.add("hole", toxics.BlackHole())
        ends.proxy.add("wrong", toxics.Corrupt(every_bytes=1))
        await trio.sleep(2)
        now_s = trio.current_time()
        await ends.terminal.send_all(b"request")
        await ends.host.send_all(b"answer")
        await wait_all_tasks_blocked()
    assert sorted(seen) == [(8, Direction.DOWN, now_s, b"answer"), (8, Direction.UP, now_s, b"request")]


PLAN = """
seed 3
at 0 s: corrupt up every_bytes=40
at 1 s: slow = latency delay_s=2 jitter_s=1
at 5 s: remove slow
at 6 s: black_hole down probability=0.5
at 8 s: clear
"""


async def follow_a_plan(connections, seed=3):
    """What every host and terminal receives when, while a plan is followed."""
    seen = []

    async def listen(name, stream, began_s):
        while data := await stream.receive_some():
            seen.append((name, round(trio.current_time() - began_s, 6), data))

    async def talk(stream):
        for number in range(10):
            await stream.send_all(bytes([number]) * 20)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        proxy, began_s = proxy_of(), trio.current_time()
        plan = parse_plan(PLAN.replace("seed 3", f"seed {seed}"))
        nursery.start_soon(proxy.follow, plan)
        await wait_all_tasks_blocked()
        for number in range(connections):
            ends = Ends(proxy, nursery, number)
            nursery.start_soon(listen, f"host {number}", ends.host, began_s)
            nursery.start_soon(listen, f"terminal {number}", ends.terminal, began_s)
            nursery.start_soon(talk, ends.terminal)
            nursery.start_soon(talk, ends.host)
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    return sorted(seen)


async def test_a_plan_is_followed_and_repeats_itself(autojump_clock):
    first = await follow_a_plan(6)
    assert first == await follow_a_plan(6)
    assert first != await follow_a_plan(6, seed=4)
    up = {name: b"".join(data for who, _, data in first if who == name) for name in {who for who, *_ in first}}
    assert {len(up[f"host {number}"]) for number in range(6)} == {200}
    clean = b"".join(bytes([number]) * 20 for number in range(10))
    assert clean not in [up[f"host {number}"] for number in range(6)]
    down = [len(up[f"terminal {number}"]) for number in range(6)]
    assert set(down) == {200, 160}, "two of ten pieces fall into the hole, for about half of the connections"


# --- Real sockets


@asynccontextmanager
async def real(handler, **options):
    """A proxy before a server on real sockets."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, handler, listeners)
        proxy = Proxy(partial(trio.open_tcp_stream, "127.0.0.1", port), **options)
        address = await nursery.start(proxy.serve, "127.0.0.1", 0)
        with trio.fail_after(60):
            yield proxy, address
        nursery.cancel_scope.cancel()


async def echo(stream):
    async for data in stream:
        await stream.send_all(data)


async def test_real_sockets_pass_bytes_and_ends():
    async with real(echo) as (proxy, address):
        client = await trio.open_tcp_stream(*address)
        await client.send_all(TEXT * 1000)
        await client.send_eof()
        assert await all_of(client) == TEXT * 1000
        await client.aclose()
        while proxy.statistics().open:
            await trio.lowlevel.checkpoint()
        assert proxy.statistics().accepted == 1


async def test_a_reset_is_a_reset_on_both_sides():
    ended = []

    async def host(stream):
        try:
            await all_raising(stream)
        except trio.BrokenResourceError as error:
            ended.append(error.__cause__.errno)

    async def all_raising(stream):
        while await stream.receive_some():
            pass

    async with real(host) as (proxy, address):
        proxy.add("reset", toxics.Reset(after_bytes=10))
        client = await trio.open_tcp_stream(*address)
        await client.send_all(TEXT[:10])
        with pytest.raises(trio.BrokenResourceError) as caught:
            await all_raising(client)
        assert caught.value.__cause__.errno == errno.ECONNRESET
        await client.aclose()
        while not ended:
            await wait_all_tasks_blocked()
            await trio.lowlevel.checkpoint()
        assert ended == [errno.ECONNRESET]


async def test_a_clients_reset_is_passed_on():
    reset = trio.Event()

    async def host(stream):
        try:
            await stream.receive_some()
        except trio.BrokenResourceError:
            reset.set()

    async with real(host) as (proxy, address):
        client = await trio.open_tcp_stream(*address)
        while proxy.statistics().open == 0:
            await trio.lowlevel.checkpoint()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(client)
        await reset.wait()


async def test_more_connections_than_allowed_are_closed_and_counted():
    async with real(echo, limits=ProxyLimits(connections=2)) as (proxy, address):
        clients = [await trio.open_tcp_stream(*address) for _ in range(2)]
        for client in clients:
            await client.send_all(b"x")
            assert await client.receive_some() == b"x"
        refused = await trio.open_tcp_stream(*address)
        assert await refused.receive_some() == b""
        assert (proxy.statistics().accepted, proxy.statistics().refused, proxy.statistics().open) == (2, 1, 2)
        for client in (*clients, refused):
            await client.aclose()


async def test_without_a_host_a_connection_is_closed_and_counted():
    async with trio.open_nursery() as nursery:
        proxy = Proxy(nowhere)
        address = await nursery.start(proxy.serve, "127.0.0.1", 0)
        client = await trio.open_tcp_stream(*address)
        assert await client.receive_some() == b""
        await client.aclose()
        assert proxy.statistics().unreachable == 1
        nursery.cancel_scope.cancel()


async def test_a_host_that_does_not_answer_is_not_waited_for_for_ever(autojump_clock):
    async with trio.open_nursery() as nursery:
        proxy = Proxy(trio.sleep_forever)
        near, terminal = memory_stream_pair()
        nursery.start_soon(proxy.handle, near)
        assert await terminal.receive_some() == b""
        assert trio.current_time() == 10
        assert proxy.statistics().unreachable == 1
