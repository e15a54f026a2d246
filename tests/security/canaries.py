"""Recognisable secrets, and every form in which one might turn up where it must not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

WINDOW: Final = 8
"""Bytes of a key that give it away as well as the whole: a log that cuts long values short is no better."""


class Canary(NamedTuple):
    """A secret. `kind` is what the table of allowed places calls it."""

    kind: str
    value: bytes

    def __repr__(self) -> str:
        return f"<Canary {self.kind}, {len(self.value)} bytes>"


def forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    """(name, needle) of each way to write these bytes."""
    yield "raw", value
    yield "hex", value.hex().encode()
    for separator in (" ", ":", "-"):
        yield f"hex with {separator!r}", value.hex(separator).encode()
    yield "hex in fours", "-".join(value.hex()[at : at + 4] for at in range(0, 2 * len(value), 4)).encode()
    for shift in range(3):
        # Base64 of a longer text holds these bytes at one of three alignments; its first and last sign depend on the
        # neighbours.
        inner = base64.b64encode(bytes(shift) + value)[(0, 2, 3)[shift] :].rstrip(b"=")[:-1]
        yield "base64", inner
        yield "base64url", inner.translate(bytes.maketrans(b"+/", b"-_"))
    yield "decimal", str(int.from_bytes(value, "big")).encode()
    yield "decimal, little-endian", str(int.from_bytes(value, "little")).encode()
    yield "list of numbers", ", ".join(map(str, value)).encode()
    yield "numbers", ",".join(map(str, value)).encode()
    yield "repr", repr(value)[2:-1].encode()
    yield "repr in JSON", json.dumps(repr(value)[2:-1])[1:-1].encode()
    yield "JSON", json.dumps(value.decode("latin-1"))[1:-1].encode()


def needles(canary: Canary) -> list[tuple[str, bytes]]:
    """What to look for: the whole in every form, and for a key each part of it that is long enough."""
    found = list(forms(canary.value))
    if len(canary.value) >= 2 * WINDOW:
        for at in range(0, len(canary.value) - WINDOW + 1, 2):
            part = canary.value[at : at + WINDOW]
            found += [("part raw", part), ("part hex", part.hex().encode()), ("part repr", repr(part)[2:-1].encode())]
    return [(name, needle) for name, needle in found if len(needle) >= 4]


def sightings(canaries: Iterable[Canary], text: bytes) -> dict[str, list[str]]:
    """By kind of secret, the forms in which one of them stands in the text."""
    lowered = text.lower()
    seen: dict[str, list[str]] = {}
    for canary in canaries:
        for name, needle in needles(canary):
            where = lowered if "hex" in name else text
            if needle in where:
                seen.setdefault(canary.kind, []).append(name)
    return seen
