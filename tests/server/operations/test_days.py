"""Business days by hand: forward only, one at a time, never far ahead."""

from __future__ import annotations

import pytest

from tests.server.office import DAY


def test_the_next_day(office):
    assert office.call("day.open", day=DAY + 1) == {"day": DAY + 1, "opened": True}
    assert office.ledger.business_day == DAY + 1
    assert [row["day"] for row in office.call("day.show")] == [DAY + 1, DAY]
    assert [row["day"] for row in office.call("day.show", limit=1)] == [DAY + 1]


def test_the_open_day_again_changes_nothing(office):
    assert office.call("day.open", day=DAY) == {"day": DAY, "opened": False}


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (DAY - 1, f"expected {DAY} or later, got {DAY - 1}: days never go back"),
        (20991231, "expected 20260911 at the latest, got 20991231"),
        (20260231, "expected a date as YYYYMMDD, got 20260231"),
        (-1, "expected a date"),
        (0, "expected a date"),
        (10**12, "expected a date"),
    ],
)
def test_refused(office, day, said):
    assert said in office.refused("day.open", day=day)
