"""`python -m tests.kill`: kills the host, its load and its database, and says whether any answer was lost."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from tests.kill.rig import Rig
from tests.postgres import PostgresServer
from tests.rigs import counters
from tests.rigs.command import at_least, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--kills", type=at_least(1), default=300, help="processes killed in all (default 300)")
    parser.add_argument("--store", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1, help="of all dice (default 1)")
    parser.add_argument("--record", action="store_true", help="add the run to docs/reliability.json")
    arguments = parser.parse_args()
    stores = ("sqlite", "postgres") if arguments.store == "both" else (arguments.store,)
    violations = 0
    for number, store in enumerate(stores):
        kills = arguments.kills // len(stores) + (arguments.kills % len(stores) if number == 0 else 0)
        violations += _campaign(store, kills, arguments)
    return 1 if violations else 0


def _campaign(store: str, kills: int, arguments: argparse.Namespace) -> int:
    started_s, cpu_s = time.monotonic(), _cpu_s()
    with tempfile.TemporaryDirectory(prefix="fanka-kill-") as name:
        server = PostgresServer() if store == "postgres" else None
        try:
            rig = Rig(Path(name), arguments.seed, postgres=server)
            try:
                rig.run(kills)
            finally:
                rig.close()
        finally:
            if server is not None:
                server.close()
    cpu_s = _cpu_s() - cpu_s
    _print(store, rig, time.monotonic() - started_s, arguments.seed)
    if arguments.record:
        counts = {
            f"kills_{store}": rig.tally["kills"],
            "stops": rig.tally["stops"],
            "approvals": rig.load.events.get("approved", 0),
            "asked_again": rig.load.events.get("same", 0),
        }
        note = f"{store}: {'; '.join(_gaps(rig))}"
        counters.add("kill", counts, violations=len(rig.violations), cpu_s=cpu_s, note=note)
    return len(rig.violations)


def _cpu_s() -> float:
    """Processor time of all processes that were started here and have ended, and of this one."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _gaps(rig: Rig) -> list[str]:
    """Percentiles of the time without approvals, by what was killed."""
    found = []
    for kind, gaps_s in sorted(rig.gaps_s.items()):
        ordered_s = sorted(gaps_s)
        p50_s, p99_s = (ordered_s[min(len(ordered_s) - 1, len(ordered_s) * percent // 100)] for percent in (50, 99))
        found.append(
            f"gap after {kind} (n={len(ordered_s)}) p50 {p50_s:.2f} s, p99 {p99_s:.2f} s, max {ordered_s[-1]:.2f} s"
        )
    return found


def _print(store: str, rig: Rig, wall_s: float, seed: int) -> None:
    tally, events = rig.tally, rig.load.events
    actions = ", ".join(f"{name} {count}" for name, count in sorted(tally.items()) if name not in ("kills", "checks"))
    print(f"{store}, seed {seed}: {tally['kills']} kills, {tally['checks']} audits in {wall_s:.0f} s ({actions})")
    print(
        f"  load: {events.get('approved', 0)} approvals, {events.get('same', 0)} asked again with the same answer,"
        f" {events.get('late', 0)} timeouts, {events.get('lost', 0)} lost connections"
    )
    for gap in _gaps(rig):
        print(f"  {gap}")
    starts_s = sorted(rig.starts_s)
    print(f"  from start to serving: median {starts_s[len(starts_s) // 2]:.2f} s, max {starts_s[-1]:.2f} s")
    print(f"  violations: {len(rig.violations)}")
    for violation in rig.violations[:10]:
        print(f"    {violation}")
    if rig.violations:
        print(f"    again: python -m tests.kill --store {store} --kills {tally['kills']} --seed {seed}")


if __name__ == "__main__":
    run(main)
