"""How the rigs' command lines behave: numbers that make sense, and Ctrl-C with one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final, NoReturn

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


def at_least(least: float, kind: type[int] | type[float] = int) -> Callable[[str], float]:
    """A type for argparse: a number not below `least`. A run of nothing would find nothing and say that all is well."""

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not value >= least:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {what} of {least:g} or more, got {text!r}")
        return value

    return number


def run(main: Callable[[], int]) -> NoReturn:
    """Run a rig; its exit code."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: nothing of this run was recorded", file=sys.stderr)
        sys.exit(INTERRUPTED)
