"""Reports of a day: sums by merchant, meal and type as the journal has them; on both stores."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.catalogue import Catalogue, ClassMealRecord, MealRecord
from server.ledger.model import Decision, Kind, PointsSale, PreAuth, TopUp
from server.ledger.reports import DayLine, DebtLine, LossLine, day_report, debt_report, loss_report
from server.ledger.tariff import NO_TARIFF, BonusTier, Tariff
from server.ledger.tariffs import read_tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    DAY,
    MERCHANT,
    OTHER_TILL,
    START_FEN,
    STRANGER,
    apply,
    asked,
    balance,
    open_campus,
    refund,
    reversal,
    reversal_of,
    sale,
    void,
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
        DayLine(1, "hall 1", 0, Kind.SALE, 0, 1, 0, 70, 70, 70, 0),
        DayLine(1, "hall 1", 2, Kind.SALE, 0, 2, 1, 300, 270, 270, 0),
        DayLine(1, "hall 1", 2, Kind.REVERSAL, Kind.SALE, 1, 0, 180, 180, -180, 0),
        DayLine(2, "hall 2", 2, Kind.SALE, 0, 1, 0, 50, 45, 45, 0),
    ]


def test_what_is_net_and_what_was_reversed_can_be_read_off(ledger):
    """A void that was reversed did not happen; a top-up's cash is the merchant's; points are no yuan."""
    ledger.tariff = Tariff(points_rates={0: 10}, bonus_tiers={0: (BonusTier(100, 10),)})
    first, second, third = sale(1, 100), sale(2, 300), sale(3, 50)
    gone = void(4, first)
    apply(ledger, first, second, third, gone, void(5, second), reversal_of(gone), refund(6, third, 20))
    apply(ledger, asked(TopUp, 7, 200), asked(PointsSale, 8, 4), asked(PreAuth, 9, 30))
    lines = {
        (line.kind, line.about): (line.count, line.undone, line.amount_fen, line.charged_fen, line.net_fen, line.points)
        for line in day_report(ledger.store, DAY, ledger.tariff)
    }
    assert lines == {
        (Kind.SALE, 0): (3, 0, 450, 450, 450, 45),
        (Kind.VOID, 0): (2, 1, 400, 400, -400, -40),
        (Kind.REVERSAL, Kind.VOID): (1, 0, 100, 100, 100, 10),
        (Kind.REFUND, 0): (1, 0, 20, 20, -20, -2),
        (Kind.TOPUP, 0): (1, 0, 200, 210, -200, 0),
        (Kind.POINTS_SALE, 0): (1, 0, 0, 0, 0, -4),
        (Kind.PREAUTH, 0): (1, 0, 30, 30, 0, 0),
    }
    assert sum(net for *_, net, _ in lines.values()) == balance(ledger, MERCHANT)


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
        DebtLine(BEN, "", "", 1, 90, 0, NOON_MS),
        DebtLine(ANN, "S1", "Ann", 2, 70, 0, NOON_MS),
    ]


def test_who_owes_points(ledger):
    """Spent, and then the sale that had earned them was voided: in money they may owe something, too."""
    with ledger.store.transaction():
        ledger.store.execute("INSERT INTO customers VALUES (?, 'S1', 'Ann')", (ANN,))
    ledger.tariff = Tariff(points_rates={0: 10})
    eaten, till = sale(1, 100), Recorder()
    apply(ledger, eaten, asked(PointsSale, 2, 7), void(3, eaten), now_ms=NOON_MS)
    assert debt_report(ledger.store) == [DebtLine(ANN, "S1", "Ann", 0, 0, 7, NOON_MS)]
    ledger.tariff = NO_TARIFF
    apply(ledger, till.sold(4, START_FEN + 90, BEN), till.sold(5, START_FEN + 30), now_ms=EVENING_MS)
    assert debt_report(ledger.store) == [
        DebtLine(BEN, "", "", 1, 90, 0, EVENING_MS),
        DebtLine(ANN, "S1", "Ann", 1, 30, 7, EVENING_MS),
    ]
