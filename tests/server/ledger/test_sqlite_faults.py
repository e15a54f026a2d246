"""The SQLite store when the disk is full, fails, or loses power, at every single write and sync there is.

What must hold: an answer that was given is true for ever, and a batch is there as a whole or not at all.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from server.ledger import sqlite
from server.ledger.ledger import Ledger
from server.ledger.model import Command, Outcome
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreBroken, StoreError, StoreFull, StoreRefused
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    BEN,
    NO_LIMITS,
    NOW_MS,
    adjustment,
    apply,
    contents,
    decide,
    open_campus,
    reversal,
    sale,
    spent,
)
from tests.server.ledger.contract import answer
from tests.torture.disk import Disk, Gone

BATCH: list[Command] = [
    sale(1, 100),
    sale(2, 50, BEN),
    reversal(1, 100),
    adjustment(3, 5),
    sale(3, 99_999),
    reversal(9, 1),
]
MANY = 10_000
"""More operations than anything here needs: a loop over every one of them ends by success, never by this."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed ledger to start from, copied for every fault."""
    folder = tmp_path_factory.mktemp("template") / "ledger"
    folder.mkdir()
    store = SqliteStore(folder / "ledger.db")
    decide(open_campus(store), sale(1, 30, batch=7))
    store.close()
    return folder


class Bench:
    """One copy of the template on a disk of its own."""

    def __init__(self, template: Path, tmp_path: Path) -> None:
        self.folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(template, self.folder)
        self.disk = Disk(self.folder)
        self.ledger = self.open()

    def open(self) -> Ledger:
        return Ledger(SqliteStore(self.folder / "ledger.db", vfs=self.disk.vfs), NO_LIMITS)

    def restart(self) -> Ledger:
        """As after the process has ended: a broken store is left as it is, the disk works again."""
        self.disk.heal()
        self.ledger.store.close()
        self.ledger = self.open()
        return self.ledger

    def close(self) -> None:
        self.disk.heal()
        self.ledger.store.close()
        self.disk.close()


# ---------------------------------------------------------------------------------------------- disk full


def test_a_real_full_database_posts_nothing_and_goes_on_when_there_is_space(tmp_path):
    store = SqliteStore(tmp_path / "ledger.db")
    ledger = open_campus(store)
    store.execute(f"PRAGMA max_page_count = {store.execute('PRAGMA page_count')[0][0]}")
    decide(ledger, sale(1, 1))
    before = contents(store), store.head(), ledger.head_seq, spent(ledger)
    many = [sale(stan, 1) for stan in range(2, 200)]
    for _ in range(2):
        with pytest.raises(StoreFull, match="free some space"):
            apply(ledger, *many)
        assert (contents(store), store.head(), ledger.head_seq, spent(ledger)) == before
    assert decide(ledger, sale(1, 1)).replayed, "who only asks gets an answer even now"
    store.execute("PRAGMA max_page_count = 1000000")
    assert [outcome.rrn for outcome in apply(ledger, *many)] == list(range(4, 4 + len(many)))
    audit.check(store)
    store.close()


@pytest.mark.parametrize("lasting", [False, True])
def test_no_space_at_any_write_of_a_commit(template, tmp_path, lasting):
    for number in range(1, MANY):
        bench = Bench(template, tmp_path)
        ledger = bench.ledger
        before = contents(ledger.store), ledger.head_seq, ledger.store.head()
        bench.disk.fail(number, apsw.FullError, last=None if lasting else number, only="write")
        try:
            outcomes = ledger.apply(BATCH, NOW_MS)
        except StoreFull:
            assert (contents(ledger.store), ledger.head_seq, ledger.store.head()) == before
            bench.disk.heal()
            again = ledger.apply(BATCH, NOW_MS)
            assert [outcome.replayed for outcome in again] == [False] * len(BATCH)
            audit.check(bench.restart().store)
            assert [answer(outcome) for outcome in bench.ledger.apply(BATCH, NOW_MS)] == [answer(o) for o in again]
            bench.close()
            continue
        assert len(outcomes) == len(BATCH)
        bench.close()
        break
    assert number > 5, "the fault was never met"


def test_no_space_at_any_write_of_a_checkpoint(template, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 1)
    for number in range(1, MANY):
        bench = Bench(template, tmp_path)
        ledger = bench.ledger
        first = ledger.apply(BATCH, NOW_MS)
        bench.disk.fail(number, apsw.FullError, last=number, only="write")
        try:
            ledger.store.maintain()
        except StoreFull:
            # Nothing was lost, everything goes on, and the next checkpoint does what this one could not.
            assert decide(ledger, sale(50, 1)).rrn == ledger.head_seq
            ledger.store.maintain()
            assert [answer(outcome) for outcome in bench.restart().apply(BATCH, NOW_MS)] == [answer(o) for o in first]
            audit.check(bench.ledger.store)
            bench.close()
            continue
        bench.close()
        break
    assert number > 5, "the fault was never met"


