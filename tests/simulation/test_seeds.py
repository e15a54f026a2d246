"""200 seeds of small campuses, in parts that several processes can share."""

from __future__ import annotations

import pytest

from tests.simulation.faults import KINDS, Fault
from tests.simulation.report import Summary, failure_lines
from tests.simulation.simulator import Options, Simulation, run_to_end, simulate
from tests.simulation.world import World

SEEDS = 200
PARTS = 20
OPTIONS = Options(small=True)


def run(seeds: range) -> Summary:
    summary = Summary()
    for seed in seeds:
        summary.add(simulate(seed, OPTIONS))
    return summary


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_an_invariant(part):
    size = SEEDS // PARTS
    summary = run(range(1 + part * size, 1 + (part + 1) * size))
    failed = [line for result in summary.failed for line in failure_lines(result, OPTIONS, None)]
    assert not failed, "\n".join(failed)
    assert summary.sales > 20, "a lunch without sales tests nothing"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS])
def test_each_kind_of_fault_alone_breaks_nothing(kind):
    """A plan of one kind: each is seen to strike, whatever the swarm draws."""
    rng = World(1).rng(kind)
    plan = [Fault(number, 8.0 * (number + 1), kind, number, KINDS[kind](rng)) for number in range(6)]
    result = run_to_end(Simulation(1, Options(terminals=3, minutes=1), plan))
    assert result.violations == []
    assert result.counts[f"fault {kind}"] == len(plan)
