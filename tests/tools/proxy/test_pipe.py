"""Every fault on virtual time, without I/O: what comes out when, for what was put in when."""

import random
from math import inf

import pytest

from protocol import TerminalNumber
from protocol.framing import build_header, close_frame
from tools.proxy import toxics
from tools.proxy.pipe import BUFFER_BYTES, Pipe
from tools.proxy.stages import STAGES, What
from tools.proxy.toxics import KINDS, Direction

TEXT = bytes(range(100))
UP, DOWN = Direction.UP, Direction.DOWN


def frame(mti=0x0210, size=30, sequence=0):
    body = random.Random(sequence).randbytes(size)
    return close_frame(build_header(0, mti, size, TerminalNumber(3, 58), sequence), body)


FRAMES = [frame(0x0810, 45, 0), frame(0x0210, 30, 1), frame(0x0210, 31, 2), frame(0x0410, 20, 3)]


def pipe_of(*faults, direction=UP, seed="s", now_s=0.0, **options):
    named = {f"{number}": fault for number, fault in enumerate(faults)}
    return Pipe(direction, named, seed=seed, now_s=now_s, **options)


def run(pipe, until_s=inf):
    """What comes out, as (time, bytes or what), looking exactly when the pipe asks to be looked at."""
    seen, now_s = [], 0.0
    while True:
        seen += [(round(item.at_s, 6), item.data if item.what is What.DATA else item.what) for item in pipe.take(now_s)]
        next_s = pipe.next_s
        if next_s > until_s or next_s == inf:
            return seen
        assert next_s > now_s, "a time that does not move is a busy loop"
        now_s = next_s


def fed(pipe, *pieces, end_s=None):
    for at_s, data in pieces:
        pipe.feed(data, at_s)
    if end_s is not None:
        pipe.end(end_s)
    return pipe


def bytes_of(seen):
    return b"".join(data for _, data in seen if isinstance(data, bytes))


def whats(seen):
    return [what for _, what in seen if isinstance(what, What)]


def test_without_faults_everything_passes_at_once():
    pipe = fed(pipe_of(), (0.0, b"one"), (1.0, b"two"), end_s=2.0)
    assert run(pipe) == [(0.0, b"one"), (1.0, b"two"), (2.0, What.END)]
    assert (pipe.received_bytes, pipe.sent_bytes, pipe.held_bytes, pipe.ended) == (6, 6, 0, True)


def test_every_kind_has_a_stage():
    assert set(STAGES) == set(KINDS.values())


# --- Slow


def test_latency_moves_everything_by_the_same_time():
    pipe = fed(pipe_of(toxics.Latency(delay_s=0.25)), (0.0, b"one"), (0.1, b"two"), end_s=1.0)
    assert run(pipe) == [(0.25, b"one"), (0.35, b"two"), (1.25, What.END)]


def test_jitter_keeps_the_order():
    pieces = [(number / 100, bytes([number])) for number in range(100)]
    seen = run(fed(pipe_of(toxics.Latency(delay_s=0.5, jitter_s=0.4)), *pieces, end_s=1.0))
    delays = [at_s - sent_s for (at_s, _), (sent_s, _) in zip(seen, pieces, strict=False)]
    assert bytes_of(seen) == bytes(range(100))
    assert all(0.1 <= delay_s <= 0.9 for delay_s in delays)
    assert max(delays) - min(delays) > 0.4
    assert seen[-1][1] is What.END


def test_bandwidth_takes_its_time_for_every_byte():
    seen = run(fed(pipe_of(toxics.Bandwidth(bytes_per_s=100)), (0.0, TEXT), (5.0, b"x"), end_s=5.0))
    assert bytes_of(seen) == TEXT + b"x"
    assert [at_s for at_s, data in seen if data == TEXT[95:]] == [1.0]
    assert seen[-2:] == [(5.01, b"x"), (5.01, What.END)]
    # No moment sees more than the line can carry.
    for at_s, _ in seen[:-2]:
        assert sum(len(data) for when_s, data in seen[:-2] if when_s <= at_s) <= at_s * 100 + 1e-6


def test_slices_have_their_size_and_their_gap():
    seen = run(fed(pipe_of(toxics.Slice(size_bytes=30, gap_s=0.5)), (0.0, TEXT)))
    assert seen == [(0.0, TEXT[:30]), (0.5, TEXT[30:60]), (1.0, TEXT[60:90]), (1.5, TEXT[90:])]


def test_where_slices_are_cut_does_not_depend_on_how_the_bytes_came():
    def cuts(*sizes):
        pipe = pipe_of(toxics.Slice(size_bytes=7, vary_bytes=5, gap_s=0.001))
        start = 0
        for size in sizes:
            pipe.feed(TEXT[start : start + size], 0.0)
            start += size
        times = {}
        for at_s, data in run(pipe):
            times[at_s] = times.get(at_s, b"") + data
        return list(times.values())

    assert cuts(100) == cuts(1, 2, 3, 50, 44) == cuts(*[1] * 100)
    sizes = [len(piece) for piece in cuts(100)[:-1]]
    assert set(sizes) <= set(range(2, 13))
    assert len(set(sizes)) > 2


