"""The data folder: configuration, ledger and keys of one host, and the lock that keeps it to one writer."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from server.config import default_text, parse_config
from server.stores import create_store

KEK_SIZE: Final = 32
LOST_AND_FOUND: Final = "lost+found"
"""Stands in every new file system, and a data folder may be one of its own."""


class FolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class FolderBusy(FolderError):
    """Somebody else has the folder's lock."""


class DataFolder:
    """Paths inside one data folder, and its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_path = path / "fanka.toml"
        self.ledger_path = path / "ledger.db"
        self.kek_path = path / "kek.key"
        self.control_path = path / "control.sock"
        self.lock_path = path / "lock"
        self.running_path = path / "running.json"

    @classmethod
    def create(
        cls,
        path: Path,
        random_bytes: Callable[[int], bytes],
        changes: dict[tuple[str, str], Any] | None = None,
    ) -> DataFolder:
        """A new folder with a fresh key-encryption key, an empty ledger and the default configuration.

        Never touches what is there. The configuration comes last, whole, and after all the rest is on the disk: without
        it, it is not a data folder yet. This is the only place where a ledger is made: whoever finds none later has
        lost one.
        """
        folder = cls(path)
        if path.exists() and not path.is_dir():
            raise FolderError(f"{path}: expected a new or empty folder, found a file; choose another place")
        found = sorted(child.name for child in path.iterdir() if child.name != LOST_AND_FOUND) if path.is_dir() else []
        if found:
            raise FolderError(f"{path}: expected a new or empty folder, found {found[0]} in it; choose another place")
        text = default_text(changes)
        postgres = parse_config(text).ledger.postgres
        if postgres:
            create_store(folder, postgres)  # first, so that a wrong connection string leaves nothing behind here
        new = [place for place in (path, *path.parents) if not place.exists()]
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        for place in new:
            sync_folder(place.parent)
        write_new(folder.kek_path, random_bytes(KEK_SIZE).hex() + "\n")
        if not postgres:
            create_store(folder)
        sync_folder(path)
        unfinished = folder.config_path.with_name(folder.config_path.name + ".new")
        write_new(unfinished, text)
        os.replace(unfinished, folder.config_path)
        sync_folder(path)
        return folder

    def check(self) -> None:
        """Raise FolderError unless this looks like a data folder."""
        try:
            is_there = self.config_path.is_file()
            left = [path.name for path in (self.kek_path, self.ledger_path) if path.exists()]
        except PermissionError:
            raise FolderError(
                f"{self.path}: cannot be read: permission denied: look at its owner and permissions"
            ) from None
        if not is_there and left:
            raise FolderError(
                f"{self.path}: expected a data folder with fanka.toml, found {left[0]} without it; bring it back from a"
                f" backup: `fanka restore BACKUP {self.path} --replace` (if `fanka init` was cut off: choose another)"
            )
        if not is_there:
            raise FolderError(
                f"{self.path}: expected a data folder with fanka.toml; `fanka init {self.path}` makes one"
            )

    @contextmanager
    def announced(self, running: Running) -> Iterator[None]:
        """While the host runs, leave a note of where it listens: ports may have been chosen by the system."""
        self.running_path.write_bytes(msgspec.json.encode(running) + b"\n")
        try:
            yield
        finally:
            self.running_path.unlink(missing_ok=True)

    def running(self) -> Running | None:
        """The note of the running host, or None. A killed host leaves its note: only the lock is proof."""
        try:
            return msgspec.json.decode(self.running_path.read_bytes(), type=Running)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Hold the folder's lock: only its holder may write the ledger. FolderBusy names who has it.

        The kernel lets go of the lock when the process dies, however it dies.
        """
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
                raise FolderBusy(
                    f"{self.path}: in use by {holder}: two programs must not write one ledger; stop that one first"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{purpose}, process {os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)


def write_new(path: Path, text: str) -> None:
    """A new file for its owner alone, on the disk when this returns. OSError if it is there already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Running(msgspec.Struct, frozen=True):
    """What a running host tells others on this machine: its process and where it listens."""

    process: int
    terminals: tuple[str, int]
    http: tuple[str, int]


def find_folder(explicit: Path | None, environment: str | None, here: Path) -> DataFolder:
    """The data folder meant: named, or $FANKA_DATA, or `here`, or the only one directly below it."""
    if explicit is not None or environment:
        folder = DataFolder(explicit if explicit is not None else Path(environment or ""))
        folder.check()
        return folder
    if (here / "fanka.toml").is_file():
        return DataFolder(here)
    below = sorted(path.parent for path in here.glob("*/fanka.toml"))
    if len(below) == 1:
        return DataFolder(below[0])
    found = ", ".join(path.name for path in below) or "none"
    raise FolderError(
        f"{here}: expected one data folder here or directly below, found {found};"
        " name it, or set FANKA_DATA, or `fanka init`"
    )
