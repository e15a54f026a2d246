"""`python -m tests.floods`: every flood against a real host, and what honest terminals notice of it.

Calm and attacked windows take turns within one run, so that a machine that drifts drifts for both; what counts is the
median of their ratios. The attacker runs at the lowest priority (see attackers.py). Ends by itself; about five minutes.
Exit code 1 if an invariant broke; a missed goal is said, and is no broken invariant.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading
import time
from pathlib import Path

import msgspec

from tests.floods import report
from tests.floods.attackers import FLOODS, NICE, Attack
from tests.floods.honest import Order, Trade
from tests.floods.report import Flood, StormResult
from tests.floods.schedule import Schedule
from tests.floods.site import Child, Site, Watch, site_with
from tests.floods.storm import Return, Storm
from tests.rigs import counters
from tests.rigs.command import at_least
from tests.rigs.command import run as run_command
from tools import audit as money

HONEST = 100
SIGN_ONS = 4
HOSTILE = 20
RATE_PER_S = 1_000.0
PAIRS, SECONDS = 5, 2.5
LEAD_S = 1.0
"""From telling everybody the schedule to its start."""
STORM_TERMINALS = 5_000
STORM_SOURCES = 5_000
DOWN_S = 5.0
"""How long the host stays down before real terminals come back: long enough for their waits to have grown."""
COUNTED = (
    ("handshakes", "result", ("ready", "failed", "timeout")),
    ("connections_refused", "reason", ("source", "crowded", "full")),
)
STORMS = {"storm": True, "storm-backoff": False}


class Rig:
    """One run: a site, its processes, and the sales it was told of."""

    def __init__(self, site: Site, options: argparse.Namespace) -> None:
        self.site = site
        self.options = options
        self.approved: list[money.Acknowledged] = []
        self.honest = site.keys[:HONEST]
        self.sign_ons = site.keys[HONEST : HONEST + SIGN_ONS]
        self.hostile = site.keys[HONEST + SIGN_ONS : HONEST + SIGN_ONS + HOSTILE]

    def flood(self, name: str) -> Flood:
        """One flood: calm, attacked, calm, attacked ... calm."""
        site, options = self.site, self.options
        before = site.metrics()
        with (
            Child("tests.floods.honest") as honest,
            Child("tests.floods.attackers") as attacker,
            Watch(site.process_id) as watch,
        ):
            honest.say(Order(site.address, self.honest, self.sign_ons, site.cards, options.rate, options.seed))
            assert honest.hear() == b"ready\n"
            schedule = Schedule(time.monotonic() + LEAD_S, options.pairs, options.seconds)
            honest.say(schedule)
            attacker.say(Attack(name, site.address, schedule, self.hostile, options.seed, options.nice))
            did = msgspec.json.decode(attacker.hear(), type=dict[str, int])
            trade = msgspec.json.decode(honest.hear(), type=Trade)
        after = site.metrics()
        self._remember(trade)
        return msgspec.convert(
            report.compare(trade, schedule)
            | {
                "name": name,
                "host_cpu_calm": watch.cpu_share(schedule, attack=False),
                "host_cpu_attacked": watch.cpu_share(schedule, attack=True),
                "rss_kib": (watch.before.rss_kib, watch.peak.rss_kib, watch.after.rss_kib),
                "files": (watch.before.files, watch.peak.files, watch.after.files),
                "refused": grown(before, after, "fanka_connections_refused_total"),
                "handshakes_failed": grown(before, after, "fanka_handshakes_total{result=failed}")
                + grown(before, after, "fanka_handshakes_total{result=timeout}"),
                "did": did,
                "violations": self._violations(trade, watch),
            },
            Flood,
        )

    def _remember(self, trade: Trade) -> None:
        self.approved += [
            money.Acknowledged(sale.terminal_id, sale.batch, sale.stan, sale.amount_fen, sale.rrn, sale.payer)
            for sale in trade.approved
        ]

    def _violations(self, trade: Trade, watch: Watch) -> list[str]:
        """What must not be, however hard the flood."""
        found = self.site.audit(self.approved) + self.site.faults()
        if trade.unresolved:
            found.append(f"{trade.unresolved} sales are still open")
        if trade.online_at_end != HONEST:
            found.append(f"{HONEST - trade.online_at_end} honest terminals are not READY again")
        if watch.peak.rss_kib - watch.before.rss_kib > report.RSS_MAX_KIB:
            found.append(f"memory grew by {(watch.peak.rss_kib - watch.before.rss_kib) / 1024:.0f} MiB")
        return found

    def storm(self, name: str) -> StormResult:
        """Everybody loses the host by kill -9, and comes back."""
        site, keen = self.site, STORMS[name]
        keys = site.keys[: self.options.storm_terminals]
        with Child("tests.floods.storm") as crowd:
            sources = min(len(keys), self.options.storm_sources)
            crowd.say(Storm(site.address, keys, keen, sources, self.options.seed))
            assert crowd.hear() == b"ready\n"
            site.kill()
            assert crowd.hear() == b"gone\n"
            if not keen:
                time_passes(DOWN_S)
            site.restart()
            back_s = time.monotonic()
            returned = msgspec.json.decode(crowd.hear(), type=Return)
        result = report.storm_result(name, len(keys), sources, returned, back_s)
        result.counted = {
            f"{counter} {label}": grown({}, site.metrics(), f"fanka_{counter}_total{{{name}={label}}}")
            for counter, name, labels in COUNTED
            for label in labels
        }
        result.violations += site.audit(self.approved) + site.faults()
        return result


def time_passes(seconds: float) -> None:
    """Let the host be down for so long: what is measured is what terminals do with the time."""
    threading.Event().wait(seconds)


def grown(before: dict[str, float], after: dict[str, float], prefix: str) -> int:
    """By how much all counters that begin like this have grown."""
    return int(sum(value - before.get(name, 0.0) for name, value in after.items() if name.startswith(prefix)))


def options_of(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.floods", description=__doc__)
    names = [*FLOODS, *STORMS]
    parser.add_argument("--flood", action="append", choices=names, help="only this one; may be given again")
    parser.add_argument(
        "--seconds", type=at_least(0.5, float), default=SECONDS, help=f"length of a window (default {SECONDS:g})"
    )
    parser.add_argument(
        "--pairs", type=at_least(1), default=PAIRS, help=f"calm and attacked windows (default {PAIRS} pairs)"
    )
    parser.add_argument("--rate", type=float, default=RATE_PER_S, help=f"honest customers a second ({RATE_PER_S:g})")
    parser.add_argument("--nice", type=int, default=NICE, help=f"priority of the attacker (default {NICE}, the lowest)")
    parser.add_argument("--storm-terminals", type=int, default=STORM_TERMINALS)
    parser.add_argument("--storm-sources", type=int, default=STORM_SOURCES, help="addresses they come from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--record", action="store_true", help="add this run to docs/reliability.json")
    options = parser.parse_args(words)
    if options.seconds <= 1 or not 1 <= options.pairs <= 100:
        parser.error("expected windows longer than 1 s, and 1..100 pairs")
    options.flood = options.flood or names
    return options


def run(options: argparse.Namespace) -> tuple[list[Flood], list[StormResult]]:
    """All floods asked for, then all storms, on one host."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    floods = [name for name in FLOODS if name in options.flood]
    storms = [name for name in STORMS if name in options.flood]
    needed = max(HONEST + SIGN_ONS + HOSTILE, options.storm_terminals if storms else 0)
    flooded: list[Flood] = []
    stormed: list[StormResult] = []
    with site_with(needed) as site:
        rig = Rig(site, options)
        if floods:
            print(f"{report.HEAD}\n{report.UNITS}", flush=True)
        for name in floods:
            flooded.append(rig.flood(name))
            print(report.line(flooded[-1]), flush=True)
        for name in storms:
            stormed.append(rig.storm(name))
            print(report.storm_line(stormed[-1]), flush=True)
    return flooded, stormed


