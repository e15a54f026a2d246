"""The switch in trio does what it says, and a run is the same everywhere (after trio's test_scheduler_determinism)."""

from __future__ import annotations

import gc

import pytest
import trio

from tests.simulation import determinism
from tests.simulation.__main__ import digest_elsewhere
from tests.simulation.determinism import Sleeper, Stuck, VirtualTime
from tests.simulation.simulator import Options, simulate
from tests.simulation.world import World

SMALL = Options(small=True, minutes=0.5)


async def looks_for_ever() -> None:
    while True:
        await trio.lowlevel.checkpoint()


def order_of_ten_tasks(seed: int) -> tuple[int, ...]:
    trace = []

    async def step(number: int) -> None:
        for _ in range(10):
            await trio.lowlevel.checkpoint()
            trace.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(step, number)

    determinism.run(seed, VirtualTime(), main)
    return tuple(trace)


def test_a_seed_fixes_the_order_of_the_scheduler():
    assert order_of_ten_tasks(1) == order_of_ten_tasks(1)
    assert len({order_of_ten_tasks(seed) for seed in range(5)}) == 5


def test_time_passes_only_when_everybody_waits_and_then_exactly():
    time, seen = VirtualTime(), []

    async def main() -> None:
        start = time.now
        time.after(0.3, lambda: seen.append(("timer", time.now - start)))
        with trio.move_on_after(0.1):
            await trio.sleep_forever()
        seen.append(("deadline", trio.current_time() - start))
        await time.sleep(5)
        seen.append(("sleep", time.now - start))

    determinism.run(1, time, main)
    assert [(name, round(at, 9)) for name, at in seen] == [("deadline", 0.1), ("timer", 0.3), ("sleep", 5.1)]


def test_a_sleep_can_be_cancelled_and_a_sleeper_cannot():
    time, ended = VirtualTime(), []

    async def main() -> None:
        start = time.now
        with trio.move_on_after(1):
            await time.sleep(9)
        ended.append(time.now - start)
        with trio.move_on_after(1):
            await Sleeper(time).sleep(9)
        ended.append(time.now - start)

    determinism.run(1, time, main)
    assert ended == [1, 10]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("main", [trio.sleep_forever, looks_for_ever])
def test_a_run_that_gets_nowhere_says_so(main):
    with pytest.raises(trio.TrioInternalError) as caught:
        determinism.run(1, VirtualTime(looks_max=1_000), main)
    assert isinstance(caught.value.__cause__, Stuck)
    del caught
    gc.collect()  # what trio was in the middle of complains, here and not in another test


def test_streams_of_randomness_do_not_touch_each_other():
    one, other = World(7), World(7)
    one.rng("noise").random()
    assert one.rng("plan").random() == other.rng("plan").random()
    assert World(7).rng("plan").random() != World(8).rng("plan").random()


def test_the_same_seed_gives_the_same_trace():
    assert simulate(3, SMALL).digest == simulate(3, SMALL).digest
    assert simulate(3, SMALL).digest != simulate(4, SMALL).digest


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trace_in_other_processes():
    here = simulate(4, SMALL)
    assert here.exact, "the exact disk, too"
    assert {digest_elsewhere(4, SMALL, hash_seed) for hash_seed in (1, 2)} == {here.digest}
