"""The tariff: which meal it is, who pays what less, what a top-up and a sale earn."""

from __future__ import annotations

import pytest

from server.ledger.tariff import NO_TARIFF, BonusTier, CardClass, MealPeriod, Tariff, meal_key

DAY_MS = 86_400_000
MIDNIGHT_MS = 20_000 * DAY_MS - 8 * 3_600_000  # in China
MEALS = (MealPeriod(1, 390, 540), MealPeriod(2, 660, 780), MealPeriod(3, 1_320, 60))


@pytest.mark.parametrize(
    ("minute", "meal_id"),
    [(0, 3), (59, 3), (60, 0), (389, 0), (390, 1), (539, 1), (540, 0), (660, 2), (779, 2), (1_319, 0), (1_320, 3)],
)
def test_a_meal_begins_with_its_first_minute_and_ends_before_its_last(minute, meal_id):
    tariff = Tariff(meals=MEALS)
    for second in (0, 59):
        assert tariff.meal_at(MIDNIGHT_MS + (minute * 60 + second) * 1_000) == meal_id


def test_another_clock_has_other_meals():
    assert Tariff(meals=MEALS, utc_offset_min=0).meal_at(MIDNIGHT_MS + 660 * 60_000) == 0
    assert Tariff(meals=MEALS, utc_offset_min=-300).meal_at(20_000 * DAY_MS + 960 * 60_000) == 2


def test_meals_of_two_days_are_two_meals():
    assert len({meal_key(day, meal) for day in (20260910, 20260911) for meal in (1, 2)}) == 4
    assert meal_key(20260910, 0) == 0


@pytest.mark.parametrize(
    ("class_id", "meal_id", "amount_fen", "discount_fen"),
    [
        (4, 2, 1_000, 500),
        (4, 1, 1_000, 100),
        (4, 0, 1_000, 100),
        (4, 2, 1, 0),
        (4, 2, 3, 1),
        (0, 2, 1_000, 0),
        (9, 2, 9, 0),
    ],
)
def test_the_discount_of_a_class_at_a_meal(class_id, meal_id, amount_fen, discount_fen):
    tariff = Tariff(classes={4: CardClass(4, discounts={0: 10, 2: 50})})
    assert tariff.discount_fen(class_id, meal_id, amount_fen) == discount_fen


def test_the_highest_tier_reached_counts_alone_and_a_merchants_own_replace_the_others():
    tariff = Tariff(bonus_tiers={0: (BonusTier(100, 10), BonusTier(500, 80)), 7: (BonusTier(200, 1),)})
    assert [tariff.bonus_fen(1, fen) for fen in (99, 100, 499, 500, 9_999)] == [0, 10, 10, 80, 80]
    assert [tariff.bonus_fen(7, fen) for fen in (199, 500)] == [0, 1]


def test_points_are_whole_and_a_merchant_may_give_none():
    tariff = Tariff(points_rates={0: 100, 7: 0})
    assert [tariff.points_of(1, fen) for fen in (0, 99, 100, 250)] == [0, 0, 1, 2]
    assert tariff.points_of(7, 1_000) == 0


def test_without_a_tariff_nothing_is_given_and_nothing_limited():
    assert NO_TARIFF.meal_at(MIDNIGHT_MS) == 0
    assert NO_TARIFF.discount_fen(1, 1, 100) == NO_TARIFF.bonus_fen(1, 100) == NO_TARIFF.points_of(1, 100) == 0
