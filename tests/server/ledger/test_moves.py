"""A terminal that went to another merchant, and what it brings that it made before: on both stores."""

from __future__ import annotations

import contextlib

import pytest
from msgspec.structs import replace

from server.ledger import moves
from server.ledger.model import Decision, Kind, Sale
from server.ledger.tariff import Tariff
from server.ledger.verify import verify
from tests.server.ledger.campus import (
    BEN,
    MERCHANT,
    NOW_MS,
    OTHER_MERCHANT,
    TILL,
    apply,
    asked,
    balance,
    decide,
    open_campus,
    refund,
    reversal,
    sale,
    upload,
    upload_of,
)
from tests.server.ledger.records import Recorder
from tests.server.ledger.stores import BOTH, new_store

MOVED_S = NOW_MS // 1_000 + 5
"""The till goes from the first merchant to the second. A record's time is that of NOW_MS and as many seconds as its
number says."""


@pytest.fixture(params=BOTH)
def ledger(request):
    with contextlib.closing(new_store(request.param)) as store:
        ledger = open_campus(store)
        with store.transaction():
            moves.note(store, TILL, 1, MOVED_S * 1_000)
            store.execute("UPDATE terminals SET merchant_id = 2 WHERE terminal_id = ?", (TILL,))
        yield ledger
        assert [check for check in verify(store) if not check.ok and check.name != "references"] == []


def earned(ledger):
    return balance(ledger, MERCHANT), balance(ledger, OTHER_MERCHANT)


def test_an_offline_sale_is_the_merchants_at_whom_it_was_made(ledger):
    till = Recorder()
    apply(ledger, till.sold(4, 700), till.sold(5, 30))
    assert earned(ledger) == (700, 30)
    decide(ledger, sale(9, 5))
    assert earned(ledger) == (700, 35)
    apply(ledger, reversal(4, 700))
    assert earned(ledger) == (0, 35)


def test_it_earns_the_points_of_that_merchant(ledger):
    ledger.tariff = Tariff(points_rates={1: 100, 2: 1})
    assert decide(ledger, Recorder().sold(4, 700)).points == 7


def test_a_clock_that_was_never_set_says_nothing(ledger):
    decide(ledger, replace(Recorder().sold(4, 700), claimed_at_s=86_400))
    assert earned(ledger) == (0, 700)


def test_an_upload_is_too_and_what_is_about_it(ledger):
    ledger.open_history(NOW_MS)
    meal = asked(Sale, 1, 900, BEN, claimed_at_s=MOVED_S - 1)
    back = refund(2, meal, 200, claimed_at_s=MOVED_S - 1)
    later = refund(3, meal, 100, claimed_at_s=MOVED_S)
    said = apply(ledger, upload_of(meal, Kind.SALE), upload_of(back, Kind.REFUND), upload(7, 50, claimed_at_s=MOVED_S))
    assert [outcome.decision for outcome in said] == [Decision.APPROVED] * 3
    assert earned(ledger) == (700, 50)
    assert decide(ledger, upload_of(later, Kind.REFUND)).decision == Decision.ID_CONFLICT, (
        "the other hall never did that"
    )
    assert decide(ledger, later).decision == Decision.ORIGINAL_UNKNOWN


def test_a_till_that_moved_twice_and_one_that_did_not(ledger):
    with ledger.store.transaction():
        moves.note(ledger.store, TILL, 2, (MOVED_S + 2) * 1_000)
        moves.note(ledger.store, TILL, 1, (MOVED_S + 2) * 1_000)  # there and back in the same moment
        ledger.store.execute("UPDATE terminals SET merchant_id = 1 WHERE terminal_id = ?", (TILL,))
    till = Recorder()
    apply(ledger, till.sold(4, 1), till.sold(6, 10), till.sold(7, 100))
    assert earned(ledger) == (101, 10)
    assert moves.load(ledger.store, [TILL + 1]) == {}
