"""Programs that work on a whole data folder: `fanka init`, `fanka restore`, `fanka backup`, a change of the KEK.

Their files are the disk's, whoever writes them: what they call of `os`, what pathlib calls for them, and SQLite's.
"""

from __future__ import annotations

import functools
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Final

import apsw

from server import backup as backup_module
from server import folder as folder_module
from server import restore as restore_module
from server.admin import Admin
from server.config import load_config
from server.folder import DataFolder
from server.keys import KekFiles, KeyRing, bind_kek
from server.ledger.ledger import Ledger
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.verify import verify
from tests.torture import host
from tests.torture.disk import REAL, Disk, contents_of
from tests.torture.posix import installed
from tests.torture.witness import Witness

MODULES: Final[tuple[ModuleType, ...]] = (
    folder_module,
    restore_module,
    backup_module,
    sys.modules.get("pathlib._local", pathlib),  # where Path is made from Python 3.13 on
)
NOTHING: Final = "no data folder yet"
NO_LEDGER: Final = "a data folder without its ledger"
WHOLE: Final = "a data folder as it is first made"
BACKUP: Final = "backup.db"


class FolderLife:
    """One run of one such program."""

    def __init__(self, folder: Path, disk: Disk, witness: Witness, *, create: bool = False) -> None:
        self.folder = DataFolder(folder)
        self.disk = disk
        self.witness = witness
        self._stack = ExitStack()
        self._stack.enter_context(installed(disk, *MODULES))
        apsw.set_default_vfs(disk.vfs)
        self._stack.callback(apsw.set_default_vfs, REAL)

    def open(self) -> None:
        """They open what they need themselves."""

    def _promise(self, state: str) -> None:
        self.witness.promise(len(self.disk.trace), state)

    def make(self) -> None:
        """`fanka init`."""
        DataFolder.create(self.folder.path, lambda size: bytes(range(size)))
        self._promise(WHOLE)

    def restore(self) -> None:
        """`fanka restore --replace` of the newest backup."""
        backup, restored = made_backup(), restored_state()
        self.witness.saw(len(self.disk.trace), NO_LEDGER)  # between the old one and the new one
        self.witness.saw(len(self.disk.trace), restored)
        restore_module.restore(
            backup,
            self.folder,
            kek=backup.parent / "kek.key",
            replace=True,
            now_ms=host.NOW_MS,
            show=lambda *_: None,
        )
        self._promise(restored)

    def back_up(self) -> None:
        """`fanka backup` of another folder, into this one."""
        backup_module.make_backup(
            DataFolder(source_folder()),
            self.folder.path / BACKUP,
            now_ms=host.NOW_MS,
            program="torture",
            show=lambda *_: None,
        )
        self._promise(BACKUP)

    def rewrap(self) -> None:
        """`fanka admin keys rewrap`, whether or not one was broken off."""
        store = SqliteStore(self.folder.ledger_path, create=False)
        self._stack.callback(store.close)
        admin = Admin(
            Ledger(store, host.LIMITS),
            Registry(store),
            KeyRing.of(KekFiles(self.folder.kek_path)),
            now_ms=lambda: host.NOW_MS,
            random_bytes=Random(len(self.disk.trace)).randbytes,
            on_revoked=lambda _terminal_id: None,
        )
        while not admin.perform("keys.rewrap", {})["done"]:
            pass

    def close(self) -> None:
        """They have ended."""

    def vanish(self) -> None:
        self._stack.close()


# --- what lies elsewhere


@functools.cache
def _elsewhere() -> Path:
    keep = tempfile.TemporaryDirectory(prefix="torture-")
    _KEPT.append(keep)
    return Path(keep.name)


_KEPT: Final[list[tempfile.TemporaryDirectory[str]]] = []
"""Removed when the process ends."""


@functools.cache
def source_folder() -> Path:
    """A data folder with a campus in it."""
    folder = DataFolder.create(_elsewhere() / "source", lambda size: host.KEK[:size])
    store = SqliteStore(folder.ledger_path)
    ledger = Ledger(store, host.LIMITS)
    ledger.open_day(host.DAY, host.NOW_MS)
    admin = Admin(
        ledger,
        Registry(store),
        KeyRing(host.KEK),
        now_ms=lambda: host.NOW_MS,
        random_bytes=Random(5).randbytes,
        on_revoked=lambda _terminal_id: None,
    )
    admin.perform("merchant.add", {"name": "一食堂"})
    admin.perform("terminal.enrol_many", {"first": "3-1", "count": 3, "merchant_id": 1})
    admin.perform("card.issue", {"uid": host.ANN.hex(), "student_number": "S1", "name": "Ann"})
    admin.perform("account.topup", {"who": "S1", "amount_fen": host.START_FEN, "batch": 2, "line": 1})
    ledger.apply([host.sale(number) for number in range(1, 30)], host.NOW_MS)
    store.close()
    return folder.path


@functools.cache
def whole_folder() -> dict[str, bytes]:
    """That folder's files."""
    return {name: content for name, content in contents_of(source_folder()).items() if name != "lock"}


