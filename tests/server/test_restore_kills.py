"""kill -9 at every system call of a restore: no ledger, or the old one, or the whole restored one; then once more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from server.backup import make_backup
from tests.server.busy_folder import busy_folder, ledger_of, sell, sell_on

ROOT = Path(__file__).parents[2]
OLD, BACKUP = 7, 5
"""Newest transfer of the ledger that is there, and of the backup."""


@pytest.fixture
def used(tmp_path):
    """A folder as a killed host leaves it, its newest sale only in the log; and a backup from before."""
    folder = busy_folder(tmp_path / "made")
    make_backup(folder, tmp_path / "b", now_ms=1_789_000_000_000, program="1", show=lambda *_: None)
    sell(folder, 6)
    with ledger_of(folder) as ledger:
        sell_on(ledger, 7)
        shutil.copytree(folder.path, tmp_path / "used")
    shutil.copy(folder.kek_path, tmp_path / "kek.key")
    return tmp_path / "used"


def killed_everywhere(folder):
    place = folder.parent
    command = [
        sys.executable,
        "-m",
        "tests.server.restore_kills",
        str(folder),
        str(place / "b"),
        str(place / "kek.key"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    calls = [one["call"] for one in found]
    assert calls[-1] is None
    assert len(calls) > 15
    return found


@pytest.mark.slow
def test_over_a_ledger_that_is_there(used):
    found = killed_everywhere(used)
    seen = []
    for one in found:
        ledger = one["ledger"]
        if ledger and ledger[0] == OLD:
            assert ledger == [OLD, 1, True], one
            seen.append("old")
        elif ledger:
            assert ledger[0] == BACKUP, one
            assert ledger[1] > 1, one
            assert ledger[2] is True, one
            seen.append("new")
        else:
            assert one["aside_kept"] == [OLD, 1, True], one
            seen.append("none")
        assert (one["again"][0], one["again"][2]) == (BACKUP, True), one
        # Whatever has happened: the old ledger with all its sales, once; and nothing is left lying about.
        assert [aside for aside in one["aside"] if aside[0] == OLD] == [[OLD, 1, True]], one
        assert not [name for name in one["names"] if "restoring" in name or name.endswith(".writing")], one
        moved = {name for name in one["names"] if "before-restore" in name}
        assert {name.removesuffix("-wal").removesuffix("-shm") for name in moved} <= moved, (
            "a log apart from its ledger"
        )
    assert seen == sorted(seen, key=["old", "none", "new"].index), "one after the other, never back"
    assert {"old", "none", "new"} == set(seen)


@pytest.mark.slow
def test_into_a_folder_that_has_lost_everything(used):
    shutil.rmtree(used)
    used.mkdir()
    for one in killed_everywhere(used):
        ledger = one["ledger"]
        assert ledger == [] or (ledger[0], ledger[1] > 1, ledger[2]) == (BACKUP, True, True), one
        assert (one["again"][0], one["again"][2]) == (BACKUP, True), one
        assert {"fanka.toml", "kek.key", "ledger.db"} <= {*one["names"]}, one
        assert not [name for name in one["names"] if "restoring" in name or name.endswith(".writing")], one
