"""Parameters: set for the campus, a merchant or a terminal; out of range or out of place they are refused."""

from __future__ import annotations

import pytest

from server.ledger.parameters import Parameters
from server.ledger.tariff import OFFLINE_GRACE_MS


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    return office


def test_set_for_all_for_a_merchant_and_for_a_terminal(hall):
    hall.call("parameter.set", name="discount_percent", value=10)
    hall.call("parameter.set", name="discount_percent", value=15, merchant_id=1)
    hall.call("parameter.set", name="profile", value=1, terminal="3-58")
    assert hall.call("parameter.show", terminal="3-58")["discount_percent"] == 15
    assert hall.call("parameter.show", merchant_id=1)["profile"] == 0
    assert hall.call("parameter.show", terminal="3-58")["profile"] == 1
    assert hall.call("parameter.show")["discount_percent"] == 10
    assert hall.call("parameter.listing") == [
        {"name": "discount_percent", "value": 10, "scope": "campus", "merchant_id": None, "terminal": None},
        {"name": "discount_percent", "value": 15, "scope": "merchant", "merchant_id": 1, "terminal": None},
        {"name": "profile", "value": 1, "scope": "terminal", "merchant_id": None, "terminal": "3-58"},
    ]
    hall.call("parameter.unset", name="discount_percent", merchant_id=1)
    assert hall.call("parameter.show", terminal="3-58")["discount_percent"] == 10
    assert [(row["what"], row["old"], row["new"]) for row in hall.call("history.listing")[:2]] == [
        ("discount percent of merchant 1", "15", ""),
        ("profile of terminal 3-58", "", "1"),
    ]


def test_amounts_are_told_in_yuan(hall):
    hall.call("parameter.set", name="offline_sale_fen", value=1_550)
    assert hall.call("history.listing")[0]["new"] == "15.50"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "colour", "value": 1}, "parameter: expected one of profile, repeat_guard,"),
        ({"name": "profile", "value": 2}, "profile: expected 0 to 1, got 2"),
        ({"name": "refund_days", "value": 181}, "refund days: expected 0 to 180, got 181"),
        ({"name": "hold_hours", "value": 0}, "hold hours: expected 1 to 720, got 0"),
        ({"name": "pin_sale_fen", "value": -1}, "pin sale: expected 0.00 to"),
        ({"name": "pin_sale_fen", "value": 1, "merchant_id": 1}, "for the whole campus, got it for merchant 1"),
        ({"name": "refund_days", "value": 1, "terminal": "3-58"}, "got it for terminal 3-58: it is a rule of"),
        ({"name": "check_passwords", "value": 0, "terminal": "3-58"}, "for a merchant or the whole campus, got it for"),
        ({"name": "profile", "value": 1, "terminal": "3-58", "merchant_id": 1}, "or neither, got both"),
        ({"name": "profile", "value": 1, "terminal": "9-9"}, "expected an enrolled one, got 9-9"),
        ({"name": "profile", "value": 1, "merchant_id": 9}, "got 9, which none has"),
        ({"name": "offline_count", "value": 501, "merchant_id": 1}, "expected at most 500, as the campus has it"),
    ],
)
def test_refused(hall, arguments, said):
    assert said in hall.refused("parameter.set", **arguments)


def test_what_was_not_set_cannot_be_taken_back(hall):
    assert "expected a value that was set for the campus, got none" in hall.refused("parameter.unset", name="profile")
    assert "expected an enrolled one" in hall.refused("parameter.show", terminal="9-9")
    assert hall.call("parameter.show") == {name: getattr(Parameters(), name) for name in Parameters.__struct_fields__}


def test_what_offline_sales_could_be_of_before_still_counts_for_a_while(hall):
    """The rules read it in the history, as it was written here."""
    own = Parameters().offline_sale_fen
    tariff_limit = lambda: hall.ledger.tariff.offline_limit_fen(hall.now_ms)  # noqa: E731
    hall.call("parameter.set", name="offline_sale_fen", value=0)
    assert (hall.ledger.tariff.offline_sale_fen, tariff_limit()) == (0, own)
    hall.now_ms += OFFLINE_GRACE_MS
    assert tariff_limit() == 0
    hall.call("parameter.set", name="offline_sale_fen", value=123_456)
    hall.call("parameter.unset", name="offline_sale_fen")
    assert (hall.ledger.tariff.offline_sale_fen, tariff_limit()) == (own, 123_456)
