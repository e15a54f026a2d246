"""The quarantine as the office sees it: every record whole, with what became of it."""

from __future__ import annotations

import pytest

from server.operations.desk import parse_terminal
from tests.server.ledger.records import Recorder

CARD = b"\x04\xa1"


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    till = Recorder(parse_terminal("3-58"))
    office.ledger.apply(
        [till.sold(stan, 100 * stan, token=CARD, is_authentic=False) for stan in (1, 2, 3)], office.now_ms
    )
    return office


def test_whole_as_they_came_and_in_pages(hall):
    first, second, third = hall.call("quarantine.listing")
    assert second == {
        "number": 2,
        "reason": "tampered",
        "terminal": "3-58",
        "saf_sequence": 2,
        "batch": 1,
        "stan": 2,
        "amount_fen": 200,
        "card": "04A1",
        "operator": 7,
        "claimed_at_ms": 1_788_200_002_000,
        "at_ms": hall.now_ms,
        "resolved": "",
    }
    assert hall.call("quarantine.listing", limit=1) == [first]
    assert hall.call("quarantine.listing", after=2) == [third]


def test_what_became_of_it(hall):
    hall.admin.perform("unresolved.resolve", {"kind": "quarantine", "number": 2, "note": "made up"}, "ann")
    assert [row["resolved"] for row in hall.call("quarantine.listing")] == ["", "ann: made up", ""]
