"""`fanka admin operator` as typed."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def hall(fanka):
    fanka("admin", "merchant", "add", "一食堂")


def test_tellers_come_and_go(fanka):
    assert fanka("admin", "operator", "add", 1, 7, "张三") == 0
    assert fanka.out == "operator 07 of merchant 1: first password 0000, to be changed at first use\n"
    assert fanka("admin", "operator", "rename", 1, 7, "李四") == 0
    fanka("admin", "operator", "list", 1)
    assert "李四" in fanka.out
    assert [row["operator"] for row in fanka.json("admin", "operator", "list", 1)] == ["00", "01", "07", "recharge"]
    assert fanka("admin", "operator", "delete", 1, 7) == 0
    assert fanka.out == "operator 07 of merchant 1: deleted\n"


def test_passwords_are_reset_and_unlocked(fanka):
    for which, shown in (("00", "00"), ("1", "01"), ("recharge", "recharge")):
        assert fanka("admin", "operator", "reset", 1, which) == 0
        assert fanka.out == f"operator {shown} of merchant 1: factory password, to be changed at its next use\n"
        assert fanka("admin", "operator", "unlock", 1, which) == 0
        assert fanka.out == f"operator {shown} of merchant 1: unlocked\n"
    assert fanka.json("admin", "operator", "unlock", 1, "recharge")["password"] == "factory"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", 1, 1], "expected a number not in use at merchant 1, got 01"),
        (["delete", 1, 0], "expected a teller's number"),
        (["reset", 1, "boss"], "operator: expected a number like 01 or the word recharge, got 'boss'"),
        (["unlock", 1, "77"], "see `fanka admin operator list 1`"),
        (["list", 9], "got 9, which none has"),
    ],
)
def test_refused_in_one_line(fanka, words, said):
    assert said in fanka.error("admin", "operator", *words)
