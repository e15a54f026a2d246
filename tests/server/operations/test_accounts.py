"""Accounts: opening, money in and out through the ledger, each request once, history."""

from __future__ import annotations

import pytest

from protocol.limits import MAX_AMOUNT_FEN
from server.ledger.model import FIRST_CUSTOMER_ACCOUNT


def test_opened_once(office):
    opened = office.call("account.open", student_number=" 2023001 ", name="张三")
    assert opened == {
        "account_id": FIRST_CUSTOMER_ACCOUNT,
        "student_number": "2023001",
        "name": "张三",
        "balance_fen": 0,
        "spent_today_fen": 0,
    }
    assert office.call("account.open", student_number="2023001", name="张三") == opened
    assert (
        office.call("account.open", student_number="2023002", name="李四")["account_id"] == FIRST_CUSTOMER_ACCOUNT + 1
    )
    assert "expected '张三' for student number 2023001" in office.refused(
        "account.open", student_number="2023001", name="李四"
    )


@pytest.mark.parametrize(
    ("student_number", "name", "said"),
    [
        ("", "张三", "student number: expected printable text"),
        ("20 23", "张三", "expected no spaces"),
        ("#1", "张三", "no # in front"),
        ("1" * 33, "张三", "at most 32 characters, got 33"),
        ("1", "", "name: expected one"),
        ("1", "张" * 65, "name: expected at most 64 characters, got 65"),
        ("1", "a\u202eb", "name: expected printable text"),
    ],
)
def test_who_cannot_be_is_refused(office, student_number, name, said):
    assert said in office.refused("account.open", student_number=student_number, name=name)


def test_money_in_and_out(office):
    office.call("account.open", student_number="S1", name="张三")
    done = office.call("account.topup", who="S1", amount_fen=5005, batch=2, line=1)
    assert (done["balance_fen"], done["rrn"], done["request"], done["repeated"]) == (5005, 1, "2-1", False)
    done = office.call("account.correct", who=f"#{FIRST_CUSTOMER_ACCOUNT}", amount_fen=-5, batch=2, line=2)
    assert (done["balance_fen"], done["student_number"]) == (5000, "S1")


def test_a_repeated_request_posts_once_and_gets_the_same_answer(office):
    office.call("account.open", student_number="S1", name="张三")
    first = office.call("account.topup", who="S1", amount_fen=100, batch=7, line=1)
    office.now_ms += 5_000
    again = office.call("account.topup", who="S1", amount_fen=100, batch=7, line=1)
    assert again == first | {"repeated": True}
    assert office.call("account.show", who="S1")["balance_fen"] == 100


def test_a_request_number_used_for_something_else_is_refused(office):
    office.call("account.open", student_number="S1", name="张三")
    office.call("account.open", student_number="S2", name="李四")
    office.call("account.topup", who="S1", amount_fen=100, batch=7, line=1)
    assert "was used before" in office.refused("account.topup", who="S1", amount_fen=101, batch=7, line=1)
    assert "was used before" in office.refused("account.topup", who="S2", amount_fen=100, batch=7, line=1)


def test_not_below_zero(office):
    office.call("account.open", student_number="S1", name="张三")
    office.call("account.topup", who="S1", amount_fen=100, batch=7, line=1)
    with pytest.raises(ValueError, match=r"not posted: the account would fall below zero \(balance 1\.00\)"):
        office.call("account.correct", who="S1", amount_fen=-101, batch=7, line=2)
    assert office.call("account.show", who="S1")["balance_fen"] == 100


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("topup", {"amount_fen": 0}, "expected 0.01 to"),
        ("topup", {"amount_fen": -1}, "got -0.01"),
        ("topup", {"amount_fen": MAX_AMOUNT_FEN + 1}, "expected 0.01 to 9999999.99 yuan"),
        ("correct", {"amount_fen": 0}, "and not zero"),
        ("correct", {"amount_fen": -MAX_AMOUNT_FEN - 1}, "expected -9999999.99 to"),
        ("topup", {"amount_fen": 1, "who": "S9"}, "got 'S9', which nobody has"),
        ("topup", {"amount_fen": 1, "who": "#1"}, "got '#1', which nobody has"),  # the funding account is no customer's
        ("topup", {"amount_fen": 1, "batch": 1}, "request: expected BATCH-LINE with batch 2.."),
        ("topup", {"amount_fen": 1, "line": 0}, "got 2-0"),
        ("topup", {"amount_fen": 1, "batch": 1 << 31}, "request: expected"),
        ("topup", {"amount_fen": 1.5}, "Expected `int`, got `float`"),
        ("topup", {"amount_fen": "1"}, "Expected `int`, got `str`"),
        ("topup", {"amount_fen": True}, "Expected `int`, got `bool`"),
    ],
)
def test_refused(office, operation, arguments, said):
    office.call("account.open", student_number="S1", name="张三")
    assert said in office.refused(f"account.{operation}", **({"who": "S1", "batch": 2, "line": 1} | arguments))


def test_no_business_day_no_money(office):
    office.call("account.open", student_number="S1", name="张三")
    office.ledger.business_day = 0
    assert "`fanka admin day open`" in office.refused("account.topup", who="S1", amount_fen=1, batch=2, line=1)


def test_history_is_walked_from_the_newest(office):
    office.call("account.open", student_number="S1", name="张三")
    office.call("account.open", student_number="S2", name="李四")
    for line in range(1, 31):
        office.call("account.topup", who=f"S{1 + line % 2}", amount_fen=line, batch=2, line=line)
    shown = office.call("account.show", who="S1", entries=3)
    assert [entry["amount_fen"] for entry in shown["entries"]] == [30, 28, 26]
    assert [entry["balance_fen"] for entry in shown["entries"]] == [240, 210, 182]
    entry = shown["entries"][0]
    assert (entry["kind"], entry["terminal"], entry["batch"], entry["stan"]) == ("adjustment", "0-0", 2, 30)
    assert len(office.call("account.show", who="S1", entries=500)["entries"]) == 15
    assert office.call("account.show", who="S1", entries=0)["entries"] == []
    assert "expected 0..500" in office.refused("account.show", who="S1", entries=501)


def test_listed_in_pages(office):
    for number in range(5):
        office.call("account.open", student_number=f"S{number}", name="张三")
    page = office.call("account.listing", limit=3)
    rest = office.call("account.listing", after=page[-1]["account_id"])
    assert [row["student_number"] for row in page + rest] == ["S0", "S1", "S2", "S3", "S4"]
    assert "expected 1..500 rows, got 0" in office.refused("account.listing", limit=0)


def test_renamed(office):
    office.call("account.open", student_number="S1", name="张三")
    assert office.call("account.rename", who="S1", name="张三丰")["name"] == "张三丰"
