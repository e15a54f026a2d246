"""Devices: events are bounded, what was seen last is kept, serial numbers are searched; in both databases."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.devices import DETAIL_MAX, EVENTS_MAX, Devices, EventKind, StateRecord
from tests.server.ledger.campus import NOW_MS, OTHER_TILL, TILL, apply, open_campus, sale
from tests.server.ledger.stores import BOTH, new_store


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store:
        yield store


@pytest.fixture
def devices(store):
    return Devices(store)


def newest(devices, terminal_id=TILL, limit=500):
    return devices.events(terminal_id, before=1 << 62, limit=limit)


def test_events_are_bounded_for_each_terminal(store, devices):
    with store.transaction():
        devices.note(OTHER_TILL, 1, EventKind.REVOKED)
        for number in range(EVENTS_MAX + 3):
            devices.note(TILL, number, EventKind.SIGNED_ON, "x" * 999)
    found = newest(devices)
    assert [event.number for event in found] == list(range(EVENTS_MAX + 3, 3, -1))
    assert found[0].detail == "x" * DETAIL_MAX
    assert [event.number for event in devices.events(TILL, before=10, limit=2)] == [9, 8]
    assert [event.kind for event in newest(devices, OTHER_TILL)] == [EventKind.REVOKED]


def test_seen_first_and_with_other_firmware_is_an_event(store, devices):
    assert devices.state(TILL) is None
    for at_ms, firmware in ((1, "emulator 1"), (2, "emulator 1"), (3, "emulator 2")):
        with store.transaction():
            devices.note_seen([StateRecord(TILL, at_ms, firmware)])
    assert devices.state(TILL) == StateRecord(TILL, 3, "emulator 2")
    assert devices.states() == {TILL: StateRecord(TILL, 3, "emulator 2")}
    assert [(event.at_ms, event.kind, event.detail) for event in newest(devices)] == [
        (3, EventKind.CONNECTED, "emulator 2"),
        (1, EventKind.CONNECTED, "emulator 1"),
    ]


def test_serial_numbers_are_found_by_their_beginning(store, devices):
    open_campus(store)
    with store.transaction():
        store.execute("UPDATE terminals SET serial_number = 'SN-17' WHERE terminal_id = ?", (TILL,))
        store.execute("UPDATE terminals SET serial_number = 'SN-2' WHERE terminal_id = ?", (OTHER_TILL,))
    assert devices.find_serial("SN") == [TILL, OTHER_TILL]
    assert devices.find_serial("SN-1") == [TILL]
    assert devices.find_serial("N-1") == []


def test_clock_skew_is_that_of_the_newest_sale(store, devices):
    ledger = open_campus(store)
    assert devices.clock_skew_s(TILL) is None
    apply(ledger, sale(1, 100, claimed_at_s=NOW_MS // 1000 - 600))
    apply(ledger, sale(2, 100, claimed_at_s=NOW_MS // 1000 + 90))
    assert devices.clock_skew_s(TILL) == 90
    assert devices.clock_skew_s(OTHER_TILL) is None
