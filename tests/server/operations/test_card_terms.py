"""A card's terms as the office changes them: nothing tells its PIN, and a closed card has none to change."""

from __future__ import annotations

import pytest

CARD = "04A1B2C3"
PIN = "271828"


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    office.call("merchant.add", name="hall 2")
    office.call("class.add", name="students")
    office.call("card.issue", uid=CARD, student_number="S1", name="Ann")
    return office


def test_class_and_limit_per_meal(hall):
    hall.call("card_terms.set_class", uid=CARD, class_id=1)
    shown = hall.call("card_terms.meal_limit", uid=CARD, limit_fen=1_500)
    assert shown == {
        "uid": CARD,
        "class_id": 1,
        "has_pin": False,
        "pin_tries": 0,
        "is_bound": False,
        "meal_limit_fen": 1_500,
        "merchants": [],
    }
    assert "expected no card in it, got 1" in hall.refused("class.delete", class_id=1)


def test_bound_to_merchants_and_free_again(hall):
    hall.call("card_terms.bind", uid=CARD, merchant_id=2)
    assert hall.call("card_terms.bind", uid=CARD, merchant_id=1)["merchants"] == [1, 2]
    assert hall.call("card_terms.unbind", uid=CARD, merchant_id=2)["merchants"] == [1]
    assert "got the only one" in hall.refused("card_terms.unbind", uid=CARD, merchant_id=1)
    assert "got 2; it is bound to 1" in hall.refused("card_terms.unbind", uid=CARD, merchant_id=2)
    assert hall.call("card_terms.unbind", uid=CARD)["is_bound"] is False
    assert [(row["old"], row["new"]) for row in hall.call("history.listing", what="card")] == [
        ("bound to 1", "good at all merchants"),
        ("bound to 1, 2", "bound to 1"),
        ("bound to 2", "bound to 1, 2"),
        ("good at all merchants", "bound to 2"),
    ]


def test_a_pin_is_set_and_never_told(hall):
    assert hall.call("card_terms.set_pin", uid=CARD, pin=PIN)["has_pin"] is True
    token = bytes.fromhex(CARD)
    kept = hall.store.execute("SELECT pin_verifier FROM cards WHERE token = ?", (token,))
    assert kept == [(hall.admin.desk.secrets.pin_verifier(token, PIN),)]
    everything = str([hall.call("history.listing"), hall.call("card_terms.show", uid=CARD), hall.contents()])
    assert PIN not in everything
    with hall.store.transaction():
        hall.store.execute("UPDATE cards SET pin_tries = 5")
    unlocked = hall.call("card_terms.unlock_pin", uid=CARD)
    assert (unlocked["has_pin"], unlocked["pin_tries"]) == (True, 0)
    assert hall.call("card_terms.reset_pin", uid=CARD)["has_pin"] is False


@pytest.mark.parametrize("pin", ["123", "1" * 13, "12a4", "١٢٣٤", ""])
def test_a_pin_that_is_none_is_refused_and_not_repeated(hall, pin):
    said = hall.refused("card_terms.set_pin", uid=CARD, pin=pin)
    assert said == "PIN: expected 4 to 12 digits, got something else"


def test_a_replacement_has_the_same_terms_without_the_pin(hall):
    hall.call("card_terms.set_class", uid=CARD, class_id=1)
    hall.call("card_terms.bind", uid=CARD, merchant_id=2)
    hall.call("card_terms.set_pin", uid=CARD, pin=PIN)
    hall.call("card.replace", uid=CARD, new_uid="05")
    shown = hall.call("card_terms.show", uid="05")
    assert (shown["class_id"], shown["merchants"], shown["has_pin"]) == (1, [2], False)


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("set_class", {"class_id": 9}, "got 9, which none has"),
        ("meal_limit", {"limit_fen": -1}, "meal limit: expected 0.00 to"),
        ("bind", {"merchant_id": 9}, "got 9, which none has"),
    ],
)
def test_refused(hall, operation, arguments, said):
    assert said in hall.refused(f"card_terms.{operation}", uid=CARD, **arguments)
    assert "expected one that was issued" in hall.refused(f"card_terms.{operation}", uid="0909", **arguments)
    hall.call("card.close", uid=CARD)
    assert "expected one that is not closed" in hall.refused(f"card_terms.{operation}", uid=CARD, **arguments)
    assert hall.call("card_terms.show", uid=CARD)["uid"] == CARD
