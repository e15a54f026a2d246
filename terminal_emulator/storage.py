"""What a terminal keeps through a power cut: every sale, before it is sent, and the numbers it has used.

`Storage` is what the brain asks for; every call is durable when it returns. `FileStorage` keeps a folder with an
append-only journal, `MemoryStorage` is for load tests and tests of the brain.

The journal is text, one entry a line: the CRC-32 of the JSON behind it as eight hex digits, a space, the JSON. Every
entry is synced before `save` returns, so kill -9 or a power cut can only damage an entry nobody was told about: a torn
last line is dropped and reported. Damage anywhere else is a broken disk; then the journal is not opened, for it may
hold the only word about somebody's money.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterable, Set
from pathlib import Path
from typing import Final, Protocol

import msgspec

from protocol.messages.offline import NO_TAG
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import MODE_SECRET, sync_folder, write_atomically
from terminal_emulator.settled import Settlement

JOURNAL_NAME: Final = "journal"
LOCK_NAME: Final = "lock"

OPEN: Final = frozenset(state for state in RecordState if state.is_open)
ACKNOWLEDGED: Final = frozenset({RecordState.APPROVED, RecordState.REVERSED})
"""What the host has confirmed and may lose with its disk. A lost reversal would charge the payer again."""

MAX_RECORDS: Final = 100_000
"""Sales kept until settlement (some 25 MB): a hundred full days of one terminal. Then it asks to be settled."""

KEEP_FINISHED: Final = 100
"""Declined sales kept through a compaction, for the cashier's questions; they carry no money."""

COMPACT_AFTER: Final = 1_000
"""Lines beyond two for every sale that must be kept, at which the journal is written anew: seldom enough."""


class StorageError(Exception):
    """The terminal's memory cannot be used: damaged, or in use by another program. The text says what to do."""


class Used(msgspec.Struct, frozen=True, gc=False, tag="used"):
    """The newest numbers used, or skipped because the host knows newer ones than we do."""

    batch: int
    stan: int


class History(msgspec.Struct, frozen=True, gc=False, tag="history"):
    """The history of the host, and when it began, for which everything has been uploaded."""

    history: int
    restored_at_s: int


class Epoch(msgspec.Struct, frozen=True, gc=False, tag="epoch"):
    """The host's epoch, seen last."""

    epoch: int


class ChainEnd(msgspec.Struct, frozen=True, gc=False, tag="chain"):
    """Number and tag of the newest record ever made offline; the record itself may be gone."""

    sequence: int
    tag: bytes


class StopChanges(msgspec.Struct, frozen=True, gc=False, tag="stop_list"):
    """What leads to a version of the stop list. Version 0: everything before is forgotten."""

    version: int
    stopped: tuple[bytes, ...] = ()
    allowed: tuple[bytes, ...] = ()


class OfflineMode(msgspec.Struct, frozen=True, gc=False, tag="offline_mode"):
    """Whether the cashier has switched to selling offline."""

    is_on: bool


Entry = Record | Used | Epoch | History | ChainEnd | StopChanges | OfflineMode | Settlement
"""One line of the journal; a later line about the same sale replaces the earlier one."""


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

    @property
    def is_full(self) -> bool:
        """Whether no further sale may be started before settlement."""
        ...

    def open_records(self) -> list[Record]:
        """Sales without a final state, oldest first."""
        ...

    def acknowledged(self) -> list[Record]:
        """Sales that the host has approved, or confirmed to be reversed, oldest first."""
        ...

    def save(self, record: Record) -> None:
        """Keep a new sale, or the new state of one."""
        ...

    def skip_to(self, batch: int, stan: int) -> None:
        """Never use (batch, stan) nor any number before it."""
        ...

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
    def is_offline_mode(self) -> bool:
        """Whether the cashier has switched to selling offline."""
        ...

    def offline_records(self) -> list[Record]:
        """What was made offline, uploaded or not, oldest first."""
        ...

    def save_stop_changes(self, version: int, stopped: Iterable[bytes], allowed: Iterable[bytes]) -> None:
        """Keep the changes that lead to a version of the stop list. Version 0: forget it."""
        ...

    def save_offline_mode(self, is_on: bool) -> None:
        """Keep what the cashier has switched to."""
        ...

    def save_settlement(self, settlement: Settlement) -> None:
        """Keep how far a settlement has come; what is sold from now on belongs to a batch after it. With DONE, in the
        same stroke, the batch's records go: the host has settled them (清机)."""


