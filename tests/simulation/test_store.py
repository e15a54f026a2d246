"""The simulated disks: what is committed is there in the next life, what was not is gone, wherever it is stopped."""

from __future__ import annotations

from random import Random

import pytest

from server.ledger.store import StoreBroken, StoreFull
from tests.simulation.store import SEAMS, CrashDisk, Killed, MemoryDisk


@pytest.fixture(params=["memory", "crash"])
def disk(request):
    disk = MemoryDisk() if request.param == "memory" else CrashDisk(Random(1))
    yield disk
    disk.close()


def write(store, value: str) -> None:
    with store.transaction():
        store.execute("INSERT INTO meta VALUES (?, ?)", (value, value))


def names(store) -> set[str]:
    rows = store.execute("SELECT name FROM meta WHERE name LIKE 'x%'")
    return {name for (name,) in rows}


def test_what_is_committed_outlives_kills_and_power_cuts(disk):
    write(disk.open(), "x1")
    write(disk.open(), "x2")
    disk.lose_power()
    assert names(disk.open()) == {"x1", "x2"}


def test_a_life_that_is_over_writes_nothing_more(disk):
    before = disk.open()
    disk.open()
    with pytest.raises(Killed):
        write(before, "x1")


@pytest.mark.parametrize(("seam", "kept"), [("begin", set()), ("commit", set()), ("committed", {"x1"})])
def test_a_kill_before_the_commit_leaves_nothing_and_one_after_it_all(disk, seam, kept):
    store = disk.open()
    kills = []
    disk.trouble.kill = lambda: kills.append(1)
    disk.trouble.kill_at = seam
    with pytest.raises(Killed):
        write(store, "x1")
    assert kills == [1]
    disk.lose_power()
    assert names(disk.open()) == kept


@pytest.mark.parametrize("seam", SEAMS)
def test_every_seam_is_one_the_store_passes(disk, seam):
    store = disk.open()
    disk.trouble.kill_at = seam
    with pytest.raises(Killed):
        pass_every_seam(store)


def pass_every_seam(store) -> None:
    with store.transaction():
        store.load_transfers(())
        store.save((), (), ())
    store.maintain()


def test_a_full_disk_refuses_what_writes_and_nothing_else(disk):
    store = disk.open()
    disk.trouble.full = True
    with pytest.raises(StoreFull):
        write(store, "x1")
    with store.transaction():
        assert names(store) == set()
    disk.trouble.heal()
    write(store, "x1")
    assert names(store) == {"x1"}


@pytest.mark.parametrize(("where", "kept"), [("before", set()), ("after", {"x1"})])
def test_a_sync_that_fails_is_the_end_of_the_store_and_says_nothing_of_what_is_durable(disk, where, kept):
    store = disk.open()
    disk.trouble.fail_sync = where
    with pytest.raises(StoreBroken):
        write(store, "x1")
    with pytest.raises(StoreBroken):
        names(store)
    disk.trouble.heal()
    assert names(disk.open()) == kept


def test_a_restored_disk_is_as_it_was_and_has_a_history_of_its_own(disk):
    store = disk.open()
    write(store, "x1")
    backup = disk.copy()
    write(store, "x2")
    disk.restore(backup, 1_788_200_000_000)
    again = disk.open()
    assert names(again) == {"x1"}
    assert again.execute("SELECT value FROM meta WHERE name = 'history'") == [("2",)]
    disk.restore(backup, 1_788_200_100_000)
    assert names(disk.open()) == {"x1"}
    backup.close()


def test_the_exact_disk_forgets_what_was_never_synced():
    disk = CrashDisk(Random(1))
    store = disk.open()
    store.execute("PRAGMA synchronous = OFF")
    write(store, "x1")
    disk._damage = 0.0
    assert names(disk.open()) == set()
    disk.close()
