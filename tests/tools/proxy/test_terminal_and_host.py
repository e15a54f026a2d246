"""A real terminal, the proxy with each of its faults, and a real host, on one virtual clock.

Whatever the line does: no sale is lost or doubled, once the fault is gone the terminal is READY again, and only the
terminal on that line notices anything.
"""

import pytest
import trio

from server.ledger.verify import verify
from terminal_emulator.record import RecordState
from tests.server.host import CARD, OTHER_CARD, START_FEN, config_of, open_host
from tests.tools.proxy.counter import Bridge, Counter
from tools.proxy import toxics
from tools.proxy.toxics import KINDS, Direction

UP, DOWN, BOTH = Direction.UP, Direction.DOWN, Direction.BOTH
EVERY_WAY = (UP, DOWN, BOTH)
FAULT_S = 40.0
"""How long a fault lasts: longer than a terminal tries before it reverses."""
BACK_S = 25.0
"""The terminal must be READY again this long after: its longest wait, and a handshake."""

DELAYS = [
    *[toxics.Latency(delay_s=0.4, jitter_s=0.4, direction=way) for way in EVERY_WAY],
    *[toxics.Latency(delay_s=4.0, direction=way) for way in EVERY_WAY],
    *[toxics.Bandwidth(bytes_per_s=rate, direction=BOTH) for rate in (10, 100, 1000)],
    toxics.DelayFrame(delay_s=3.5, mti="0210", count=0, direction=DOWN),
    toxics.SlowClose(delay_s=10.0),
]
ENDS = [
    *[toxics.Reset(after_s=at_s) for at_s in (0.0, 0.5)],
    *[toxics.Reset(after_bytes=size, direction=way) for size in (1, 70, 160) for way in (UP, DOWN)],
    *[toxics.Limit(size_bytes=size, direction=way) for size in (0, 1, 70, 150) for way in (UP, DOWN)],
    *[toxics.Timeout(wait_s=1.0, direction=way) for way in EVERY_WAY],
]
SILENCE = [
    toxics.BlackHole(),
    *[toxics.Cut(direction=way) for way in (UP, DOWN)],
    *[toxics.BlackHole(after_bytes=size, direction=way) for size in (20, 100, 170) for way in EVERY_WAY],
    *[toxics.Stall(at_byte=size, direction=way) for size in (1, 15, 20, 40) for way in (UP, DOWN)],
    *[toxics.Stall(at_byte=20, for_s=2.0, direction=way) for way in (UP, DOWN)],
]
PIECES = [
    *[toxics.Slice(size_bytes=size, vary_bytes=size - 1, gap_s=0.01, direction=BOTH) for size in (1, 7, 40)],
    *[toxics.Drip(every_s=every_s, direction=way) for every_s in (0.01, 0.1, 1.0) for way in EVERY_WAY],
]
WRONG = [
    *[toxics.Corrupt(every_bytes=size, direction=way) for size in (1, 50, 300) for way in EVERY_WAY],
    *[toxics.Duplicate(size_bytes=9, every_bytes=size, direction=way) for size in (40, 300) for way in EVERY_WAY],
]
LOST_ANSWERS = [
    toxics.DropFrame(mti="0210", count=0, direction=DOWN),
    toxics.DropFrame(mti="0210", count=1, direction=DOWN),
    toxics.Stall(mti="0210", at_byte=30, direction=DOWN),
    toxics.Limit(size_bytes=170, direction=DOWN),
]


def each(faults):
    return pytest.mark.parametrize("fault", faults, ids=lambda fault: f"{fault.kind}-{faults.index(fault)}")


def test_every_kind_of_fault_is_used_here():
    used = [*DELAYS, *ENDS, *SILENCE, *PIECES, *WRONG, *LOST_ANSWERS]
    assert {fault.kind for fault in used} == set(KINDS)


