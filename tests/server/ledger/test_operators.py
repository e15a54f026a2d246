"""Operators: those every merchant has, those it adds, and the state of their passwords; in both databases."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger import operators
from server.ledger.operators import FIRST_TELLER, RECHARGE, SUPERVISOR, WRONG_TRIES_MAX, OperatorRecord, Operators, Role
from server.ledger.registry import Registry
from tests.server.ledger.stores import BOTH, new_store


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store, store.transaction():
        yield store


def test_a_new_merchant_has_a_supervisor_a_teller_and_a_recharge_password(store):
    merchant_id = Registry(store).add_merchant("hall 1")
    assert [
        (found.operator, found.role, found.verifier, found.must_change)
        for found in Operators(store).of_merchant(merchant_id)
    ] == [
        (SUPERVISOR, Role.SUPERVISOR, None, 1),
        (FIRST_TELLER, Role.TELLER, None, 1),
        (RECHARGE, Role.RECHARGE, None, 1),
    ]
    assert set(operators.FACTORY_PASSWORDS) == set(Role)


def test_added_found_and_deleted_at_one_merchant_only(store):
    table = Operators(store)
    table.add(1, 7, Role.TELLER, "张三")
    table.add(2, 7, Role.TELLER, "Ben")
    assert table.find(1, 7) == OperatorRecord(1, 7, Role.TELLER, "张三", None, 1, 0, 0)
    assert table.find(1, 8) is None
    table.delete(1, 7)
    assert table.of_merchant(1) == []
    assert len(table.of_merchant(2)) == 1


def test_wrong_tries_lock_and_a_new_password_opens(store):
    table = Operators(store)
    table.add(1, 7, Role.TELLER, "")
    table.set_password(1, 7, b"v" * 32, must_change=False)
    assert table.find(1, 7) == OperatorRecord(1, 7, Role.TELLER, "", b"v" * 32, 0, 0, 0)
    for tries in range(1, WRONG_TRIES_MAX + 1):
        table.set_tries(1, 7, tries)
        found = table.find(1, 7)
        assert (found.tries, found.is_locked) == (tries, int(tries == WRONG_TRIES_MAX))
    table.set_password(1, 7, None, must_change=True)
    assert table.find(1, 7) == OperatorRecord(1, 7, Role.TELLER, "", None, 1, 0, 0)
    table.set_tries(1, 7, WRONG_TRIES_MAX)
    table.set_tries(1, 7, 0)
    assert table.find(1, 7).is_locked == 0
