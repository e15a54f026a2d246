"""docs/canteen.md, command by command: a canteen is set up, sells, is settled, and its books hold."""

import pytest

from tests.end_to_end.recipes import recipe, run


@pytest.mark.slow
def test_the_page_from_nothing_to_the_first_settlement(tmp_path):
    said = run(recipe("canteen.md", "canteen"), tmp_path)
    assert "class 1: 学生" in said
    assert "all checks hold" in said
