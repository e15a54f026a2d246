"""What a fuzz target is: a name, a promise, and a function that breaks if the promise does not hold.

A target's promise is the first line of its module: it says what may come out. "No crash" alone is never enough.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

SECONDS_PER_4_KIB: Final = 0.005
"""Goal: processor time for 4 KiB of input. What takes longer is measured again, five times, before it counts."""


class Target(NamedTuple):
    """One parser under test. Inputs are plain bytes; a target may give the first ones a meaning of their own."""

    run: Callable[[bytes], str]
    """Feeds the input, checks the promise (any exception breaks it) and says in a word or two what came of it.

    The words steer the search: an input that brings about new ones is kept. So they must be few, and depend on nothing
    but the input."""
    seeds: Callable[[], list[bytes]]
    """Good inputs to start from."""
    settle: Callable[[], None] | None = None
    """Checks and puts right what an input has changed, outside of the measured time."""
    words: tuple[bytes, ...] = ()
    """Byte sequences that mean something in this format."""
    size_max: int = 1024
    share: float = 1.0
    """Its part of the whole run."""


WATCHED: Final = {
    "framer": ["protocol"],
    "messages": ["protocol"],
    "handshake": ["protocol"],
    "session": ["protocol"],
    "sealed": ["protocol"],
    "dissector": ["protocol"],
    "capture": ["protocol", "tools.decode"],
    "control": ["server.control", "server.admin", "server.operations"],
    "config": ["server.config"],
    "keys": ["terminal_emulator.settings", "server.keys"],
    "journal": ["terminal_emulator.storage", "terminal_emulator.record"],
    "card_csv": ["tools.card_csv", "tools.money"],
    "script": ["terminal_emulator.script"],
    "http": ["server.http"],
}
"""Every target, in the order in which they run, each the module of this name in tests/fuzz/targets; and the packages
whose branches guide the search when Atheris runs."""
NAMES: Final = tuple(WATCHED)


def load(name: str) -> Target:
    """Import a target. Late, because Atheris rewrites what is imported under it."""
    module = importlib.import_module(f"tests.fuzz.targets.{name}")
    found: Target = module.TARGET
    return found


def execute(target: Target, data: bytes) -> str:
    """One input by itself, whole: what came of it, or the exception that broke the promise."""
    label = target.run(data)
    if target.settle is not None:
        target.settle()
    return label


def promise_of(name: str) -> str:
    """The first line of its module."""
    text = importlib.import_module(f"tests.fuzz.targets.{name}").__doc__ or ""
    return text.split("\n", 1)[0]


# ------------------------------------------------------------------------------------ how targets read their input


PIECE_MAX: Final = 255
"""Bytes in one piece."""


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut into pieces, each behind a byte that gives its size; the last one may be shorter."""
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield data[at + 1 : end]
        at = end


def joined(parts: list[bytes]) -> bytes:
    """The inverse of `pieces`, for seeds."""
    return b"".join(bytes([len(part)]) + part for part in parts)


def slices(data: bytes, size: int) -> Iterator[bytes]:
    """Cut into runs of `size` bytes, as a slow line delivers them."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
