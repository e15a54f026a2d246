"""Registry: what is written is what is found again; history and day totals come from the journal."""

from __future__ import annotations

import pytest

from server.ledger.model import FIRST_CUSTOMER_ACCOUNT, FIRST_MERCHANT_ACCOUNT, AccountKind, Kind, PreAuth, TopUp
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.stores import open_postgres
from tests.postgres import shared_server
from tests.server.ledger.campus import (
    ANN,
    DAY,
    NOW_MS,
    OTHER_TILL,
    apply,
    asked,
    completion,
    open_campus,
    refund,
    reversal,
    reversal_of,
    sale,
    void,
)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request):
    """Every statement of the registry is understood by both databases, in the same way."""
    store = SqliteStore(":memory:") if request.param == "sqlite" else open_postgres(shared_server().new_database())
    yield store
    store.close()


@pytest.fixture
def registry(store):
    return Registry(store)


def test_nobody_is_there_at_first(registry):
    assert registry.find_merchant(1) is None
    assert registry.find_terminal(1) is None
    assert registry.find_customer("S1") is None
    assert registry.find_account(1) is None  # funding is nobody's account
    assert registry.find_card(b"\x04") is None
    assert registry.meta("x") is None
    assert registry.merchants() == registry.days(5) == registry.cards(after=b"", limit=5) == []


def test_meta_is_replaced(registry, store):
    with store.transaction():
        registry.set_meta("x", "1")
        registry.set_meta("x", "2")
    assert registry.meta("x") == "2"


def test_account_numbers_tell_the_kind(registry, store):
    with store.transaction():
        registry.add_merchant("m1")
        registry.add_merchant("m2")
        registry.add_customer("S1", "Ann")
        registry.add_customer("S2", "Ben")
    assert store.execute("SELECT account_id, kind FROM accounts ORDER BY 1") == [
        (1, AccountKind.FUNDING),
        (2, AccountKind.OFFLINE_DEBT),
        (3, AccountKind.HOLDS),
        (4, AccountKind.BONUS),
        (5, AccountKind.POINTS_ISSUED),
        (FIRST_MERCHANT_ACCOUNT, AccountKind.MERCHANT),
        (FIRST_MERCHANT_ACCOUNT + 1, AccountKind.MERCHANT),
        (FIRST_CUSTOMER_ACCOUNT, AccountKind.CUSTOMER),
        (FIRST_CUSTOMER_ACCOUNT + 1, AccountKind.CUSTOMER),
    ]


def test_merchant_accounts_never_run_into_customers(registry, store):
    with store.transaction():
        store.execute("INSERT INTO accounts (account_id, kind) VALUES (?, 3)", (FIRST_CUSTOMER_ACCOUNT - 1,))
    with pytest.raises(AssertionError, match=r"1000\.\.999999 are used up"):
        registry.add_merchant("one too many")


def test_history_is_of_this_account_alone_and_newest_first(registry, store):
    ledger = open_campus(store)
    apply(ledger, sale(1, 100), sale(2, 50, terminal_id=OTHER_TILL), reversal(1, 100))
    found = registry.history(ANN, 10)
    assert [(row.kind, row.amount_fen, row.balance_fen) for row in found] == [
        (Kind.REVERSAL, 100, 9_950),
        (Kind.SALE, -50, 9_850),
        (Kind.SALE, -100, 9_900),
        (Kind.ADJUSTMENT, 10_000, 10_000),
    ]
    assert found[0].original_seq == found[2].seq
    assert registry.history(ANN, 2) == found[:2]
    assert registry.history(ANN + 77, 2) == []


def test_day_totals_by_merchant(registry, store):
    ledger = open_campus(store)
    apply(ledger, sale(1, 100), sale(2, 50), sale(3, 20, terminal_id=OTHER_TILL), reversal(1, 100), sale(4, 999_999))
    apply(ledger, reversal(9, 5))  # of something never seen: no money of anybody's
    ledger.open_day(DAY + 1, NOW_MS)
    apply(ledger, sale(5, 7), reversal(2, 50))
    assert registry.day_totals(DAY) == [(1, "hall 1", 2, 150, 1, 100), (2, "hall 2", 1, 20, 0, 0)]
    assert registry.day_totals(DAY + 1) == [(1, "hall 1", 1, 7, 1, 50)]
    assert registry.day_totals(DAY + 2) == []


def test_top_ups_are_no_sales_and_voids_and_refunds_are_given_back(registry, store):
    ledger = open_campus(store)
    eaten, undone, paid_in, desk = sale(1, 100), sale(2, 50), asked(TopUp, 3, 900), asked(PreAuth, 4, 80)
    taken = completion(5, desk, 60)
    apply(ledger, eaten, undone, paid_in, desk, taken, void(6, undone), refund(7, eaten, 30), reversal_of(paid_in))
    apply(ledger, reversal_of(void(6, undone)))
    assert registry.day_totals(DAY) == [(1, "hall 1", 4, 100 + 50 + 60 + 50, 2, 50 + 30)]
