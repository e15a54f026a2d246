"""The drill of docs/operating.md, line by line as it stands there: a machine is lost, and every sale comes back."""

import pytest

from tests.end_to_end.recipes import recipe, run


@pytest.mark.slow
def test_the_drill(tmp_path):
    said = run(recipe("operating.md", "drill"), tmp_path)
    assert "all checks hold" in said
    assert "comes back by itself: every sale" in said
    assert said.count("kek.key") >= 1
    assert sorted(path.name for path in (tmp_path / "drill" / "D").iterdir() if "ledger" in path.name) == ["ledger.db"]