# --------------------------------------------------------------------------------------------- I/O errors


@pytest.mark.parametrize("lasting", [False, True])
def test_an_io_error_anywhere_in_a_commit_is_the_end_of_the_store(template, tmp_path, lasting):
    """Afterwards the batch is there as a whole or not at all; which of the two nobody has been told."""
    seen = set()
    for number in range(1, MANY):
        bench = Bench(template, tmp_path)
        ledger = bench.ledger
        before = contents(ledger.store)
        head_seq = ledger.head_seq
        bench.disk.fail(number, apsw.IOError, last=None if lasting else number)
        try:
            ledger.apply(BATCH, NOW_MS)
        except StoreBroken:
            assert ledger.head_seq == head_seq
            operations = bench.disk.operations
            with pytest.raises(StoreBroken, match="earlier fault"):
                decide(ledger, sale(50, 1))
            with pytest.raises(StoreBroken, match="earlier fault"):
                ledger.open_day(20260911, NOW_MS)
            assert bench.disk.operations == operations
            again = bench.restart()
            found = contents(again.store)
            whole = again.head_seq == head_seq + len(BATCH)
            assert whole or found == before
            seen.add(whole)
            assert [outcome.replayed for outcome in again.apply(BATCH, NOW_MS)] == [whole] * len(BATCH)
            audit.check(again.store)
            bench.close()
            continue
        bench.close()
        break
    assert number > 5, "the fault was never met"
    assert seen == {True, False}, "a failed sync leaves the batch in the log, a failed write does not"


def test_a_broken_store_touches_its_files_no_more(template, tmp_path):
    """Not even to close: a checkpoint would sync again what has failed to sync, and could be told that all is well."""
    bench = Bench(template, tmp_path)
    decide(bench.ledger, sale(1, 1))
    bench.disk.fail(1, apsw.IOError, last=1, only="sync")
    with pytest.raises(StoreBroken):
        decide(bench.ledger, sale(2, 1))
    bench.disk.heal()
    operations = bench.disk.operations
    bench.ledger.store.close()
    assert bench.disk.operations == operations
    bench.ledger = bench.open()
    audit.check(bench.ledger.store)
    bench.close()


def test_an_io_error_anywhere_in_a_checkpoint_loses_nothing(template, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 1)
    for number in range(1, MANY):
        bench = Bench(template, tmp_path)
        first = bench.ledger.apply(BATCH, NOW_MS)
        bench.disk.fail(number, apsw.IOError, last=number)
        try:
            bench.ledger.store.maintain()
        except StoreBroken:
            again = bench.restart().apply(BATCH, NOW_MS)
            assert [answer(outcome) for outcome in again] == [answer(outcome) for outcome in first]
            audit.check(bench.ledger.store)
            bench.close()
            continue
        bench.close()
        break
    assert number > 5, "the fault was never met"


@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
def test_a_ledger_that_could_not_be_made_can_be_made_again(tmp_path, error):
    """A fault at any step of creating and migrating leaves something that the next start completes."""
    for number in range(1, MANY):
        folder = tmp_path / str(number)
        folder.mkdir()
        disk = Disk(folder)
        disk.fail(number, error)
        try:
            store = SqliteStore(folder / "ledger.db", vfs=disk.vfs)
        except StoreRefused:
            disk.heal()
        else:
            disk.heal()
            store.close()
            disk.close()
            break
        store = SqliteStore(folder / "ledger.db", vfs=disk.vfs)
        assert store.execute("PRAGMA page_size") == [(sqlite.PAGE_SIZE,)]
        audit.check(open_campus(store).store)
        store.close()
        disk.close()
    assert number > 20, "the fault was never met"


# --------------------------------------------------------------------------------------------- power cuts


def lunch(bench: Bench, given: list[tuple[Command, Outcome]]) -> None:
    """Batches, checkpoints and a restart; what was answered is noted at once, as terminals would."""
    for number in range(1, 9):
        wanted: list[Command] = [
            sale(number, 100 + number, (ANN, BEN)[number % 2]),
            sale(100 + number, 1),
            reversal(number - 1, 99 + number, (BEN, ANN)[number % 2]),
        ]
        given += zip(wanted, apply(bench.ledger, *wanted, now_ms=NOW_MS + number), strict=True)
        if number % 3 == 0:
            bench.ledger.store.maintain()
        if number == 5:
            with suppress(apsw.IOError):  # a fault at the very end is for the next start to deal with
                bench.ledger.store.close()
            bench.ledger = bench.open()