def test_a_drip_is_one_byte_at_a_time():
    seen = run(fed(pipe_of(toxics.Drip(every_s=2.0)), (1.0, b"abc"), (1.5, b"d"), (20.0, b"e"), end_s=21.0))
    assert seen == [(1.0, b"a"), (3.0, b"b"), (5.0, b"c"), (7.0, b"d"), (20.0, b"e"), (21.0, What.END)]


def test_a_slow_close_delays_the_end_alone():
    assert run(fed(pipe_of(toxics.SlowClose(delay_s=3.0)), (0.0, b"x"), end_s=1.0)) == [(0.0, b"x"), (4.0, What.END)]


# --- Gone


def test_a_reset_comes_at_its_time_or_behind_its_bytes():
    assert run(fed(pipe_of(toxics.Reset(after_s=2.0)), (1.0, b"x"), (3.0, b"y"))) == [(1.0, b"x"), (2.0, What.RESET)]
    assert run(fed(pipe_of(toxics.Reset(after_bytes=4)), (1.0, TEXT))) == [(1.0, TEXT[:4]), (1.0, What.RESET)]
    assert run(pipe_of(toxics.Reset())) == [(0.0, What.RESET)]


def test_a_time_out_swallows_and_closes():
    seen = run(fed(pipe_of(toxics.Timeout(wait_s=5.0, after_s=1.0)), (0.5, b"x"), (1.5, b"y"), end_s=2.0))
    assert seen == [(0.5, b"x"), (6.0, What.CLOSE)]


def test_a_limit_closes_behind_its_last_byte():
    seen = run(fed(pipe_of(toxics.Limit(size_bytes=10)), (0.0, TEXT[:8]), (1.0, TEXT[8:])))
    assert seen == [(0.0, TEXT[:8]), (1.0, TEXT[8:10]), (1.0, What.CLOSE)]
    assert run(pipe_of(toxics.Limit(size_bytes=0))) == [(0.0, What.CLOSE)]


@pytest.mark.parametrize("fault", [toxics.BlackHole(after_bytes=2), toxics.Cut(direction=UP, after_bytes=2)])
def test_a_black_hole_swallows_everything_and_says_nothing(fault):
    pipe = fed(pipe_of(fault), (0.0, TEXT))
    pipe.lost(1.0)
    assert run(pipe) == [(0.0, TEXT[:2])]
    assert pipe.held_bytes == 0
    assert pipe.next_s == inf


def test_a_cut_leaves_the_other_way_alone():
    fault = toxics.Cut(direction=DOWN)
    assert run(fed(pipe_of(fault, direction=DOWN), (0.0, TEXT))) == []
    assert run(fed(pipe_of(fault, direction=UP), (0.0, TEXT))) == [(0.0, TEXT)]


# --- Wrong


def test_corruption_flips_single_bits_at_places_that_do_not_depend_on_the_chunks():
    def corrupted(*sizes):
        pipe = pipe_of(toxics.Corrupt(every_bytes=10))
        start = 0
        for size in sizes:
            pipe.feed(TEXT[start : start + size], 0.0)
            start += size
        return bytes_of(run(pipe))

    seen = corrupted(100)
    assert seen == corrupted(*[1] * 100) == corrupted(33, 33, 34)
    flipped = [(a ^ b).bit_count() for a, b in zip(seen, TEXT, strict=True) if a != b]
    assert set(flipped) == {1}
    assert 3 <= len(flipped) <= 25


@pytest.mark.parametrize("place", [0, 1, 50, 99])
def test_one_bit_at_a_chosen_place(place):
    fault = toxics.Corrupt(after_bytes=place, every_bytes=1, count=1)
    seen = bytes_of(run(fed(pipe_of(fault), (0.0, TEXT[:60]), (0.0, TEXT[60:]))))
    assert [at for at in range(100) if seen[at] != TEXT[at]] == [place]


def test_duplicates_repeat_the_last_bytes():
    fault = toxics.Duplicate(size_bytes=5, every_bytes=1, count=1, after_bytes=9)
    assert bytes_of(run(fed(pipe_of(fault), (0.0, TEXT)))) == TEXT[:10] + TEXT[9:]
    fault = toxics.Duplicate(size_bytes=3, every_bytes=40)
    whole = bytes_of(run(fed(pipe_of(fault), (0.0, TEXT))))
    bitwise = bytes_of(run(fed(pipe_of(fault), *[(0.0, TEXT[at : at + 1]) for at in range(100)])))
    assert whole == bitwise
    assert len(whole) > 100
    assert (len(whole) - 100) % 3 == 0


