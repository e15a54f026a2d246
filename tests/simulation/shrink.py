"""The shortest list of faults that still breaks an invariant: delta debugging (ddmin, Zeller and Hildebrandt 2002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tests.simulation.simulator import Options, Result, simulate

Fails = Callable[[tuple[int, ...]], bool]


def shrink(numbers: Sequence[int], fails: Fails, *, runs_max: int) -> tuple[int, ...]:
    """A part of `numbers` that still fails and from which no single piece tried could be taken away.

    `fails` is asked `runs_max` times at most; then the shortest found so far is given.
    """
    found, pieces, runs = tuple(numbers), 2, 0

    def try_it(part: tuple[int, ...]) -> bool:
        nonlocal runs
        runs += 1
        return runs <= runs_max and fails(part)

    if try_it(()):
        return ()
    while len(found) > 1 and runs < runs_max:
        size = -(-len(found) // pieces)
        cuts = [found[start : start + size] for start in range(0, len(found), size)]
        smaller = next((cut for cut in cuts if try_it(cut)), None)
        if smaller is not None:
            found, pieces = smaller, 2
            continue
        rests = [tuple(number for number in found if number not in cut) for cut in cuts]
        smaller = next((rest for rest in rests if len(cuts) > 2 and try_it(rest)), None)
        if smaller is not None:
            found, pieces = smaller, max(2, pieces - 1)
        elif size == 1:
            break
        else:
            pieces = min(len(found), pieces * 2)
    return found


def shrink_result(result: Result, options: Options, *, runs_max: int = 60, cpu_max_s: float = 40.0) -> Result:
    """The run of the fewest faults found that breaks the same invariant as `result` did first.

    It takes `runs_max` runs at most, and none is begun after `cpu_max_s` of processor time: then the shortest found.
    """
    spent_s = 0.0
    wanted = result.violations[0].invariant
    best = result

    def fails(part: tuple[int, ...]) -> bool:
        nonlocal best, spent_s
        if spent_s > cpu_max_s:
            return False
        again = simulate(result.seed, msgspec.structs.replace(options, faults=part))
        spent_s += again.cpu_s
        if not any(violation.invariant == wanted for violation in again.violations):
            return False
        best = again
        return True

    shrink([fault.number for fault in result.plan], fails, runs_max=runs_max)
    return best
