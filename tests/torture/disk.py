"""A disk to be afraid of, under a real SQLite: it fails at the N-th operation, and at a power cut it forgets what was
never synced, or keeps any part of it.

Files lie in a real folder: that is the page cache, which outlives a killed process. What would outlive a power cut is
`files` (tests/torture/files.py); shared memory (`-shm`) is memory and outlives neither. Everything done is recorded, so
that one run can be cut off at each of its operations afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import apsw

from tests.torture import damage
from tests.torture.files import Files, Operation

_numbers: Final = count()

REAL: Final = "unix"
"""The file layer below ours."""
NAMED_BY_SYNC: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
"""Files whose folder SQLite syncs together with the first sync of a new one."""


class Gone(apsw.IOError):
    """Not the disk has failed: the process was killed or the power cut, and nothing is done any more."""


class Disk:
    """`vfs` is the name to open a store with. Close it when done: names of file layers are global.

    What lies in the folder at the start is durable, unless `files` says what of it is.
    """

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self.folder = folder
        self.vfs = f"disk-{next(_numbers)}"
        self.operations = 0
        """Creations, writes, truncations, syncs and deletions so far."""
        self.faults = 0
        """How many of them were made to fail."""
        self.trace: list[Operation] = []
        """What was done, in order: as many as `operations`, unless some failed."""
        self.deaf = False
        """Reports every sync as done, and does none: the lie some disks tell."""
        self._fault: Callable[[str], BaseException | None] = lambda _what: None
        self._torn = False
        self.files = Files(contents_of(folder)) if files is None else files
        self._layer = _Layer(self)

    def fail(
        self, first: int, error: type[BaseException], *, last: int | None = None, only: str = "", torn: bool = False
    ) -> None:
        """Operations `first` to `last` (None = for ever) fail, undone; counted from now on, `only` of one kind.

        A write that fails `torn` has written half of its bytes.
        """
        count = 0

        def fault(what: str) -> BaseException | None:
            nonlocal count
            count += only in what
            due = only in what and first <= count and (last is None or count <= last)
            return error(f"{what} {count}") if due else None

        self._fault = fault
        self._torn = torn

    def heal(self) -> None:
        """All works again."""
        self._fault = lambda _what: None

    def step(self, what: str) -> None:
        """Count one operation; raise if it is to fail."""
        self.operations += 1
        error = self._fault(what)
        self.faults += error is not None
        if error is not None:
            raise error

    def do(self, name: str, *arguments: object) -> None:
        """Record an operation that has been carried out on the real file."""
        operation: Operation = (name, *arguments)
        self.trace.append(operation)
        self.files.carry_out([operation])

    def sync(self, name: str, *, names: bool = False) -> None:
        """Content, then perhaps the folder's names: SQLite ignores it if the latter fails."""
        try:
            self.step("sync")
        except apsw.IOError as error:
            if not isinstance(error, Gone):
                self.do("lose_sync", name)
            raise
        if self.deaf:
            self.trace.append(("carry_out", ()))
            return
        self.do("sync", name)
        if names:
            self.sync_folder(ignored=True)

    def sync_folder(self, *, ignored: bool = False) -> None:
        """Names are durable; a failure of it may be one nobody looks at."""
        try:
            self.step("folder")
        except apsw.IOError as error:
            if not ignored or isinstance(error, Gone):
                raise
            return
        self.do("sync_folder")

    def torn(self, data: bytes) -> bytes:
        """What of a write that fails has been written all the same."""
        return data[: len(data) // 2] if self._torn else b""

    def cut_power(self, into: Path, random: Random, share: float) -> None:
        """Write into a folder what the disk holds afterwards; of what was not synced, each sector by chance `share`."""
        put(into, damage.image(self.files, damage.share(random, share)))

    def close(self) -> None:
        self._layer.unregister()


def contents_of(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for what is memory."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}


def put(folder: Path, contents: dict[str, bytes]) -> None:
    """Make a folder hold these files and no others."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        if file.name not in contents:
            file.unlink()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)  # as all of ours are; what a power cut does to permissions is not looked at


class _Layer(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, REAL)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = None if name is None else Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        if path is None or path.parent != self._disk.folder:
            return _Foreign(REAL, name, flags)
        new = bool(flags[0] & apsw.SQLITE_OPEN_CREATE) and path.name not in self._disk.files.names
        if new:
            self._disk.step("create")
        file = _File(self._disk, name, path.name, flags, names_unsynced=new and bool(flags[0] & NAMED_BY_SYNC))
        if new:
            self._disk.do("create", path.name)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if Path(filename).parent != self._disk.folder:
            super().xDelete(filename, syncdir)
            return
        self._disk.step("delete")
        super().xDelete(filename, syncdir)
        self._disk.do("delete", Path(filename).name)
        if syncdir:
            self._disk.sync_folder()


class _Foreign(apsw.VFSFile):
    """A file elsewhere, which is not ours to lose."""

    def xLock(self, level: int) -> None:
        try:
            super().xLock(level)
        except apsw.IOError:
            # At its end a reader asks for a lock it may not have, and SQLite takes no for an answer.
            raise apsw.BusyError from None


class _File(apsw.VFSFile):
    def __init__(
        self, disk: Disk, path: str | apsw.URIFilename, name: str, flags: list[int], *, names_unsynced: bool
    ) -> None:
        self._disk = disk
        self._name = name
        self._names_unsynced = names_unsynced
        super().__init__(REAL, path, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        try:
            self._disk.step("write")
        except apsw.Error as error:
            if not isinstance(error, Gone) and (begun := self._disk.torn(data)):
                super().xWrite(begun, offset)
                self._disk.do("write", self._name, begun, offset)
            raise
        super().xWrite(data, offset)
        self._disk.do("write", self._name, bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.step("truncate")
        super().xTruncate(newsize)
        self._disk.do("truncate", self._name, newsize)

    def xSync(self, flags: int) -> None:
        # Not handed on: no test waits for a real disk, what counts as synced is ours to say.
        self._disk.sync(self._name, names=self._names_unsynced)
        self._names_unsynced = False
