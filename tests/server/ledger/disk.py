"""A disk to be afraid of, under a real SQLite: it fails at the N-th operation, and at a power cut it forgets what was
never synced, or keeps any part of it.

Files lie in a real folder: that is the page cache, which outlives a killed process. Beside it stands what would
outlive a power cut: for each file its content at the last sync, and the writes since then, of which each 512-byte
sector may have reached the disk or not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import apsw

SECTOR = 512


class Gone(apsw.IOError):
    """Not the disk has failed: the process was killed or the power cut, and nothing is done any more."""


class Disk:
    """`vfs` is the name to open a store with. Close it when done: names of file layers are global."""

    def __init__(self, folder: Path) -> None:
        self.vfs = f"disk-{id(self)}"
        self.operations = 0
        """Writes, truncations, syncs and deletions so far."""
        self.faults = 0
        """How many of them were made to fail."""
        self._fault: Callable[[str], BaseException | None] = lambda _what: None
        self._durable = {file.name: file.read_bytes() for file in folder.iterdir()}
        self._pending: dict[str, list[tuple[int, bytes | None]]] = {}
        """Since the last sync: (offset, data) written, or (size, None) truncated."""
        self._ghosts: dict[str, bytes] = {}
        """Deleted, which a folder that was not synced may not know after a power cut."""
        self._layer = _Layer(self)

    def fail(self, first: int, error: type[BaseException], *, last: int | None = None, only: str = "") -> None:
        """Operations `first` to `last` (None = for ever) fail, undone; counted from now on, `only` of one kind."""
        count = 0

        def fault(what: str) -> BaseException | None:
            nonlocal count
            count += only in what
            due = only in what and first <= count and (last is None or count <= last)
            return error(f"{what} {count}") if due else None

        self._fault = fault

    def heal(self) -> None:
        """All works again."""
        self._fault = lambda _what: None

    def step(self, what: str) -> None:
        self.operations += 1
        error = self._fault(what)
        self.faults += error is not None
        if error is not None:
            raise error

    def written(self, name: str, data: bytes, offset: int) -> None:
        self._pending.setdefault(name, []).append((offset, bytes(data)))

    def truncated(self, name: str, size: int) -> None:
        self._pending.setdefault(name, []).append((size, None))

    def synced(self, name: str) -> None:
        self._durable[name] = self._after(name, lambda: True)
        self._pending.pop(name, None)
        self._ghosts.pop(name, None)

    def forgotten(self, name: str) -> None:
        """A sync that fails leaves its pages in the cache, marked clean: no later sync brings them to the disk."""
        self._pending.pop(name, None)

    def deleted(self, name: str) -> None:
        if name in self._durable:
            self._ghosts[name] = self._durable.pop(name)
        self._pending.pop(name, None)

    def _after(self, name: str, reached: Callable[[], bool]) -> bytes:
        content = bytearray(self._durable.get(name, b""))
        for offset, data in self._pending.get(name, []):
            if data is None:
                if reached():
                    content[offset:] = b""
                continue
            start = offset
            while start < offset + len(data):
                end = min(offset + len(data), (start // SECTOR + 1) * SECTOR)
                if reached():
                    content.extend(bytes(max(0, end - len(content))))
                    content[start:end] = data[start - offset : end - offset]
                start = end
        return bytes(content)

    def cut_power(self, into: Path, random: Random, share: float) -> None:
        """Write into a folder what the disk holds afterwards; of what was not synced, each sector by chance `share`."""
        into.mkdir()

        def reached() -> bool:
            return random.random() < share

        for name in {*self._durable, *self._pending}:
            if name in self._durable or reached():
                (into / name).write_bytes(self._after(name, reached))
        for name, content in self._ghosts.items():
            if name not in self._durable and reached():
                (into / name).write_bytes(content)

    def close(self) -> None:
        self._layer.unregister()


class _Layer(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        assert name is not None, "the ledger makes no temporary files"
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.step("delete")
        super().xDelete(filename, syncdir)
        self._disk.deleted(Path(filename).name)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._disk = disk
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.step("write")
        super().xWrite(data, offset)
        self._disk.written(self._name, data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.step("truncate")
        super().xTruncate(newsize)
        self._disk.truncated(self._name, newsize)

    def xSync(self, flags: int) -> None:
        # Not handed on: no test waits for a real disk, what counts as synced is ours to say.
        try:
            self._disk.step("sync")
        except apsw.IOError as error:
            if not isinstance(error, Gone):
                self._disk.forgotten(self._name)
            raise
        self._disk.synced(self._name)
