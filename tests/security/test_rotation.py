"""A root key changed over the wire: whatever crashes, and when, no terminal is locked out and nobody has to come."""

from __future__ import annotations

import random

import pytest
import trio

from protocol.messages import KeyRequest, SignOnAnswer
from server.service import not_permitted
from terminal_emulator.effects import Note, NoteKind
from terminal_emulator.functions import sign_on
from terminal_emulator.keepsakes import SignOn
from terminal_emulator.rotation import ASKS_MAX
from terminal_emulator.till import Till
from tests.security.key_world import Fault, World, running

FRAMES = 12
"""Frames of an undisturbed change: two handshakes of four, and request, answer, sign-off, its answer between."""
PARAMETERS = 2
"""Frames right after it: a terminal that is new asks for its parameters."""
WHO = ("line", "terminal", "host")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_undisturbed(autojump_clock, world):
    first = world.filed
    async with running(world):
        world.rotate()
        await world.until(lambda: world.rotated_to(2))
        assert world.sent == FRAMES + PARAMETERS
        both, proved = world.kept
        assert (both.root_key, both.key_version, both.next_key_version) == (first.root_key, 1, 2)
        assert (proved.root_key, proved.key_version, proved.next_root_key) == (both.next_root_key, 2, b"")
        assert await world.sell() == "approved"
        assert [effect.kind for effect in world.effects if isinstance(effect, Note)] == [NoteKind.KEY_CHANGED]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, FRAMES + 1))
