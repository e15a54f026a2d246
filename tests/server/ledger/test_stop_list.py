"""The stop list: every change of a card's status raises its version; who has n needs only what is above n."""

from __future__ import annotations

import contextlib
from hashlib import sha256

import pytest

from server.ledger import recovery, stop_list
from server.ledger.ledger import Ledger
from server.ledger.model import Status
from server.ledger.recovery import Recovery
from server.ledger.registry import Registry
from tests.server.ledger.campus import ANN, BEN, CARDS, COY, NO_LIMITS, NOW_MS, open_campus, set_card
from tests.server.ledger.stores import BOTH, new_store


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store:
        open_campus(store)
        yield store


def change(store, owner, status):
    with store.transaction():
        Registry(store).set_card_status(CARDS[owner], status)


def rows(store, version=0, limit=100):
    return [(row.version, row.token_hash, row.stopped) for row in stop_list.after(store, version, limit)]


def hashed(owner):
    return sha256(CARDS[owner]).digest()[:8]


def test_every_change_is_a_version_and_a_card_has_one_row(store):
    assert rows(store) == []
    assert stop_list.newest_version(store) == 0
    change(store, ANN, Status.LOST)
    change(store, BEN, Status.FROZEN)
    assert rows(store) == [(1, hashed(ANN), 1), (2, hashed(BEN), 1)]
    change(store, ANN, Status.ACTIVE)
    assert rows(store) == [(2, hashed(BEN), 1), (3, hashed(ANN), 0)]
    assert rows(store, 2) == [(3, hashed(ANN), 0)]
    assert rows(store, 0, 1) == [(2, hashed(BEN), 1)]
    assert rows(store, 3) == []


def test_what_changes_nothing_for_a_terminal_is_no_version(store):
    change(store, COY, Status.ACTIVE)
    assert rows(store) == []
    change(store, COY, Status.FROZEN)
    change(store, COY, Status.LOST)
    change(store, COY, Status.CLOSED)
    assert rows(store) == [(1, hashed(COY), 1)]
    with store.transaction():
        Registry(store).put_card(CARDS[COY], COY, sale_limit_fen=0, day_limit_fen=0)
    assert rows(store) == [(2, hashed(COY), 0)]


def test_a_change_that_is_rolled_back_is_not_in_the_list(store):
    registry = Registry(store)
    with contextlib.suppress(ZeroDivisionError), store.transaction():
        registry.set_card_status(CARDS[ANN], Status.LOST)
        raise ZeroDivisionError
    assert store.execute("SELECT count(*) FROM cards WHERE status <> 0") == [(0,)]
    assert rows(store) == []


def test_cards_stopped_before_there_was_a_list_are_put_in_once(store):
    set_card(Ledger(store, NO_LIMITS), ANN, status=int(Status.LOST))
    for _ in range(2):
        with store.transaction():
            stop_list.complete(store)
        assert rows(store) == [(1, hashed(ANN), 1)]


def test_a_restored_ledger_goes_on_above_what_the_lost_one_gave(store):
    change(store, ANN, Status.LOST)
    with store.transaction():
        recovery.begin(store, Recovery(2, NOW_MS, 1, 0))
    change(store, BEN, Status.LOST)
    version = stop_list.newest_version(store)
    assert version >= stop_list.HISTORY_STEP
    change(store, COY, Status.LOST)
    assert rows(store, version) == [(version + 1, hashed(COY), 1)]