# --- By frame


def test_a_stall_stops_inside_a_frame():
    stream = b"".join(FRAMES)
    start = len(FRAMES[0]) + len(FRAMES[1]) + 17
    fault = toxics.Stall(mti="0210", frame=2, at_byte=17, for_s=3.0)
    seen = run(fed(pipe_of(fault), (1.0, stream)))
    assert bytes_of(seen) == stream
    assert bytes_of([(at_s, data) for at_s, data in seen if at_s == 1.0]) == stream[:start]
    assert bytes_of([(at_s, data) for at_s, data in seen if at_s == 4.0]) == stream[start:]


def test_a_stall_without_end_lasts_until_it_is_removed():
    stream = b"".join(FRAMES)
    pipe = fed(pipe_of(toxics.Stall(at_byte=20)), (0.0, stream), end_s=1.0)
    assert bytes_of(run(pipe)) == stream[:20]
    assert pipe.held_bytes == len(stream) - 20
    pipe.remove("0", 9.0)
    seen = [(item.at_s, item.data or item.what) for item in pipe.take(9.0)]
    assert {at_s for at_s, _ in seen} == {9.0}
    assert bytes_of(seen) == stream[20:]
    assert whats(seen) == [What.END]
    assert pipe.held_bytes == 0


def test_a_dropped_frame_is_missing_as_a_whole():
    pieces = [(0.0, bytes([byte])) for byte in b"".join(FRAMES)]
    seen = run(fed(pipe_of(toxics.DropFrame(mti="0210", frame=1)), *pieces))
    assert bytes_of(seen) == FRAMES[0] + FRAMES[2] + FRAMES[3]
    seen = run(fed(pipe_of(toxics.DropFrame(frame=2, count=0)), *pieces))
    assert bytes_of(seen) == FRAMES[0]


def test_a_delayed_frame_delays_what_follows():
    pieces = [(float(number), one) for number, one in enumerate(FRAMES)]
    seen = run(fed(pipe_of(toxics.DelayFrame(mti="0210", delay_s=1.5)), *pieces))
    assert seen == [(0.0, FRAMES[0]), (2.5, FRAMES[1]), (2.5, FRAMES[2]), (3.0, FRAMES[3])]


@pytest.mark.parametrize(
    "fault", [toxics.Stall(frame=9), toxics.DropFrame(frame=9), toxics.DelayFrame(delay_s=1, frame=9)]
)
def test_bytes_that_are_no_frames_pass_too(fault):
    noise = b"noise on the line" + FRAMES[0] + b"\x00more" + FRAMES[1][:30]
    assert bytes_of(run(fed(pipe_of(fault), (0.0, noise), end_s=1.0))) == noise


# --- When, how often, in which order


@pytest.mark.parametrize("kind", KINDS.values())
def test_before_its_onset_a_fault_does_nothing(kind):
    fields = {"delay_s": 1.0, "bytes_per_s": 10.0, "size_bytes": 3, "wait_s": 1.0, "every_bytes": 2}
    values = {name: value for name, value in fields.items() if name in kind.__struct_fields__}
    for onset in ({"after_bytes": 101}, {"after_s": 50.0}, {"after_bytes": 100, "after_s": 50.0}):
        pipe = fed(pipe_of(kind(**values, **onset, direction=UP)), (0.0, TEXT[:50]), (1.0, TEXT[50:]))
        assert run(pipe, until_s=49.0) == [(0.0, TEXT[:50]), (1.0, TEXT[50:])]


def test_both_onsets_must_have_come():
    fault = toxics.BlackHole(after_bytes=10, after_s=5.0)
    assert bytes_of(run(fed(pipe_of(fault), (0.0, TEXT[:20]), (4.9, b"a"), (5.0, b"b")))) == TEXT[:20] + b"a"


def test_the_time_of_onset_counts_from_when_the_fault_was_added():
    pipe = pipe_of(now_s=100.0)
    pipe.add("hole", toxics.BlackHole(after_s=5.0), 110.0)
    assert bytes_of(run(fed(pipe, (114.0, b"a"), (115.0, b"b")))) == b"a"


def test_a_fault_of_the_other_direction_does_not_act():
    assert pipe_of(toxics.BlackHole(direction=DOWN), direction=UP).touched() == {}


def test_probability_is_the_share_of_connections():
    fault = toxics.BlackHole(probability=0.25)
    hit = sum(not run(fed(pipe_of(fault, seed=f"7/{number}"), (0.0, b"x"))) for number in range(1000))
    assert 200 <= hit <= 300


