"""Products of a merchant: one by one, and many in one commit."""

from __future__ import annotations

import pytest

RICE = {"merchant_id": 1, "code": "001", "name": "米饭", "price_fen": 100}


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    office.call("merchant.add", name="hall 2")
    return office


def line(number, code, price_fen=100, name="米饭"):
    return {"line": number, "code": code, "name": name, "price_fen": price_fen}


def test_set_changed_listed_and_deleted(hall):
    assert hall.call("product.set", **RICE) == RICE
    hall.call("product.set", **RICE | {"code": "002"})
    hall.call("product.set", **RICE | {"price_fen": 150})
    hall.call("product.set", **RICE | {"merchant_id": 2})
    assert [(row["code"], row["price_fen"]) for row in hall.call("product.listing", merchant_id=1)] == [
        ("001", 150),
        ("002", 100),
    ]
    assert [row["code"] for row in hall.call("product.listing", merchant_id=1, after="001", limit=1)] == ["002"]
    hall.call("product.delete", merchant_id=1, code="001")
    assert [row["code"] for row in hall.call("product.listing", merchant_id=1)] == ["002"]
    found = hall.call("history.listing", what="product 001 of merchant 1")
    assert [(row["old"], row["new"]) for row in found] == [
        ("name 米饭, price 1.50", ""),
        ("name 米饭, price 1.00", "name 米饭, price 1.50"),
        ("", "name 米饭, price 1.00"),
    ]


def test_many_at_once_and_again(hall):
    lines = [line(2, "001"), line(3, "002")]
    assert hall.call("product.put_many", merchant_id=1, lines=lines, is_check=True) == {
        "lines": 2,
        "changed": 0,
        "errors": [],
    }
    assert hall.call("product.listing", merchant_id=1) == []
    assert hall.call("product.put_many", merchant_id=1, lines=lines)["changed"] == 2
    assert hall.call("product.put_many", merchant_id=1, lines=[line(2, "001"), line(3, "002", 300)])["changed"] == 1


def test_one_bad_line_and_nothing_is_changed(hall):
    found = hall.call("product.put_many", merchant_id=1, lines=[line(2, "001"), line(3, "002", 0), line(4, "", 1)])
    assert [error["line"] for error in found["errors"]] == [3, 4]
    assert "price: expected 0.01 to" in found["errors"][0]["error"]
    assert hall.call("product.listing", merchant_id=1) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"merchant_id": 9}, "got 9, which none has"),
        ({"code": "米"}, "expected digits or letters as on a bar code, got '米'"),
        ({"code": "1 2"}, "expected digits or letters"),
        ({"code": "1" * 25}, "product code: expected at most 24 characters"),
        ({"name": "饭" * 17}, "product name: expected at most 48 bytes"),
        ({"price_fen": 0}, "price: expected 0.01 to"),
    ],
)
def test_refused(hall, changes, said):
    assert said in hall.refused("product.set", **RICE | changes)


def test_what_is_not_there_cannot_be_deleted(hall):
    assert "expected a code of merchant 1, got '7'" in hall.refused("product.delete", merchant_id=1, code="7")
    lines = [line(number, str(number)) for number in range(501)]
    assert "expected at most 500 lines" in hall.refused("product.put_many", merchant_id=1, lines=lines)
