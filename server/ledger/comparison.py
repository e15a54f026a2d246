"""Two lists of one batch's transactions, the terminal's and the host's: what they come to, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple


class Standing(IntEnum):
    """How a transaction stands on one side. Stored."""

    NONE = 0
    APPROVED = 1
    DECLINED = 2
    REVERSED = 3


class Difference(IntEnum):
    """How the two sides differ over one transaction. Stored."""

    MISSING_AT_HOST = 1
    MISSING_AT_TERMINAL = 2
    DOUBLED = 3
    """The terminal has it twice."""
    AMOUNT = 4
    STATUS = 5
    """One side says that money moved, the other that it did not."""
    OTHER_DAY = 6
    """The host has it in another batch."""
    KIND = 7
    POINTS = 8
    """The money is the same; what both have is told in points."""


class Item(NamedTuple):
    """One transaction, as one side has it."""

    stan: int
    kind: int
    standing: int
    amount_fen: int
    charged_fen: int
    rrn: int
    points: int = 0

    @property
    def is_approved(self) -> bool:
        """Whether money moved, and stayed."""
        return self.standing == Standing.APPROVED


class Total(NamedTuple):
    """What the approved transactions of one kind come to."""

    kind: int
    transactions: int
    amount_fen: int
    charged_fen: int


class Differing(NamedTuple):
    """One difference, with what each side has; zeros where it has nothing."""

    stan: int
    difference: int
    kind: int
    terminal_standing: int
    terminal_fen: int
    host_standing: int
    host_fen: int
    rrn: int


def totals(items: Iterable[Item]) -> list[Total]:
    """By kind, in the order of the kinds; kinds of which none is approved are missing."""
    sums: dict[int, list[int]] = {}
    for _, kind, standing, amount_fen, charged_fen, *_ in items:
        if standing == Standing.APPROVED:
            row = sums.setdefault(kind, [0, 0, 0])
            row[0] += 1
            row[1] += amount_fen
            row[2] += charged_fen
    return [Total(kind, *sums[kind]) for kind in sorted(sums)]


def compare(
    terminal: Sequence[Item], host: Sequence[Item], other_batches: Collection[int] = frozenset()
) -> list[Differing]:
    """Every difference, in the order of the STANs. None is found only if both sides come to the same.

    `host` has each STAN once; a broken terminal may have one twice. `other_batches` are the RRNs among the terminal's
    that name transactions which the host has of it in other batches.
    """
    at_host = {item.stan: item for item in host}
    rrns = {item.rrn: item.stan for item in host}
    at_terminal: dict[int, list[Item]] = {}
    for item in terminal:
        at_terminal.setdefault(item.stan, []).append(item)
    found: list[Differing] = []
    for stan in sorted(at_host.keys() | at_terminal.keys()):
        mine, theirs = _told_apart(at_terminal.get(stan, []), at_host.get(stan))
        found += (_differing(Difference.DOUBLED, extra, theirs) for extra in mine[1:] if extra.is_approved)
        found += _over_one(mine[0] if mine else None, theirs, rrns, other_batches)
    return found


def _told_apart(mine: list[Item], theirs: Item | None) -> tuple[list[Item], Item | None]:
    """Of records under one number, the one to be compared comes first: the one the host has too, if there is one."""
    if len(mine) < 2 or theirs is None:
        return sorted(mine, key=lambda item: not item.is_approved), theirs
    same = (theirs[1:5], theirs.points)
    return sorted(mine, key=lambda item: ((item[1:5], item.points) != same, not item.is_approved)), theirs


def _over_one(
    mine: Item | None, theirs: Item | None, rrns: Mapping[int, int], other_batches: Collection[int]
) -> Iterator[Differing]:
    if mine is None or not mine.is_approved:
        if theirs is not None and theirs.is_approved:
            yield _differing(Difference.MISSING_AT_TERMINAL if mine is None else Difference.STATUS, mine, theirs)
    elif theirs is None:
        if mine.rrn in rrns:
            yield _differing(Difference.DOUBLED, mine, None)  # under a second number
        elif mine.rrn in other_batches:
            yield _differing(Difference.OTHER_DAY, mine, None)
        else:
            yield _differing(Difference.MISSING_AT_HOST, mine, None)
    elif not theirs.is_approved:
        yield _differing(Difference.STATUS, mine, theirs)
    elif mine.kind != theirs.kind:
        yield _differing(Difference.KIND, mine, theirs)
    elif (mine.amount_fen, mine.charged_fen) != (theirs.amount_fen, theirs.charged_fen):
        yield _differing(Difference.AMOUNT, mine, theirs)
    elif mine.points != theirs.points:
        found = _differing(Difference.POINTS, mine, theirs)
        yield found._replace(terminal_fen=mine.points, host_fen=theirs.points)


def _differing(difference: Difference, mine: Item | None, theirs: Item | None) -> Differing:
    known = theirs or mine
    assert known is not None
    # What was charged is what counts; where both have charged the same, what was asked for is what differs.
    column = 4 if mine is None or theirs is None or mine.charged_fen != theirs.charged_fen else 3
    return Differing(
        known.stan,
        int(difference),
        known.kind if mine is None else mine.kind,
        Standing.NONE if mine is None else mine.standing,
        0 if mine is None else mine[column] or mine.amount_fen,
        Standing.NONE if theirs is None else theirs.standing,
        0 if theirs is None else theirs[column] or theirs.amount_fen,
        known.rrn,
    )
