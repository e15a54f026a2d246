"""Virtual cards: one a customer, and the code that a telephone would show at this moment."""

import pytest

from protocol.payment_code import STEP_S, STEPS_BACK, matching_step, parse_code, step_at
from server.host_secrets import bind_secrets


@pytest.fixture
def issued(office):
    return office.call("virtual_card.issue", student_number="S1", name="张三")


def test_issued_with_an_account_and_again_the_same(office, issued):
    assert len(issued["number"]) == 10
    assert issued | {"number": ""} == {"number": "", "status": "active", "student_number": "S1", "name": "张三"}
    before = office.contents()
    assert office.call("virtual_card.issue", student_number="S1") == issued
    assert office.contents() == before
    assert office.call("virtual_card.issue", student_number="S2", name="李四")["number"] != issued["number"]


def test_a_closed_one_is_replaced(office, issued):
    uid = "V" + issued["number"]
    office.call("card.close", uid=uid)
    assert "expected its number, or a student number that has one" in office.refused("virtual_card.code", card="S1")
    assert "expected one that is active, got closed" in office.refused("virtual_card.code", card=issued["number"])
    assert office.call("virtual_card.issue", student_number="S1")["number"] != issued["number"]


@pytest.mark.parametrize("by", ["number", "student_number"])
def test_the_code_of_the_moment_is_the_one_that_the_host_takes(office, issued, by):
    shown = office.call("virtual_card.code", card=issued[by])
    code = parse_code(shown["code"].encode())
    now_s = office.now_ms // 1000
    secrets = bind_secrets(office.registry, office.keys, bytes)
    step = matching_step(secrets.code_secret(code.number), code.dynamic, now_s)
    assert step is not None
    assert code.number == issued["number"]
    assert step_at(now_s + shown["good_for_s"] - 1) - step == STEPS_BACK
    assert step_at(now_s + shown["good_for_s"]) - step == STEPS_BACK + 1
    office.now_ms += 1000 * STEP_S
    assert office.call("virtual_card.code", card=issued[by])["code"] != shown["code"]


def test_who_has_none(office):
    office.call("card.issue", uid="04A1B2C3", student_number="S1", name="张三")
    assert "issue-virtual" in office.refused("virtual_card.code", card="S1")
    assert "which nobody has" in office.refused("virtual_card.code", card="1234567890")
    office.call("virtual_card.issue", student_number="S1")
    assert len(office.call("virtual_card.code", card="S1")["code"]) == 22
