"""Points rates of all merchants or one."""

from __future__ import annotations


def test_set_listed_and_deleted(office):
    office.call("merchant.add", name="hall 1")
    office.call("points.set", fen_per_point=100)
    office.call("points.set", fen_per_point=200, merchant_id=1)
    assert office.call("points.listing") == [
        {"merchant_id": 0, "fen_per_point": 100},
        {"merchant_id": 1, "fen_per_point": 200},
    ]
    office.call("points.delete", merchant_id=1)
    assert len(office.call("points.listing")) == 1
    newest = office.call("history.listing")[0]
    assert (newest["what"], newest["old"], newest["new"]) == ("points of merchant 1", "fen per point 200", "")


def test_refused(office):
    assert "spent for a point: expected 0.00 to" in office.refused("points.set", fen_per_point=-1)
    assert "got 9, which none has" in office.refused("points.set", fen_per_point=1, merchant_id=9)
    assert "expected a rate of all merchants, got none" in office.refused("points.delete")
