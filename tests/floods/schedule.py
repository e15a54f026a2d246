"""Calm and attacked windows in turn, on the monotonic clock, which all processes of a machine share."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from itertools import pairwise
from statistics import median

import msgspec
import trio

GUARD_S = 0.5
"""The start of every window is left out: what the one before left behind still has to drain."""


class Window(msgspec.Struct, frozen=True):
    """From `start_s` to `end_s` on the monotonic clock; counted from GUARD_S after its start."""

    start_s: float
    end_s: float
    attack: bool

    def counts(self, at_s: float) -> bool:
        return self.start_s + GUARD_S <= at_s < self.end_s


class Schedule(msgspec.Struct, frozen=True):
    """`pairs` of one calm and one attacked window, `seconds` each, and one calm window at the end."""

    start_s: float
    pairs: int
    seconds: float

    @property
    def windows(self) -> list[Window]:
        edges = [self.start_s + number * self.seconds for number in range(2 * self.pairs + 2)]
        return [Window(start_s, end_s, bool(number % 2)) for number, (start_s, end_s) in enumerate(pairwise(edges))]

    @property
    def end_s(self) -> float:
        return self.start_s + (2 * self.pairs + 1) * self.seconds


def percentile(values: Iterable[float], percent: float) -> float:
    """The value below which so many percent lie; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def ratios(calm: list[float], attacked: list[float]) -> list[float]:
    """Each attacked window against the mean of the calm ones on both sides of it."""
    return [
        hit / ((before + after) / 2)
        for before, hit, after in zip(calm, attacked, calm[1:], strict=False)
        if before + after > 0
    ]


def interval(values: list[float], *, seed: int = 1, draws: int = 2000) -> tuple[float, float]:
    """A 95 % bootstrap interval of the median."""
    rng = random.Random(seed)
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(draws))
    return medians[draws * 25 // 1000], medians[draws * 975 // 1000]


class SharedClock:
    """trio's clock as the monotonic clock, which other processes know too."""

    def __init__(self) -> None:
        self._offset_s = time.monotonic() - trio.current_time()

    def to_trio(self, monotonic_s: float) -> float:
        return monotonic_s - self._offset_s

    def from_trio(self, trio_s: float) -> float:
        return trio_s + self._offset_s

    async def sleep_until(self, monotonic_s: float) -> None:
        await trio.sleep_until(self.to_trio(monotonic_s))
