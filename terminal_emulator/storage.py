"""What a terminal keeps through a power cut: every sale, before it is sent, and the numbers it has used.

`Storage` is what the brain asks for; every call is durable when it returns. `FileStorage` keeps a folder with an
append-only journal, `MemoryStorage` is for load tests and tests of the brain.

Every entry of the journal is synced before `save` returns, so kill -9 or a power cut can only damage an entry nobody
was told about: a torn last line is dropped and reported. Damage anywhere else is a broken disk; then the journal is not
opened, for it may hold the only word about somebody's money.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from protocol.messages.money import TransactionKind
from protocol.messages.offline import NO_TAG
from terminal_emulator import archive, journal
from terminal_emulator.archive import ACKNOWLEDGED, Records
from terminal_emulator.journal import Archived, ChainEnd, Entry, Epoch, History, StopChanges, Used, from_line, to_line
from terminal_emulator.keepsakes import Kept, OpeningFloat
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import MODE_SECRET, sync_folder, write_atomically
from terminal_emulator.settled import Settlement

JOURNAL_NAME: Final = "journal"
LOCK_NAME: Final = "lock"

OPEN: Final = frozenset(state for state in RecordState if state.is_open)
RECENT_SALES: Final = 3
"""How many sales back a cashier may look with one press of the keys."""

MAX_RECORDS: Final = 100_000
"""Sales kept until settlement (some 25 MB): a hundred full days of one terminal. Then it asks to be settled."""

KEEP_FINISHED: Final = 100
"""Declined sales kept through a compaction, for the cashier's questions; they carry no money."""

COMPACT_AFTER: Final = 1_000
"""Lines beyond two for every sale that must be kept, at which the journal is written anew: seldom enough."""

K = TypeVar("K", bound=Kept)


class StorageError(Exception):
    """The terminal's memory cannot be used: damaged, or in use by another program. The text says what to do."""


class Storage(Protocol):
    """The terminal's memory. A call that returns has made its change durable; OSError means it has not."""

    @property
    def used(self) -> tuple[int, int]:
        """The newest (batch, stan) used; (1, 0) in a new terminal."""
        ...

    @property
    def newest_approved(self) -> tuple[int, int]:
        """(batch, stan) of the newest sale the host approved; (0, 0) if there is none."""
        ...

    @property
    def epoch(self) -> int:
        """The host's epoch seen last, 0 in a new terminal."""
        ...

    @property
    def history(self) -> tuple[int, int]:
        """The host's (history, restored_at_s) for which every record has been uploaded; (1, 0) in a new terminal."""
        ...

    settlement: Settlement | None
    """The settlement under way; None if there is none."""
    last_settlement: Settlement | None
    """The newest settlement that is done; None in a new terminal."""
    archived: Records
    """What is kept of the newest batches that were settled, by identity; to be read only."""

    @property
    def records(self) -> dict[tuple[int, int], Record]:
        """Everything kept, by identity; to be read only."""
        ...

    @property
    def recent_sales(self) -> tuple[Record, ...]:
        """The last RECENT_SALES approved sales, newest first."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether no further sale may be started before settlement."""
        ...

    def open_records(self) -> list[Record]:
        """Sales without a final state, oldest first."""
        ...

    def acknowledged(self) -> list[Record]:
        """What the host has approved, or confirmed to be reversed; of the newest batches settled, too, oldest first."""
        ...

    def save(self, record: Record) -> None:
        """Keep a new sale, or the new state of one."""
        ...

    def skip_to(self, batch: int, stan: int) -> None:
        """Never use (batch, stan) nor any number before it."""
        ...

    def forget(self) -> None:
        """Be as new: from now on this is the memory of another terminal."""

    def save_epoch(self, epoch: int) -> None:
        """Remember the host's epoch."""
        ...

    def save_history(self, history: int, restored_at_s: int) -> None:
        """Everything has been uploaded for this history of the host."""
        ...

    @property
    def chain(self) -> tuple[int, bytes]:
        """Number and tag of the newest record made offline; (0, 16 zero bytes) in a new terminal."""
        ...

    @property
    def stop_version(self) -> int:
        """Version of the stop list, 0 if there is none."""
        ...

    @property
    def stopped(self) -> Set[bytes]:
        """The cards on it, as it names them."""
        ...

    @property
    def waiting(self) -> dict[tuple[int, int], Record]:
        """What was made offline and is not uploaded, by identity, oldest first; to be read only."""
        ...

    def offline_records(self) -> list[Record]:
        """What was made offline, uploaded or not, oldest first."""
        ...

    def save_stop_changes(self, version: int, stopped: Iterable[bytes], allowed: Iterable[bytes]) -> None:
        """Keep the changes that lead to a version of the stop list. Version 0: forget it."""
        ...

    def keep(self, value: Kept) -> None:
        """Remember this value in place of the one of its type before."""
        ...

    def kept(self, kind: type[K]) -> K:
        """The value of this type that was kept last, or its default."""
        ...

    def save_settlement(self, settlement: Settlement) -> None:
        """Keep how far a settlement has come; what is sold from now on belongs to a batch after it. With DONE, in the
        same stroke, the batch's records and its opening float go: the host has settled them (清机)."""


