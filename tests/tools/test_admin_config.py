"""`fanka admin class|meal|bonus|points|history` as typed."""

from __future__ import annotations

import getpass

import pytest


def test_classes_and_their_discounts(fanka):
    assert fanka("admin", "meal", "set", 2, "午餐", "11:00", "13:30") == 0
    assert fanka.out == "meal 2: 午餐 11:00-13:30\n"
    assert fanka("admin", "class", "add", "学生", "--sale-limit", "20") == 0
    assert fanka.out == "class 1: 学生\n"
    assert fanka("admin", "class", "discount", 1, 20, "--meal", 2) == 0
    assert "meal 2 20 %" in fanka.out
    assert fanka("admin", "class", "discount", 1, 5) == 0
    assert fanka("admin", "class", "change", 1, "--meal-limit", "15.50") == 0
    assert "any time 5 %, meal 2 20 %" in fanka.out
    shown = fanka.json("admin", "class", "list")[1]
    assert (shown["name"], shown["sale_limit_fen"], shown["meal_limit_fen"]) == ("学生", 2_000, 1_550)
    assert shown["discounts"] == {"0": 5, "2": 20}
    assert fanka("admin", "class", "discount", 1, "--remove") == 0
    assert fanka.json("admin", "class", "list")[1]["discounts"] == {"2": 20}
    assert fanka("admin", "class", "delete", 1) == 0
    assert fanka.out == "class 1: 学生: deleted\n"


def test_meals(fanka):
    assert fanka("admin", "meal", "list") == 0
    assert "fanka admin meal set" in fanka.out
    assert fanka("admin", "meal", "set", 4, "夜宵", "22:00", "1:00") == 0
    assert fanka("admin", "meal", "set", 1, "早餐", "06:30", "09:00") == 0
    assert [(row["name"], row["start"], row["end"]) for row in fanka.json("admin", "meal", "list")] == [
        ("早餐", "06:30", "09:00"),
        ("夜宵", "22:00", "01:00"),
    ]
    assert fanka("admin", "meal", "delete", 4) == 0
    assert len(fanka.json("admin", "meal", "list")) == 1


def test_bonus_and_points(fanka):
    fanka("admin", "merchant", "add", "一食堂")
    assert fanka("admin", "bonus", "set", 100, 10) == 0
    assert fanka("admin", "bonus", "set", 50, 1, "--merchant", 1) == 0
    fanka("admin", "bonus", "list")
    assert [line.split() for line in fanka.out.rstrip().splitlines()[-2:]] == [
        ["all", "100.00", "10.00"],
        ["1", "50.00", "1.00"],
    ]
    assert fanka("admin", "bonus", "delete", 50, "--merchant", 1) == 0
    assert fanka.out == "bonus from 50.00: deleted\n"
    assert len(fanka.json("admin", "bonus", "list")) == 1
    assert fanka("admin", "points", "set", 1) == 0
    assert fanka("admin", "points", "set", "0.50", "--merchant", 1) == 0
    assert fanka.json("admin", "points", "list") == [
        {"merchant_id": 0, "fen_per_point": 100},
        {"merchant_id": 1, "fen_per_point": 50},
    ]
    assert fanka("admin", "points", "delete", "--merchant", 1) == 0
    assert len(fanka.json("admin", "points", "list")) == 1


def test_history_says_who_it_was(fanka):
    assert fanka("admin", "history") == 0
    assert fanka.out == "nothing was changed yet\n"
    fanka("admin", "merchant", "add", "一食堂")
    fanka("admin", "bonus", "set", 100, 10)
    fanka("admin", "bonus", "set", 100, 20)
    found = fanka.json("admin", "history")
    assert [row["what"] for row in found] == ["bonus of all merchants from 100.00"] * 2 + ["merchant 1"]
    assert {row["who"] for row in found} == {getpass.getuser()}
    assert fanka("admin", "history", "bonus", "--limit", 1) == 0
    assert "bonus 10.00" in fanka.out
    assert "bonus 20.00" in fanka.out
    assert "merchant 1" not in fanka.out


def test_history_pages_through_everything(fanka, monkeypatch):
    monkeypatch.setattr("tools.options.PAGE", 2)
    for number in range(1, 6):
        fanka("admin", "meal", "set", number, str(number), f"{number}:00", f"{number}:30")
    assert [row["number"] for row in fanka.json("admin", "history")] == [5, 4, 3, 2, 1]
    assert [row["number"] for row in fanka.json("admin", "history", "--limit", 3)] == [5, 4, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["meal", "set", 1, "x", "25:00", "26:00"], "time: expected HH:MM like 11:30, up to 24:00, got '25:00'"),
        (["meal", "set", 1, "x", "1:60", "2:00"], "time: expected HH:MM"),
        (["meal", "set", 1, "x", "noon", "2:00"], "got 'noon'"),
        (["class", "discount", 0], "expected either a percentage or --remove"),
        (["class", "discount", 0, 5, "--remove"], "expected either a percentage or --remove"),
        (["class", "delete", 7], "got 7, which none has"),
        (["bonus", "set", "1.005", "1"], "amount: expected yuan like"),
        (["bonus", "set", "1", "2"], "expected at most the 1.00 yuan paid in, got 2.00"),
        (["points", "set", "1", "--merchant", 9], "got 9, which none has"),
    ],
)
def test_refused_in_one_line(fanka, words, said):
    assert said in fanka.error("admin", *words)
