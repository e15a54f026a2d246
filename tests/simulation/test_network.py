"""Each thing that can happen to bytes on a line happens, and nothing else does."""

from __future__ import annotations

import pytest
import trio

from tests.simulation import determinism
from tests.simulation.network import End, Line
from tests.simulation.world import World

DATA = bytes(range(200))


class Bench:
    """A line whose host end is held in the hand."""

    def __init__(self) -> None:
        self.world = World(1)
        self.ends: list[End] = []
        self.line = Line(self.world, "T1", self.accept)

    def accept(self, end: End, source: str) -> bool:
        self.ends.append(end)
        return True

    async def connect(self, **weather: object) -> tuple[End, End]:
        near = await self.line.connect()
        for name, value in weather.items():
            setattr(self.line.weather, name, value)
        return near, self.ends[0]

    async def wait(self, seconds: float = 10.0) -> None:
        await self.world.time.sleep(seconds)


def on_a_line(test):
    """Run a test's async body on virtual time with a bench of its own."""

    def run() -> None:
        bench = Bench()
        determinism.run(1, bench.world.time, lambda: test(bench))

    run.__name__ = test.__name__
    return run


async def rest(end: End) -> bytes:
    """What has arrived by now, whatever state the connection is in."""
    received = b""
    with trio.move_on_after(0.001):
        while data := await end.receive_some():
            received += data
    return received


@on_a_line
async def test_good_weather_delivers_everything_in_order_and_takes_its_time(bench):
    near, far = await bench.connect()
    start_s = bench.world.time.now
    for size in range(1, 50):
        await near.send_all(DATA[:size])
    assert bench.world.time.now == start_s
    expected = b"".join(DATA[:size] for size in range(1, 50))
    received = b""
    while len(received) < len(expected):
        received += await far.receive_some()
    assert received == expected
    assert 0.0004 <= bench.world.time.now - start_s <= 0.0041
    await near.aclose()
    assert await far.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await near.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")


@on_a_line
async def test_data_for_an_end_that_has_closed_resets_the_sender(bench):
    near, far = await bench.connect()
    await far.aclose()
    await near.send_all(DATA)
    await bench.wait()
    with pytest.raises(trio.BrokenResourceError):
        await near.send_all(DATA)


@on_a_line
async def test_lost_doubled_and_changed(bench):
    near, far = await bench.connect(lose=1.0)
    await near.send_all(DATA)
    await bench.wait()
    assert await rest(far) == b""
    bench.line.weather.lose, bench.line.weather.double = 0.0, 1.0
    await near.send_all(DATA)
    await bench.wait()
    assert await rest(far) == DATA + DATA
    bench.line.weather.double, bench.line.weather.corrupt = 0.0, 1.0
    await far.send_all(DATA)
    await bench.wait()
    changed = await rest(near)
    assert len(changed) == len(DATA)
    assert sum((one ^ other).bit_count() for one, other in zip(changed, DATA, strict=True)) == 1


@on_a_line
async def test_slices_are_the_same_bytes_in_more_pieces(bench):
    near, far = await bench.connect(slice=1.0, latency_s=(0.001, 0.01))
    await near.send_all(DATA)
    pieces = []
    while sum(map(len, pieces)) < len(DATA):
        pieces.append(await far.receive_some())
    assert b"".join(pieces) == DATA
    assert len(pieces) > 2


@pytest.mark.parametrize("direction", ["stalled_up", "stalled_down"])
def test_a_stall_holds_one_direction_back_until_it_ends(direction):
    async def body() -> None:
        near, far = await bench.connect(**{direction: True})
        await near.send_all(b"up")
        await far.send_all(b"down")
        await bench.wait()
        held, free = (far, near) if direction == "stalled_up" else (near, far)
        assert await rest(held) == b""
        assert await rest(free) in (b"up", b"down")
        with pytest.raises(OSError, match="no way"):
            await bench.line.connect()
        bench.line.heal()
        assert await rest(held) in (b"up", b"down")

    bench = Bench()
    determinism.run(1, bench.world.time, body)


@on_a_line
async def test_a_reset_breaks_both_ends_at_once(bench):
    near, far = await bench.connect()
    bench.line.reset()
    for end in (near, far):
        with pytest.raises(trio.BrokenResourceError):
            await end.receive_some()


@on_a_line
async def test_half_open_tells_nobody(bench):
    near, far = await bench.connect()
    bench.line.half_open()
    await near.send_all(DATA)
    await far.send_all(DATA)
    await near.aclose()
    await bench.wait()
    assert await rest(far) == b""
    assert not far.broken
    assert not far.ended


@on_a_line
async def test_a_cable_that_is_out_loses_what_is_on_it(bench):
    near, far = await bench.connect(up=False)
    await near.send_all(DATA)
    with pytest.raises(TimeoutError):
        await bench.line.connect()
    bench.line.plug()
    await near.send_all(b"after")
    await bench.wait()
    assert await rest(far) == b"after"


@on_a_line
async def test_refused(bench):
    bench.line.weather.refuse = True
    with pytest.raises(ConnectionRefusedError):
        await bench.line.connect()


@on_a_line
async def test_a_ghost_repeats_the_terminal_and_nobody_hears_it(bench):
    bench.line.weather.ghost = 1.0
    near, far = await bench.connect()
    ghost = bench.ends[1]
    await near.send_all(DATA)
    await ghost.send_all(b"answer to the ghost")
    await far.send_all(b"answer")
    await bench.wait()
    assert await rest(far) == await rest(ghost) == DATA
    assert await rest(near) == b"answer"


@on_a_line
async def test_a_host_that_is_killed_resets_and_one_without_power_says_nothing(bench):
    near, _ = await bench.connect()
    bench.line.lose_host(told=True)
    await bench.wait()
    assert near.broken
    near, far = await bench.line.connect(), bench.ends[-1]
    bench.line.lose_host(told=False)
    await bench.wait()
    assert far.closed
    assert not near.broken
    await near.send_all(DATA)
    await bench.wait()
    assert not near.broken


@on_a_line
async def test_a_terminal_without_power_says_nothing(bench):
    near, far = await bench.connect()
    bench.line.lose_terminal(told=False)
    await bench.wait()
    assert near.closed
    assert not far.broken
    assert not far.ended
    assert bench.line.ends == [far]
