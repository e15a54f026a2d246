"""Plant each bug in a copy of the tree and run the rigs that have to find it. Exit code 1 if one gets away."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant
from tests.mutants.mutants import MUTANTS, RIGS
from tests.rigs import counters
from tests.rigs.command import run

RIG_TIMEOUT_S: Final = 600
"""A rig that hangs on a mutant has found it: the system made no progress."""

TELLING: Final = (
    "FAILED",
    "I1:",
    "I2:",
    "I3:",
    "I4:",
    "I5:",
    "I6:",
    "I7:",
    "I8:",
    "I9:",
    "I10:",
    "I11:",
    "I12:",
    "I13:",
    "I14:",
    "I18:",
    "I20:",
    "I21:",
    "I24:",
    "S4:",
    "T1:",
    "T5:",
    "lost",
    "Error",
)
"""In the first line with one of these a rig says what it has found."""
WORDS_SHOWN: Final = 120


def copy_tree(to: Path) -> None:
    """Every file that is tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=counters.ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (counters.ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(counters.ROOT / name, to / name)


def plant(mutant: Mutant, tree: Path) -> None:
    """Apply the edits; ValueError if one does not fit any more."""
    for path, old, new in mutant.edits:
        text = (tree / path).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{mutant.name}: expected its text once in {path}, found {text.count(old)} times")
        (tree / path).write_text(text.replace(old, new), encoding="utf-8")


def found_by(rig: str, tree: Path) -> tuple[bool, str]:
    """Whether the rig fails on this tree, and its last words."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FANKA_HYPOTHESIS_PROFILE": "unshrunk",
    }
    try:
        ran = subprocess.run(
            [sys.executable, *RIGS[rig]],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RIG_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True, "no end"
    lines = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
    if ran.returncode == 0:
        return False, lines[-1][:WORDS_SHOWN] if lines else ""
    telling = (line for line in lines if any(word in line for word in TELLING))
    return True, next(telling, lines[-1] if lines else "")[:WORDS_SHOWN]


def main(arguments: list[str] | None = None) -> int:
    """0: every bug was found by every rig that has to find it."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="which mutants; all if none is named")
    parser.add_argument("--record", action="store_true", help="add the result to docs/reliability.json")
    options = parser.parse_args(arguments)
    wanted = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    if unknown := set(options.names) - {mutant.name for mutant in MUTANTS}:
        parser.error(f"expected names of {', '.join(mutant.name for mutant in MUTANTS)}; got {', '.join(unknown)}")
    escaped: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fanka-mutants-") as folder:
        healthy = Path(folder) / "healthy"
        copy_tree(healthy)
        for rig in sorted({rig for mutant in wanted for rig in mutant.rigs}):
            failed, words = found_by(rig, healthy)
            print(f"{'no bug planted':<24}{rig:<12}{'FAILS' if failed else 'passes'}  {words}", flush=True)
            if failed:
                print("a rig that fails without a bug finds nothing: mend that first", file=sys.stderr)
                return 2
        for mutant in wanted:
            tree = Path(folder) / mutant.name
            copy_tree(tree)
            plant(mutant, tree)
            for rig in mutant.rigs:
                found, words = found_by(rig, tree)
                print(f"{mutant.name:<24}{rig:<12}{'found' if found else 'ESCAPED'}  {words}", flush=True)
                if not found:
                    escaped.append(f"{mutant.name} from {rig}")
            shutil.rmtree(tree)
    print(f"{len(wanted)} bugs planted, " + (f"escaped: {', '.join(escaped)}" if escaped else "every one found"))
    if options.record:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        tries = sum(len(mutant.rigs) for mutant in wanted)
        counters.add(
            "mutants",
            {"bugs planted": len(wanted), "rigs run on them": tries},
            violations=len(escaped),
            cpu_s=used.ru_utime + used.ru_stime,
        )
    return 1 if escaped else 0


if __name__ == "__main__":
    run(main)
