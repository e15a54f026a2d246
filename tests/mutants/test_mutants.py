"""Every bug can still be planted, and says what it is; finding them all is `make mutants`."""

import ast
import shutil

import pytest

from tests.mutants.__main__ import found_by, plant
from tests.mutants.mutant import Edit, Mutant
from tests.mutants.mutants import MUTANTS, RIGS
from tests.rigs.counters import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_can_be_planted(mutant, tmp_path):
    for edit in mutant.edits:
        (tmp_path / edit.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / edit.path, tmp_path / edit.path)
    plant(mutant, tmp_path)
    for edit in mutant.edits:
        ast.parse((tmp_path / edit.path).read_text(encoding="utf-8"))
    assert set(mutant.rigs) <= RIGS.keys()
    assert mutant.rigs
    assert mutant.says


def test_names_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 10


def test_a_bug_that_fits_no_more_is_named(tmp_path):
    (tmp_path / "x.py").write_text("a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"gone: expected its text once in x\.py, found 0 times"):
        plant(Mutant("gone", "-", (Edit("x.py", "b", "c"),), ("simulation",)), tmp_path)


def test_a_rig_that_fails_has_found_it_and_one_that_passes_has_not(tmp_path, monkeypatch):
    monkeypatch.setitem(RIGS, "fails", ("-c", "print('seed 7'); raise SystemExit(1)"))
    monkeypatch.setitem(RIGS, "passes", ("-c", "print('fine')"))
    assert found_by("fails", tmp_path) == (True, "seed 7")
    assert found_by("passes", tmp_path) == (False, "fine")
