"""Plant each bug in a copy of the tree and run the rigs that have to find it. Exit code 1 if one gets away."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutants.mutant import Mutant
from tests.mutants.mutants import MUTANTS, RIGS
from tests.rigs import counters
from tests.rigs.command import at_least, run

RIG_TIMEOUT_S: Final = 600
"""A rig that hangs on a mutant has found it: the system made no progress."""

TELLING: Final = re.compile(r"FAILED|\b[AIST]\d+: |lost|Error")
"""In the first line that has one of these a rig says what it has found."""
WORDS_SHOWN: Final = 120
NAME_WIDTH: Final = 30
HEALTHY: Final = "healthy"
"""The tree in which nothing is planted."""
LAST_RESORT: Final = "rules"
"""Seconds long: what the rigs of a bug miss, it may still name."""


class Tried(NamedTuple):
    """A rig, run on a tree with a bug in it, or with none."""

    name: str
    rig: str
    is_found: bool
    seconds: float
    words: str


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
    telling = (line for line in lines if TELLING.search(line))
    return True, next(telling, lines[-1] if lines else "")[:WORDS_SHOWN]


def try_one(mutant: Mutant, folder: Path) -> list[Tried]:
    """Plant one bug, and run its rigs. If none of them finds it, the tests of the rules have a look at it as well."""
    tree = folder / mutant.name
    shutil.copytree(folder / HEALTHY, tree)  # with what Python has compiled of it; what is edited, it compiles anew
    plant(mutant, tree)
    try:
        tried = [try_rig(mutant.name, rig, tree) for rig in mutant.rigs]
        if not any(one.is_found for one in tried) and LAST_RESORT not in mutant.rigs:
            tried.append(try_rig(mutant.name, LAST_RESORT, tree))
        return tried
    finally:
        shutil.rmtree(tree)


def try_rig(name: str, rig: str, tree: Path) -> Tried:
    """One rig, timed."""
    began_s = time.monotonic()
    is_found, words = found_by(rig, tree)
    return Tried(name, rig, is_found, time.monotonic() - began_s, words)


def line_of(name: str, rig: str, outcome: str, seconds: str, words: str) -> str:
    """A row of the table."""
    return f"{name:<{NAME_WIDTH}} {rig:<11}{outcome:<9}{seconds:>5}  {words}".rstrip()


def show(tried: Tried, found: str, not_found: str) -> None:
    """What came of it."""
    outcome = found if tried.is_found else not_found
    print(line_of(tried.name, tried.rig, outcome, f"{tried.seconds:.0f} s", tried.words), flush=True)


def healthy_rigs(wanted: list[Mutant], folder: Path, jobs: int) -> bool:
    """Whether every rig that is to be run passes where nothing is planted."""
    tree = folder / HEALTHY
    copy_tree(tree)
    rigs = sorted({rig for mutant in wanted for rig in mutant.rigs})
    passes = True
    with ThreadPoolExecutor(jobs) as pool:
        for tried in pool.map(lambda rig: try_rig("(none)", rig, tree), rigs):
            show(tried, "FAILS", "passes")
            passes = passes and not tried.is_found
    return passes


def main(arguments: list[str] | None = None) -> int:
    """0: every bug was found by every rig that has to find it."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="which mutants; all if none is named")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="how many at once (default 1)")
    parser.add_argument("--record", action="store_true", help="add the result to docs/reliability.json")
    options = parser.parse_args(arguments)
    wanted = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    if unknown := set(options.names) - {mutant.name for mutant in MUTANTS}:
        parser.error(f"expected names of {', '.join(mutant.name for mutant in MUTANTS)}; got {', '.join(unknown)}")
    print(line_of("bug", "rig", "", "took", "first sign of it"))
    escaped: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fanka-mutants-") as name:
        folder = Path(name)
        if not healthy_rigs(wanted, folder, options.jobs):
            print("a rig that fails without a bug finds nothing: mend that first", file=sys.stderr)
            return 2
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, tried in zip(wanted, pool.map(partial(try_one, folder=folder), wanted), strict=True):
                for one in tried:
                    show(one, "found", "ESCAPED")
                escaped += [f"{mutant.name} from {one.rig}" for one in tried if not one.is_found]
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
