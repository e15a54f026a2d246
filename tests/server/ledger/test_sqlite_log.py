"""The write-ahead log is copied beside the commits: it stays small, and no fault in the copying loses anything."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from server.ledger import sqlite
from server.ledger.ledger import Ledger
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_log import Wait
from server.ledger.store import StoreBroken, StoreFull
from server.stores import in_a_thread
from tests.server.ledger import audit
from tests.server.ledger.campus import NO_LIMITS, apply, decide, open_campus, sale
from tests.torture.disk import Disk

SMALL_WAL_BYTES = 256 * 1024


@pytest.fixture
def path(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", SMALL_WAL_BYTES)
    return tmp_path / "ledger.db"


def sell(ledger: Ledger, count: int = 8) -> None:
    """One batch, and what the gate does before the next."""
    apply(ledger, *[sale(ledger.head_seq + 1_000 + number, 1) for number in range(count)])
    ledger.store.maintain()


def wal_bytes(path: Path) -> int:
    return path.with_name("ledger.db-wal").stat().st_size


class Later:
    """Begins to copy when the test says so, as a thread that the system has not given a turn yet."""

    def __init__(self) -> None:
        self.begun: list[Callable[[], None]] = []

    def __call__(self, copy: Callable[[], None]) -> Wait:
        self.begun.append(copy)
        return lambda: None

    def run(self) -> None:
        self.begun.pop()()


def test_sales_go_on_while_the_log_is_copied_and_it_is_begun_anew_afterwards(path):
    later = Later()
    store = SqliteStore(path, copy_log=later)
    ledger = open_campus(store)
    for _ in range(3):
        while not later.begun:
            sell(ledger)
        sell(ledger)
        assert len(later.begun) == 1, "begun once, however long it takes"
        assert wal_bytes(path) > SMALL_WAL_BYTES
        later.run()
        sell(ledger)
        sell(ledger)
        assert wal_bytes(path) == SMALL_WAL_BYTES, "begun anew, and cut"
    audit.check(store)
    store.close()
    again = SqliteStore(path)
    audit.check(again)
    assert again.head()[0] == ledger.head_seq
    again.close()


def test_little_is_left_to_the_writer(tmp_path, path):
    disk = Disk(tmp_path)
    operations: list[int] = []

    def copy_now(copy: Callable[[], None]) -> Wait:
        before = disk.operations
        copy()
        operations.append(disk.operations - before)
        return lambda: None

    store = SqliteStore(path, vfs=disk.vfs, copy_log=copy_now)
    ledger = open_campus(store)
    while not operations:
        sell(ledger)
    apply(ledger, sale(1, 1))
    before = disk.operations
    store.maintain()
    assert disk.operations - before < operations[0] / 2, "pages of one commit, and not of the whole log"
    store.close()
    disk.close()


def test_a_thread_copies_beside_the_writer(path):
    begun = []

    def count(copy: Callable[[], None]) -> Wait:
        begun.append(copy)
        return in_a_thread(copy)

    store = SqliteStore(path, copy_log=count)
    ledger = open_campus(store)
    while len(begun) < 4:
        sell(ledger)
    assert path.stat().st_size > SMALL_WAL_BYTES // 2, "the ledger itself has left the WAL"
    audit.check(store)
    store.close()
    again = SqliteStore(path)
    audit.check(again)
    assert again.head()[0] == ledger.head_seq
    again.close()


def test_closing_waits_for_what_is_under_way(path):
    begun, may_go_on = threading.Event(), threading.Event()

    def held_up(copy: Callable[[], None]) -> Wait:
        def work() -> None:
            may_go_on.wait()
            copy()

        begun.set()
        return in_a_thread(work)

    store = SqliteStore(path, copy_log=held_up)
    ledger = open_campus(store)
    while not begun.is_set():
        sell(ledger)
    closing = threading.Thread(target=store.close)
    closing.start()
    assert closing.is_alive()
    may_go_on.set()
    closing.join()
    assert not path.with_name("ledger.db-wal").exists(), "folded into the database"
    again = SqliteStore(path)
    audit.check(again)
    again.close()


@pytest.mark.parametrize(("error", "expected"), [(apsw.FullError, StoreFull), (apsw.IOError, StoreBroken)])
def test_a_fault_in_the_copying_is_met_where_a_checkpoints_would_be(tmp_path, path, error, expected):
    disk = Disk(tmp_path)

    failed = []

    def fail(copy: Callable[[], None]) -> Wait:
        failed.append(copy)
        disk.fail(1, error, last=1, only="write")
        copy()
        disk.heal()
        return lambda: None

    store = SqliteStore(path, vfs=disk.vfs, copy_log=fail)
    ledger = open_campus(store)
    while not failed:
        apply(ledger, *[sale(ledger.head_seq + 1_000 + number, 1) for number in range(8)])
        if store._wal_frames * sqlite.PAGE_SIZE >= SMALL_WAL_BYTES:
            store.maintain()
    with pytest.raises(expected):
        store.maintain()
    head_seq = ledger.head_seq
    if expected is StoreFull:
        assert decide(ledger, sale(1, 1)).rrn == head_seq + 1
        head_seq += 1
    store.close()
    again = Ledger(SqliteStore(path, vfs=disk.vfs), NO_LIMITS)
    assert again.head_seq == head_seq
    audit.check(again.store)
    again.store.close()
    disk.close()


def test_what_a_reader_holds_back_is_copied_the_next_time(path):
    later = Later()
    store = SqliteStore(path, copy_log=later)
    ledger = open_campus(store)
    reader = SqliteStore(path, readonly=True)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT max(seq) FROM transfers")
    for _ in range(2):
        while not later.begun:
            sell(ledger)
        later.run()
        sell(ledger)
    assert reader.execute("SELECT max(seq) FROM transfers") == seen
    reader.execute("COMMIT")
    reader.close()
    assert wal_bytes(path) > SMALL_WAL_BYTES
    while not later.begun:
        sell(ledger)
    later.run()
    sell(ledger)
    sell(ledger)
    assert wal_bytes(path) == SMALL_WAL_BYTES, "begun anew, and cut"
    audit.check(store)
    store.close()


def test_another_checkpoint_under_way_is_no_fault(path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 0)
    later = Later()
    store = SqliteStore(path, copy_log=later)
    ledger = open_campus(store)
    while not later.begun:
        sell(ledger)
    other = apsw.Connection(str(path))
    other.execute("SELECT count(*) FROM transfers").fetchall()
    found = []

    def while_the_other_waits(_calls: int) -> bool:
        """It holds the locks of a checkpoint, and waits for the reader to end before it begins the log anew."""
        later.run()
        store.maintain()
        found.append(len(later.begun))
        return False

    other.set_busy_handler(while_the_other_waits)
    reader = SqliteStore(path, readonly=True)
    reader.execute("BEGIN")
    reader.execute("SELECT max(seq) FROM transfers")
    with pytest.raises(apsw.BusyError):
        other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    reader.execute("COMMIT")
    reader.close()
    other.close()
    assert found == [0], "taken note of, and nothing happened"
    sell(ledger)
    audit.check(store)
    store.close()


def test_a_host_that_is_stopped_after_a_fault_in_the_copying_keeps_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "WAL_LIMIT_BYTES", 256 * 1024)
    folder = tmp_path / "a"
    folder.mkdir()
    disk = Disk(folder)
    begun: list[Callable[[], None]] = []

    def copy_with_fault(copy):
        begun.append(copy)
        real_sync, writes = disk.sync, [0]

        def fault(what):
            if what == "write":
                writes[0] += 1
                if writes[0] == 5:  # a customer pays while the first pass is under way
                    disk._fault = lambda _w: None
                    apply(ledger, sale(ledger.head_seq + 1_000, 1))

        def sync(name, *, names=False):
            if name == "ledger.db":
                disk.do("lose_sync", name)  # the disk fails once, and the pages are marked clean
                raise apsw.IOError("sync")
            real_sync(name, names=names)

        with monkeypatch.context() as patch:
            patch.setattr(disk, "_fault", fault)
            patch.setattr(disk, "sync", sync)
            copy()
        disk.heal()
        return lambda: None

    store = SqliteStore(folder / "ledger.db", vfs=disk.vfs, copy_log=copy_with_fault)
    ledger = open_campus(store)
    while not begun:
        apply(ledger, *[sale(ledger.head_seq + 1_000 + number, 1) for number in range(8)])
        store.maintain()
    head = ledger.head_seq
    store.close()  # before anybody pays again, and takes note of the fault
    disk.files.sync_folder()  # the system writes names by itself, seconds later
    disk.cut_power(tmp_path / "b", random.Random(1), 0.0)
    disk.close()
    again = Ledger(SqliteStore(tmp_path / "b" / "ledger.db"), NO_LIMITS)
    assert again.head_seq == head
    audit.check(again.store)
    again.store.close()


def test_a_system_without_another_thread_leaves_the_copying_to_the_writer(path):
    tries = []

    def start(copy: Callable[[], None]) -> Wait:
        tries.append(copy)
        if len(tries) == 1:
            raise RuntimeError("can't start new thread")
        copy()
        return lambda: None

    store = SqliteStore(path, copy_log=start)
    ledger = open_campus(store)
    while not tries:
        sell(ledger)
    sell(ledger)
    sell(ledger)
    assert wal_bytes(path) == SMALL_WAL_BYTES, "begun anew, and cut"
    while len(tries) < 2:
        sell(ledger)
    audit.check(store)
    store.close()
