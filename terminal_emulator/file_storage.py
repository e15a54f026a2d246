"""A terminal's memory in a folder: an append-only journal that outlives kill -9 and power cuts.

Every entry of the journal is synced before `save` returns, so kill -9 or a power cut can only damage an entry nobody
was told about: a torn last line is dropped and reported. Damage anywhere else is a broken disk; then the journal is not
opened, for it may hold the only word about somebody's money.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from protocol import TerminalNumber
from terminal_emulator import journal
from terminal_emulator.journal import (
    Archived,
    ChainEnd,
    Entry,
    Epoch,
    History,
    Owner,
    RecentSales,
    StopChanges,
    Used,
    from_line,
    to_line,
)
from terminal_emulator.keepsakes import Kept
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import MODE_SECRET, sync_folder, write_atomically
from terminal_emulator.settled import Settlement
from terminal_emulator.storage import MemoryStorage, StorageError

JOURNAL_NAME: Final = "journal"
LOCK_NAME: Final = "lock"

MAX_RECORDS: Final = 100_000
"""Sales kept until settlement (some 25 MB): a hundred full days of one terminal. Then it asks to be settled."""

KEEP_FINISHED: Final = 100
"""Declined sales kept through a compaction, for the cashier's questions; they carry no money."""

COMPACT_AFTER: Final = 1_000
"""Lines beyond two for every sale that must be kept, at which the journal is written anew: seldom enough."""