def main(words: list[str] | None = None) -> int:
    """The command."""
    options = options_of(words)
    began_s, began_cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    flooded, stormed = run(options)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime - began_cpu.ru_utime - began_cpu.ru_stime
    violations = [f"{one.name}: {what}" for one in (*flooded, *stormed) for what in one.violations]
    missed = [one.name for one in flooded if one.ratio > report.P99_RATIO_MAX]
    missed += [one.name for one in stormed if one.name == "storm" and one.last_s > report.STORM_MAX_S]
    print(f"\n{len(flooded) + len(stormed)} floods in {time.monotonic() - began_s:.0f} s, {len(violations)} violations")
    for name in (one.name for one in flooded):
        print(f"  {name}: {FLOODS[name][2]}")
    if missed:
        print(
            f"goals missed (p99 at most {report.P99_RATIO_MAX}x, storm {report.STORM_MAX_S:g} s): {', '.join(missed)}"
        )
    for what in violations:
        print(f"VIOLATION {what}", file=sys.stderr)
    if options.json is not None:
        figures = {"floods": flooded, "storms": stormed, "violations": violations}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    if options.record:
        record(flooded, stormed, len(violations), cpu_s)
    return 1 if violations else 0


def record(flooded: list[Flood], stormed: list[StormResult], violations: int, cpu_s: float) -> None:
    """Add this run to the rigs' memory."""
    counts = {
        "floods": len(flooded),
        "storms": len(stormed),
        "hostile_connects": sum(one.did.get("connects", 0) for one in flooded),
        "honest_customers": sum(one.customers for one in flooded),
        "terminals_back": sum(one.terminals for one in stormed),
    }
    notes = [f"{one.name} p99 x{one.ratio:.2f}, sign-on worst {one.sign_on_attacked_ms[1]:.0f} ms" for one in flooded]
    notes += [f"{one.name}: {one.terminals} back in {one.last_s:.1f} s" for one in stormed]
    counters.add("floods", counts, violations=violations, cpu_s=cpu_s, note="; ".join(notes))


if __name__ == "__main__":
    run_command(main)
