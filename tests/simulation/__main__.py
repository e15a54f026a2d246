"""R1: `python -m tests.simulation --seeds 200` runs that many lunches, `--seed 7` replays one.

Every seed is a campus of its own: how many terminals, how long, what goes wrong and when. A failure prints its seed,
the shortest list of faults that still shows it, and the command that shows it again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.rigs import counters
from tests.rigs.command import at_least
from tests.simulation.process import prepare
from tests.simulation.report import Summary, failure_lines
from tests.simulation.shrink import shrink_result
from tests.simulation.simulator import Options, Result, simulate

ROOT: Final = Path(__file__).resolve().parents[2]
TWICE_EVERY: Final = 100
"""One seed in so many is run again in two other processes with other hash seeds (I22)."""
SHRINK_MAX: Final = 3
"""Failures that are shrunk; the others are only named."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=at_least(1), default=20, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one only, and say more of it")
    parser.add_argument("--faults", help="numbers of the faults to keep, like 3,7,12; empty: none")
    parser.add_argument("--terminals", type=int, default=0, help="terminals of each campus; 0: drawn")
    parser.add_argument("--minutes", type=float, default=0.0, help="of selling; 0: drawn")
    parser.add_argument("--small", action="store_true", help="few terminals, a short lunch")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happened")
    parser.add_argument("--stop-at-first", action="store_true", help="no more seeds after one that fails")
    parser.add_argument("--no-shrink", action="store_true", help="only name the seeds that fail")
    parser.add_argument("--digest", action="store_true", help="with --seed: print only the digest of its trace")
    parser.add_argument("--record", action="store_true", help="add the counts to docs/reliability.json")
    parser.add_argument("--json", type=Path, help="write the summary to this file")
    return parser.parse_args(arguments)


def results(seeds: range, options: Options, jobs: int) -> Iterator[Result]:
    """Run the seeds; in the order they are done."""
    if jobs == 1:
        yield from (simulate(seed, options) for seed in seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, prepare) as pool:
        yield from pool.imap_unordered(partial(simulate, options=options), seeds)


def digest_elsewhere(seed: int, options: Options, hash_seed: int) -> str:
    """The digest of a seed in a process of its own."""
    words = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--digest"]
    words += ["--terminals", str(options.terminals), "--minutes", str(options.minutes)]
    words += ["--small"] if options.small else []
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()[-400:]


def check_determinism(summary: Summary, options: Options) -> list[str]:
    """I22: some of the seeds again, elsewhere; what differs."""
    wrong = []
    for seed in sorted(summary.digests)[::TWICE_EVERY]:
        for hash_seed in (1, 2):
            digest = digest_elsewhere(seed, options, hash_seed)
            if digest != summary.digests[seed]:
                wrong.append(f"I22: seed {seed}: digest {summary.digests[seed]}, with hash seed {hash_seed}: {digest}")
    return wrong


def run_one(seed: int, options: Options, *, trace: bool, shrinks: bool) -> int:
    """One seed, with everything there is to say of it."""
    result = simulate(seed, options)
    if trace:
        print("\n".join(result.trace))
    summary = Summary()
    summary.add(result)
    for fault in result.plan:
        print(f"  {fault}")
    print(*summary.lines(), f"digest {result.digest}", sep="\n")
    if result.violations:
        shortest = shrink_result(result, options) if shrinks and options.faults is None else None
        print(*failure_lines(result, options, shortest), sep="\n")
    return 1 if result.violations else 0


def main(arguments: list[str]) -> int:
    """Exit code 0 only if nothing is violated."""
    wanted = parse(arguments)
    faults = None
    if wanted.faults is not None:
        faults = tuple(int(number) for number in wanted.faults.split(",") if number)
    options = Options(terminals=wanted.terminals, minutes=wanted.minutes, small=wanted.small, faults=faults)
    if wanted.seed is not None:
        if wanted.digest:
            print(simulate(wanted.seed, options).digest)
            return 0
        options = msgspec.structs.replace(options, keep_trace=wanted.trace)
        return run_one(wanted.seed, options, trace=wanted.trace, shrinks=not wanted.no_shrink)
    summary = Summary()
    for result in results(range(wanted.first, wanted.first + wanted.seeds), options, wanted.jobs):
        summary.add(result)
        if result.violations:
            shortest = None
            if not wanted.no_shrink and len(summary.failed) <= SHRINK_MAX:
                shortest = shrink_result(result, options)
            print(*failure_lines(result, options, shortest), sep="\n", flush=True)
            if wanted.stop_at_first:
                return 1
    wrong = check_determinism(summary, options)
    print(*wrong, *summary.lines(), f"determinism: {len(wrong)} digests differ", sep="\n")
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(summary.to_json(), indent=1) + "\n", encoding="utf-8")
    violations = len(wrong) + sum(len(result.violations) for result in summary.failed)
    if wanted.record:
        record(summary, violations)
    return 1 if violations else 0


def record(summary: Summary, violations: int) -> None:
    """Add this run to the rigs' memory."""
    counts = {
        "seeds": summary.seeds,
        "sales": summary.sales,
        "faults": sum(summary.faults.values()),
        "host_lives": summary.counts["host lives"],
        "virtual_s": int(summary.virtual_s),
        "terminal_s": int(summary.terminal_s),
    }
    figures = summary.to_json()
    note = (
        f"{figures['sales_per_cpu_s']:.0f} sales per processor second, {figures['times_real_time']:.0f} x real time,"
        f" {len(summary.faults)} kinds of faults"
    )
    counters.add("simulation", counts, violations=violations, cpu_s=summary.cpu_s, note=note)


if __name__ == "__main__":
    prepare()
    sys.exit(main(sys.argv[1:]))
