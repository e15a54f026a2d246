"""`fanka scenario`: the list, and what a name that is none says. tests/end_to_end plays them all."""

from tools.scenario import about, bundled


def test_the_list_says_what_each_is_about(fanka):
    assert fanka("scenario") == 0
    assert len(fanka.out.splitlines()) == len(bundled())
    assert all(": " in about(path) for path in bundled())


def test_one_that_does_not_exist(fanka):
    assert "expected one of" in fanka.error("scenario", "lunch")


def test_no_card_is_in_two_scenarios():
    """They share a host in the tests."""
    cards = [
        line.split()[-1] for path in bundled() for line in path.read_text("utf-8").splitlines() if line[:5] == "card "
    ]
    assert len(set(cards)) == len(cards)
