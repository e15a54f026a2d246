"""What a person is told of many runs, and what becomes of the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.rigs.counters import commit
from tests.simulation.faults import KINDS
from tests.simulation.simulator import Options, Result


class Summary:
    """Adds results up."""

    def __init__(self) -> None:
        self.seeds = 0
        self.counts: Counter[str] = Counter()
        self.virtual_s = 0.0
        self.cpu_s = 0.0
        self.terminal_s = 0.0
        self.exact = 0
        self.failed: list[Result] = []
        self.digests: dict[int, str] = {}

    def add(self, result: Result) -> None:
        """One more run."""
        self.seeds += 1
        self.counts.update(result.counts)
        self.virtual_s += result.virtual_s
        self.cpu_s += result.cpu_s
        self.terminal_s += result.terminals * result.virtual_s
        self.exact += result.exact
        self.digests[result.seed] = result.digest
        if result.violations:
            self.failed.append(result)

    @property
    def sales(self) -> int:
        """Sales that were stored and sent."""
        return self.counts["sales begun"]

    @property
    def faults(self) -> dict[str, int]:
        """Faults that struck, by kind."""
        return {kind: self.counts[f"fault {kind}"] for kind in KINDS if self.counts[f"fault {kind}"]}

    def to_json(self) -> dict[str, Any]:
        """All of it for scripts."""
        return {
            "seeds": self.seeds,
            "commit": commit(),
            "sales": self.sales,
            "faults": self.faults,
            "counts": dict(sorted(self.counts.items())),
            "virtual_hours": round(self.virtual_s / 3600, 3),
            "terminal_hours": round(self.terminal_s / 3600, 3),
            "cpu_s": round(self.cpu_s, 2),
            "sales_per_cpu_s": round(self.sales / max(self.cpu_s, 1e-9), 1),
            "times_real_time": round(self.virtual_s / max(self.cpu_s, 1e-9), 1),
            "exact_disk_seeds": self.exact,
            "violations": [
                {"seed": result.seed, "violations": [list(violation) for violation in result.violations]}
                for result in self.failed
            ],
        }

    def lines(self) -> Iterable[str]:
        """All of it for people."""
        counts, cpu_s = self.counts, max(self.cpu_s, 1e-9)
        yield (
            f"{self.seeds} seeds ({self.exact} on the exact disk), {self.virtual_s / 3600:.1f} virtual hours,"
            f" {self.terminal_s / 3600:.0f} terminal hours"
        )
        yield (
            f"sales: {self.sales} begun, {counts['sales approved']} approved, {counts['sales declined']} declined,"
            f" {counts['sales reversing']} reversed or to be; {counts['transfers']} transfers in the ledgers"
        )
        struck = self.faults
        yield (
            f"faults: {sum(struck.values())} of {len(struck)} kinds; host lives {counts['host lives']}, terminals lost"
            f" power {counts['terminals lost power']} times"
        )
        yield "  " + ", ".join(f"{kind} {count}" for kind, count in sorted(struck.items(), key=lambda item: -item[1]))
        yield (
            f"speed: {cpu_s:.1f} s of processor time, {self.sales / cpu_s:.0f} sales/s, {self.virtual_s / cpu_s:.0f} x"
            f" real time (mean campus {self.terminal_s / max(self.virtual_s, 1e-9):.0f} terminals)"
        )
        yield f"violations: {sum(len(result.violations) for result in self.failed)} in {len(self.failed)} seeds"


def options_of(options: Options) -> str:
    """The options as the command line takes them."""
    words = [
        f"--terminals {options.terminals}" if options.terminals else "",
        f"--minutes {options.minutes:g}" if options.minutes else "",
        "--small" if options.small else "",
    ]
    return "".join(f" {word}" for word in words if word)


def failure_lines(result: Result, options: Options, shortest: Result | None) -> Iterable[str]:
    """Everything one needs to see a failure again."""
    yield f"seed {result.seed} at commit {commit()}: {len(result.violations)} violations"
    for violation in result.violations[:5]:
        yield f"  {violation.invariant}: {violation.text[:600]}"
    if shortest is None:
        yield f"  replay: python -m tests.simulation --seed {result.seed}{options_of(options)}"
        return
    yield f"  shortest list of faults found: {len(shortest.plan)} of {len(result.plan)}"
    for fault in shortest.plan:
        yield f"    {fault}"
    for violation in shortest.violations[:3]:
        yield f"    then {violation.invariant}: {violation.text[:400]}"
    numbers = ",".join(str(fault.number) for fault in shortest.plan)
    yield f"  replay: python -m tests.simulation --seed {result.seed} --faults={numbers}{options_of(options)}"
