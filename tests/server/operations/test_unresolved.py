"""Resolving an entry of the list of unresolved money: with a note, once, and only what does not go by itself."""

from __future__ import annotations

import pytest

from server.ledger.model import Identity, Reversal
from server.operations.desk import parse_terminal


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1)
    identity = Identity(parse_terminal("3-58"), 1, 1)
    office.ledger.apply([Reversal(identity, b"r" * 16, b"\x04", 100, 7, 1)], office.now_ms)
    return office


def test_resolved_once_with_a_note(hall):
    done = hall.admin.perform("unresolved.resolve", {"kind": "reversal", "number": 1, "note": " 已退现金 "}, "ann")
    assert done == {
        "kind": "reversal",
        "number": 1,
        "at_ms": hall.now_ms,
        "who": "ann",
        "note": "已退现金",
        "repeated": False,
    }
    again = hall.admin.perform("unresolved.resolve", {"kind": "reversal", "number": 1, "note": "other"}, "ben")
    assert again == {**done, "repeated": True}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kind": "hold"}, "expected one of reversal, settlement, late, quarantine, got 'hold'"),
        ({"kind": "batch"}, "a batch when its terminal settles it"),
        ({"number": 2}, "expected the number of a reversal, got 2"),
        ({"kind": "quarantine"}, "expected the number of a quarantine, got 1"),
        ({"note": ""}, "note: expected printable text"),
        ({"note": "x" * 201}, "note: expected at most 200 characters"),
    ],
)
def test_refused(hall, arguments, said):
    assert said in hall.refused("unresolved.resolve", **{"kind": "reversal", "number": 1, "note": "x"} | arguments)