def test_faults_act_in_their_order():
    limit, latency = toxics.Limit(size_bytes=10), toxics.Latency(delay_s=1.0)
    both = [(1.0, TEXT[:10]), (1.0, What.CLOSE)]
    assert run(fed(pipe_of(limit, latency), (0.0, TEXT))) == both
    drop_then_slice = pipe_of(toxics.DropFrame(), toxics.Slice(size_bytes=10))
    assert bytes_of(run(fed(drop_then_slice, (0.0, FRAMES[0] + FRAMES[1])))) == FRAMES[1]


def test_what_a_removed_fault_held_meets_the_faults_behind_it_and_keeps_its_place():
    pipe = pipe_of(toxics.Latency(delay_s=100.0), toxics.Drip(size_bytes=50, every_s=1.0))
    fed(pipe, (0.0, TEXT))
    assert run(pipe, until_s=50.0) == []
    pipe.remove("0", 10.0)
    pipe.feed(b"after", 10.0)
    assert run(pipe) == [(10.0, TEXT[:50]), (11.0, TEXT[50:]), (12.0, b"after")]


def test_a_fault_of_the_same_name_replaces_the_old_one():
    pipe = pipe_of(toxics.Latency(delay_s=100.0))
    fed(pipe, (0.0, b"old"))
    pipe.take(0.0)
    pipe.add("0", toxics.Latency(delay_s=1.0), 5.0)
    pipe.feed(b"new", 5.0)
    assert run(pipe) == [(5.0, b"old"), (6.0, b"new")]


def test_a_late_look_does_not_make_a_fault_longer():
    pipe = fed(pipe_of(toxics.Latency(delay_s=1.0), toxics.Drip(every_s=1.0)), (0.0, b"abc"))
    assert [(item.at_s, item.data) for item in pipe.take(60.0)] == [(1.0, b"a"), (2.0, b"b"), (3.0, b"c")]


def test_removing_what_is_not_there_is_nothing():
    pipe = pipe_of()
    pipe.remove("nothing", 0.0)
    assert run(fed(pipe, (0.0, b"x"))) == [(0.0, b"x")]


def test_a_pipe_says_when_it_is_full_and_when_no_more():
    pipe = pipe_of(toxics.Latency(delay_s=1.0), buffer_bytes=100)
    pipe.feed(TEXT[:99], 0.0)
    pipe.take(0.0)
    assert not pipe.is_full
    pipe.feed(b"x", 0.5)
    pipe.take(0.5)
    assert pipe.is_full
    pipe.take(1.0)
    assert not pipe.is_full
    assert BUFFER_BYTES == 65536


def test_touched_counts_the_bytes_that_met_a_fault_also_after_it_is_gone():
    pipe = fed(pipe_of(toxics.BlackHole(after_bytes=10)), (0.0, TEXT))
    run(pipe)
    assert pipe.touched() == {"0": 90}
    pipe.remove("0", 1.0)
    assert pipe.touched() == {"0": 90}


# --- Repeatable


def random_faults(rng):
    """Some faults with chance in them, drawn by a test's own seed."""
    choices = [
        toxics.Latency(delay_s=0.2, jitter_s=0.2),
        toxics.Slice(size_bytes=9, vary_bytes=8, gap_s=0.01),
        toxics.Corrupt(every_bytes=30),
        toxics.Duplicate(size_bytes=7, every_bytes=60),
        toxics.Bandwidth(bytes_per_s=500),
        toxics.DropFrame(frame=2, probability=0.5),
        toxics.Stall(for_s=1.0, frame=2),
        toxics.Reset(after_bytes=150, probability=0.3),
    ]
    return rng.sample(choices, rng.randint(1, len(choices)))


@pytest.mark.parametrize("seed", range(20))
def test_the_same_seed_and_traffic_make_the_same_faults(seed):
    def once(pipe_seed):
        rng = random.Random(seed)
        pipe = pipe_of(*random_faults(rng), seed=pipe_seed)
        at_s = 0.0
        for one in FRAMES * 2:
            at_s += rng.random()
            pipe.feed(one, at_s)
        pipe.end(at_s)
        return run(pipe)

    assert once(f"{seed}/1") == once(f"{seed}/1")


def test_another_seed_makes_other_faults():
    seen = {
        bytes_of(run(fed(pipe_of(toxics.Corrupt(every_bytes=20), seed=str(seed)), (0.0, TEXT)))) for seed in range(9)
    }
    assert len(seen) == 9


def test_one_more_fault_does_not_change_the_chances_of_the_others():
    alone = pipe_of(toxics.Corrupt(every_bytes=10))
    with_another = Pipe(
        UP, {"0": toxics.Corrupt(every_bytes=10), "other": toxics.Slice(size_bytes=9, vary_bytes=8)}, seed="s"
    )
    assert bytes_of(run(fed(alone, (0.0, TEXT)))) == bytes_of(run(fed(with_another, (0.0, TEXT))))
