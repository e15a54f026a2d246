"""The stop list as the office sees it: it follows the cards."""

from __future__ import annotations

from hashlib import sha256


def test_it_follows_the_cards(office):
    assert office.call("stop_list.show") == {"version": 0, "stopped": 0}
    for uid in ("04", "05"):
        office.call("card.issue", uid=uid, student_number=f"S{uid}", name="Ann")
    office.call("card.lost", uid="04")
    office.call("card.freeze", uid="05")
    office.call("card.unfreeze", uid="05")
    assert office.call("stop_list.show") == {"version": 3, "stopped": 1}
    assert office.call("stop_list.listing") == [
        {"version": 1, "token_hash": sha256(b"\x04").hexdigest()[:16], "stopped": True},
        {"version": 3, "token_hash": sha256(b"\x05").hexdigest()[:16], "stopped": False},
    ]
    assert [row["version"] for row in office.call("stop_list.listing", after=1, limit=1)] == [3]


def test_a_replaced_card_is_stopped_and_a_reissued_one_is_not(office):
    office.call("card.issue", uid="04", student_number="S1", name="Ann")
    office.call("card.replace", uid="04", new_uid="05")
    assert office.call("stop_list.show") == {"version": 1, "stopped": 1}
    office.call("card.issue", uid="04", student_number="S1", reissue=True)
    assert office.call("stop_list.show") == {"version": 2, "stopped": 0}
