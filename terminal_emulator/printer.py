"""The slip printer: a roll of paper that ends, and a cover that somebody opens.

What the printer does never changes what became of a transaction: that is decided and stored before a slip is made. A
slip that cannot be printed waits here until there is paper; after a power cut, or when too many wait, it is printed
again from its record by the terminal's reprint function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from terminal_emulator.slip import Slip

Paper = Callable[[Slip], None]
"""Puts a slip on paper, or raises OSError."""

MAX_WAITING: Final = 20
"""Slips that wait for paper, the oldest dropped first: ten transactions without anybody looking at the printer."""


class PrinterState(StrEnum):
    """What is wrong with the printer, if anything."""

    READY = "ready"
    OUT_OF_PAPER = "out of paper"
    COVER_OPEN = "cover open"


class Printer:
    """`paper` gets the slips; `printed` is told of each that came out, `failed` the reason why one did not."""

    def __init__(self, paper: Paper | None, printed: Callable[[Slip], None], failed: Callable[[str], None]) -> None:
        self.state = PrinterState.READY
        self._paper = paper
        self._printed = printed
        self._failed = failed
        self._waiting: deque[Slip] = deque(maxlen=MAX_WAITING)

    @property
    def waiting(self) -> int:
        """How many slips wait for paper."""
        return len(self._waiting)

    def put(self, slip: Slip) -> None:
        """Print a slip, or keep it until it can be printed. Never raises: the transaction stands whatever happens."""
        if self.state is not PrinterState.READY:
            self._waiting.append(slip)
            self._failed(self.state.value)
            return
        try:
            if self._paper is not None:
                self._paper(slip)
        except OSError as error:
            self._failed(str(error))
            return
        self._printed(slip)

    def set(self, state: PrinterState) -> None:
        """Something is wrong, or all is well again: then what waited comes out, in its order."""
        self.state = state
        if state is not PrinterState.READY:
            return
        waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        for slip in waiting:
            self.put(slip)
