"""Generated parts of docs/reliability.md: the faults with the tests that inject them, and what the rigs have run.

The faults stand in docs/faults.toml, one table a row. A row names the tests that inject the fault and assert its rule
(`path::function`, or a whole file), or says in `later` which capability is still to be built. A row with neither, or a
test that is not there, is an error: `make check` fails.

The counters stand in docs/reliability.json, which only the rigs write (`--record`).
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parent.parent
FAULTS: Final = ROOT / "docs" / "faults.toml"
COUNTERS: Final = ROOT / "docs" / "reliability.json"


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the fault table, or one invariant."""

    text: str
    rule: str = ""
    tests: list[str] = []
    later: str = ""
    """The capability this waits for, if it cannot be injected yet."""


class FaultTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """docs/faults.toml."""

    faults: dict[str, Fault]
    invariants: dict[str, Fault]


class Counters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one rig has done so far: see tests/rigs/counters.py."""

    runs: int
    violations: int
    cpu_s: float
    counts: dict[str, int]
    newest_commit: str
    note: str = ""


class UncoveredFault(ValueError):
    """A row that no test injects, or that names a test which is not there."""


def read_faults(path: Path = FAULTS) -> FaultTable:
    """The table. UncoveredFault names the row and the field that is wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), FaultTable)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UncoveredFault(f"{path.name}: {error}") from None


def uncovered(rows: dict[str, Fault], root: Path = ROOT) -> Iterator[str]:
    """What is wrong with the rows: no test, no such test."""
    for number, row in rows.items():
        if not row.tests and not row.later:
            yield f"{number}: expected the tests that inject this fault, or the capability it waits for; got neither"
        for test in row.tests:
            if not _is_there(root, test):
                yield f"{number}: expected a test file or function of this tree, got {test}"


def _is_there(root: Path, test: str) -> bool:
    path, _, name = test.partition("::")
    return (root / path).is_file() and (not name or name.rpartition("::")[2] in _functions(root / path))


@cache
def _functions(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )


def _table(rows: dict[str, Fault], head: str) -> str:
    if wrong := list(uncovered(rows)):
        raise UncoveredFault("docs/faults.toml: " + "; ".join(wrong))
    lines = [head, "|---|---|---|---|"]
    for number, row in rows.items():
        injected = [f"`{test.removeprefix('tests/')}`" for test in row.tests]
        if row.later:
            injected.append(f"*with {row.later}*")
        lines.append(f"| {number} | {row.text} | {row.rule} | {', '.join(injected)} |")
    return "\n".join(lines)


def faults() -> str:
    """Every fault, its rule, and the tests that inject it."""
    return _table(read_faults().faults, "| # | fault | rule | injected by |")


def invariants() -> str:
    """Every invariant and where it is checked."""
    return _table(read_faults().invariants, "| # | invariant | how it is checked | by |")


def counters(path: Path = COUNTERS) -> str:
    """What the rigs have run so far, all runs together."""
    found: dict[str, Counters] = {}
    if path.exists():
        found = msgspec.convert(json.loads(path.read_text(encoding="utf-8")), dict[str, Counters])
    lines = [
        "| rig | runs | what was run | violations | processor time | newest commit | newest run |",
        "|---|---|---|---|---|---|---|",
    ]
    for rig, run in sorted(found.items()):
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in run.counts.items())
        hours = f"{run.cpu_s / 3600:.1f} h" if run.cpu_s >= 3600 else f"{run.cpu_s / 60:.0f} min"
        lines.append(
            f"| {rig} | {run.runs} | {counts} | {run.violations} | {hours} | `{run.newest_commit}` | {run.note} |"
        )
    return "\n".join(lines)