class MemoryStorage:
    """A memory that lasts as long as the program. `records` is everything saved, by identity."""

    __slots__ = (
        "_chain_identity",
        "_kept",
        "archived",
        "chain",
        "epoch",
        "history",
        "last_settlement",
        "newest_approved",
        "recent_sales",
        "records",
        "settlement",
        "stop_version",
        "stopped",
        "used",
        "waiting",
    )

    def __init__(self) -> None:
        self._kept: dict[type, Any] = {}
        self.recent_sales: tuple[Record, ...] = ()
        self.records: Records = {}
        self.archived: Records = {}
        self.used = (1, 0)
        self.newest_approved = (0, 0)
        self.epoch = 0
        self.history = (1, 0)
        self.chain = (0, NO_TAG)
        self._chain_identity = (0, 0)  # whose place `chain` is: records get their verdicts in any order
        self.stop_version = 0
        self.stopped: set[bytes] = set()
        self.waiting: dict[tuple[int, int], Record] = {}
        self.settlement: Settlement | None = None
        self.last_settlement: Settlement | None = None

    @property
    def is_full(self) -> bool:
        """See Storage. A load test may hold more than a terminal."""
        return False

    def open_records(self) -> list[Record]:
        """See Storage."""
        return self._in_order(OPEN)

    def acknowledged(self) -> list[Record]:
        """See Storage."""
        return [*self.archived.values(), *self._in_order(ACKNOWLEDGED)]

    def offline_records(self) -> list[Record]:
        """See Storage."""
        found = [identity for identity, record in self.records.items() if record.saf is not None]
        return [self.records[identity] for identity in sorted(found)]

    def _in_order(self, states: frozenset[RecordState]) -> list[Record]:
        found = [identity for identity, record in self.records.items() if record.state in states]
        return [self.records[identity] for identity in sorted(found)]

    def save(self, record: Record) -> None:
        """See Storage."""
        identity = (record.batch, record.stan)
        self.records[identity] = record
        if identity > self.used:
            self.used = identity
        if record.state is RecordState.APPROVED:
            if identity > self.newest_approved:
                self.newest_approved = identity
            if record.kind is TransactionKind.SALE:
                self._note_sale(record)
        if record.saf is not None:
            self._note_offline(record)

    def _note_offline(self, record: Record) -> None:
        identity, saf = record.identity, record.saf
        if saf is not None and identity >= self._chain_identity:
            self.chain, self._chain_identity = (saf.sequence, saf.tag), identity
        if record.state is RecordState.OFFLINE:
            self.waiting[identity] = record
            self._note_sale(record)
        else:
            self.waiting.pop(identity, None)

    def _note_sale(self, record: Record) -> None:
        recent = self.recent_sales
        if not recent or record.identity > recent[0].identity:
            self.recent_sales = (record, *recent[: RECENT_SALES - 1])
            return
        others = [sale for sale in self.recent_sales if sale.identity != record.identity]
        others.append(record)  # found out later
        self.recent_sales = tuple(sorted(others, key=lambda sale: sale.identity, reverse=True)[:RECENT_SALES])

    def forget(self) -> None:
        """See Storage."""
        MemoryStorage.__init__(self)

    def skip_to(self, batch: int, stan: int) -> None:
        """See Storage."""
        self.used = max(self.used, (batch, stan))

    def save_epoch(self, epoch: int) -> None:
        """See Storage."""
        self.epoch = epoch

    def save_history(self, history: int, restored_at_s: int) -> None:
        """See Storage."""
        self.history = (history, restored_at_s)

    def save_stop_changes(self, version: int, stopped: Iterable[bytes], allowed: Iterable[bytes]) -> None:
        """See Storage."""
        if version == 0:
            self.stopped.clear()
        self.stopped.difference_update(allowed)
        self.stopped.update(stopped)
        self.stop_version = version

    def save_settlement(self, settlement: Settlement) -> None:
        """See Storage."""
        batch = settlement.batch
        self.settlement = settlement if settlement.is_open else None
        self.used = max(self.used, (batch + 1, 0))
        if not settlement.is_open:
            self.last_settlement = settlement
            self.records, self.archived = archive.clear(self.records, self.archived, batch)
            if 0 < self.kept(OpeningFloat).batch <= batch:
                MemoryStorage.keep(self, OpeningFloat())
            # The host has closed the batch: one that knows nothing newer has lost that.
            self.newest_approved = max(self.newest_approved, (batch + 1, 0))

    def keep(self, value: Kept) -> None:
        """See Storage."""
        self._kept = {**self._kept, type(value): value}

    def kept(self, kind: type[K]) -> K:
        """See Storage."""
        found: K | None = self._kept.get(kind)
        return kind() if found is None else found


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
        entries.append(StopChanges(self.stop_version, tuple(sorted(self.stopped))))
        # Before the records: what of a batch that is settled is still here is to stay.
        entries += map(Archived, self.archived.values())
        entries += [kept for kept in (self.last_settlement, self.settlement) if kept is not None]
        entries += self._kept.values()
        entries += [record for _, record in sorted(self.records.items())]
        try:
            write_atomically(self._path, b"".join(map(to_line, entries)))
            os.close(self._out)
            self._out = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            self._failed = True
            raise
        self._lines = len(entries)
