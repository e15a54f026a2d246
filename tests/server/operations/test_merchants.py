"""Merchants: numbers, accounts, names, closing."""

from __future__ import annotations

import pytest

from server.ledger.model import FIRST_MERCHANT_ACCOUNT


def test_a_merchant_gets_a_number_and_an_account_of_its_own(office):
    first = office.call("merchant.add", name=" 一食堂 ")
    second = office.call("merchant.add", name="二食堂")
    assert first == {
        "merchant_id": 1,
        "name": "一食堂",
        "status": "active",
        "account_id": FIRST_MERCHANT_ACCOUNT,
        "balance_fen": 0,
    }
    assert (second["merchant_id"], second["account_id"]) == (2, FIRST_MERCHANT_ACCOUNT + 1)
    assert office.call("merchant.listing") == [first, second]


def test_closed_and_reopened(office):
    office.call("merchant.add", name="一食堂")
    assert office.call("merchant.close", merchant_id=1)["status"] == "closed"
    assert office.call("merchant.close", merchant_id=1)["status"] == "closed"
    assert office.call("merchant.reopen", merchant_id=1)["status"] == "active"


def test_renamed(office):
    office.call("merchant.add", name="一食堂")
    assert office.call("merchant.rename", merchant_id=1, name="一食堂")["name"] == "一食堂"
    assert office.call("merchant.rename", merchant_id=1, name="清真")["name"] == "清真"


def test_an_open_merchants_name_is_taken_a_closed_ones_is_free(office):
    office.call("merchant.add", name="一食堂")
    assert "which is merchant 1" in office.refused("merchant.add", name="一食堂")
    office.call("merchant.close", merchant_id=1)
    assert office.call("merchant.add", name="一食堂")["merchant_id"] == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "expected printable text, got ''"),
        ("a\nb", "expected printable text"),
        ("\x1b[31mred", "expected printable text"),
        ("食" * 17, "expected at most 48 bytes of UTF-8 (a Chinese character takes 3), got 51"),
    ],
)
def test_a_name_must_fit_a_slip(office, name, said):
    assert said in office.refused("merchant.add", name=name)


@pytest.mark.parametrize("operation", ["close", "reopen", "rename"])
def test_an_unknown_merchant_is_refused(office, operation):
    extra = {"name": "x"} if operation == "rename" else {}
    said = office.refused(f"merchant.{operation}", merchant_id=9, **extra)
    assert said == "merchant: expected the number of a merchant, got 9, which none has; see `fanka admin merchant list`"
