"""Loading: a handful of queries a batch, however many commands it has, and none that no command needs."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.model import ExpireHolds, Inquiry, Lookup, PreAuth
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    TILL,
    adjustment,
    apply,
    asked,
    open_campus,
    query,
    refund,
    reversal,
    sale,
    set_card,
    void,
)

LOADS = (
    *("load_transfers", "load_family", "load_entries", "load_terminals", "load_cards", "load_bindings"),
    *("load_accounts", "load_held", "load_due"),
)
OF_A_SALE = ["load_transfers", "load_terminals", "load_cards", "load_accounts"]
EATEN, DESK = sale(1, 100), asked(PreAuth, 2, 50)


@pytest.fixture
def loads(monkeypatch):
    """A campus with a sale and a hold, and the names of what a batch loads, in order."""
    with contextlib.closing(SqliteStore(":memory:")) as store:
        ledger = open_campus(store)
        apply(ledger, EATEN, DESK)
        names: list[str] = []

        def noted(name):
            load = getattr(store, name)

            def call(*values):
                names.append(name)
                return load(*values)

            return call

        for name in LOADS:
            monkeypatch.setattr(store, name, noted(name))

        def of(*commands):
            names.clear()
            apply(ledger, *commands)
            return names

        of.ledger = ledger
        yield of


@pytest.mark.parametrize("count", [1, 50])
def test_sales_take_four_queries_however_many(loads, count):
    assert loads(*[sale(10 + stan, 1, (ANN, BEN)[stan % 2]) for stan in range(count)]) == OF_A_SALE


def test_points_meals_and_pins_take_no_more(loads):
    loads.ledger.tariff = Tariff(points_rates={0: 10}, meal_limit_fen=10_000, pin_above_fen=1)
    assert loads(sale(10, 100)) == OF_A_SALE


def test_a_bound_card_takes_one_more(loads):
    set_card(loads.ledger, is_bound=1)
    assert loads(sale(10, 1)) == [*OF_A_SALE[:3], "load_bindings", "load_accounts"]


def test_queries_and_adjustments_take_what_they_need(loads):
    assert loads(query(1), query(2)) == ["load_transfers", "load_accounts"]
    assert loads(adjustment(9, 5)) == ["load_transfers", "load_accounts"]


def test_follow_ups_take_two_more_however_many_and_whatever(loads):
    family = ["load_transfers", "load_family", "load_entries", *OF_A_SALE[1:]]
    assert loads(refund(10, EATEN, 1), refund(11, EATEN, 1), void(12, DESK), Lookup(TILL, DESK.identity)) == family
    assert loads(reversal(1, 100), sale(13, 1)) == family


def test_what_is_about_nothing_that_is_here_takes_none(loads):
    assert loads(reversal(99, 5)) == ["load_transfers", "load_terminals", "load_accounts"]
    assert loads(refund(10, sale(98, 5), 1)) == OF_A_SALE


def test_inquiries_and_expiry(loads):
    assert loads(Inquiry(TILL, CARDS[ANN])) == ["load_terminals", "load_cards", "load_held", "load_accounts"]
    assert loads(ExpireHolds()) == ["load_due", "load_accounts"]
