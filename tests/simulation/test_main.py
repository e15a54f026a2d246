"""The command line: what it prints, what it counts, and with which exit code it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.rigs import counters
from tests.simulation import __main__ as command
from tests.simulation.model import Model

PATIENCE_S = 300.0
"""A pool whose processes cannot start starts them again for ever."""
TINY = ["--terminals", "2", "--minutes", "0.2"]


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch):
    """What the determinism check finds elsewhere: the truth, unless a test says otherwise."""
    monkeypatch.setattr(
        command, "digest_elsewhere", lambda seed, options, _hash: command.simulate(seed, options).digest
    )


def test_clean_seeds_are_counted(capsys, tmp_path):
    path = tmp_path / "summary.json"
    assert command.main(["--seeds", "3", "--first", "5", *TINY, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "3 seeds" in printed
    assert "violations: 0 in 0 seeds" in printed
    assert "0 digests differ" in printed
    summary = json.loads(path.read_text())
    assert summary["seeds"] == 3
    assert summary["violations"] == []
    assert summary["sales"] == summary["counts"]["sales begun"] > 0


def test_the_command_runs_seeds_in_several_processes():
    """As `make sim` does it: a process of its own, since children of a package's `__main__` see less of it."""
    words = [sys.executable, "-m", "tests.simulation", "--seeds", "2", "--jobs", "2", "--no-shrink", *TINY]
    done = subprocess.run(words, cwd=command.ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert "violations: 0 in 0 seeds" in done.stdout


def test_a_seed_is_replayed_with_part_of_its_faults(capsys):
    assert command.main(["--seed", "5", "--minutes", "1", "--terminals", "2", "--faults=1,3", "--trace"]) == 0
    printed = capsys.readouterr().out
    assert "#1 at" in printed
    assert "#3 at" in printed
    assert "#2 at" not in printed
    assert "judged:" in printed
    assert command.main(["--seed", "5", *TINY, "--digest"]) == 0
    digest = capsys.readouterr().out.strip()
    assert digest == command.simulate(5, command.Options(terminals=2, minutes=0.2)).digest


def test_a_failure_says_how_to_see_it_again(capsys, monkeypatch):
    monkeypatch.setattr(Model, "run", lambda model, _newest: model._world.violate("I1", "planted"))
    assert command.main(["--seeds", "1", *TINY]) == 1
    printed = capsys.readouterr().out
    assert "seed 1 at commit" in printed
    assert "shortest list of faults found: 0 of" in printed
    assert "replay: python -m tests.simulation --seed 1 --faults= --terminals 2 --minutes 0.2" in printed


def test_digests_that_differ_are_a_violation(capsys, monkeypatch):
    monkeypatch.setattr(command, "digest_elsewhere", lambda *_: "another")
    assert command.main(["--seeds", "1", *TINY]) == 1
    assert "I22: seed 1: digest" in capsys.readouterr().out


def test_a_run_is_recorded_only_when_asked(monkeypatch):
    recorded = []
    monkeypatch.setattr(counters, "add", lambda rig, counts, **figures: recorded.append((rig, counts, figures)))
    command.main(["--seeds", "1", *TINY])
    assert recorded == []
    command.main(["--seeds", "1", *TINY, "--record"])
    [(rig, counts, figures)] = recorded
    assert rig == "simulation"
    assert counts["seeds"] == 1
    assert figures["violations"] == 0
