"""Plans are read exactly, and what cannot be read is said with its line, what was expected and what came."""

import pytest

from tools.proxy import toxics
from tools.proxy.plan import STEPS_MAX, Plan, PlanError, Step, parse_plan, plan_of
from tools.proxy.toxics import KINDS, Direction, toxic_from

TEXT = """
# A switch that dies slowly.
seed 7
at 0 s: latency delay_s=0.04 jitter_s=0.01

at 3.0 s: narrow = bandwidth down bytes_per_s=2000   # both ways would be worse
at 5s: reset probability=0.5
at 8 s: remove narrow
at 9 s: clear
"""


def test_a_plan_is_read_as_written():
    assert parse_plan(TEXT) == Plan(
        (
            Step(0.0, "latency", toxics.Latency(delay_s=0.04, jitter_s=0.01)),
            Step(3.0, "narrow", toxics.Bandwidth(direction=Direction.DOWN, bytes_per_s=2000)),
            Step(5.0, "reset", toxics.Reset(probability=0.5)),
            Step(8.0, "narrow"),
            Step(9.0),
        ),
        seed=7,
    )
    assert parse_plan(TEXT).ends_s == 9.0


def test_an_empty_plan_is_a_plan():
    assert parse_plan("# nothing\n") == Plan(())
    assert Plan(()).ends_s == 0.0


SAMPLES = {
    "latency": "delay_s=1 jitter_s=0.5",
    "bandwidth": "bytes_per_s=100",
    "slice": "size_bytes=3 vary_bytes=2 gap_s=0.1",
    "drip": "size_bytes=2 every_s=0.5",
    "slow_close": "delay_s=3",
    "reset": "after_bytes=100",
    "timeout": "wait_s=2 after_s=1",
    "limit": "size_bytes=64",
    "black_hole": "",
    "cut": "up",
    "corrupt": "every_bytes=100 count=2",
    "duplicate": "size_bytes=4 every_bytes=50",
    "stall": "down mti=0210 frame=2 at_byte=17 for_s=3",
    "drop_frame": "mti=0210 frame=3 count=2",
    "delay_frame": "delay_s=2.5 mti=0210",
}


def test_every_kind_has_a_sample_here():
    assert set(SAMPLES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_written(kind):
    [step] = parse_plan(f"at 1 s: {kind} {SAMPLES[kind]}").steps
    assert type(step.toxic) is KINDS[kind]
    assert step.toxic.kind == step.name == kind
    for word in SAMPLES[kind].split():
        name, equals, value = word.partition("=")
        if equals:
            found = getattr(step.toxic, name)
            assert str(found) == value if isinstance(found, str) else found == float(value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("at 1 s: latncy delay_s=1", "expected a fault (latency, bandwidth, "),
        ("at 1 s: latncy delay_s=1", "got 'latncy'; did you mean latency?"),
        ("at 1 s: latency", "latency: expected delay_s=..., got none"),
        ("at 1 s: latency delay_s=soon", "latency: delay_s: expected a number, got 'soon'"),
        ("at 1 s: latency delay_s=-1", "latency: delay_s: expected a number >= 0.0, got '-1'"),
        ("at 1 s: latency delay=1", "latency: expected field=value with one of delay_s, jitter_s, after_bytes, "),
        ("at 1 s: latency delay=1", "probability, got 'delay=1'"),
        ("at 1 s: latency delay_s=1 delay_s=2", "latency: expected delay_s once, got it twice"),
        ("at 1 s: latency delay_s=1 down", "latency: expected field=value"),
        ("at 1 s: latency delay_s=", "got 'delay_s='"),
        ("at 1 s: reset probability=1.5", "reset: probability: expected a number <= 1.0, got '1.5'"),
        ("at 1 s: cut", "cut: expected the one direction that is cut, up or down; black_hole cuts both"),
        ("at 1 s: stall mti=02", "stall: mti: expected text matching regex '^[0-9]{4}"),
        ("at -1 s: reset", "time: expected 0..86400 s, like `at 3.5 s`, got '-1'"),
        ("at nan s: reset", "got 'nan'"),
        ("at 90000 s: reset", "got '90000'"),
        ("at 1 s:", "expected `at SECONDS s: FAULT [up|down] [field=value ...]`, "),
        ("1 s: reset", "or `at ...: clear`, got '1 s: reset'"),
        ("at 1 s: remove", "expected `remove NAME`, got 'remove'"),
        ("at 1 s: remove nobody", "remove: expected the name of a fault above, got 'nobody'"),
        ("at 0.5 s: reset", "expected a time of at least 1 s, got 0.5 s: steps in order"),
        ("seed", "expected `seed NUMBER`, got 'seed'"),
        ("seed x", "expected `seed NUMBER`, got 'seed x'"),
    ],
)
def test_what_cannot_be_read_is_said(line, says):
    with pytest.raises(PlanError) as caught:
        parse_plan(f"at 1 s: reset\n\n{line}\n", "bad.plan")
    assert str(caught.value).startswith("bad.plan: line 3: ")
    assert says in str(caught.value)


def test_a_plan_has_a_largest_size():
    with pytest.raises(PlanError, match=f"line {STEPS_MAX + 1}: expected at most {STEPS_MAX} steps"):
        parse_plan("at 1 s: clear\n" * (STEPS_MAX + 1))


def test_steps_of_a_list_are_put_in_order():
    late, early, too = Step(2.0), Step(1.0, "x", toxics.Reset()), Step(2.0, "x")
    assert plan_of([late, too, early], seed=3) == Plan((early, late, too), 3)
    with pytest.raises(PlanError, match=r"time: expected 0\.\.86400 s, got -1"):
        plan_of([Step(-1)])


def test_a_toxic_from_its_fields():
    assert toxic_from("limit", {"size_bytes": "3", "direction": "up"}) == toxics.Limit(
        size_bytes=3, direction=Direction.UP
    )
