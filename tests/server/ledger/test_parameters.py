"""Parameters: the narrowest value counts, and where none was set the program's own; in both databases."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.parameters import (
    CAMPUS_OWNER,
    NAMES,
    RANGES,
    ParameterRecord,
    Parameters,
    ParameterTable,
    Profile,
    Scope,
)
from tests.server.ledger.stores import BOTH, new_store

TILL, OTHER_TILL = 0x0003_003A, 0x0003_003B


@pytest.fixture(params=BOTH)
def table(request):
    with contextlib.closing(new_store(request.param)) as store, store.transaction():
        yield ParameterTable(store)


def test_the_programs_own_values(table):
    assert table.in_force(TILL, 1) == Parameters()
    assert table.values() == []
    assert Parameters().profile == Profile.CANTEEN


def test_the_narrowest_counts(table):
    table.set(ParameterRecord(Scope.TERMINAL, TILL, "pin_sale_fen", 300))
    table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "pin_sale_fen", 100))
    table.set(ParameterRecord(Scope.MERCHANT, 1, "pin_sale_fen", 200))
    assert table.in_force(TILL, 1).pin_sale_fen == 300
    assert table.in_force(OTHER_TILL, 1).pin_sale_fen == 200
    assert table.in_force(OTHER_TILL, 2).pin_sale_fen == 100
    table.unset(Scope.TERMINAL, TILL, "pin_sale_fen")
    assert table.in_force(TILL, 1).pin_sale_fen == 200
    table.set(ParameterRecord(Scope.MERCHANT, 1, "pin_sale_fen", 0))
    assert table.in_force(TILL, 1).pin_sale_fen == 0
    assert [(found.scope, found.value) for found in table.values()] == [(Scope.CAMPUS, 100), (Scope.MERCHANT, 0)]


def test_a_merchant_and_a_terminal_of_one_number_are_two(table):
    table.set(ParameterRecord(Scope.MERCHANT, 5, "profile", Profile.MEMBER))
    assert table.in_force(5, 6).profile == Profile.CANTEEN


def test_a_value_this_program_does_not_know_is_left_alone(table):
    table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "of_a_later_program", 1))
    assert table.in_force(TILL, 1) == Parameters()


def test_every_range_holds_the_value_of_the_program():
    assert {*RANGES} <= {*NAMES}
    for name, (low, high) in RANGES.items():
        assert low <= getattr(Parameters(), name) <= high
