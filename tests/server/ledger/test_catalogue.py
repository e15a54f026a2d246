"""The catalogue: what is put is found, put again it is replaced, deleted it is gone; in both databases."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.catalogue import (
    ALL_MERCHANTS,
    ANY_TIME,
    STANDARD_CLASS,
    BonusRecord,
    Catalogue,
    ClassMealRecord,
    ClassRecord,
    MealRecord,
    PointsRecord,
    ProductRecord,
)
from tests.server.ledger.stores import BOTH, new_store


@pytest.fixture(params=BOTH)
def catalogue(request):
    with contextlib.closing(new_store(request.param)) as store, store.transaction():
        yield Catalogue(store)


def test_there_is_a_standard_class_and_nothing_else(catalogue):
    assert catalogue.classes() == [ClassRecord(STANDARD_CLASS, "standard")]
    assert catalogue.meals() == catalogue.class_meals() == catalogue.bonus_tiers() == catalogue.points_rates() == []
    assert catalogue.products(1, after="", limit=5) == []


def test_classes_and_meals_with_their_terms(catalogue):
    students, lunch = ClassRecord(1, "students", 2000, 3000, 5000), MealRecord(2, "午餐", 660, 780)
    catalogue.put_class(students)
    catalogue.put_meal(MealRecord(1, "night", 1300, 60))
    catalogue.put_meal(lunch)
    catalogue.put_class_meal(ClassMealRecord(1, 2, 10))
    catalogue.put_class_meal(ClassMealRecord(1, 2, 20))
    catalogue.put_class_meal(ClassMealRecord(0, ANY_TIME, 5))
    assert catalogue.classes()[1:] == [students]
    assert [meal.meal_id for meal in catalogue.meals()] == [2, 1]
    assert catalogue.class_meals() == [ClassMealRecord(0, ANY_TIME, 5), ClassMealRecord(1, 2, 20)]
    catalogue.put_meal(MealRecord(2, "lunch", 650, 780))
    assert catalogue.meals()[0] == MealRecord(2, "lunch", 650, 780)
    catalogue.delete_meal(2)
    assert catalogue.class_meals() == [ClassMealRecord(0, ANY_TIME, 5)]
    catalogue.put_class_meal(ClassMealRecord(1, 1, 7))
    catalogue.put_class_meal(ClassMealRecord(0, 1, 8))
    catalogue.delete_class_meal(0, 1)
    catalogue.delete_class(1)
    assert [found.class_id for found in catalogue.classes()] == [STANDARD_CLASS]
    assert catalogue.class_meals() == [ClassMealRecord(0, ANY_TIME, 5)]


def test_bonus_tiers_and_points(catalogue):
    catalogue.put_bonus_tier(BonusRecord(ALL_MERCHANTS, 10_000, 1_000))
    catalogue.put_bonus_tier(BonusRecord(7, 20_000, 3_000))
    catalogue.put_bonus_tier(BonusRecord(7, 20_000, 4_000))
    assert catalogue.bonus_tiers() == [BonusRecord(0, 10_000, 1_000), BonusRecord(7, 20_000, 4_000)]
    catalogue.delete_bonus_tier(7, 20_000)
    assert catalogue.bonus_tiers() == [BonusRecord(0, 10_000, 1_000)]
    catalogue.put_points_rate(PointsRecord(7, 100))
    catalogue.put_points_rate(PointsRecord(7, 200))
    assert catalogue.points_rates() == [PointsRecord(7, 200)]
    catalogue.delete_points_rate(7)
    assert catalogue.points_rates() == []


def test_products_are_a_merchants_own(catalogue):
    rice, soup = ProductRecord(1, "001", "米饭", 100), ProductRecord(1, "01", "汤", 200)
    for record in (soup, rice, ProductRecord(2, "001", "rice", 150)):
        catalogue.put_product(record)
    assert catalogue.products(1, after="", limit=5) == [rice, soup]
    assert catalogue.products(1, after="001", limit=5) == [soup]
    assert catalogue.find_product(2, "001") == ProductRecord(2, "001", "rice", 150)
    assert catalogue.find_product(2, "01") is None
    catalogue.put_product(ProductRecord(1, "01", "汤", 250))
    catalogue.delete_product(1, "001")
    assert catalogue.products(1, after="", limit=5) == [ProductRecord(1, "01", "汤", 250)]
