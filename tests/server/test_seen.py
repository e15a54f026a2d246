"""When a terminal was seen: written down soon, many in a commit, and never in the way of a handshake."""

from __future__ import annotations

import trio

from server.ledger.devices import Devices, EventKind, StateRecord
from server.seen import BATCH_MAX, WRITE_EVERY_S
from tests.server.host import START_MS, open_host


async def test_a_session_is_noted_with_time_and_firmware():
    async with open_host() as rig:
        till = rig.enrol()
        await rig.sign_on(till)
        await rig.host.seen.write()
        terminal_id = till.number.to_int()
        assert Devices(rig.store).state(terminal_id) == StateRecord(terminal_id, START_MS, till.hello().firmware)
        events = Devices(rig.store).events(terminal_id, before=1_000, limit=9)
        assert [event.kind for event in events if event.kind == EventKind.CONNECTED] == [EventKind.CONNECTED]


async def test_the_newest_of_a_terminal_counts_and_all_are_written():
    async with open_host() as rig:
        for terminal_id in [*range(1, BATCH_MAX + 2), 1]:
            rig.host.seen.note(terminal_id, "example 1.0")
        rig.clock.ms += 1
        rig.host.seen.note(1, "example 2.0")
        await rig.host.seen.write()
        states = Devices(rig.store).states()
        assert len(states) == BATCH_MAX + 1
        assert states[1] == StateRecord(1, START_MS + 1, "example 2.0")


async def test_a_full_disk_only_delays_it():
    async with open_host() as rig:
        rig.fill_disk()
        for terminal_id in range(1, BATCH_MAX + 2):
            rig.host.seen.note(terminal_id, "example 1.0" * 20)
        await rig.host.seen.write()
        rig.free_disk()
        await rig.host.seen.write()
        assert len(Devices(rig.store).states()) == BATCH_MAX + 1


async def test_it_is_written_by_itself(autojump_clock):
    async with open_host() as rig:
        rig.host.seen.note(1, "example 1.0")
        await trio.sleep(WRITE_EVERY_S * 2)
        assert Devices(rig.store).state(1) is not None
