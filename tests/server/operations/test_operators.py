"""Operators: tellers come and go, passwords are put back to the factory's, locks end; nobody's password is shown."""

from __future__ import annotations

import pytest

from protocol.messages.password import OPERATOR_MAX
from server.ledger.operators import RECHARGE, TELLER_MAX, WRONG_TRIES_MAX


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    return office


def listed(office):
    return {row["operator"]: row for row in office.call("operator.listing", merchant_id=1)}


def test_every_merchant_has_a_supervisor_a_teller_and_a_recharge_password(hall):
    assert [(row["operator"], row["role"], row["password"]) for row in listed(hall).values()] == [
        ("00", "supervisor", "factory"),
        ("01", "teller", "factory"),
        ("recharge", "recharge", "factory"),
    ]


def test_tellers_come_and_go(hall):
    added = hall.call("operator.add", merchant_id=1, operator=7, name="张三")
    assert added == {
        "merchant_id": 1,
        "operator": "07",
        "role": "teller",
        "name": "张三",
        "password": "factory",
        "tries": 0,
        "locked": False,
    }
    assert hall.call("operator.rename", merchant_id=1, operator=7, name="李四")["name"] == "李四"
    hall.call("operator.delete", merchant_id=1, operator=7)
    assert list(listed(hall)) == ["00", "01", "recharge"]
    assert [(row["old"], row["new"]) for row in hall.call("history.listing", what="operator 07")] == [
        ("teller 李四", ""),
        ("name 张三", "name 李四"),
        ("", "teller 张三"),
    ]


def test_a_forgotten_password_and_a_lock(hall):
    operators = hall.admin.desk.operators
    with hall.store.transaction():
        operators.set_password(1, RECHARGE, b"secret-of-the-owner", must_change=False)
        operators.set_tries(1, RECHARGE, WRONG_TRIES_MAX)
    assert (listed(hall)["recharge"]["password"], listed(hall)["recharge"]["locked"]) == ("own", True)
    assert hall.call("operator.unlock", merchant_id=1, operator=RECHARGE)["locked"] is False
    assert listed(hall)["recharge"]["password"] == "own"
    reset = hall.call("operator.reset", merchant_id=1, operator=RECHARGE)
    assert (reset["password"], reset["locked"], reset["tries"]) == ("factory", False, 0)
    told = str(hall.call("history.listing")) + str(hall.call("operator.listing", merchant_id=1))
    assert "secret" not in told


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("add", {"operator": 0}, "teller: expected 1 to 99, got 0"),
        ("add", {"operator": 10_000}, "teller: expected 1 to 99, got 10000"),
        ("add", {"operator": 1}, "expected a number not in use at merchant 1, got 01"),
        ("add", {"operator": 2, "name": "张" * 9}, "name: expected at most 24 bytes"),
        ("delete", {"operator": 0}, "expected a teller's number, got 00"),
        ("delete", {"operator": RECHARGE}, "which every merchant has to have"),
        ("reset", {"operator": 44}, "expected a number of merchant 1, got 44; see `fanka admin operator list 1`"),
    ],
)
def test_refused(hall, operation, arguments, said):
    assert said in hall.refused(f"operator.{operation}", merchant_id=1, **arguments)


def test_an_unknown_merchant_has_none(hall):
    assert "got 9, which none has" in hall.refused("operator.listing", merchant_id=9)


def test_no_more_than_several_shifts(hall, monkeypatch):
    monkeypatch.setattr("server.operations.operators.OPERATORS_MAX", 3)
    assert "expected at most 3 at merchant 1" in hall.refused("operator.add", merchant_id=1, operator=2)


def test_no_teller_gets_a_number_that_no_terminal_can_key(hall):
    """A terminal's list of tellers could not be sent at all."""
    assert "teller: expected 1 to 99, got 100" in hall.refused("operator.add", merchant_id=1, operator=100, name="x")
    assert TELLER_MAX == OPERATOR_MAX
