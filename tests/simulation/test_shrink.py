"""The shortest list of faults is found, and what cannot be made shorter is left alone."""

from __future__ import annotations

from random import Random

from tests.simulation.faults import KINDS, RARE, Fault, draw_plan
from tests.simulation.report import failure_lines
from tests.simulation.shrink import shrink, shrink_result
from tests.simulation.simulator import Options, Simulation, run_to_end
from tests.simulation.store import SimStore


def test_two_faults_that_only_fail_together_are_found_among_a_hundred():
    asked = []

    def fails(part: tuple[int, ...]) -> bool:
        asked.append(part)
        return {17, 63} <= set(part)

    assert shrink(range(100), fails, runs_max=500) == (17, 63)
    assert len(asked) < 100


def test_a_failure_without_any_fault_needs_none():
    assert shrink(range(100), lambda _part: True, runs_max=10) == ()


def test_what_needs_every_fault_stays_whole():
    whole = (3, 5, 9)
    assert shrink(whole, lambda part: part == whole, runs_max=100) == whole


def test_it_stops_asking_after_its_runs():
    asked = []

    def fails(part: tuple[int, ...]) -> bool:
        asked.append(part)
        return 63 in part

    shrink(range(64), fails, runs_max=5)
    assert len(asked) == 5


def test_plans_are_drawn_from_the_seed_in_order_and_from_all_kinds():
    plans = [draw_plan(Random(seed), 5, 600.0) for seed in range(60)]
    assert draw_plan(Random(7), 5, 600.0) == plans[7]
    for plan in plans:
        assert [fault.number for fault in plan] == [*range(len(plan))]
        assert [fault.at_s for fault in plan] == sorted(fault.at_s for fault in plan)
    assert {fault.kind for plan in plans for fault in plan} | RARE == {*KINDS}
    assert any(not plan for plan in plans), "some days nothing goes wrong"
    assert len({frozenset(fault.kind for fault in plan) for plan in plans}) > 40, "swarm: other kinds for other seeds"


def test_a_planted_bug_is_found_and_brought_down_to_the_fault_that_shows_it(monkeypatch):
    """The store says that a commit worked when the disk was full: only faults of kind "full" can show it."""
    monkeypatch.setattr(SimStore, "_before_commit", swallow)
    options = Options(terminals=3, minutes=1.0)
    seed = next(seed for seed in range(1, 50) if "full" in kinds_of(seed, options))
    result = run_to_end(Simulation(seed, options))
    assert result.violations
    shortest = shrink_result(result, options, runs_max=40)
    assert {fault.kind for fault in shortest.plan} == {"full"}
    assert len(shortest.plan) <= 2
    text = "\n".join(failure_lines(result, options, shortest))
    numbers = ",".join(str(fault.number) for fault in shortest.plan)
    assert f"--seed {seed} --faults={numbers} --terminals 3 --minutes 1" in text
    again = run_to_end(
        Simulation(seed, Options(terminals=3, minutes=1.0, faults=tuple(f.number for f in shortest.plan)))
    )
    assert again.digest == shortest.digest


def kinds_of(seed: int, options: Options) -> set[str]:
    simulation = Simulation(seed, options)
    simulation.host.disk.close()
    return {fault.kind for fault in simulation.plan}


def swallow(store: SimStore) -> None:
    """Rolls back without a word."""
    if store._trouble.full:
        store.inner.execute("ROLLBACK")
        store.inner.execute("BEGIN")


def test_a_fault_says_all_of_itself():
    fault = Fault(3, 12.5, "lag", 4, {"for_s": 2.0, "latency_s": 0.25})
    assert str(fault) == "#3 at 12.5 s: lag terminal 4 for_s=2 latency_s=0.25"
