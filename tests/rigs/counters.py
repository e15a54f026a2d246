"""The rigs' memory: what has been run, how often, with what result. docs/reliability.md is made from it.

A rig calls `add` at its end when it was asked to (`--record`). Counts only grow; nobody edits the file by hand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
PATH: Final = ROOT / "docs" / "reliability.json"


def add(
    rig: str, counts: Mapping[str, int], *, violations: int, cpu_s: float, note: str = "", path: Path = PATH
) -> None:
    """Add one run of a rig.

    Args:
      rig: a fixed name: "simulation", "torture", "kill", "fuzz", "floods", "mutants".
      counts: whole numbers that may be added up over runs, units last: {"seeds": 200, "sales": 41_000}.
      violations: broken invariants found; 0 is the only good number.
      cpu_s: processor seconds the run took, for rates per core.
      note: figures of this run that cannot be added up (percentiles, ratios); the newest one is shown.
    """
    entry = _read(path).get(rig, {"runs": 0, "violations": 0, "cpu_s": 0.0, "counts": {}})
    entry["runs"] += 1
    entry["violations"] += violations
    entry["cpu_s"] = round(entry["cpu_s"] + cpu_s, 1)
    for name, count in counts.items():
        entry["counts"][name] = entry["counts"].get(name, 0) + int(count)
    entry["newest_commit"] = commit()
    if note:
        entry["note"] = note
    found = _read(path)
    found[rig] = entry
    path.write_text(json.dumps(dict(sorted(found.items())), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def commit() -> str:
    """The commit that was run, with a "+" if the tree had changes."""
    head = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return head.stdout.strip() or "unknown"


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
