"""What a file system holds: what every program sees now, and what a power cut would leave of it.

No real file is touched here. Beside each file's content as it is seen (the page cache, which outlives a killed
process) stand its content at the last sync and the changes since then, of which any part may have reached the disk.
Names are kept apart from contents, as a file system keeps them: a new, deleted or renamed file is only on the disk once
its folder was synced. Name changes reach the disk in their order, as every journalling file system has it; contents in
any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

Operation: TypeAlias = tuple[str, *tuple[object, ...]]
"""The name of a method of Files and its arguments: what was done to the disk."""


class Change(NamedTuple):
    """One write (offset, data) or truncation (size, None). `number` is its place among everything done."""

    number: int
    offset: int
    data: bytes | None


class Inode:
    """One file, whatever it is called."""

    __slots__ = ("pending", "seen", "synced")

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.synced = bytes(content)
        self.pending: list[Change] = []

    def copy(self) -> Inode:
        twin = Inode()
        twin.seen, twin.synced, twin.pending = bytearray(self.seen), self.synced, list(self.pending)
        return twin


class Naming(NamedTuple):
    """A change of the folder: these names now mean these files, None = no file."""

    number: int
    names: dict[str, Inode | None]


class Files:
    """One folder of one file system. `contents` is durable from the start."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.number = 0
        """Operations so far."""
        self.names = {name: Inode(content) for name, content in contents.items()}
        self.durable_names: dict[str, Inode] = dict(self.names)
        self.namings: list[Naming] = []
        """Name changes since the folder was synced."""

    def copy(self) -> Files:
        """The same again, to be carried on in another way."""
        twins: dict[int, Inode] = {}

        def twin(inode: Inode | None) -> Inode | None:
            return None if inode is None else twins.setdefault(id(inode), inode.copy())

        def twin_names(names: Mapping[str, Inode]) -> dict[str, Inode]:
            return {name: twins.setdefault(id(inode), inode.copy()) for name, inode in names.items()}

        other = Files({})
        other.number = self.number
        other.names, other.durable_names = twin_names(self.names), twin_names(self.durable_names)
        other.namings = [
            Naming(number, {name: twin(inode) for name, inode in names.items()}) for number, names in self.namings
        ]
        return other

    def seen(self) -> dict[str, bytes]:
        """What every program reads now, and the next one after a kill."""
        return {name: bytes(inode.seen) for name, inode in self.names.items()}

    def carry_out(self, operations: Iterable[Operation]) -> None:
        """Do again what was recorded."""
        for name, *arguments in operations:
            getattr(self, name)(*arguments)

    # --- what programs do

    def create(self, name: str) -> None:
        """An empty file under a name that was free."""
        self._name({name: Inode()})

    def write(self, name: str, data: bytes, offset: int) -> None:
        """Bytes at a place; a gap before them reads as zeros."""
        self.number += 1
        inode = self.names[name]
        inode.seen.extend(bytes(max(0, offset - len(inode.seen))))
        inode.seen[offset : offset + len(data)] = data
        inode.pending.append(Change(self.number, offset, data))

    def truncate(self, name: str, size: int) -> None:
        """Cut off, or grow with zeros."""
        self.number += 1
        inode = self.names[name]
        inode.seen[size:] = bytes(max(0, size - len(inode.seen)))
        inode.pending.append(Change(self.number, size, None))

    def sync(self, name: str) -> None:
        """Content and size are on the disk when this is over; the name may not be."""
        self.number += 1
        inode = self.names[name]
        inode.synced = carried_out(inode.synced, inode.pending)
        inode.pending = []

    def lose_sync(self, name: str) -> None:
        """A sync that failed: what was not written stays in the page cache, marked clean, and no later sync brings it
        to the disk."""
        self.number += 1
        self.names[name].pending = []

    def delete(self, name: str) -> None:
        self._name({name: None})

    def rename(self, old: str, new: str) -> None:
        """Under the new name, replacing what was there; never none of the two."""
        self._name({old: None, new: self.names[old]})

    def link(self, old: str, new: str) -> None:
        """A second name for the same file."""
        self._name({new: self.names[old]})

    def sync_folder(self) -> None:
        """All names are on the disk."""
        self.number += 1
        self.durable_names = dict(self.names)
        self.namings = []

    def _name(self, names: dict[str, Inode | None]) -> None:
        self.number += 1
        self.namings.append(Naming(self.number, names))
        apply_names(self.names, names)


def apply_names(folder: dict[str, Inode], names: Mapping[str, Inode | None]) -> None:
    """Change a folder as a Naming says."""
    for name, inode in names.items():
        if inode is None:
            folder.pop(name, None)
        else:
            folder[name] = inode


def carried_out(content: bytes, changes: Iterable[Change]) -> bytes:
    """Content after all of these changes."""
    after = bytearray(content)
    for _, offset, data in changes:
        if data is None:
            after[offset:] = bytes(max(0, offset - len(after)))
        else:
            after.extend(bytes(max(0, offset - len(after))))
            after[offset : offset + len(data)] = data
    return bytes(after)
