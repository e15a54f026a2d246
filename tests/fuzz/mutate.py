"""A mutation engine of our own: works everywhere, repeats exactly for a seed, and knows nothing of coverage."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

INTERESTING: Final = bytes([0, 1, 2, 0x0F, 0x10, 0x19, 0x20, 0x3F, 0x40, 0x7F, 0x80, 0x9F, 0xFE, 0xFF])
WIDE: Final = tuple(
    value.to_bytes(size, "big")
    for size in (2, 3, 4, 8)
    for value in (0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 999_999 % 2 ** (8 * size), 10**9 % 2 ** (8 * size))
)


class Mutator:
    """Makes new inputs of old ones."""

    def __init__(self, rng: random.Random, words: Sequence[bytes], size_max: int) -> None:
        self._rng = rng
        self._words = words
        self._size_max = size_max
        self._steps: list[Callable[[bytearray], None]] = [
            self._flip_bit,
            self._flip_bit,
            self._set_byte,
            self._set_byte,
            self._add,
            self._wide,
            self._insert,
            self._delete,
            self._copy_part,
            self._swap,
        ]
        if words:
            self._steps += [self._word, self._word]

    def mutate(self, data: bytes, other: bytes) -> bytes:
        """A few small steps from `data`; sometimes its beginning with the end of `other`."""
        rng = self._rng
        changed = bytearray(data)
        if other and rng.random() < 0.1:
            cut = int(rng.random() * (len(changed) + 1))
            changed[cut:] = other[int(rng.random() * len(other)) :]
        steps = self._steps
        count = 1
        while count < 16 and rng.random() < 0.5:
            count += 1
        for _ in range(count):
            if not changed:
                changed.append(int(rng.random() * 256))
            steps[int(rng.random() * len(steps))](changed)
        return bytes(changed[: self._size_max])

    def _at(self, data: bytearray) -> int:
        return int(self._rng.random() * len(data))

    def _flip_bit(self, data: bytearray) -> None:
        data[self._at(data)] ^= 1 << int(self._rng.random() * 8)

    def _set_byte(self, data: bytearray) -> None:
        rng = self._rng
        pick = int(rng.random() * 256) if rng.random() < 0.5 else INTERESTING[int(rng.random() * len(INTERESTING))]
        data[self._at(data)] = pick

    def _add(self, data: bytearray) -> None:
        at = self._at(data)
        data[at] = (data[at] + int(self._rng.random() * 33) - 16) & 0xFF

    def _wide(self, data: bytearray) -> None:
        value = WIDE[int(self._rng.random() * len(WIDE))]
        at = self._at(data)
        data[at : at + len(value)] = value

    def _word(self, data: bytearray) -> None:
        word = self._words[int(self._rng.random() * len(self._words))]
        at = self._at(data)
        data[at : at + (len(word) if self._rng.random() < 0.5 else 0)] = word

    def _insert(self, data: bytearray) -> None:
        at = self._at(data)
        data[at:at] = self._rng.randbytes(1 + int(self._rng.random() * 8))

    def _delete(self, data: bytearray) -> None:
        at = self._at(data)
        del data[at : at + 1 + int(self._rng.random() * 8)]

    def _copy_part(self, data: bytearray) -> None:
        start, at = self._at(data), self._at(data)
        data[at:at] = data[start : start + 1 + int(self._rng.random() * 64)]

    def _swap(self, data: bytearray) -> None:
        left, right = self._at(data), self._at(data)
        data[left], data[right] = data[right], data[left]


def shrunk(data: bytes, still: Callable[[bytes], bool], tries_max: int = 400) -> bytes:
    """A smaller input for which `still` holds: leaves parts out, then sets bytes to zero."""
    tries = 0
    size = len(data) // 2
    while size and tries < tries_max:
        at = 0
        while at < len(data) and tries < tries_max:
            tries += 1
            candidate = data[:at] + data[at + size :]
            if still(candidate):
                data = candidate
            else:
                at += size
        size //= 2
    for at in range(min(len(data), tries_max - tries)):
        candidate = data[:at] + b"\0" + data[at + 1 :]
        if data[at] and still(candidate):
            data = candidate
    return data