async def live_through(fault, nursery):
    """A lunch with a fault in it, and the audit of it; returns the customer's records and what the ledger has."""
    async with open_host(config_of(requests_per_s=1000)) as rig:
        bridge = Bridge(rig, nursery)
        counter, witness = (
            Counter(till.number, till.root_key, till.key_version, opened, card=card)
            for till, opened, card in (
                (rig.enrol(), bridge.open, CARD),
                (rig.enrol(), lambda: direct(rig), OTHER_CARD),
            )
        )
        for one in (counter, witness):
            nursery.start_soon(one.run)
            await one.online()
        await counter.customer(101)
        bridge.proxy.add("fault", fault)
        sell_on = trio.CancelScope()
        nursery.start_soon(sell_while_it_lasts, counter, sell_on)
        await watch(witness, trio.current_time() + FAULT_S)
        met = bridge.proxy.statistics()
        assert met.touched_bytes.get("fault") or met.resets or met.closes, "the fault never happened"
        bridge.proxy.clear()
        with trio.fail_after(BACK_S):
            await counter.online()
        sell_on.cancel()
        with trio.fail_after(200):
            await counter.at_rest()
        await counter.customer(102)
        assert counter.newest.state is RecordState.APPROVED
        await witness.customer(103)
        assert rig.count("sessions") == 2
        await audit(rig, counter, witness)
        return counter


async def direct(rig):
    return rig.connect("10.0.0.2")


async def sell_while_it_lasts(counter, scope):
    """A customer whenever there is a session."""
    with scope:
        for amount_fen in range(11, 100):
            await counter.online()
            await counter.customer(amount_fen)


async def watch(witness, until_s):
    """Another terminal sells all the while, and each of its customers is served at once."""
    while trio.current_time() < until_s:
        began_s = trio.current_time()
        await witness.customer(7)
        assert witness.newest.state is RecordState.APPROVED
        assert trio.current_time() - began_s < 0.2
        await trio.sleep(2)


async def audit(rig, *counters):
    """Every sale a terminal showed as approved is in the ledger once; of every other sale, nothing is left."""
    charged = dict(
        rig.store.execute(
            "SELECT terminal_id * 1000000000000 + batch * 1000000 + stan, amount_fen FROM transfers t"
            " WHERE kind = 1 AND decision = 0 AND NOT EXISTS"
            " (SELECT 1 FROM transfers r WHERE r.original_seq = t.seq)"
        )
    )
    told = {
        counter.number.to_int() * 10**12 + record.batch * 10**6 + record.stan: record.amount_fen
        for counter in counters
        for record in counter.approved
    }
    assert charged == told
    spent = [sum(record.amount_fen for record in counter.approved) for counter in counters]
    assert [rig.balance_fen(card) for card in (CARD, OTHER_CARD)] == [START_FEN - fen for fen in spent]
    assert [check for check in verify(rig.store) if not check.ok] == []


@each(DELAYS)
async def test_delay(fault, nursery, autojump_clock):
    """N1: delay, jitter, a narrow line."""
    await live_through(fault, nursery)


@each(ENDS)
async def test_ends(fault, nursery, autojump_clock):
    """N1: resets and closes at any moment, from either side."""
    await live_through(fault, nursery)


@each(SILENCE)
async def test_silence(fault, nursery, autojump_clock):
    """N1: black hole, half-open, one-way cut, a line that stops inside a frame."""
    await live_through(fault, nursery)


@each(PIECES)
async def test_pieces(fault, nursery, autojump_clock):
    """N2: frames in pieces of any size, with any pause between."""
    await live_through(fault, nursery)


@each(WRONG)
async def test_wrong_bytes(fault, nursery, autojump_clock):
    """N3: wrong and repeated bytes: never guessed at, resynchronised or closed."""
    await live_through(fault, nursery)


@each(LOST_ANSWERS)
async def test_lost_answers(fault, nursery, autojump_clock):
    """N4: the answer is lost after the commit: the terminal asks, and is told what was decided."""
    counter = await live_through(fault, nursery)
    assert [record for record in counter.records if record.amount_fen < 100]
    assert {record.state for record in counter.records} <= {RecordState.APPROVED, RecordState.REVERSED}
