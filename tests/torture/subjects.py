"""What is tortured: kinds of programs, each with what it finds at its start and how its remains are judged."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from server.ledger.sqlite import SqliteStore
from terminal_emulator.settings import settings_to_json
from tests.torture import data_folder, host, till
from tests.torture.disk import Disk, put
from tests.torture.witness import Witness

Contents = dict[str, bytes]


class Life(Protocol):
    """One process, from its start to wherever it ends."""

    folder: Path
    disk: Disk
    witness: Witness

    def __init__(self, folder: Path, disk: Disk, witness: Witness, *, create: bool = False) -> None: ...

    def open(self) -> None:
        """Start: recover, and answer from what was found."""

    def close(self) -> None:
        """An orderly end."""

    def vanish(self) -> None:
        """Let go of everything, write nothing."""


class Subject(NamedTuple):
    """`faults_in(folder, witness, at)` starts the program on what a disk has kept and says what is wrong; `state_in`
    is the state it would start with; `recover` is a start with some work after it."""

    life: Callable[..., Any]
    faults_in: Callable[[Path, Witness, int], list[str]]
    state_in: Callable[[Path], str]
    recover: Callable[[Any], None]


def _ledger_state(folder: Path) -> str:
    store = SqliteStore(folder / host.LEDGER)
    try:
        return host.state_of(store)
    finally:
        store.close()


def _till_state(folder: Path) -> str:
    storage = till.FileStorage(folder)
    try:
        return till.state_of(storage)
    finally:
        storage.close()


def _recover_host(life: host.HostLife) -> None:
    """The host starts again and sells."""
    life.create = True  # what was to be created may not be there yet
    life.open()
    if life.store.load_cards([host.BEN]):
        life.apply(host.sale(900, 1, host.BEN))
        life.next_epoch()
    life.close()


def _recover_till(life: till.TillLife) -> None:
    life.open()
    batch, stan = life.storage.used
    life.storage.save_epoch(77)
    life.storage.skip_to(batch, stan + 5)
    life.save(stan + 6)
    life.close()


def _recover_settings(life: till.SettingsLife) -> None:
    life.open()
    life.write(99)


LEDGER = Subject(host.HostLife, host.faults_in, _ledger_state, _recover_host)
TILL = Subject(till.TillLife, till.faults_in, _till_state, _recover_till)
SETTINGS = Subject(till.SettingsLife, till.faults_in_settings, till._key, _recover_settings)
MAKER = Subject(data_folder.FolderLife, data_folder.faults_in, data_folder.state_in, lambda _life: None)
RESTORER = MAKER._replace(recover=data_folder.FolderLife.restore)
BACKUP = Subject(
    data_folder.FolderLife,
    data_folder.backup_faults_in,
    data_folder.backup_state_in,
    lambda life: life.back_up() if data_folder.backup_state_in(life.folder.path) == data_folder.NOTHING else None,
)
KEYS = Subject(
    data_folder.FolderLife, data_folder.keys_faults_in, data_folder.keys_state_in, data_folder.FolderLife.rewrap
)


# --- what lies on the disk at the start


class _Unjudged(Witness):
    """Of a life that only makes something to begin with."""

    def found(self, at: int, state: str) -> None:
        self.promise(at, state)


def played(play: Callable[[Any], None], subject: Subject, contents: Contents | None = None) -> Contents:
    """What every program sees after a life that began on these files; it may have been closed in order or not."""
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        folder = Path(name)
        put(folder, contents or {})
        disk = Disk(folder)
        life = subject.life(folder, disk, _Unjudged(""), create=True)
        try:
            play(life)
            return disk.files.seen()
        finally:
            life.vanish()
            disk.close()


def memory() -> str | None:
    """A file system in memory where there is one: nothing here needs a real disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@functools.cache
def nothing() -> Contents:
    return {}


@functools.cache
def campus() -> Contents:
    """A ledger that was closed in order."""

    def play(life: host.HostLife) -> None:
        life.open()
        host.set_up(life)
        life.apply(host.sale(1, batch=7))
        life.close()

    return played(play, LEDGER)


@functools.cache
def campus_with_log() -> Contents:
    """The same with a write-ahead log that no one has folded in: its host was killed."""

    def play(life: host.HostLife) -> None:
        life.open()
        for number in range(4):
            life.apply(*(host.sale(10 * number + place, batch=8) for place in range(1, 4)))

    return played(play, LEDGER, campus())


@functools.cache
def fresh() -> Contents:
    """A ledger in which nothing has happened."""

    def play(life: host.HostLife) -> None:
        life.open()
        life.close()

    return played(play, LEDGER)


@functools.cache
def till_at_work() -> Contents:
    """A terminal's journal with sales in every state."""

    def play(life: till.TillLife) -> None:
        life.open()
        for stan, state in enumerate((*till.RecordState, *till.RecordState), 1):
            life.save(stan)
            life.save(stan, state)
        life.storage.save_epoch(3)

    return played(play, TILL)


@functools.cache
def key_file() -> Contents:
    return {till.SETTINGS: settings_to_json(till.FIRST_KEY).encode()}