async def test_a_fault_at_every_frame(autojump_clock, world, at, before, who):
    async with running(world):
        world.faults = [Fault(at, before, who)]
        world.rotate()
        await world.until(lambda: world.rotated_to(2))
        assert world.sent > at
        assert await world.sell() == "approved"
        assert world.filed == world.kept[-1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
async def test_faults_upon_faults(autojump_clock, world, seed):
    chance = random.Random(seed)
    async with running(world):
        world.faults = [Fault(at, chance.random() < 0.5, chance.choice(WHO)) for at in chance.sample(range(1, 60), 10)]
        world.rotate()
        await world.until(lambda: world.rotated_to(2))
        world.faults = []
        assert await world.sell() == "approved"


# ------------------------------------------------------------------------------------------- who knows what


async def test_a_terminal_learns_of_it_at_its_next_connection(autojump_clock, world):
    async with running(world):
        world.rotate(now=False)
        assert await world.sell() == "approved"
        assert world.kept == []
        world.switch_off_and_on()
        await world.until(lambda: world.rotated_to(2))


async def test_a_key_file_that_cannot_be_written_leaves_the_old_key_in_force(autojump_clock, world):
    async with running(world):
        world.disk_is_full = True
        world.rotate()
        await world.until(lambda: world.sent >= 6 and world.brain.online)
        assert await world.sell() == "approved"
        assert (world.record.key_version, world.record.waiting_version, world.kept) == (1, 2, [])
        [note] = [effect for effect in world.effects if isinstance(effect, Note)]
        assert (note.kind, "no space left" in note.detail) == (NoteKind.KEY_NOT_CHANGED, True)
        world.disk_is_full = False
        world.switch_off_and_on()
        await world.until(lambda: world.rotated_to(2))


async def test_a_terminal_forgets_no_key_before_the_host_has_put_the_next_in_force(autojump_clock, world):
    """A host whose disk is full cannot: it says nothing, and as soon as there is room everything is as it should be."""
    async with running(world):
        world.rotate(now=False)
        registry = world.rig.host.registry
        real = registry.promote_key

        def full(*_arguments, **_named):
            from server.ledger.store import StoreFull

            raise StoreFull("database or disk is full")

        registry.promote_key = full
        world.switch_off_and_on()
        await trio.sleep(60)
        assert not world.brain.online
        assert [(kept.key_version, kept.next_key_version) for kept in world.kept] == [(1, 2)]
        assert (world.record.key_version, world.record.waiting_version) == (1, 2)
        registry.promote_key = real
        await world.until(lambda: world.rotated_to(2))
        assert await world.sell() == "approved"


@pytest.mark.parametrize("answer", ["reject", "silence"])
async def test_a_host_that_will_not_give_the_key_keeps_no_terminal_from_selling(autojump_clock, world, answer):
    async with running(world):
        world.rotate(now=False)
        service = world.rig.host.service
        real = service.handle

        async def handle(terminal, message, keys):
            if not isinstance(message, KeyRequest):
                return await real(terminal, message, keys)
            if answer == "silence":
                await trio.sleep_forever()
            return not_permitted(message, "something else")

        service.handle = handle
        for _ in range(ASKS_MAX + 1):
            world.switch_off_and_on() if answer == "reject" else None
            await trio.sleep(30)
        await world.online()
        assert await world.sell() == "approved"
        assert (world.kept, world.record.key_version, world.record.waiting_version) == ([], 1, 2)


# ------------------------------------------------------------------------------- hosts restored from a backup


async def fetched_and_not_proved(world) -> None:
    """The terminal has both keys and the host has put none in force."""
    world.cut_when_kept = True
    world.rotate()
    await world.until(lambda: world.is_cut and not world.brain.online)
    world.cut_when_kept = False
    assert (world.filed.next_key_version, world.record.key_version) == (2, 1)


async def test_a_backup_from_before_the_key_was_made(autojump_clock, world):
    """It knows the old key only. A terminal that has not proved the new one goes back to it, and keeps both."""
    async with running(world):
        old = world.backup()
        await fetched_and_not_proved(world)
        await world.restore(old)
        world.is_cut = False
        await world.until(lambda: world.rig is not None and world.brain.online and world.record.key_version == 1)
        assert await world.sell() == "approved"
        assert (world.filed.key_version, world.filed.next_key_version) == (1, 2)
        refused = world.filed.next_root_key
        world.rotate()  # the same number as the lost one, and another key
        await world.until(lambda: world.rotated_to(2))
        assert world.filed.root_key != refused


async def test_a_backup_between_making_and_proving(autojump_clock, world):
    async with running(world):
        world.rotate(now=False)
        old = world.backup()
        world.switch_off_and_on()
        await world.until(lambda: world.rotated_to(2))
        await world.restore(old)
        await world.until(lambda: world.rotated_to(2))
        assert await world.sell() == "approved"


async def test_first_the_wrong_backup_and_then_the_right_one(autojump_clock, world):
    """Back to the old key with the one host, and with the other, which knows the new one only, it has that still."""
    async with running(world):
        old = world.backup()
        world.cut_when_struck = True
        world.faults = [Fault(FRAMES, True, "terminal")]  # in force at the host, and the terminal has not heard of it
        world.rotate()
        await world.until(lambda: world.is_cut)
        assert (world.record.key_version, world.filed.next_key_version) == (2, 2)
        newer = world.backup()
        await world.restore(old)
        world.is_cut = False
        await world.online()
        assert (world.record.key_version, world.filed.key_version) == (1, 1)
        await world.restore(newer)
        await world.until(lambda: world.rotated_to(2))


async def test_a_backup_older_than_the_key_in_force_needs_a_person_and_loses_nothing(autojump_clock, world):
    async with running(world):
        old = world.backup()
        world.rotate()
        await world.until(lambda: world.rotated_to(2))
        await world.restore(old)
        await world.until(lambda: world.rig is not None and world.brain.link == "refused")
        world.filed = world.enrol_anew()
        world.switch_off_and_on()
        await world.until(lambda: world.rotated_to(2))
        assert await world.sell() == "approved"


async def test_a_key_that_the_host_gives_out_and_does_not_take_is_tried_three_times(autojump_clock, world):
    """A bug or a man in the middle: the old key opens sessions as ever, and there is an end to trying."""
    async with running(world):
        world.rotate(now=False)
        find = world.rig.host.link._root_keys.of

        def of(terminal, record, key_version):
            return ("another", "this") if key_version == 2 else find(terminal, record, key_version)

        world.rig.host.link._root_keys.of = of
        world.switch_off_and_on()
        await world.until(lambda: any(isinstance(effect, Note) for effect in world.effects) and world.brain.online)
        assert world.effects[-1].detail == "version 2: the host does not know the key that it gave out"
        assert world.rig.count("handshakes_total", result="failed") == 3
        assert await world.sell() == "approved"
        assert (world.record.key_version, world.record.waiting_version) == (1, 2)


async def test_who_signs_on_after_a_key_change_goes_on_after_a_power_cut(autojump_clock, world):
    """In the same run: what is kept of the password is under the new key, which the key file has."""
    async with running(world):
        world.rotate()
        await world.until(lambda: world.rotated_to(2))
        till = world.brain.till
        answer = SignOnAnswer(
            response_code="00",
            business_day=20251121,
            host_time_ms=1_760_000_000_000,
            batch=1,
            merchant_number=1,
            merchant_name="hall 1",
        )
        sign_on.take_over(till, answer, 1, "0000")
        kept = till.storage.kept(SignOn)
        after = Till(world.filed, till.storage, till.translate)
        assert (kept.key_version, after.settings.key_version) == (2, 2)
        assert sign_on.verifier_of(after, "0000", kept.salt) == kept.verifier
