"""`python -m tests.torture`: ends the product at every operation of its disk and says what was lost."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.rigs import counters
from tests.rigs.command import at_least, run
from tests.torture.plan import Result, replay, shares, torture
from tests.torture.scenarios import SCENARIOS

SHOWN_MAX: Final = 20
"""Violations printed: more of them are the same one again."""


def main() -> int:
    arguments = _arguments()
    if arguments.list:
        print("\n".join(SCENARIOS))
        return 0
    if arguments.point:
        try:
            results = [replay(arguments.point)]
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        return _report(results, arguments)
    names = [arguments.scenario] if arguments.scenario else [*SCENARIOS]
    work = shares(arguments.points, arguments.seed, names)
    if arguments.jobs > 1:
        with ProcessPoolExecutor(arguments.jobs) as pool:
            results = [*pool.map(torture, work)]
    else:
        results = [torture(share) for share in work]
    return _report(results, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument(
        "--points",
        type=at_least(1),
        default=100_000,
        help="crash points, beside those that follow a fault (default 100000)",
    )
    parser.add_argument("--scenario", choices=[*SCENARIOS], metavar="NAME", help="one scenario; --list names them")
    parser.add_argument("--seed", type=int, default=1, help="of all dice (default 1)")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="processes (default 1)")
    parser.add_argument("--point", help="replay one point, as a violation names it")
    parser.add_argument("--record", action="store_true", help="add the run to docs/reliability.json")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    return parser.parse_args()


def _report(results: list[Result], arguments: argparse.Namespace) -> int:
    tally = sum((result.tally for result in results), Counter())
    violations = [violation for result in results for violation in result.violations]
    cpu_s = sum(result.cpu_s for result in results)
    faults = {name.removeprefix("fault_"): count for name, count in sorted(tally.items()) if name.startswith("fault_")}
    counts = {
        "crash_points": tally["crash_points"],
        "recoveries": tally["recoveries"],
        "second_lives": tally["second_lives"],
        "faults": sum(faults.values()),
    }
    print(
        f"{len(results)} scenarios, seed {arguments.seed}: {counts['crash_points']} crash points"
        f" ({counts['recoveries']} different disks recovered from, {counts['second_lives']} recoveries crashed again),"
        f" {counts['faults']} faults, {cpu_s:.1f} CPU s, {counts['crash_points'] / max(cpu_s, 1e-9):.0f} points/CPU s"
    )
    if faults:
        print("faults: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in faults.items()))
    print(f"violations: {len(violations)}")
    for violation in violations[:SHOWN_MAX]:
        print(f"  {violation.point}: {violation.fault}")
        print(f"    again: python -m tests.torture --point '{violation.point.partition(' ')[0]}'")
    if len(violations) > SHOWN_MAX:
        print(f"  ... and {len(violations) - SHOWN_MAX} more")
    if arguments.record:
        counters.add("torture", counts, violations=len(violations), cpu_s=cpu_s, note=f"{len(results)} scenarios")
    return 1 if violations else 0


if __name__ == "__main__":
    run(main)
