"""How long to wait before trying again: longer each time, never the same for two terminals."""

from __future__ import annotations

from collections.abc import Callable

Jitter = Callable[[], float]
"""A random number, 0 <= x < 1, from whoever builds the program: so that one seed repeats a whole run."""


def middle() -> float:
    """The jitter of a terminal that is alone: none."""
    return 0.5


class Backoff:
    """Waits that start within min_s..2*min_s and double their upper end up to max_s.

    The lower end stays at min_s: after a power cut in the canteen, thousands of terminals spread over the whole
    range instead of coming back together in waves.
    """

    __slots__ = ("_ceiling_s", "_jitter", "_max_s", "_min_s")

    def __init__(self, min_s: float, max_s: float, jitter: Jitter) -> None:
        assert 0 < min_s <= max_s
        self._min_s = min_s
        self._max_s = max_s
        self._jitter = jitter
        self._ceiling_s = min_s

    def next_s(self) -> float:
        """How long to wait now, in seconds, within min_s..max_s."""
        self._ceiling_s = min(self._max_s, self._ceiling_s * 2)
        return self._min_s + (self._ceiling_s - self._min_s) * self._jitter()

    def reset(self) -> None:
        """It worked: start again from the short end."""
        self._ceiling_s = self._min_s