@functools.cache
def nothing_but_a_backup() -> dict[str, bytes]:
    """An empty folder; a backup is elsewhere."""
    restored_state()
    return {}


@functools.cache
def lost_ledger() -> dict[str, bytes]:
    """A data folder whose ledger has gone on without a backup since, and its host was killed."""
    restored_state()
    files = whole_folder()
    with tempfile.TemporaryDirectory(dir=_elsewhere()) as name:
        ledger_path = Path(name) / "ledger.db"
        ledger_path.write_bytes(files["ledger.db"])
        store = SqliteStore(ledger_path)
        Ledger(store, host.LIMITS).apply([host.sale(number) for number in range(50, 60)], host.NOW_MS)
        seen = contents_of(Path(name))
        store.close()
    return files | seen


@functools.cache
def made_backup() -> Path:
    """A backup of it, with its key beside it."""
    place = _elsewhere() / "backups"
    place.mkdir()
    backup_module.make_backup(
        DataFolder(source_folder()), place / BACKUP, now_ms=host.NOW_MS, program="torture", show=lambda *_: None
    )
    (place / "kek.key").touch(0o600)
    (place / "kek.key").write_bytes((source_folder() / "kek.key").read_bytes())
    return place / BACKUP


@functools.cache
def restored_state() -> str:
    """The state of a folder into which it was restored."""
    folder = DataFolder(_elsewhere() / "restored")
    backup = made_backup()
    restore_module.restore(
        backup, folder, kek=backup.parent / "kek.key", replace=True, now_ms=host.NOW_MS, show=lambda *_: None
    )
    return state_in(folder.path)


# --- what is found


def state_in(path: Path) -> str:
    """What a host would find: whose ledger, or why none."""
    folder = DataFolder(path)
    if not folder.config_path.exists():
        return NOTHING
    if not folder.ledger_path.exists():
        return NO_LEDGER
    store = SqliteStore(folder.ledger_path, create=False)
    try:
        return host.state_of(store) if store.head()[0] else WHOLE
    finally:
        store.close()


def faults_in(path: Path, witness: Witness, at: int) -> list[str]:
    """With configuration and ledger it is a data folder, and then all of it is there, keys too."""
    try:
        return [*_wrong(DataFolder(path), witness.allowed(at))]
    except Exception as error:
        return [f"cannot be used: {type(error).__name__}: {error}"]


def _wrong(folder: DataFolder, allowed: set[str]) -> Iterator[str]:
    state = state_in(folder.path)
    if state not in allowed:
        yield f"expected one of {sorted(allowed)}, found {state}"
    if state not in (NOTHING, NO_LEDGER):
        load_config(folder.config_path)
        yield from _wrong_ledger(folder)


def _wrong_ledger(folder: DataFolder) -> Iterator[str]:
    store = SqliteStore(folder.ledger_path, create=False)
    try:
        keys = KeyRing.of(KekFiles(folder.kek_path))
        bind_kek(Registry(store), keys)
        for terminal in Registry(store).terminals(after=0, limit=10):
            if terminal.wrapped_key is not None:
                keys.unwrap(terminal.wrapped_key)
        yield from (f"{check.name}: {check.detail}" for check in verify(store) if not check.ok)
    finally:
        store.close()


def keys_state_in(path: Path) -> str:
    """The terminals' keys, whatever they are wrapped under: they must open, and to what they were."""
    folder = DataFolder(path)
    store = SqliteStore(folder.ledger_path, create=False)
    try:
        keys = KeyRing.of(KekFiles(folder.kek_path))
        bind_kek(Registry(store), keys)
        found = Registry(store).terminals(after=0, limit=10)
        return repr([keys.unwrap(one.wrapped_key).hex()[:8] for one in found if one.wrapped_key is not None])
    finally:
        store.close()


def keys_faults_in(path: Path, witness: Witness, at: int) -> list[str]:
    """The host starts, and every terminal's key opens."""
    try:
        if (state := keys_state_in(path)) not in witness.allowed(at):
            return [f"expected the keys {sorted(witness.allowed(at))}, found {state}"]
        return [*_wrong_ledger(DataFolder(path))]
    except Exception as error:
        return [f"cannot be used: {type(error).__name__}: {error}"]


def backup_state_in(path: Path) -> str:
    """A file under the backup's name is a whole backup."""
    return BACKUP if (path / BACKUP).exists() else NOTHING


def backup_faults_in(path: Path, witness: Witness, at: int) -> list[str]:
    """Under its name it is whole, or it is not there."""
    if (state := backup_state_in(path)) not in witness.allowed(at):
        return [f"expected one of {sorted(witness.allowed(at))}, found {state}"]
    if state == NOTHING:
        return []
    try:
        backup_module.check_copy(path / BACKUP, lambda *_: None)
        store = SqliteStore(path / BACKUP, readonly=True)
        store.close()
        return []
    except Exception as error:
        return [f"no good backup: {type(error).__name__}: {error}"]