class FileStorage(MemoryStorage):
    """A memory in a folder, made if it is not there. One program at a time; `close` lets the next one in.

    `torn` is the number of bytes of a torn last entry that were dropped when it was opened, 0 normally.
    StorageError if the folder is in use or the journal is damaged; OSError if the disk fails: then stop the
    program and start again, for what was kept is only known from the disk.
    """

    __slots__ = ("_failed", "_folder", "_lines", "_lock", "_out", "_path", "_without_money", "torn")

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / JOURNAL_NAME
        self._failed = False
        self._lines = 0
        self._without_money: dict[tuple[int, int], None] = {}
        self.torn = 0
        self._out = -1
        self._lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE_SECRET)
        try:
            self._take_lock()
            self._read()
        except BaseException:
            os.close(self._lock)
            raise
        self._out = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE_SECRET)
        sync_folder(folder)
        self._compact_if_due()

    @property
    def is_full(self) -> bool:
        """See Storage."""
        return len(self.records) - len(self._without_money) >= MAX_RECORDS

    def save(self, record: Record) -> None:
        """See Storage."""
        self._append(record)
        self._keep(record)
        self._compact_if_due()

    def skip_to(self, batch: int, stan: int) -> None:
        """See Storage."""
        if (batch, stan) > self.used:
            self._append(Used(batch, stan))
            super().skip_to(batch, stan)

    def forget(self) -> None:
        """See Storage."""
        self._append(journal.Forgotten())
        self._take(journal.Forgotten())

    @property
    def place(self) -> str:
        """See MemoryStorage."""
        return str(self._folder)

    def _belong_to(self, terminal: TerminalNumber) -> None:
        self._append(Owner(terminal))
        super()._belong_to(terminal)

    def save_epoch(self, epoch: int) -> None:
        """See Storage."""
        if epoch != self.epoch:
            self._append(Epoch(epoch))
            super().save_epoch(epoch)

    def save_history(self, history: int, restored_at_s: int) -> None:
        """See Storage."""
        self._append(History(history, restored_at_s))
        super().save_history(history, restored_at_s)

    def save_stop_changes(self, version: int, stopped: Iterable[bytes], allowed: Iterable[bytes]) -> None:
        """See Storage."""
        changes = StopChanges(version, tuple(stopped), tuple(allowed))
        self._append(changes)
        super().save_stop_changes(changes.version, changes.stopped, changes.allowed)

    def save_settlement(self, settlement: Settlement) -> None:
        """See Storage."""
        self._append(settlement)
        self._take(settlement)
        self._compact_if_due()

    def keep(self, value: Kept) -> None:
        """See Storage."""
        self._append(value)
        super().keep(value)

    def close(self) -> None:
        """Let the folder go. Everything is on the disk already."""
        for descriptor in (self._out, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._out = self._lock = -1

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{self._folder}: in use by another program: end it, or use another folder") from None

    def _append(self, entry: Entry) -> None:
        """Write and sync one line. After a failure nothing more is written: the end of the file is unknown."""
        if self._failed or self._out < 0:
            raise OSError(f"{self._path}: closed, or failed before: start the terminal again")
        line = to_line(entry)
        try:
            if os.write(self._out, line) != len(line):
                raise OSError(f"{self._path}: the disk took only part of an entry: is it full?")
            os.fsync(self._out)
        except OSError:
            self._failed = True
            raise
        self._lines += 1

    def _read(self) -> None:
        data = self._path.read_bytes() if self._path.exists() else b""
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            try:
                entry = None if end < 0 else from_line(data[start:end])
            except ValueError as error:  # it was never torn, and may be about money
                raise StorageError(f"{self._path}: line {self._lines + 1} at byte {start} {error}") from None
            if entry is None:
                self._check_torn(data, start)
                break
            self._take(entry)
            self._lines += 1
            start = end + 1
        self.torn = len(data) - start
        self._settle(data[:start])

    def _settle(self, data: bytes) -> None:
        """Make durable what was read, as a new file, before anything in it is acted upon.

        A sync before may have failed or never come: then the newest lines are in the system's cache only, perhaps
        marked clean, and a line behind them would stand behind damage after a power cut.
        """
        if data or self.torn:
            write_atomically(self._path, data)

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Record):
            self._keep(entry)
        elif isinstance(entry, Archived):
            self.archived[entry.record.identity] = entry.record
        elif isinstance(entry, journal.Forgotten):
            MemoryStorage.forget(self)
            self._without_money.clear()
        elif isinstance(entry, RecentSales):
            self.recent_sales = entry.sales
        elif isinstance(entry, Owner):
            self.owner = entry.terminal
        elif isinstance(entry, Used):
            MemoryStorage.skip_to(self, entry.batch, entry.stan)
        elif isinstance(entry, Epoch):
            MemoryStorage.save_epoch(self, entry.epoch)
        elif isinstance(entry, Settlement):
            MemoryStorage.save_settlement(self, entry)
            self._without_money = {one: None for one in self._without_money if one in self.records}
        elif isinstance(entry, History):
            MemoryStorage.save_history(self, entry.history, entry.restored_at_s)
        elif isinstance(entry, ChainEnd):
            self.chain = (entry.sequence, entry.tag)
        elif isinstance(entry, StopChanges):
            MemoryStorage.save_stop_changes(self, entry.version, entry.stopped, entry.allowed)
        else:
            MemoryStorage.keep(self, entry)

    def _keep(self, record: Record) -> None:
        super().save(record)
        if record.state is RecordState.DECLINED:
            self._without_money[record.identity] = None

    def _check_torn(self, data: bytes, start: int) -> None:
        """A damaged line is a torn last one, unless a whole line behind it says that this was no torn write: refuse."""
        if 0 <= data.find(b"\n", start) < len(data) - 1:
            raise StorageError(
                f"{self._path}: line {self._lines + 1} at byte {start} is damaged, and more lines follow: the disk is "
                "failing. Keep a copy of the folder: it may hold unsettled sales"
            )

    def _compact_if_due(self) -> None:
        needed = len(self.records) - len(self._without_money) + len(self.archived)
        if self._lines > 2 * needed + COMPACT_AFTER:
            self._compact()

    def _compact(self) -> None:
        """Write the journal anew with one line a sale, and without old sales that moved nothing."""
        for identity in sorted(self._without_money)[:-KEEP_FINISHED]:
            del self.records[identity], self._without_money[identity]
        entries: list[Entry] = [Used(*self.used), Epoch(self.epoch), History(*self.history), ChainEnd(*self.chain)]
        if self.owner is not None:
            entries.append(Owner(self.owner))
        entries.append(StopChanges(self.stop_version, tuple(sorted(self.stopped))))
        # Before the records: what of a batch that is settled is still here is to stay.
        entries += map(Archived, self.archived.values())
        entries += [kept for kept in (self.last_settlement, self.settlement) if kept is not None]
        entries += self._kept.values()
        if self.recent_sales:
            entries.append(RecentSales(self.recent_sales))
        entries += [record for _, record in sorted(self.records.items())]
        try:
            write_atomically(self._path, b"".join(map(to_line, entries)))
            os.close(self._out)
            self._out = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            self._failed = True
            raise
        self._lines = len(entries)
