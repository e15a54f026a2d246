"""A terminal's memory and settings as one program on a disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from protocol import TerminalNumber
from protocol.messages import SaleRequest
from terminal_emulator import file_storage
from terminal_emulator import settings as settings_module
from terminal_emulator.effects import Outcome, Send
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settings import Settings, read_settings, write_settings
from terminal_emulator.settled import Settlement
from tests.terminal_emulator.till import Till
from tests.torture.disk import Disk
from tests.torture.posix import installed
from tests.torture.witness import Witness

SETTINGS: Final = "terminal.json"
FIRST_KEY: Final = Settings(terminal=TerminalNumber.parse("3-1"), root_key=bytes(32), key_version=1)
SALE: Final = Record(batch=1, stan=1, amount_fen=100, payer=b"\x04\xa1\xb2\xc3", claimed_at_s=1_789_000_000)


def record(stan: int, state: RecordState = RecordState.PENDING) -> Record:
    return msgspec.structs.replace(SALE, stan=stan, amount_fen=100 + stan, state=state)


def state_of(storage: FileStorage) -> str:
    """A fingerprint of everything a terminal must remember. Of finished sales that moved nothing only the newest: a
    compaction, at a start, too, forgets the others."""
    dropped = set(sorted(storage._without_money)[: -file_storage.KEEP_FINISHED])
    records = sorted((identity, one) for identity, one in storage.records.items() if identity not in dropped)
    numbers = (storage.used, storage.epoch, storage.history, storage.newest_approved)
    known = (records, storage.archived, numbers, storage.settlement, storage.last_settlement)
    return sha256(repr(known).encode()).hexdigest()[:16]


class _Watched(FileStorage):
    """The product's memory; after each call that returns, the witness is told."""

    __slots__ = ("life",)

    def __init__(self, folder: Path, life: TillLife) -> None:
        self.life = life
        super().__init__(folder)

    def save(self, record: Record) -> None:
        super().save(record)
        self.life.promise()

    def skip_to(self, batch: int, stan: int) -> None:
        super().skip_to(batch, stan)
        self.life.promise()

    def save_epoch(self, epoch: int) -> None:
        super().save_epoch(epoch)
        self.life.promise()

    def save_history(self, history: int, restored_at_s: int) -> None:
        super().save_history(history, restored_at_s)
        self.life.promise()

    def save_settlement(self, settlement: Settlement) -> None:
        super().save_settlement(settlement)
        self.life.promise()


class TillLife:
    """One terminal program: its memory alone, or with the brain that uses it."""

    def __init__(self, folder: Path, disk: Disk, witness: Witness, *, create: bool = False) -> None:
        self.folder = folder
        self.disk = disk
        self.witness = witness
        self.storage: FileStorage
        self._installed = installed(disk, file_storage, settings_module)
        self._installed.__enter__()

    def open(self) -> None:
        self.storage = _Watched(self.folder, self)
        self.witness.found(len(self.disk.trace), state_of(self.storage))

    def promise(self) -> None:
        self.witness.promise(len(self.disk.trace), state_of(self.storage))

    def save(self, stan: int, state: RecordState = RecordState.PENDING) -> None:
        self.storage.save(record(stan, state))

    def boot(self) -> _Brain:
        """The brain wakes up on what is remembered."""
        return _Brain(self)

    def close(self) -> None:
        self.storage.close()

    def vanish(self) -> None:
        """Its descriptors and locks go with the process."""
        self._installed.__exit__(None, None, None)


class _Brain(Till):
    """A terminal's brain. What it sends and what it shows has been told to somebody."""

    def __init__(self, life: TillLife) -> None:
        self._life = life
        super().__init__(life.storage)

    def take(self, effects: Any) -> Any:
        for effect in effects:
            at, witness = len(self._life.disk.trace), self._life.witness
            if isinstance(effect, Send) and isinstance(effect.message, SaleRequest):
                witness.answered(at, (effect.message.batch, effect.message.stan), None)
            elif isinstance(effect, Outcome):
                witness.answered(at, effect.record.identity, effect.record.state)
        return super().take(effects)


def faults_in(folder: Path, witness: Witness, at: int) -> list[str]:
    """Start a terminal on what the disk has kept, and say what is wrong with it."""
    try:
        storage = FileStorage(folder)
    except Exception as error:
        return [f"cannot be opened: {type(error).__name__}: {error}"]
    try:
        return [*_wrong(storage, witness, at)]
    except Exception as error:
        return [f"cannot be used: {type(error).__name__}: {error}"]
    finally:
        storage.close()


def _wrong(storage: FileStorage, witness: Witness, at: int) -> Iterator[str]:
    yield from _compare(state_of(storage), witness.allowed(at))
    for identity, state in witness.answers_by(at):
        known = storage.records.get(identity)
        if known is None or (state is not None and known.state is not state):
            yield f"sale {identity} was sent, or shown as {state}; remembered is {known}"
    batch, stan = storage.used
    new = msgspec.structs.replace(SALE, batch=batch, stan=stan + 1)
    storage.save(new)
    again = FileStorage.__new__(FileStorage)
    storage.close()
    again.__init__(storage._folder)  # type: ignore[misc]
    try:
        if again.records.get(new.identity) != new or again.torn:
            yield "does not remember a sale saved after the recovery"
    finally:
        again.close()


def _compare(state: str, allowed: Collection[str]) -> Iterator[str]:
    if state not in allowed:
        yield f"expected one of the states {sorted(allowed)}, found {state}"


# --- the key file


class SettingsLife:
    """A program that replaces the terminal's key file."""

    def __init__(self, folder: Path, disk: Disk, witness: Witness, *, create: bool = False) -> None:
        self.folder = folder
        self.disk = disk
        self.witness = witness
        self._installed = installed(disk, settings_module)
        self._installed.__enter__()

    def open(self) -> None:
        """Nothing is kept open."""
        key = _key(self.folder)
        self.witness.found(len(self.disk.trace), key)

    def write(self, version: int) -> None:
        self.witness.saw(len(self.disk.trace), f"key {version}")
        write_settings(self.folder / SETTINGS, msgspec.structs.replace(FIRST_KEY, key_version=version))
        self.witness.promise(len(self.disk.trace), f"key {version}")

    def close(self) -> None:
        """Nothing is kept open."""

    def vanish(self) -> None:
        self._installed.__exit__(None, None, None)


def _key(folder: Path) -> str:
    return f"key {read_settings(folder / SETTINGS).key_version}"


def faults_in_settings(folder: Path, witness: Witness, at: int) -> list[str]:
    """The old key file or the new one, whole."""
    try:
        return [*_compare(_key(folder), witness.allowed(at))]
    except Exception as error:
        return [f"cannot be read: {type(error).__name__}: {error}"]
