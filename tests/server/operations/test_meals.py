"""Meal periods: set, over midnight, never two at one time, deleted with what depends on them."""

from __future__ import annotations

import pytest


def test_set_changed_and_listed_by_start(office):
    office.call("meal.set", meal_id=2, name="午餐", start_minute=660, end_minute=780)
    office.call("meal.set", meal_id=1, name="早餐", start_minute=390, end_minute=540)
    changed = office.call("meal.set", meal_id=2, name="午餐", start_minute=650, end_minute=780)
    assert changed == {
        "meal_id": 2,
        "name": "午餐",
        "start_minute": 650,
        "end_minute": 780,
        "start": "10:50",
        "end": "13:00",
    }
    assert [row["meal_id"] for row in office.call("meal.listing")] == [1, 2]
    newest = office.call("history.listing", what="meal 2")[0]
    assert (newest["old"], newest["new"]) == ("午餐 11:00-13:00", "午餐 10:50-13:00")


def test_one_meal_may_go_over_midnight_and_nothing_else_into_it(office):
    office.call("meal.set", meal_id=4, name="夜宵", start_minute=1_320, end_minute=60)
    office.call("meal.set", meal_id=1, name="早餐", start_minute=60, end_minute=1_320)
    assert "expected a time when no other is, got x 00:59-01:00, and meal 4 is 夜宵 22:00-01:00" in office.refused(
        "meal.set", meal_id=2, name="x", start_minute=59, end_minute=60
    )


def test_a_change_counts_at_the_next_sale(office):
    noon_ms = 1_788_235_200_000  # 12:00 in China
    assert office.ledger.tariff.meal_at(noon_ms) == 0
    office.call("meal.set", meal_id=2, name="午餐", start_minute=660, end_minute=780)
    assert office.ledger.tariff.meal_at(noon_ms) == 2
    office.refused("meal.delete", meal_id=3)
    office.call("meal.delete", meal_id=2)
    assert office.ledger.tariff.meal_at(noon_ms) == 0


def test_deleted_with_the_discounts_in_it(office):
    office.call("meal.set", meal_id=1, name="lunch", start_minute=660, end_minute=780)
    office.call("class.discount", class_id=0, meal_id=1, percent=5)
    office.call("meal.delete", meal_id=1)
    assert office.call("meal.listing") == []
    assert office.call("class.listing")[0]["discounts"] == {}
    assert [row["what"] for row in office.call("history.listing")[:2]] == ["meal 1", "class 0 in meal 1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"meal_id": 0}, "meal: expected 1 to 8, got 0"),
        ({"meal_id": 9}, "meal: expected 1 to 8, got 9"),
        ({"start_minute": 1_440}, "start: expected 0 to 1439, got 1440"),
        ({"end_minute": 1_441}, "end: expected 0 to 1440, got 1441"),
        ({"end_minute": 660}, "expected an end other than its start, got both at 11:00"),
        ({"name": "汉" * 9}, "at most 24 bytes of UTF-8"),
        ({"meal_id": 2}, "expected one not in use, got 'lunch', which is meal 1"),
    ],
)
def test_refused(office, arguments, said):
    lunch = {"meal_id": 1, "name": "lunch", "start_minute": 660, "end_minute": 780}
    office.call("meal.set", **lunch)
    assert said in office.refused("meal.set", **lunch | arguments)


def test_an_unknown_meal_cannot_be_deleted(office):
    assert "got 3; see `fanka admin meal list`" in office.refused("meal.delete", meal_id=3)
