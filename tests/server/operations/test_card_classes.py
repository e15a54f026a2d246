"""Card classes: numbers, limits, discounts by meal, and what stands in the way of deleting one."""

from __future__ import annotations

import pytest

from server.ledger.model import Identity, Sale
from server.operations.desk import parse_terminal


def history(office):
    return [(row["what"], row["old"], row["new"]) for row in office.call("history.listing")]


def test_a_class_with_limits_and_discounts(office):
    office.call("meal.set", meal_id=2, name="午餐", start_minute=660, end_minute=780)
    added = office.call("class.add", name=" 学生 ", sale_limit_fen=2_000)
    assert added == {
        "class_id": 1,
        "name": "学生",
        "sale_limit_fen": 2_000,
        "meal_limit_fen": 0,
        "day_limit_fen": 0,
        "discounts": {},
    }
    office.call("class.discount", class_id=1, meal_id=2, percent=20)
    office.call("class.discount", class_id=1, meal_id=2, percent=25)
    shown = office.call("class.discount", class_id=1, meal_id=0, percent=5)
    assert shown["discounts"] == {"0": 5, "2": 25}
    assert office.call("class.discount", class_id=1, meal_id=0)["discounts"] == {"2": 25}
    changed = office.call("class.change", class_id=1, meal_limit_fen=1_500)
    assert (changed["name"], changed["sale_limit_fen"], changed["meal_limit_fen"]) == ("学生", 2_000, 1_500)
    assert [row["class_id"] for row in office.call("class.listing")] == [0, 1]
    assert history(office)[:5] == [
        (
            "class 1",
            "name 学生, sale limit 20.00, meal limit 0.00, day limit 0.00",
            "name 学生, sale limit 20.00, meal limit 15.00, day limit 0.00",
        ),
        ("class 1 in meal 0", "discount percent 5", ""),
        ("class 1 in meal 0", "", "discount percent 5"),
        ("class 1 in meal 2", "discount percent 20", "discount percent 25"),
        ("class 1 in meal 2", "", "discount percent 20"),
    ]


def test_a_discount_counts_at_the_next_sale(office):
    office.call("merchant.add", name="hall 1")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    office.call("card.issue", uid="04", student_number="S1", name="Ann")
    office.call("account.topup", who="S1", amount_fen=10_000, batch=2, line=1)
    office.call("class.add", name="students")
    office.call("card_terms.set_class", uid="04", class_id=1)
    charged = []
    for stan, percent in enumerate((None, 25, 0), 1):
        if percent is not None:
            office.call("class.discount", class_id=1, meal_id=0, percent=percent)
        sale = Sale(Identity(parse_terminal("3-58"), 1, stan), b"s" * 16, b"\x04", 1_000, 7, 1)
        charged.append(office.ledger.apply([sale], office.now_ms)[0].charged_fen)
    assert charged == [1_000, 750, 1_000]


def test_the_same_again_is_no_change(office):
    office.call("class.add", name="staff")
    before = history(office)
    office.call("class.change", class_id=1, name="staff")
    assert history(office) == before


def test_deleted_with_its_discounts(office):
    office.call("class.add", name="guests")
    office.call("class.discount", class_id=1, meal_id=0, percent=5)
    assert office.call("class.delete", class_id=1)["name"] == "guests"
    assert [row["class_id"] for row in office.call("class.listing")] == [0]


def test_the_standard_class_can_be_changed_and_stays(office):
    assert office.call("class.change", class_id=0, name="everybody")["name"] == "everybody"
    assert "expected any but 0" in office.refused("class.delete", class_id=0)


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("class.add", {"name": "standard"}, "expected one not in use, got 'standard', which is class 0"),
        ("class.add", {"name": ""}, "class name: expected printable text"),
        ("class.add", {"name": "x", "day_limit_fen": -1}, "day limit: expected 0.00 to"),
        ("class.change", {"class_id": 9}, "got 9, which none has; see `fanka admin class list`"),
        ("class.delete", {"class_id": 9}, "got 9, which none has"),
        ("class.discount", {"class_id": 0, "meal_id": 3, "percent": 5}, "got 3; see `fanka admin meal list`"),
        ("class.discount", {"class_id": 0, "meal_id": 0, "percent": 101}, "discount: expected 0 to 100, got 101"),
    ],
)
def test_refused(office, operation, arguments, said):
    assert said in office.refused(operation, **arguments)


def test_no_more_than_can_be_explained(office, monkeypatch):
    monkeypatch.setattr("server.operations.card_classes.CLASSES_MAX", 1)
    office.call("class.add", name="one")
    assert "expected at most 1" in office.refused("class.add", name="two")