def cut_at(number: int, template: Path, tmp_path: Path, share: float, *, synchronous: str = "FULL") -> list[str] | None:
    """Run until operation `number` loses its power; what is then wrong after recovery. None if it was never reached."""
    bench = Bench(template, tmp_path)
    bench.ledger.store.execute(f"PRAGMA synchronous = {synchronous}")
    bench.disk.fail(number, Gone)
    given: list[tuple[Command, Outcome]] = []
    try:
        lunch(bench, given)
    except (StoreError, Gone):
        after = bench.folder.with_name(bench.folder.name + "-after")
        bench.disk.cut_power(after, Random(number), share)
    else:
        return None
    finally:
        bench.close()
    return wrong(after, given)


def wrong(folder: Path, given: list[tuple[Command, Outcome]]) -> list[str]:
    """What a ledger has lost or broken of what it had answered."""
    store = SqliteStore(folder / "ledger.db")
    assert store.execute("PRAGMA integrity_check") == [("ok",)]
    audit.check(store)
    ledger = Ledger(store, NO_LIMITS)
    again = [decide(ledger, command) for command, _ in given]
    store.close()
    return [
        f"{command}: answered {answer(first)}, after the power cut {answer(second)}"
        for (command, first), second in zip(given, again, strict=True)
        if answer(first) != answer(second) or not second.replayed
    ]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_power_cut_at_any_operation_loses_no_answer(template, tmp_path, monkeypatch, share):
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 16 * 1024)
    for number in range(1, MANY):
        lost = cut_at(number, template, tmp_path, share)
        if lost is None:
            break
        assert lost == [], f"power cut at operation {number}"
    assert number > 100, "lunch was over too soon"


@pytest.mark.slow
def test_an_io_error_at_any_operation_and_a_power_cut_after_the_restart_lose_no_answer(template, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 16 * 1024)
    for number in range(1, MANY):
        bench = Bench(template, tmp_path)
        bench.disk.fail(number, apsw.IOError, last=number)
        given: list[tuple[Command, Outcome]] = []
        with suppress(StoreBroken, StoreRefused):
            lunch(bench, given)
        ledger = bench.restart()
        given += [(command, decide(ledger, command)) for command in (sale(200, 1), sale(201, 2), reversal(200, 1))]
        after = bench.folder.with_name(bench.folder.name + "-after")
        bench.disk.cut_power(after, Random(number), 0.0)
        bench.close()
        assert wrong(after, given) == [], f"I/O error at operation {number}"
        if not bench.disk.faults:
            break
    assert number > 100, "lunch was over too soon"


def test_the_rig_would_notice_a_lost_answer(template, tmp_path, monkeypatch):
    """The same with synchronous=NORMAL, which does not sync each commit: answers are lost, and seen to be."""
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 16 * 1024)
    assert any(cut_at(number, template, tmp_path, 0.0, synchronous="NORMAL") for number in range(20, 60, 5))


def test_what_a_killed_process_never_synced_is_made_durable_before_it_is_answered(template, tmp_path):
    """Killed between writing a commit and its sync. The next process finds the commit, which so far lives in the page
    cache only, and answers a copy of the request from it: from then on it must outlive a power cut, too."""
    bench = Bench(template, tmp_path)
    bench.disk.fail(1, Gone, only="sync")
    with pytest.raises(StoreBroken):
        decide(bench.ledger, sale(1, 100))
    copy = decide(bench.restart(), sale(1, 100))
    assert copy.replayed, "the commit was not in the page cache: nothing is being tested"
    after = tmp_path / "after"
    bench.disk.cut_power(after, Random(0), 0.0)
    assert wrong(after, [(sale(1, 100), copy)]) == []
    bench.close()


def test_a_commit_whose_sync_failed_does_not_take_later_ones_with_it(template, tmp_path):
    """After the restart it is still in the page cache, but marked clean: no sync will ever bring it to the disk.

    What was appended behind it would be cut off at the next power cut, unless the log is first read and begun anew.
    """
    bench = Bench(template, tmp_path)
    bench.disk.fail(1, apsw.IOError, last=1, only="sync")
    with pytest.raises(StoreBroken):
        decide(bench.ledger, sale(1, 100))
    ledger = bench.restart()
    given = [(command, decide(ledger, command)) for command in (sale(1, 100), sale(2, 5), reversal(1, 100))]
    assert given[0][1].replayed, "the commit was not in the page cache: nothing is being tested"
    after = tmp_path / "after"
    bench.disk.cut_power(after, Random(0), 0.0)
    assert wrong(after, given) == []
    bench.close()
