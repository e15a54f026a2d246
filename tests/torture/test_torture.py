"""A short torture of everything, points that once were violations, and proof that the rig would notice."""

import functools
from collections import Counter
from unittest.mock import patch

import pytest

from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreBroken
from terminal_emulator import file_storage
from terminal_emulator.file_storage import FileStorage
from tests.torture import host, plan
from tests.torture.damage import Damage, damages
from tests.torture.engine import FAULTS, Torturer, at_work
from tests.torture.plan import replay, shares, torture
from tests.torture.posix import Posix
from tests.torture.scenarios import SCENARIOS
from tests.torture.witness import Witness

POINTS = 2_000
SEED = 1


@functools.cache
def share_of(name):
    return {share.name: share for share in shares(POINTS, SEED, [*SCENARIOS])}[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_is_lost(name):
    result = torture(share_of(name))
    assert result.violations == [], "python -m tests.torture --point replays each"
    assert result.tally["crash_points"] >= share_of(name).crashes


def test_the_short_torture_is_as_long_as_it_says():
    drawn = [share_of(name) for name in SCENARIOS]
    assert sum(share.crashes + share.second_crashes for share in drawn) == pytest.approx(POINTS, rel=0.1)


CORRUPTED = "single-sale:!fsync.sticky.3:in-order.52476"
"""A sync of the log failed, so that the disk lacked part of it for ever; the next start copied it into the database all
the same, and the power went between two pages."""


@pytest.mark.parametrize(
    "point",
    [
        CORRUPTED,
        "backup-beside-sales:!eio.sticky.18:zero-sectors.793968",
        # A terminal restarted on a journal whose newest line had failed to sync wrote on behind it.
        "terminal-sells:!eio.once.3:lost.0",
        "terminal-reverses:!fsync.sticky.2:sectors.9",
        # A terminal killed before a sync acted upon what was in the page cache only.
        "terminal-sells:14:kept.0+1:in-order.1000",
        # A terminal was restarted with a key file whose new name was not durable yet, and the old one came back.
        "terminal-key-file:4:kept.0+0:lost.0",
        # A new KEK whose name was not durable yet was found by the next attempt, which wrapped every key under it.
        "rewrap-of-all-keys:10:kept.0+32:names-lost.0",
        # SQLite says nothing when it cannot sync the name of its new log.
        "single-sale:!folder.once.1:lost.0",
        "single-sale:!eio.once.5:lost.0",
    ],
)
def test_points_that_were_violations(point):
    result = replay(point)
    assert result.violations == []
    assert result.tally["crash_points"] > 0


@pytest.mark.parametrize("point", ["nothing:1:lost.0", "single-sale:1:burnt.0", "single-sale:!eio.often.1:lost.0"])
def test_what_is_no_point_is_refused(point):
    with pytest.raises(ValueError, match="expected"):
        replay(point)


def test_the_same_seed_is_the_same_torture():
    share = plan.Share("single-sale", 3, 60, 60, 20)
    first, second = torture(share), torture(share)
    assert first.tally == second.tally
    assert first.tally["recoveries"] > 50
    assert sum(count for name, count in first.tally.items() if name.startswith("fault_")) > 10


# --- would it notice?


def violations_of(name, *, deaf=False, faults=False):
    """What a thorough torture of one scenario finds."""
    scenario = SCENARIOS[name]
    torturer = Torturer(deaf=deaf)
    try:
        with at_work(scenario):
            torturer.crashes(scenario, lambda at: damages(4, at, first=at))
            if faults:
                number = Counter(operation[0] for operation in torturer.recording(scenario).trace)["sync"]
                for kind in FAULTS:
                    for place in range(1, number + 1):
                        torturer.fault(scenario, kind, "once", place, Damage("lost"))
            for at in range(0, len(torturer.recording(scenario).trace), 3):
                torturer.second_crashes(scenario, at, Damage("kept"), lambda _at: [Damage("lost")])
        return torturer.violations
    finally:
        torturer.close()


@pytest.mark.parametrize("name", ["single-sale", "terminal-sells", "topup-and-correction", "day-change"])
def test_a_disk_that_lies_about_syncs_is_noticed(name):
    assert violations_of(name) == []
    assert violations_of(name, deaf=True) != []


@pytest.mark.parametrize("level", ["OFF", "NORMAL"])
def test_a_store_that_does_not_sync_is_noticed(level):
    def ledger_open(life, real=host.HostLife.open):
        real(life)
        life.store.execute(f"PRAGMA synchronous = {level}")

    with patch.object(host.HostLife, "open", ledger_open):
        assert violations_of("sale-and-reversal") != []


def test_a_checkpoint_that_does_not_sync_is_noticed():
    def maintain(store, real=SqliteStore.maintain):
        store.execute("PRAGMA synchronous = OFF")
        real(store)
        store.execute("PRAGMA synchronous = FULL")

    with patch.object(SqliteStore, "maintain", maintain):
        assert violations_of("log-begun-anew-after-a-checkpoint") != []


def test_a_start_that_builds_on_an_unsynced_log_is_noticed():
    with patch.object(SqliteStore, "_settle", lambda store: store._pragma("application_id", 0x464B4C31)):
        assert violations_of("single-sale", faults=True) != []


def test_a_start_that_copies_a_log_of_which_the_disk_lacks_a_part_is_noticed():
    with patch.object(SqliteStore, "_write_log_again", lambda _store: None):
        assert replay(CORRUPTED).violations != []


def test_a_store_that_goes_on_after_a_fault_is_noticed():
    with patch.object(SqliteStore, "_broken", property(lambda _: False, lambda _self, _value: None), create=True):
        assert any("committed again" in found.fault for found in violations_of("single-sale", faults=True))


def test_an_answer_before_its_commit_is_noticed():
    def apply(life, *commands, real=host.HostLife.apply):
        life.witness.answered(len(life.disk.trace), commands[0], ("approved",))
        return real(life, *commands)

    with patch.object(host.HostLife, "apply", apply):
        assert violations_of("single-sale") != []


def test_a_terminal_that_does_not_sync_is_noticed():
    def fsync(system, descriptor, real=Posix.fsync):
        if descriptor in system._folders:
            real(system, descriptor)

    with patch.object(Posix, "fsync", fsync):
        assert violations_of("terminal-sells") != []


def test_a_terminal_that_builds_on_an_unsynced_journal_is_noticed():
    with patch.object(FileStorage, "_settle", lambda _storage, _data: None):
        assert violations_of("terminal-sells", faults=True) != []


def test_a_terminal_that_writes_on_after_a_fault_is_noticed():
    def append(storage, entry, real=FileStorage._append):
        storage._failed = False
        real(storage, entry)

    with patch.object(file_storage.FileStorage, "_append", append):
        assert any("written again" in found.fault for found in violations_of("terminal-sells", faults=True))


# --- who keeps the books


def test_a_witness_allows_what_was_promised_and_what_was_on_its_way():
    witness = Witness("a")
    witness.saw(3, "b")
    witness.promise(5, "c")
    witness.promise(9, "d")
    assert witness.allowed(0) == {"a", "b", "c"}
    assert witness.allowed(5) == {"c", "d"}
    assert witness.allowed(9) == {"d"}
    life = Witness("a")
    life.planned = witness
    assert life.allowed(7) == {"a", "b", "c"}
    with pytest.raises(AssertionError, match="expected one of the states"):
        life.found(7, "d")


def test_broken_is_what_the_rig_takes_for_the_end_of_a_store():
    """The check after each fault asks for this exception; another name would make it pass over everything."""
    assert StoreBroken.__mro__[1].__name__ == "StoreError"
