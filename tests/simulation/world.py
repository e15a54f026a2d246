"""What every part of one run shares: the seed, the time, the trace, what was counted and what was violated."""

from __future__ import annotations

import traceback
from collections import Counter, deque
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from tests.simulation.determinism import START_S, VirtualTime

BASE_MS: Final = 1_788_230_000_000
"""The wall clock of everybody at the start of a run: a Monday in 2026, 10:33 in the morning in China."""
VIOLATIONS_MAX: Final = 20
TRACE_KEPT: Final = 400


def describe(error: BaseException | None) -> str:
    """An exception with the places it came through, innermost first; of a group the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is None:
        return "nothing"
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[:5]]
    return f"{error!r} at {', '.join(places)}"


class Violation(NamedTuple):
    """An invariant that does not hold, and how it shows."""

    invariant: str
    text: str


class World:
    """See the module's docstring. Nothing random may come from anywhere but `rng`."""

    def __init__(self, seed: int, *, keep_trace: bool = False) -> None:
        self.seed = seed
        self.time = VirtualTime()
        self.time.on_error = lambda error: self.violate("S4", f"a bug of the simulator: {describe(error)}")
        self.calm = False
        """Faults have ended: those that still wait for their moment have missed it."""
        self.counts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.trace: deque[str] | list[str] = [] if keep_trace else deque(maxlen=TRACE_KEPT)
        self._digest = blake2b(digest_size=16)

    def rng(self, *name: object) -> Random:
        """A stream of randomness of its own for each name: what one part draws changes nothing for another."""
        return Random(f"{self.seed} {' '.join(map(str, name))}")

    def wall_ms(self) -> int:
        """True time, which no clock in the simulation need show."""
        return BASE_MS + int((self.time.now - START_S) * 1000)

    def note(self, text: str) -> None:
        """Something happened: it becomes part of the run's trace, and of its digest."""
        line = f"{self.time.now:.6f} {text}"
        self.trace.append(line)
        self._digest.update(line.encode())

    def violate(self, invariant: str, text: str) -> None:
        """An invariant does not hold."""
        self.counts["violations"] += 1
        self.note(f"VIOLATION {invariant}: {text}")
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(Violation(invariant, text))

    def check(self, holds: bool, invariant: str, text: str) -> None:
        """Violated unless it holds."""
        if not holds:
            self.violate(invariant, text)

    @property
    def digest(self) -> str:
        """Of everything noted so far."""
        return self._digest.hexdigest()
