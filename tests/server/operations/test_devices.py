"""Terminals as devices: found by serial number, with what was seen of them and what happened to them."""

from __future__ import annotations

import pytest

from server.ledger.devices import EVENTS_MAX, StateRecord
from server.ledger.parameters import Parameters
from server.operations.desk import parse_terminal


@pytest.fixture
def hall(office):
    office.call("merchant.add", name="hall 1")
    office.call("terminal.enrol", terminal="3-58", merchant_id=1, serial_number="SN-1")
    office.call("terminal.enrol", terminal="3-59", merchant_id=1, serial_number="SN-2")
    return office


def events(office, terminal="3-58"):
    return [(row["event"], row["detail"]) for row in office.call("device.events_listing", terminal=terminal)]


def test_found_by_the_beginning_of_a_serial_number(hall):
    assert [row["terminal"] for row in hall.call("device.find_listing", serial_number="SN")] == ["3-58", "3-59"]
    [found] = hall.call("device.find_listing", serial_number="SN-2")
    assert (found["terminal"], found["state"], found["seen_at_ms"], found["firmware"]) == ("3-59", "enrolled", 0, "")
    assert hall.call("device.find_listing", serial_number="2") == []
    assert "serial number: expected printable text" in hall.refused("device.find_listing", serial_number="")


def test_a_new_key_leaves_the_serial_number(hall):
    hall.call("terminal.enrol", terminal="3-58")
    assert [row["terminal"] for row in hall.call("device.find_listing", serial_number="SN-1")] == ["3-58"]
    hall.call("terminal.enrol", terminal="3-58", serial_number="SN-9")
    assert hall.call("device.find_listing", serial_number="SN-1") == []


@pytest.mark.parametrize("with_code", [False, True])
def test_one_that_changes_hands_has_new_parameters_to_fetch(hall, with_code):
    hall.call("merchant.add", name="hall 2")
    before = hall.admin.config_version()
    hall.call("terminal.enrol", terminal="3-58", with_code=with_code)
    assert hall.admin.config_version() == before
    hall.call("terminal.enrol", terminal="3-58", merchant_id=2, with_code=with_code)
    assert hall.admin.config_version() == before + 1
    newest = hall.call("history.listing", limit=1)[0]
    assert (newest["what"], newest["old"], newest["new"]) == ("terminal 3-58", "merchant 1", "merchant 2")


def test_what_was_seen_of_it(hall):
    with hall.store.transaction():
        hall.admin.desk.devices.note_seen([StateRecord(parse_terminal("3-58"), hall.now_ms, "emulator 1.2")])
    shown = hall.call("device.show", terminal="3-58")
    assert (shown["seen_at_ms"], shown["firmware"], shown["clock_skew_s"]) == (hall.now_ms, "emulator 1.2", None)
    assert shown["parameters"]["refund_days"] == Parameters().refund_days
    assert [row["event"] for row in shown["events"]] == ["connected", "enrolled"]
    assert hall.call("device.show", terminal="3-58", events=0)["events"] == []


def test_a_terminals_life_in_events(hall):
    hall.call("terminal.revoke", terminal="3-58")
    hall.call("terminal.reinstate", terminal="3-58")
    hall.call("terminal.enrol", terminal="3-58", with_code=True)
    hall.call("terminal.rotate", first="3-58")
    hall.admin.adopt_key(parse_terminal("3-58"), 2)
    assert events(hall) == [
        ("key rotated", "key version 2"),
        ("code issued", "for merchant 1"),
        ("reinstated", ""),
        ("revoked", ""),
        ("enrolled", "key version 1 for merchant 1"),
    ]
    assert events(hall, "3-59") == [("enrolled", "key version 1 for merchant 1")]


def test_an_event_of_a_later_program_is_shown_by_number(hall):
    with hall.store.transaction():
        hall.store.execute("UPDATE terminal_events SET kind = 999")
    assert events(hall) == [("999", "key version 1 for merchant 1")]


def test_refused(hall):
    assert "expected an enrolled one, got 9-9" in hall.refused("device.show", terminal="9-9")
    assert f"limit: expected 0 to {EVENTS_MAX}, got 201" in hall.refused(
        "device.events_listing", terminal="3-58", limit=201
    )
