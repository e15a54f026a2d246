"""The table of operations: what can be called from outside, with which arguments, and what is said to anything else."""

from __future__ import annotations

import json

import pytest

from server.admin import OPERATIONS
from tests.server.office import Office


@pytest.fixture
def office():
    office = Office()
    yield office
    office.store.close()


def test_every_operation_can_be_called_by_name_and_has_a_word_of_explanation(office):
    for operation in OPERATIONS:
        group, name = operation.split(".")
        method = getattr(office.admin._groups[group], name)
        assert method.__doc__
        assert not name.startswith("_")


def test_results_are_json(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol", terminal="3-1", merchant_id=1)
    office.call("card.issue", uid="04A1B2C3", student_number="S1", name="张三")
    office.call("account.topup", who="S1", amount_fen=1, batch=2, line=1)
    for operation in ("merchant.listing", "terminal.listing", "card.listing", "account.listing", "day.show"):
        assert json.loads(json.dumps(office.call(operation))) == office.call(operation) != []
    assert json.dumps(office.call("account.show", who="S1"))


@pytest.mark.parametrize(
    "operation", ["", "merchant", "merchant.", "merchant._desk", "merchant.__init__", "terminal.redeem_code"]
)
def test_nothing_else_can_be_called(office, operation):
    assert office.refused(operation).startswith("operation: expected one of merchant.add,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "merchant.add: Object missing required field `name`"),
        ({"name": 5}, "merchant.add: Expected `str`, got `int` - at `$.name`"),
        ({"name": "x", "nam": "y"}, "merchant.add: Object contains unknown field `nam`"),
        ([], "merchant.add: Expected `object`, got `array`"),
    ],
)
def test_arguments_are_checked(office, arguments, said):
    with pytest.raises(ValueError, match=said.replace("$", r"\$").replace("`.", ".")):
        office.admin.perform("merchant.add", arguments)


def test_a_number_too_large_for_any_database_is_refused(office):
    assert "at most 64 bits" in office.refused("merchant.close", merchant_id=1 << 70)
