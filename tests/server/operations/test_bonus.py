"""Bonus tiers of all merchants or one."""

from __future__ import annotations

import pytest


def test_set_changed_listed_and_deleted(office):
    office.call("merchant.add", name="hall 1")
    office.call("bonus.set", threshold_fen=20_000, bonus_fen=3_000)
    office.call("bonus.set", threshold_fen=10_000, bonus_fen=500)
    office.call("bonus.set", threshold_fen=10_000, bonus_fen=1_000)
    office.call("bonus.set", threshold_fen=5_000, bonus_fen=100, merchant_id=1)
    assert [(row["merchant_id"], row["threshold_fen"], row["bonus_fen"]) for row in office.call("bonus.listing")] == [
        (0, 10_000, 1_000),
        (0, 20_000, 3_000),
        (1, 5_000, 100),
    ]
    office.call("bonus.delete", threshold_fen=5_000, merchant_id=1)
    assert len(office.call("bonus.listing")) == 2
    assert [(row["what"], row["old"], row["new"]) for row in office.call("history.listing", what="bonus")[:3]] == [
        ("bonus of merchant 1 from 50.00", "bonus 1.00", ""),
        ("bonus of merchant 1 from 50.00", "", "bonus 1.00"),
        ("bonus of all merchants from 100.00", "bonus 5.00", "bonus 10.00"),
    ]


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        ("set", {"threshold_fen": 0, "bonus_fen": 0}, "threshold: expected 0.01 to"),
        ("set", {"threshold_fen": 100, "bonus_fen": -1}, "bonus: expected 0.00 to"),
        ("set", {"threshold_fen": 100, "bonus_fen": 101}, "expected at most the 1.00 yuan paid in, got 1.01"),
        ("set", {"threshold_fen": 100, "bonus_fen": 1, "merchant_id": 9}, "got 9, which none has"),
        ("delete", {"threshold_fen": 100}, "expected the threshold of a tier of all merchants, got 1.00"),
    ],
)
def test_refused(office, operation, arguments, said):
    assert said in office.refused(f"bonus.{operation}", **arguments)


def test_no_more_than_can_be_explained(office, monkeypatch):
    monkeypatch.setattr("server.operations.bonus.TIERS_MAX", 1)
    office.call("bonus.set", threshold_fen=100, bonus_fen=1)
    office.call("bonus.set", threshold_fen=100, bonus_fen=2)
    assert "expected at most 1 tiers for all merchants" in office.refused("bonus.set", threshold_fen=200, bonus_fen=2)
