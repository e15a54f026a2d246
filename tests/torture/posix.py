"""The same disk under programs that use `os`: takes the place of the module in what they have imported.

Only what writes is here; everything else, and everything that reads, is the real module's. A program on this disk
writes by nothing but these: a recording fails if a file has changed behind the disk's back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO, ENOSPC
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.torture.disk import Disk, Gone

ERRORS = {"FullError": ENOSPC}
"""What a program of this kind is told of a fault meant for SQLite; everything else is EIO."""


class Posix:
    """Stands in for `os`. Descriptors are real; what is done through them is the disk's."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._open: dict[int, tuple[str, bool]] = {}
        """Name of the file, and whether it is always written at its end, by descriptor."""
        self._folders: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str | Path, flags: int, mode: int = 0o777) -> int:
        path = Path(path)
        if path == self._disk.folder:
            descriptor = os.open(path, flags)
            self._folders.add(descriptor)
            return descriptor
        if not self._ours(path):
            return os.open(path, flags, mode)  # not ours to lose
        new = bool(flags & os.O_CREAT) and not path.exists()
        cut = bool(flags & os.O_TRUNC) and not new
        if new:
            self._step("create")
        elif cut:
            self._step("truncate")
        descriptor = os.open(path, flags, mode)
        self._open[descriptor] = (path.name, bool(flags & os.O_APPEND))
        if new:
            self._disk.do("create", path.name)
        elif cut:
            self._disk.do("truncate", path.name, 0)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        name, appends = self._open[descriptor]
        offset = os.fstat(descriptor).st_size if appends else os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            self._step("write")
        except OSError:
            if begun := self._disk.torn(data):
                os.write(descriptor, begun)
                self._disk.do("write", name, begun, offset)
            raise
        written = os.write(descriptor, data)
        self._disk.do("write", name, bytes(data[:written]), offset)
        return written

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        name, _ = self._open[descriptor]
        self._step("write")
        written = os.pwrite(descriptor, data, offset)
        self._disk.do("write", name, bytes(data[:written]), offset)
        return written

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._step("truncate")
        os.ftruncate(descriptor, size)
        self._disk.do("truncate", self._open[descriptor][0], size)

    def fsync(self, descriptor: int) -> None:
        with self._as_os_error():
            if descriptor in self._folders:
                self._disk.sync_folder()
            else:
                self._disk.sync(self._open[descriptor][0])

    def replace(self, old: str | Path, new: str | Path) -> None:
        if not self._ours(old):
            os.replace(old, new)
            return
        self._step("rename")
        os.replace(old, new)
        self._disk.do("rename", Path(old).name, Path(new).name)

    rename = replace

    def link(self, old: str | Path, new: str | Path) -> None:
        self._step("link")
        os.link(old, new)
        self._disk.do("link", Path(old).name, Path(new).name)

    def unlink(self, path: str | Path) -> None:
        if not self._ours(path) or not os.path.lexists(path):
            os.unlink(path)
            return
        self._step("delete")
        os.unlink(path)
        if not str(path).endswith("-shm"):
            self._disk.do("delete", Path(path).name)

    def _ours(self, path: str | Path) -> bool:
        return Path(path).parent == self._disk.folder

    def close(self, descriptor: int) -> None:
        self._folders.discard(descriptor)
        self._open.pop(descriptor, None)
        os.close(descriptor)

    def fdopen(self, descriptor: int, mode: str, **_options: Any) -> _File:
        return _File(self, descriptor, text="b" not in mode)

    def abandon(self) -> None:
        """Close what a killed process had open, the locks with it."""
        for descriptor in [*self._open, *self._folders]:
            self.close(descriptor)

    def _step(self, what: str) -> None:
        with self._as_os_error():
            self._disk.step(what)

    @contextmanager
    def _as_os_error(self) -> Iterator[None]:
        try:
            yield
        except Gone:
            raise
        except Exception as error:
            number = ERRORS.get(type(error).__name__, EIO)
            raise OSError(number, os.strerror(number)) from error


class _File:
    """What `fdopen` gives, unbuffered: a write is a write."""

    def __init__(self, system: Posix, descriptor: int, *, text: bool) -> None:
        self._system = system
        self._descriptor = descriptor
        self._text = text

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._system.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        return self._system.write(self._descriptor, data.encode() if self._text else data)

    def flush(self) -> None:
        """Nothing is kept back."""


@contextmanager
def installed(disk: Disk, *modules: ModuleType) -> Iterator[Posix]:
    """These modules work on the disk while the context lasts."""
    system = Posix(disk)
    before = [(module, module.os) for module in modules]
    for module in modules:
        module.os = system
    try:
        yield system
    finally:
        for module, real in before:
            module.os = real
        system.abandon()
