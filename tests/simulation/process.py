"""What each process that runs seeds is set up with.

In a module of its own: a process that is spawned cannot import the `__main__` of a package to find it there.
"""

from __future__ import annotations

import gc
import signal
from typing import Final

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""A run makes many objects and few cycles."""


def prepare() -> None:
    """Ctrl-C at once: as an exception it would be one more thing that a simulated host has to survive."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(*GC_THRESHOLDS)
