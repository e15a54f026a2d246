"""One direction of one connection, without I/O: bytes and times in, actions out.

    pipe.feed(data, now_s)      the sender's bytes; `end` and `lost` say that there will be no more
    pipe.take(now_s)            what is to be done by now, in order: Items
    pipe.next_s                 when to look again, if nothing is fed before
    pipe.is_full                read no more from the sender until this is False: memory is bounded by backpressure

Faults act in the order in which they were added, each on what the one before lets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from random import Random
from typing import Any, Final

from tools.proxy.stages import STAGES, Item, Stage, What
from tools.proxy.toxics import Direction, Toxic

BUFFER_BYTES: Final = 64 * 1024
"""Bytes a direction may hold back. Once there are so many, its sender is not read from."""


class Pipe:
    """See the module's docstring.

    `seed` and the names of the faults decide all chance in it: a fault that is added or left out does not change what
    the others do.
    """

    def __init__(
        self,
        direction: Direction,
        faults: Mapping[str, Toxic] | None = None,
        *,
        seed: str = "",
        now_s: float = 0.0,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.direction = direction
        self.received_bytes = 0
        self.sent_bytes = 0
        self.ended = False
        """The sender will send no more."""
        self._seed = seed
        self._buffer_bytes = buffer_bytes
        self._stages: dict[str, Stage[Any]] = {}
        self._touched: dict[str, int] = {}  # by faults that were removed
        self._before: list[Item] = []  # fed, not in the first stage yet
        self._behind: list[Item] = []  # past the last stage
        for name, toxic in (faults or {}).items():
            self.add(name, toxic, now_s)

    def add(self, name: str, toxic: Toxic, now_s: float) -> None:
        """Put a fault behind the others; one of the same name is replaced."""
        self.remove(name, now_s)
        rng = Random(f"{self._seed}/{self.direction}/{name}")  # noqa: S311 - faults that can be repeated, no secrets
        if toxic.acts(self.direction) and rng.random() < toxic.probability:
            self._stages[name] = STAGES[type(toxic)](toxic, rng, now_s)

    def remove(self, name: str, now_s: float) -> None:
        """Take a fault away, if it is there: what it held goes on at once, in order."""
        names = list(self._stages)
        if name not in names:
            return
        behind = [self._stages[later] for later in names[names.index(name) + 1 :]]
        stage = self._stages.pop(name)
        self._touched[name] = self._touched.get(name, 0) + stage.touched
        for item in stage.flush(now_s):
            if behind:
                behind[0].put(item)
            else:
                self._behind.append(item)

    def feed(self, data: bytes, now_s: float) -> None:
        """Bytes of the sender."""
        self.received_bytes += len(data)
        self._before.append(Item(now_s, What.DATA, bytes(data)))

    def end(self, now_s: float) -> None:
        """The sender says that there is no more."""
        self._finish(now_s, What.END)

    def lost(self, now_s: float) -> None:
        """The sender is gone: its connection was reset."""
        self._finish(now_s, What.RESET)

    def _finish(self, now_s: float, what: What) -> None:
        if not self.ended:
            self.ended = True
            self._before.append(Item(now_s, what))

    def take(self, now_s: float) -> list[Item]:
        """What is due by now. Times of a pipe never go back."""
        items, self._before = self._before, []
        for stage in self._stages.values():
            for item in items:
                stage.put(item)
            items = list(stage.take(now_s))
        items, self._behind = self._behind + items, []
        self.sent_bytes += sum(len(item.data) for item in items)
        return items

    @property
    def next_s(self) -> float:
        """When there is something to take; inf: not before something is fed."""
        if self._before or self._behind:
            return -inf
        return min((stage.next_s for stage in self._stages.values()), default=inf)

    @property
    def held_bytes(self) -> int:
        """Bytes that came and are on their way."""
        waiting = sum(len(item.data) for item in (*self._before, *self._behind))
        return waiting + sum(stage.held_bytes for stage in self._stages.values())

    @property
    def is_full(self) -> bool:
        """Whether to let the sender wait."""
        return self.held_bytes >= self._buffer_bytes

    def touched(self) -> dict[str, int]:
        """Bytes that came while a fault was on, by its name."""
        touched = dict(self._touched)
        for name, stage in self._stages.items():
            touched[name] = touched.get(name, 0) + stage.touched
        return touched
