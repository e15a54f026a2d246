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
    table.set(ParameterRecord(Scope.TERMINAL, TILL, "discount_percent", 30))
    table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "discount_percent", 10))
    table.set(ParameterRecord(Scope.MERCHANT, 1, "discount_percent", 25))
    assert table.in_force(TILL, 1).discount_percent == 30
    assert table.in_force(OTHER_TILL, 1).discount_percent == 25
    assert table.in_force(OTHER_TILL, 2).discount_percent == table.of_campus().discount_percent == 10
    table.unset(Scope.TERMINAL, TILL, "discount_percent")
    assert table.in_force(TILL, 1).discount_percent == 25
    table.set(ParameterRecord(Scope.MERCHANT, 1, "discount_percent", 0))
    assert table.in_force(TILL, 1).discount_percent == 0
    assert [(found.scope, found.value) for found in table.values()] == [(Scope.CAMPUS, 10), (Scope.MERCHANT, 0)]


def test_of_offline_limits_the_least_counts(table):
    """The host checks uploads against the campus's: a terminal must not sell what it would refuse."""
    table.set(ParameterRecord(Scope.MERCHANT, 1, "offline_sale_fen", Parameters().offline_sale_fen + 1))
    assert table.in_force(TILL, 1).offline_sale_fen == Parameters().offline_sale_fen
    table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "offline_sale_fen", 9_000))
    table.set(ParameterRecord(Scope.TERMINAL, TILL, "offline_sale_fen", 500))
    assert table.in_force(TILL, 1).offline_sale_fen == 500
    assert table.in_force(OTHER_TILL, 1).offline_sale_fen == Parameters().offline_sale_fen + 1
    table.set(ParameterRecord(Scope.CAMPUS, CAMPUS_OWNER, "offline_sale_fen", 0))
    assert table.in_force(TILL, 1).offline_sale_fen == table.of_campus().offline_sale_fen == 0


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
