"""`fanka admin card terms|class|bind|pin...` as typed; a PIN comes from keyboard or pipe, never as an argument."""

from __future__ import annotations

import io

import pytest


@pytest.fixture(autouse=True)
def hall(fanka):
    fanka("admin", "merchant", "add", "一食堂")
    fanka("admin", "class", "add", "学生")
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三")


def test_class_limit_and_merchants(fanka):
    assert fanka("admin", "card", "class", "04a1b2c3", 1) == 0
    assert fanka("admin", "card", "meal-limit", "04a1b2c3", "15.50") == 0
    assert fanka("admin", "card", "bind", "04a1b2c3", 1) == 0
    shown = fanka.json("admin", "card", "terms", "04a1b2c3")
    assert (shown["class_id"], shown["meal_limit_fen"], shown["merchants"]) == (1, 1_550, [1])
    fanka("admin", "card", "terms", "04a1b2c3")
    assert fanka.out.rstrip().splitlines()[-1].split() == ["04A1B2C3", "1", "15.50", "none", "1"]
    assert fanka("admin", "card", "unbind", "04a1b2c3") == 0
    assert fanka.out.split()[-1] == "all"


def test_a_pin_from_a_pipe(fanka, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("271828\n"))
    assert fanka("admin", "card", "pin", "04a1b2c3") == 0
    assert "271828" not in fanka.out
    assert fanka.json("admin", "card", "terms", "04a1b2c3")["has_pin"] is True
    assert fanka("admin", "card", "pin-unlock", "04a1b2c3") == 0
    assert fanka("admin", "card", "pin-reset", "04a1b2c3") == 0
    assert fanka.json("admin", "card", "terms", "04a1b2c3")["has_pin"] is False


class Keyboard(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("second", "code"), [("4711", 0), ("4712", 2)])
def test_a_pin_keyed_twice(fanka, monkeypatch, second, code):
    keyed = iter(["4711", second])
    monkeypatch.setattr("sys.stdin", Keyboard())
    monkeypatch.setattr("getpass.getpass", lambda _: next(keyed))
    assert fanka("admin", "card", "pin", "04a1b2c3") == code
    assert fanka.json("admin", "card", "terms", "04a1b2c3")["has_pin"] is (code == 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["class", "04a1b2c3", 9], "got 9, which none has"),
        (["meal-limit", "04a1b2c3", "1.005"], "amount: expected yuan like"),
        (["bind", "0909", 1], "expected one that was issued"),
        (["unbind", "04a1b2c3", 1], "expected a merchant it is bound to, got 1"),
    ],
)
def test_refused_in_one_line(fanka, words, said):
    assert said in fanka.error("admin", "card", *words)
