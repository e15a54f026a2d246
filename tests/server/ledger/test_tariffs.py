"""The tariff follows the tables: every kind of configuration arrives at the rules, in both databases."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.catalogue import BonusRecord, Catalogue, ClassMealRecord, ClassRecord, MealRecord, PointsRecord
from server.ledger.changes import Changes
from server.ledger.parameters import CAMPUS_OWNER, ParameterRecord, Parameters, ParameterTable, Scope
from server.ledger.tariff import NO_MEAL, OFFLINE_GRACE_MS, EarlierLimit, Tariff
from server.ledger.tariffs import read_tariff
from tests.server.ledger.stores import BOTH, new_store

NOON_MS = 1_788_235_200_000  # 2026-09-01 04:00 UTC, noon in China
MERCHANT, OTHER = 1, 2


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store:
        yield store


def test_a_new_ledger_has_the_programs_own_values(store):
    tariff = read_tariff(store, 480)
    own = Parameters()
    assert (tariff.utc_offset_min, tariff.meals, tariff.meal_at(NOON_MS)) == (480, (), NO_MEAL)
    assert (tariff.refund_days, tariff.hold_lifetime_s) == (own.refund_days, own.hold_hours * 3600)
    assert (tariff.pin_above_fen, tariff.pin_after_sales, tariff.meal_limit_fen) == (0, 0, 0)
    assert (tariff.offline_sale_fen, tariff.earlier_offline) == (own.offline_sale_fen, ())
    assert tariff.bonus_fen(MERCHANT, 10_000) == tariff.points_of(MERCHANT, 10_000) == 0
    assert tariff.discount_fen(0, NO_MEAL, 1_000) == 0


def test_meals_and_discounts_by_class(store):
    with store.transaction():
        catalogue = Catalogue(store)
        catalogue.put_meal(MealRecord(2, "午餐", 660, 780))
        catalogue.put_meal(MealRecord(3, "夜宵", 1_320, 60))
        catalogue.put_class(ClassRecord(1, "学生", 2_000, 3_000, 5_000))
        catalogue.put_class_meal(ClassMealRecord(1, 2, 20))
        catalogue.put_class_meal(ClassMealRecord(1, 0, 10))
    tariff = read_tariff(store, 480)
    assert tariff.meal_at(NOON_MS) == 2
    assert read_tariff(store, 0).meal_at(NOON_MS) == NO_MEAL
    assert tariff.meal_at(NOON_MS + 11 * 3_600_000) == 3
    assert [tariff.discount_fen(1, meal, 1_000) for meal in (2, 3, NO_MEAL)] == [200, 100, 100]
    assert tariff.discount_fen(0, 2, 1_000) == 0
    found = tariff.class_of(1)
    assert (found.name, found.sale_limit_fen, found.meal_limit_fen, found.day_limit_fen) == (
        "学生",
        2_000,
        3_000,
        5_000,
    )


def test_bonus_and_points_of_all_merchants_or_ones_own(store):
    with store.transaction():
        catalogue = Catalogue(store)
        catalogue.put_bonus_tier(BonusRecord(0, 10_000, 1_000))
        catalogue.put_bonus_tier(BonusRecord(0, 20_000, 3_000))
        catalogue.put_bonus_tier(BonusRecord(OTHER, 5_000, 100))
        catalogue.put_points_rate(PointsRecord(0, 100))
        catalogue.put_points_rate(PointsRecord(OTHER, 200))
    tariff = read_tariff(store, 480)
    assert [tariff.bonus_fen(MERCHANT, fen) for fen in (9_999, 10_000, 20_000)] == [0, 1_000, 3_000]
    assert [tariff.bonus_fen(OTHER, fen) for fen in (5_000, 20_000)] == [100, 100]
    assert (tariff.points_of(MERCHANT, 1_050), tariff.points_of(OTHER, 1_050)) == (10, 5)


def test_parameters_of_the_campus_alone_reach_the_rules(store):
    values = {
        "topup_limit_fen": 7_000,
        "pin_sale_fen": 2_000,
        "pin_count": 5,
        "meal_limit_fen": 4_000,
        "hold_hours": 24,
        "refund_days": 30,
        "offline_sale_fen": 1,
    }
    with store.transaction():
        table = ParameterTable(store)
        for name, value in values.items():
            table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, name, value))
        table.set(ParameterRecord(Scope.MERCHANT, MERCHANT, "offline_sale_fen", 0))
    tariff = read_tariff(store, 480)
    assert (tariff.pin_above_fen, tariff.pin_after_sales, tariff.meal_limit_fen) == (2_000, 5, 4_000)
    assert (tariff.hold_lifetime_s, tariff.refund_days, tariff.topup_limit_fen) == (86_400, 30, 7_000)
    assert (tariff.offline_sale_fen, tariff.earlier_offline) == (1, ())


def test_whether_passwords_are_checked_is_each_merchants_own(store):
    assert read_tariff(store, 480).checks_passwords(MERCHANT), "where nobody has said otherwise"
    with store.transaction():
        table = ParameterTable(store)
        table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "check_passwords", 0))
        table.set(ParameterRecord(Scope.MERCHANT, OTHER, "check_passwords", 1))
    tariff = read_tariff(store, 480)
    assert (tariff.checks_passwords(MERCHANT), tariff.checks_passwords(OTHER)) == (False, True)
    assert not Tariff().checks_passwords(MERCHANT)


def test_what_the_limit_of_offline_sales_was_before_is_in_the_history(store):
    """Nothing = the program's own; other limits, and what is only called alike, are not looked at."""
    own = Parameters().offline_sale_fen
    with store.transaction():
        changes = Changes(store)
        for at_ms, what, old, new in (
            (1_000, "offline sale of the campus", "", "1234.05"),
            (2_000, "offline sale of the campus", "1234.05", "0.00"),
            (3_000, "offline sale of the campus", "0.00", "7.00"),
            (4_000, "offline card of the campus", "9000.00", "7.00"),
            (5_000, "offline sale of merchant 1", "9000.00", "7.00"),
            (6_000, "offline sale of the campus fair", "9000.00", "7.00"),
        ):
            changes.note(at_ms, "anna", "parameter.set", what, old, new)
        ParameterTable(store).set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "offline_sale_fen", 700))
    tariff = read_tariff(store, 480)
    assert tariff.earlier_offline == (EarlierLimit(0, 3_000), EarlierLimit(123_405, 2_000), EarlierLimit(own, 1_000))
    limits = [tariff.offline_limit_fen(OFFLINE_GRACE_MS + at_ms) for at_ms in (-1, 999, 1_999, 2_000, 9_000)]
    assert limits == [123_405, 123_405, 123_405, 700, 700]