class MemoryStorage:
    """A memory that lasts as long as the program. `records` is everything saved, by identity."""

    __slots__ = (
        "_chain_identity",
        "chain",
        "epoch",
        "history",
        "is_offline_mode",
        "last_settlement",
        "newest_approved",
        "records",
        "settlement",
        "stop_version",
        "stopped",
        "used",
    )

    def __init__(self) -> None:
        self.records: dict[tuple[int, int], Record] = {}
        self.used = (1, 0)
        self.newest_approved = (0, 0)
        self.epoch = 0
        self.history = (1, 0)
        self.chain = (0, NO_TAG)
        self._chain_identity = (0, 0)  # whose place `chain` is: records get their verdicts in any order
        self.stop_version = 0
        self.stopped: set[bytes] = set()
        self.is_offline_mode = False
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
        return self._in_order(ACKNOWLEDGED)

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
        if record.state is RecordState.APPROVED and identity > self.newest_approved:
            self.newest_approved = identity
        if record.saf is not None and identity >= self._chain_identity:
            self.chain, self._chain_identity = (record.saf.sequence, record.saf.tag), identity

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

    def save_offline_mode(self, is_on: bool) -> None:
        """See Storage."""
        self.is_offline_mode = is_on

    def save_settlement(self, settlement: Settlement) -> None:
        """See Storage."""
        batch = settlement.batch
        self.settlement = settlement if settlement.is_open else None
        self.used = max(self.used, (batch + 1, 0))
        if not settlement.is_open:
            self.last_settlement = settlement
            is_gone = {one for one, record in self.records.items() if one[0] == batch and not record.state.is_open}
            self.records = {one: record for one, record in self.records.items() if one not in is_gone}
            # The host has closed the batch: one that knows nothing newer has lost that.
            self.newest_approved = max(self.newest_approved, (batch + 1, 0))


_decoder: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)
_encode: Final = msgspec.json.Encoder().encode


def _to_line(entry: Entry) -> bytes:
    text = _encode(entry)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _from_line(line: bytes) -> Entry | None:
    """The entry in a whole line without its end, None if the line is damaged."""
    crc, space, text = line.partition(b" ")
    if not space or crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


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

    def save_offline_mode(self, is_on: bool) -> None:
        """See Storage."""
        if is_on != self.is_offline_mode:
            self._append(OfflineMode(is_on))
            super().save_offline_mode(is_on)

    def save_settlement(self, settlement: Settlement) -> None:
        """See Storage."""
        self._append(settlement)
        self._take(settlement)
        self._compact_if_due()

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
            raise StorageError(
                f"{self._folder}: in use by another terminal program: end it, or give this one another folder"
            ) from None

    def _append(self, entry: Entry) -> None:
        """Write and sync one line. After a failure nothing more is written: the end of the file is unknown."""
        if self._failed or self._out < 0:
            raise OSError(f"{self._path}: closed, or failed before: start the terminal again")
        line = _to_line(entry)
        try:
            if os.write(self._out, line) != len(line):
                raise OSError(f"{self._path}: the disk took only part of an entry: is it full?")
            os.fsync(self._out)
        except OSError:
            self._failed = True
            raise
        self._lines += 1

    def _read(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            entry = None if end < 0 else _from_line(data[start:end])
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

        The program before may have been killed before a sync, or a sync may have failed: then the newest lines are in
        the system's cache only, perhaps marked clean, so that no later sync brings them to the disk. A line behind them
        would get there, and after a power cut stand behind damage.
        """
        if data or self.torn:
            write_atomically(self._path, data)

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Record):
            self._keep(entry)
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
            MemoryStorage.save_offline_mode(self, entry.is_on)

    def _keep(self, record: Record) -> None:
        super().save(record)
        if record.state is RecordState.DECLINED:
            self._without_money[record.identity] = None

    def _check_torn(self, data: bytes, start: int) -> None:
        """A damaged line is a torn last one, unless a whole line behind it says that this was no torn write: refuse."""
        end = data.find(b"\n", start)
        if 0 <= end < len(data) - 1:
            raise StorageError(
                f"{self._path}: line {self._lines + 1} at byte {start} is damaged, and more lines follow: the disk is "
                "failing. Keep a copy of the folder: it may hold unsettled sales"
            )

    def _compact_if_due(self) -> None:
        needed = len(self.records) - len(self._without_money)
        if self._lines > 2 * needed + COMPACT_AFTER:
            self._compact()

    def _compact(self) -> None:
        """Write the journal anew with one line a sale, and without old sales that moved nothing."""
        for identity in sorted(self._without_money)[:-KEEP_FINISHED]:
            del self.records[identity], self._without_money[identity]
        entries: list[Entry] = [Used(*self.used), Epoch(self.epoch), History(*self.history), ChainEnd(*self.chain)]
        entries += (StopChanges(self.stop_version, tuple(sorted(self.stopped))), OfflineMode(self.is_offline_mode))
        # Before the records: what of a batch that is settled is still here is to stay.
        entries += [kept for kept in (self.last_settlement, self.settlement) if kept is not None]
        entries += [record for _, record in sorted(self.records.items())]
        try:
            write_atomically(self._path, b"".join(map(_to_line, entries)))
            os.close(self._out)
            self._out = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            self._failed = True
            raise
        self._lines = len(entries)
