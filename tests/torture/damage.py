"""What a power cut leaves of everything that was not synced. Each kind of damage is a choice of sectors and names.

A sector of 512 bytes is written whole or not at all; anything larger may be torn. Between two syncs the disk writes in
the order it likes, so any set of sectors may be there, whatever was written first.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from tests.torture.files import Change, Files, Inode, apply_names

SECTOR: Final = 512
PAGE: Final = 4096

Reached = Callable[[Inode, Change], bool]
"""Whether one sector of a change has reached the disk; asked anew for every sector."""


class Fate(NamedTuple):
    """What happens to everything unsynced at one power cut."""

    reached: Reached
    names_kept: Callable[[Files], int]
    """How many of the name changes have reached the disk, from the first on."""
    unit: int = SECTOR
    torn_at: Callable[[Change], int | None] = lambda _change: None
    """Of this one write only so many bytes; None = decided by `reached`."""
    grown: bool = False
    """Files have the size they were to have, with zeros where nothing was written."""


class Damage(NamedTuple):
    """A kind of damage, and the seed of its dice."""

    kind: str
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.kind}.{self.seed}"

    @staticmethod
    def parse(text: str) -> Damage:
        """What `str` gave."""
        kind, _, seed = text.rpartition(".")
        if kind not in KINDS or not seed.isdecimal():
            raise ValueError(f"damage: expected one of {', '.join(KINDS)} with a seed like sectors.7, got {text!r}")
        return Damage(kind, int(seed))

    def image(self, files: Files) -> dict[str, bytes]:
        """What is on the disk after a power cut now."""
        return image(files, KINDS[self.kind](files, Random(f"{self.kind} {self.seed}")))


def image(files: Files, fate: Fate) -> dict[str, bytes]:
    """What is on the disk when all that was not synced meets its fate."""
    names = dict(files.durable_names)
    for _, change in files.namings[: fate.names_kept(files)]:
        apply_names(names, change)
    return {name: _content(inode, fate) for name, inode in sorted(names.items())}


def _content(inode: Inode, fate: Fate) -> bytes:
    if not inode.pending:
        return inode.synced
    content = bytearray(inode.synced)
    for change in inode.pending:
        offset, data = change.offset, change.data
        if data is None:
            if fate.reached(inode, change):
                content[offset:] = bytes(max(0, offset - len(content)))
            continue
        if (torn := fate.torn_at(change)) is not None:
            _put(content, data[:torn], offset)
            continue
        start, whole = offset, offset + len(data)
        while start < whole:
            end = min(whole, (start // fate.unit + 1) * fate.unit)
            if fate.reached(inode, change):
                _put(content, data[start - offset : end - offset], start)
            start = end
    if fate.grown:
        content.extend(bytes(max(0, len(inode.seen) - len(content))))
    return bytes(content)


def _put(content: bytearray, data: bytes, offset: int) -> None:
    if data:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


# --- the kinds


def _all_names(files: Files) -> int:
    return len(files.namings)


def _no_names(_files: Files) -> int:
    return 0


def _some_names(dice: Random) -> Callable[[Files], int]:
    return lambda files: dice.randint(0, len(files.namings))


def _either(dice: Random) -> Callable[[Files], int]:
    return _all_names if dice.random() < 0.5 else _no_names


def _lost(_files: Files, _dice: Random) -> Fate:
    return Fate(lambda _inode, _change: False, _no_names)


def _kept(_files: Files, _dice: Random) -> Fate:
    return Fate(lambda _inode, _change: True, _all_names)


def share(dice: Random, part: float, unit: int = SECTOR) -> Fate:
    """Each sector by chance `part`; of the names as many as the dice say."""
    return Fate(lambda _inode, _change: dice.random() < part, _some_names(dice), unit)


def _sectors(_files: Files, dice: Random) -> Fate:
    return share(dice, dice.uniform(0.05, 0.95))


def _pages(_files: Files, dice: Random) -> Fate:
    return share(dice, dice.uniform(0.05, 0.95), PAGE)


def _writes(_files: Files, dice: Random) -> Fate:
    """Whole writes, in any order."""
    fates: dict[int, bool] = {}
    return Fate(lambda _inode, change: fates.setdefault(change.number, dice.random() < 0.5), _some_names(dice))


def _moment(files: Files, dice: Random) -> int:
    numbers = [change.number for inode in _inodes(files) for change in inode.pending]
    numbers += [number for number, _ in files.namings]
    return dice.choice(sorted(numbers)) if numbers else 0


def _inodes(files: Files) -> list[Inode]:
    found = {id(inode): inode for inode in (*files.durable_names.values(), *files.names.values())}
    return list(found.values())


def _in_order(files: Files, dice: Random) -> Fate:
    """All up to some moment; the write of that moment is torn at any byte."""
    last = _moment(files, dice)

    def torn_at(change: Change) -> int | None:
        return dice.randrange(len(change.data or b"") + 1) if change.number == last else None

    return Fate(
        lambda _inode, change: change.number < last,
        lambda files: sum(number <= last for number, _ in files.namings),
        torn_at=torn_at,
    )


def _latest(files: Files, dice: Random) -> Fate:
    """Only what was written last, nothing of what came before it."""
    first = _moment(files, dice)
    return Fate(lambda _inode, change: change.number >= first, _either(dice))


def _one_file(_files: Files, dice: Random) -> Fate:
    """Some files wholly, others not at all."""
    fates: dict[int, bool] = {}
    return Fate(lambda inode, _change: fates.setdefault(id(inode), dice.random() < 0.5), _either(dice))


def _no_new_names(_files: Files, _dice: Random) -> Fate:
    """New files are missing, deleted ones are back, a rename has not happened."""
    return Fate(lambda _inode, _change: True, _no_names)


def _empty(_files: Files, _dice: Random) -> Fate:
    """The names are there, of what was written nothing."""
    return Fate(lambda _inode, _change: False, _all_names)


def _zeros(_files: Files, _dice: Random) -> Fate:
    """The names are there, and the sizes; what was written reads as zeros."""
    return Fate(lambda _inode, _change: False, _all_names, grown=True)


def _zero_sectors(_files: Files, dice: Random) -> Fate:
    """The sizes are there; some sectors read as zeros."""
    part = dice.random()
    return Fate(lambda _inode, _change: dice.random() < part, _some_names(dice), grown=True)


KINDS: Final[dict[str, Callable[[Files, Random], Fate]]] = {
    "lost": _lost,
    "kept": _kept,
    "names-lost": _no_new_names,
    "empty": _empty,
    "zeros": _zeros,
    "sectors": _sectors,
    "in-order": _in_order,
    "latest": _latest,
    "writes": _writes,
    "one-file": _one_file,
    "zero-sectors": _zero_sectors,
    "pages": _pages,
}
"""Those without dice stand first: one seed of each is all there is."""
WITHOUT_DICE: Final = ("lost", "kept", "names-lost", "empty", "zeros")
WITH_DICE: Final = tuple(kind for kind in KINDS if kind not in WITHOUT_DICE)


def damages(count: int, seed: int, *, first: int = 0) -> list[Damage]:
    """`count` damages: each kind without dice at most once, from number `first` on, then others with ever new dice.

    Every other one has dice, so that a few of them are already of both sorts.
    """
    fixed = [Damage(WITHOUT_DICE[(first + number) % len(WITHOUT_DICE)]) for number in range(len(WITHOUT_DICE))]
    thrown = (Damage(WITH_DICE[(first + number) % len(WITH_DICE)], seed * 1_000 + number) for number in range(count))
    return [fixed.pop(0) if fixed and (first + number) % 2 == 0 else next(thrown) for number in range(count)]
