"""Reports of a day: sums by merchant, meal and type as the journal has them; on both stores."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.catalogue import Catalogue, ClassMealRecord, MealRecord
from server.ledger.model import Decision, Kind
from server.ledger.reports import DayLine, DebtLine, LossLine, day_report, debt_report, loss_report
from server.ledger.tariff import NO_TARIFF
from server.ledger.tariffs import read_tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    DAY,
    OTHER_TILL,
    START_FEN,
    STRANGER,
    apply,
    open_campus,
    reversal,
    sale,
)
from tests.server.ledger.records import Recorder
from tests.server.ledger.stores import BOTH, new_store

NOON_MS = 1_789_012_800_000  # 2026-09-10 12:00 in China
EVENING_MS = NOON_MS + 6 * 3_600_000
UTC_OFFSET_MIN = 480


@pytest.fixture(params=BOTH)
def ledger(request):
    with contextlib.closing(new_store(request.param)) as store:
        ledger = open_campus(store)
        with store.transaction():
            Catalogue(store).put_meal(MealRecord(2, "午餐", 660, 780))
            Catalogue(store).put_class_meal(ClassMealRecord(0, 2, 10))
        ledger.tariff = read_tariff(store, UTC_OFFSET_MIN)
        yield ledger


def test_by_merchant_meal_and_type(ledger):
    apply(ledger, sale(1, 100), sale(2, 200), sale(3, 50, terminal_id=OTHER_TILL), now_ms=NOON_MS)
    apply(ledger, reversal(2, 200), sale(4, 999_999), now_ms=NOON_MS + 60_000)
    apply(ledger, sale(5, 70), now_ms=EVENING_MS)
    assert day_report(ledger.store, DAY, ledger.tariff) == [
        DayLine(1, "hall 1", 0, Kind.SALE, 1, 70, 70),
        DayLine(1, "hall 1", 2, Kind.SALE, 2, 300, 270),
        DayLine(1, "hall 1", 2, Kind.REVERSAL, 1, 180, 180),
        DayLine(2, "hall 2", 2, Kind.SALE, 1, 50, 45),
    ]


def test_each_day_by_itself(ledger):
    apply(ledger, sale(1, 100), now_ms=EVENING_MS)
    ledger.open_day(DAY + 1, EVENING_MS + 1)
    apply(ledger, sale(2, 200), now_ms=EVENING_MS + 2)
    for day, amount_fen in ((DAY, 100), (DAY + 1, 200)):
        assert [line.amount_fen for line in day_report(ledger.store, day, ledger.tariff)] == [amount_fen]
    assert day_report(ledger.store, DAY + 2, ledger.tariff) == []


def test_offline_sales_that_could_not_be_booked(ledger):
    till = Recorder()
    apply(ledger, till.sold(1, 100), till.sold(2, 30, token=STRANGER), till.sold(3, 40, token=STRANGER))
    assert loss_report(ledger.store, DAY) == [LossLine(1, "hall 1", Decision.CARD_UNKNOWN, 2, 70)]
    assert loss_report(ledger.store, DAY + 1) == []


def test_what_the_campus_bears_of_whom(ledger):
    assert debt_report(ledger.store) == []
    with ledger.store.transaction():
        ledger.store.execute("INSERT INTO customers VALUES (?, 'S1', 'Ann')", (ANN,))
    ledger.tariff = NO_TARIFF  # no limit for one offline sale
    till = Recorder()
    apply(ledger, till.sold(1, START_FEN + 40), till.sold(2, 30), till.sold(3, START_FEN + 90, BEN), now_ms=NOON_MS)
    assert debt_report(ledger.store) == [
        DebtLine(BEN, "", "", 1, 90, NOON_MS),
        DebtLine(ANN, "S1", "Ann", 2, 70, NOON_MS),
    ]
