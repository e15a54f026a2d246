"""The fault table: a row without a test is an error, and so is a test that is not there."""

import json

import pytest

from tests.rigs import counters as rigs
from tools.docs_reliability import UncoveredFault, counters, read_faults, uncovered

TABLE = '[faults.T1]\ntext = "a fault"\nrule = "a rule"\n{more}\n[invariants]\n'


def rows(tmp_path, more):
    path = tmp_path / "faults.toml"
    path.write_text(TABLE.format(more=more), encoding="utf-8")
    return read_faults(path).faults


class TestRows:
    def test_a_row_with_a_test_is_covered(self, tmp_path):
        (tmp_path / "test_a.py").write_text("class TestA:\n    async def test_b(self): ...\n", encoding="utf-8")
        for test in ("test_a.py", "test_a.py::test_b", "test_a.py::TestA::test_b"):
            assert list(uncovered(rows(tmp_path, f'tests = ["{test}"]'), tmp_path)) == []

    def test_a_row_may_wait_for_a_capability(self, tmp_path):
        assert list(uncovered(rows(tmp_path, 'later = "the portal"'), tmp_path)) == []

    @pytest.mark.parametrize(
        ("more", "got"),
        [
            ("", "T1: expected the tests that inject this fault"),
            ('tests = ["test_a.py::test_c"]', "T1: expected a test file or function of this tree, got test_a.py::"),
            ('tests = ["test_z.py"]', "T1: expected a test file or function of this tree, got test_z.py"),
        ],
    )
    def test_a_row_without_its_test_is_named(self, tmp_path, more, got):
        (tmp_path / "test_a.py").write_text("def test_b(): ...\n", encoding="utf-8")
        [complaint] = uncovered(rows(tmp_path, more), tmp_path)
        assert got in complaint

    @pytest.mark.parametrize("more", ['tests = "x"', "nonsense = 1", "broken"])
    def test_a_row_that_cannot_be_read_is_named(self, tmp_path, more):
        with pytest.raises(UncoveredFault, match=r"faults\.toml: "):
            rows(tmp_path, more)


def test_every_fault_and_invariant_of_the_model_has_its_row():
    table = read_faults()
    groups = {"T": 8, "N": 6, "S": 6, "D": 7, "B": 5, "C": 3, "O": 4, "A": 9}
    assert list(table.faults) == [f"{group}{n}" for group, size in groups.items() for n in range(1, size + 1)]
    assert list(table.invariants) == [f"I{n}" for n in range(1, 25)]
    assert list(uncovered(table.faults | table.invariants)) == []


def test_counters_add_up(tmp_path):
    path = tmp_path / "reliability.json"
    rigs.add("simulation", {"seeds": 200, "sales": 1_000}, violations=0, cpu_s=30.04, note="first", path=path)
    rigs.add("simulation", {"seeds": 300, "faults": 7}, violations=1, cpu_s=4_000, path=path)
    rigs.add("kill", {"kills": 3}, violations=0, cpu_s=5, path=path)
    found = json.loads(path.read_text(encoding="utf-8"))["simulation"]
    assert found["counts"] == {"seeds": 500, "sales": 1_000, "faults": 7}
    assert (found["runs"], found["violations"], found["cpu_s"], found["note"]) == (2, 1, 4_030.0, "first")
    text = counters(path)
    assert "| simulation | 2 | 500 seeds, 1,000 sales, 7 faults | 1 | 1.1 h |" in text
    assert "| kill | 1 | 3 kills | 0 | 0 min |" in text


def test_without_any_run_there_is_an_empty_table(tmp_path):
    assert counters(tmp_path / "none.json").count("\n") == 1
