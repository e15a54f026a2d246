"""Real terminals, the proxy and a real host process on real sockets, with every kind of fault at the same time: each
terminal's line has one. All of them live through it together, so that waiting for one is waiting for all.
"""

from functools import partial

import pytest
import trio

from terminal_emulator.record import RecordState
from tests.end_to_end.process import CARD, OTHER_CARD, Campus, serving
from tests.tools.proxy.counter import Counter
from tests.wire import PATIENCE_S
from tools.proxy import toxics
from tools.proxy.proxy import Proxy
from tools.proxy.toxics import KINDS, Direction

pytestmark = pytest.mark.slow

UP, DOWN = Direction.UP, Direction.DOWN
FAULTS = {
    "N1: delay": toxics.Latency(delay_s=0.2, jitter_s=0.2),
    "N1: delay of answers": toxics.Latency(delay_s=3.5, direction=DOWN),
    "N1: narrow line": toxics.Bandwidth(bytes_per_s=500),
    "N1: late answer": toxics.DelayFrame(delay_s=3.5, mti="0210", count=0, direction=DOWN),
    "N1: slow close": toxics.SlowClose(delay_s=2.0),
    "N1: reset": toxics.Reset(),
    "N1: reset in the answer": toxics.Reset(after_bytes=20, direction=DOWN),
    "N1: close in the request": toxics.Limit(size_bytes=30, direction=UP),
    "N1: silence, then a close": toxics.Timeout(wait_s=1.0),
    "N1: black hole": toxics.BlackHole(),
    "N1: cut up": toxics.Cut(direction=UP),
    "N1: cut down": toxics.Cut(direction=DOWN),
    "N1: stall in the request": toxics.Stall(at_byte=30, direction=UP),
    "N1: stall in the answer": toxics.Stall(at_byte=30, direction=DOWN),
    "N2: pieces": toxics.Slice(size_bytes=5, vary_bytes=4, gap_s=0.002),
    "N2: byte by byte": toxics.Drip(every_s=0.005),
    "N3: wrong requests": toxics.Corrupt(every_bytes=40, direction=UP),
    "N3: wrong answers": toxics.Corrupt(every_bytes=40, direction=DOWN),
    "N3: repeated bytes": toxics.Duplicate(size_bytes=9, every_bytes=60),
    "N4: answer lost": toxics.DropFrame(mti="0210", direction=DOWN),
}


def test_every_kind_of_fault_is_used_here():
    assert {fault.kind for fault in FAULTS.values()} == set(KINDS)


class Story:
    """What became of one terminal."""

    def __init__(self, counter: Counter, proxy: Proxy) -> None:
        self.counter = counter
        self.proxy = proxy
        self.met = False
        self.ready = False


async def live(story: Story, fault: toxics.Toxic) -> None:
    """One sale on a good line, one or more on a bad one, and one on a good one again."""
    counter, proxy = story.counter, story.proxy
    await counter.online()
    await counter.customer(101)
    proxy.add("fault", fault)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(counter.customer, 102)
        # Long enough for the fault to be noticed: somebody has been told, or the line is given up.
        await counter.until(lambda: len(counter.records) > 1 or not counter.brain.online)
        now = proxy.statistics()
        story.met = bool(now.touched_bytes.get("fault") or now.resets or now.closes)
        proxy.clear()
    await counter.at_rest()
    await counter.customer(103)
    await counter.at_rest()
    story.ready = True


async def witness(counter: Counter, over: trio.Event) -> None:
    """Sells all the while, on a line without a fault."""
    await counter.online()
    while not over.is_set():
        await counter.customer(7)


async def live_together(campus: Campus, address: tuple[str, int]) -> tuple[dict[str, Story], Counter]:
    connect = partial(trio.open_tcp_stream, *address)
    stories: dict[str, Story] = {}

    def counter_of(card, open_stream):
        till = campus.till()
        return Counter(till.number, till.root_key, till.key_version, open_stream, card=card)

    async with trio.open_nursery() as terminals:
        bystander, over = counter_of(OTHER_CARD, connect), trio.Event()
        terminals.start_soon(bystander.run)
        terminals.start_soon(witness, bystander, over)
        with trio.move_on_after(5 * PATIENCE_S):
            async with trio.open_nursery() as lives:
                for name, fault in FAULTS.items():
                    proxy = Proxy(connect, seed=5)
                    through = await terminals.start(proxy.serve, "127.0.0.1", 0)
                    story = stories[name] = Story(counter_of(CARD, partial(trio.open_tcp_stream, *through)), proxy)
                    terminals.start_soon(story.counter.run)
                    lives.start_soon(live, story, fault)
        over.set()
        await bystander.at_rest()
        terminals.cancel_scope.cancel()
    return stories, bystander


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    campus = Campus(tmp_path_factory.mktemp("proxy") / "data", terminals=len(FAULTS) + 1)
    with serving(campus) as host:
        stories, bystander = trio.run(live_together, campus, host.terminals)
        faults_of_ours = [entry for entry in host.log if entry.get("level") in ("error", "critical")]
        assert host.terminate() == 0
    return campus, stories, bystander, faults_of_ours


@pytest.mark.parametrize("name", FAULTS)
def test_no_sale_is_lost_or_doubled_and_the_terminal_is_ready_again(name, lived):
    """N1, N2, N3, N4: each with the fault its name says, over real sockets."""
    campus, stories, *_ = lived
    story = stories[name]
    assert story.met, "the fault never happened"
    assert story.ready, f"not READY again: {story.counter.records}"
    records = story.counter.records
    assert [record.state for record in (records[0], records[-1])] == [RecordState.APPROVED] * 2
    assert {record.state for record in records} <= {RecordState.APPROVED, RecordState.REVERSED}
    assert charged(campus, story.counter) == {
        (record.batch, record.stan): record.amount_fen for record in story.counter.approved
    }


def charged(campus, counter):
    """What the ledger has taken for this terminal's sales and not given back."""
    with campus.ledger() as store:
        rows = store.execute(
            "SELECT batch, stan, amount_fen FROM transfers t WHERE terminal_id = ? AND side = 0 AND decision = 0"
            " AND NOT EXISTS (SELECT 1 FROM transfers r WHERE r.original_seq = t.seq)",
            (counter.number.to_int(),),
        )
    assert len(rows) == len({row[:2] for row in rows})
    return {(batch, stan): amount_fen for batch, stan, amount_fen in rows}


def test_only_the_terminals_on_bad_lines_suffer_and_the_books_are_right(lived):
    campus, stories, bystander, faults_of_ours = lived
    assert len(bystander.records) > len(stories)
    assert {record.state for record in bystander.records} == {RecordState.APPROVED}
    assert charged(campus, bystander) == {
        (record.batch, record.stan): record.amount_fen for record in bystander.records
    }
    assert faults_of_ours == []
    campus.verify()
