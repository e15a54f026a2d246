"""Locks of PINs are counted each time, and told once a minute: in the log, and in the terminal's own."""

from __future__ import annotations

import trio

from server.ledger.devices import Devices, EventKind
from server.ledger.model import Decision
from server.pin_alarm import QUIET_S, PinAlarm
from tests.server.host import open_host


def events(rig, till):
    found = Devices(rig.store).events(till.number.to_int(), before=1_000_000, limit=50)
    return [event.detail for event in found if event.kind == EventKind.PIN_LOCKED]


def alarm_of(rig):
    return PinAlarm(rig.gate, rig.store, rig.host.metrics, rig.clock.now_ms)


async def test_a_lock_is_counted_each_time_and_told_once(autojump_clock, logs):
    async with open_host() as rig:
        alarm, till, other = alarm_of(rig), rig.enrol(), rig.enrol()
        for _ in range(3):
            await alarm.note(till.number, Decision.PIN_LOCKED)
        await alarm.note(till.number, Decision.TERMINAL_PIN_LOCKED)
        await alarm.note(other.number, Decision.PIN_LOCKED)
        assert events(rig, till) == ["terminal", "card"]
        assert events(rig, other) == ["card"]
        assert rig.count("pin_locks_total", what="card") == 4
        assert rig.count("pin_locks_total", what="terminal") == 1
        said = [line for line in logs if "wrong PINs" in line["event"]]
        assert [(line["terminal"], line["locked"]) for line in said] == [
            (str(till.number), "card"),
            (str(till.number), "terminal"),
            (str(other.number), "card"),
        ]
        rig.clock.ms += int(QUIET_S * 1000)
        await trio.sleep(QUIET_S)
        await alarm.note(till.number, Decision.PIN_LOCKED)
        assert events(rig, till) == ["card", "terminal", "card"]


async def test_a_full_disk_does_not_keep_the_answer(logs):
    async with open_host() as rig:
        alarm, till = alarm_of(rig), rig.enrol()
        rig.fill_disk()
        await alarm.note(till.number, Decision.TERMINAL_PIN_LOCKED)
        assert [line["locked"] for line in logs if "wrong PINs" in line["event"]] == ["terminal"]
