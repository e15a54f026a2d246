"""Who changed what: paged, newest first, with the name of who asked; a refused or empty change leaves nothing."""

from __future__ import annotations


def test_who_when_what_old_and_new(office):
    office.admin.perform("merchant.add", {"name": "一食堂"}, "ann")
    office.now_ms += 5
    office.admin.perform("merchant.rename", {"merchant_id": 1, "name": "二食堂"}, "ben")
    office.call("merchant.close", merchant_id=1)
    office.call("merchant.close", merchant_id=1)
    found = office.call("history.listing")
    assert [(row["who"], row["operation"], row["what"], row["old"], row["new"]) for row in found] == [
        ("-", "merchant.close", "merchant 1", "active", "closed"),
        ("ben", "merchant.rename", "merchant 1", "name 一食堂", "name 二食堂"),
        ("ann", "merchant.add", "merchant 1", "", "name 一食堂"),
    ]
    assert found[1]["at_ms"] == found[2]["at_ms"] + 5


def test_paged(office):
    for number in range(1, 6):
        office.call("meal.set", meal_id=number, name=str(number), start_minute=number * 60, end_minute=number * 60 + 1)
    page = office.call("history.listing", limit=2)
    assert [row["number"] for row in page] == [5, 4]
    assert [row["number"] for row in office.call("history.listing", before=4, limit=2)] == [3, 2]
    assert [row["what"] for row in office.call("history.listing", what="meal 3")] == ["meal 3"]


def test_terminals_are_told_of_what_concerns_them_only(office):
    changes = office.admin.desk.changes
    office.call("merchant.add", name="hall 1")
    before = changes.config_version(1)
    office.call("operator.add", merchant_id=1, operator=5)
    office.call("product.set", merchant_id=1, code="1", name="rice", price_fen=1)
    assert changes.config_version(1) == before
    office.call("parameter.set", name="repeat_guard", value=0)
    assert changes.config_version(1) == before + 1
    office.call("parameter.set", name="repeat_guard", value=0)
    assert changes.config_version(1) == before + 1
