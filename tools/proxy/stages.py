"""What each fault does to a stream: one stage each, items with times in, items with times out. No clock, no I/O.

A stage gets items in order of time and gives items in order of time. What is due later it holds. An item keeps its own
time, also if nobody looked at that moment: a proxy that is late itself does not make its faults longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from math import inf
from random import Random
from typing import Any, Final, Generic, NamedTuple, TypeVar

from protocol import NEED_DATA, Frame, Framer
from protocol.limits import CRC_SIZE, HEADER_SIZE
from tools.proxy import toxics
from tools.proxy.toxics import Toxic

SMOOTH_S: Final = 0.05
"""A narrow line passes pieces of this many seconds."""


class What(Enum):
    """What an item is."""

    DATA = auto()
    END = auto()
    """The sender said that nothing more will come; the other way may go on."""
    CLOSE = auto()
    """Both ends are to be closed."""
    RESET = auto()
    """Both ends are to be reset."""


class Item(NamedTuple):
    """Something that passes through the line at a time."""

    at_s: float
    what: What
    data: bytes = b""


T = TypeVar("T", bound=Toxic)


class Stage(Generic[T]):
    """The base of all: knows when the fault begins, and lets everything pass before that.

    A fault overrides `data` for bytes it touches, `end` for what ends the stream, and `fire` with `timer_s` for what
    happens without bytes.
    """

    def __init__(self, toxic: T, rng: Random, added_s: float) -> None:
        self.toxic = toxic
        self.rng = rng
        self.touched = 0
        """Bytes that came while the fault was on."""
        self.held_bytes = 0
        self._begins_s = added_s + toxic.after_s
        self._bytes_left = toxic.after_bytes
        self._onset_s = inf
        self._timer_s = inf
        self._out: deque[Item] = deque()
        self._newest_s = 0.0
        self._released = False
        if not self._bytes_left:
            self._begin(added_s)

    # --- For the pipe

    @property
    def next_s(self) -> float:
        """When there is something to take; inf: not before something is put."""
        return min(self._out[0].at_s if self._out else inf, self._timer_s)

    def put(self, item: Item) -> None:
        """An item that passes at its time."""
        if item.what is not What.DATA:
            if item.at_s >= self._onset_s:
                self.end(item)
            else:
                self.emit(item)
            return
        data = item.data
        if self._bytes_left:
            before, data = data[: self._bytes_left], data[self._bytes_left :]
            self._bytes_left -= len(before)
            self.emit(Item(item.at_s, What.DATA, before))
            if not self._bytes_left:
                self._begin(item.at_s)
        if not data:
            return
        if item.at_s >= self._onset_s:
            self.touched += len(data)
            self.data(item.at_s, data)
        else:
            self.emit(Item(item.at_s, What.DATA, data))

    def take(self, now_s: float) -> Iterator[Item]:
        """What is due by now."""
        if self._timer_s <= now_s:
            at_s, self._timer_s = self._timer_s, inf
            self.fire(at_s)
        while self._out and self._out[0].at_s <= now_s:
            item = self._out.popleft()
            self.held_bytes -= len(item.data)
            yield item

    def flush(self, now_s: float) -> Iterator[Item]:
        """The fault is removed: all that it still holds goes on now."""
        self.release(now_s)
        for item in self._out:
            yield item._replace(at_s=now_s)
        self._out.clear()
        self.held_bytes = 0

    # --- For the faults

    def emit(self, item: Item) -> None:
        """Give an item, never before the one in front of it."""
        self._newest_s = max(self._newest_s, item.at_s)
        self._out.append(item._replace(at_s=self._newest_s))
        self.held_bytes += len(item.data)

    def send(self, at_s: float, data: bytes | bytearray) -> None:
        """Give bytes."""
        if data:
            self.emit(Item(at_s, What.DATA, bytes(data)))

    def begin(self) -> None:
        """The fault begins at `_onset_s`, which may still be to come."""

    def data(self, at_s: float, data: bytes) -> None:
        """Bytes that come while the fault is on."""
        self.send(at_s, data)

    def end(self, item: Item) -> None:
        """The end of the stream comes while the fault is on."""
        self.emit(item)

    def fire(self, at_s: float) -> None:
        """The timer has come."""

    def release(self, now_s: float) -> None:
        """Put what is held elsewhere into the way out."""

    def _begin(self, at_s: float) -> None:
        self._onset_s = max(self._begins_s, at_s)
        self.begin()


# --- Slow


class LatencyStage(Stage[toxics.Latency]):
    """See toxics.Latency."""

    def data(self, at_s: float, data: bytes) -> None:
        self.send(at_s + self._delay_s(), data)

    def end(self, item: Item) -> None:
        self.emit(item._replace(at_s=item.at_s + self._delay_s()))

    def _delay_s(self) -> float:
        jitter_s = self.toxic.jitter_s
        return max(0.0, self.toxic.delay_s + (self.rng.uniform(-jitter_s, jitter_s) if jitter_s else 0.0))


class BandwidthStage(Stage[toxics.Bandwidth]):
    """See toxics.Bandwidth. A piece passes when its last byte has."""

    def data(self, at_s: float, data: bytes) -> None:
        rate = self.toxic.bytes_per_s
        size = max(1, int(rate * SMOOTH_S))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.send(max(at_s, self._newest_s) + len(piece) / rate, piece)


class SliceStage(Stage[toxics.Slice]):
    """See toxics.Slice. Where it cuts depends on the bytes passed, not on how they came."""

    def begin(self) -> None:
        self._room = self._draw()
        self._next_s = 0.0

    def _draw(self) -> int:
        vary = self.toxic.vary_bytes
        return max(1, self.toxic.size_bytes + (self.rng.randint(-vary, vary) if vary else 0))

    def data(self, at_s: float, data: bytes) -> None:
        while data:
            piece, data = data[: self._room], data[self._room :]
            self._room -= len(piece)
            at_s = max(at_s, self._next_s)
            self.send(at_s, piece)
            if not self._room:
                self._room = self._draw()
                self._next_s = at_s + self.toxic.gap_s


class DripStage(Stage[toxics.Drip]):
    """See toxics.Drip."""

    def begin(self) -> None:
        self._next_s = 0.0

    def data(self, at_s: float, data: bytes) -> None:
        size = self.toxic.size_bytes
        for start in range(0, len(data), size):
            at_s = max(at_s, self._next_s)
            self._next_s = at_s + self.toxic.every_s
            self.send(at_s, data[start : start + size])


class SlowCloseStage(Stage[toxics.SlowClose]):
    """See toxics.SlowClose."""

    def end(self, item: Item) -> None:
        self.emit(item._replace(at_s=item.at_s + self.toxic.delay_s))


# --- Gone


class ResetStage(Stage[toxics.Reset]):
    """See toxics.Reset."""

    def begin(self) -> None:
        self._timer_s = self._onset_s

    def data(self, at_s: float, data: bytes) -> None:
        """Nothing follows a reset."""

    def fire(self, at_s: float) -> None:
        self.emit(Item(at_s, What.RESET))


class TimeoutStage(Stage[toxics.Timeout]):
    """See toxics.Timeout."""

    def begin(self) -> None:
        self._timer_s = self._onset_s + self.toxic.wait_s

    def data(self, at_s: float, data: bytes) -> None:
        """Swallowed."""

    def end(self, item: Item) -> None:
        """Swallowed."""

    def fire(self, at_s: float) -> None:
        self.emit(Item(at_s, What.CLOSE))


class LimitStage(Stage[toxics.Limit]):
    """See toxics.Limit."""

    def begin(self) -> None:
        self._left = self.toxic.size_bytes
        if not self._left:
            self._timer_s = self._onset_s

    def data(self, at_s: float, data: bytes) -> None:
        passed = data[: self._left]
        self._left -= len(passed)
        self.send(at_s, passed)
        if passed and not self._left:
            self.emit(Item(at_s, What.CLOSE))

    def fire(self, at_s: float) -> None:
        self.emit(Item(at_s, What.CLOSE))


class BlackHoleStage(Stage[Any]):
    """See toxics.BlackHole and toxics.Cut."""

    def data(self, at_s: float, data: bytes) -> None:
        """Swallowed."""

    def end(self, item: Item) -> None:
        """Swallowed: the other side never hears of it."""


# --- Wrong


class CorruptStage(Stage[toxics.Corrupt]):
    """See toxics.Corrupt."""

    def begin(self) -> None:
        self._places = Places(self.rng, self.toxic.every_bytes, self.toxic.count)

    def data(self, at_s: float, data: bytes) -> None:
        wrong = bytearray(data)
        for place in self._places.within(len(data)):
            wrong[place - 1] ^= 1 << self.rng.randrange(8)
        self.send(at_s, wrong)


class DuplicateStage(Stage[toxics.Duplicate]):
    """See toxics.Duplicate. Remembers only what it may have to repeat."""

    def begin(self) -> None:
        self._places = Places(self.rng, self.toxic.every_bytes, self.toxic.count)
        self._last = b""

    def data(self, at_s: float, data: bytes) -> None:
        size, sent = self.toxic.size_bytes, 0
        for place in self._places.within(len(data)):
            self._pass(at_s, data[sent:place])
            sent = place
            self.send(at_s, self._last[-size:])
        self._pass(at_s, data[sent:])

    def _pass(self, at_s: float, data: bytes) -> None:
        self.send(at_s, data)
        self._last = (self._last + data)[-self.toxic.size_bytes :]


class Places:
    """Seeded places in a stream, so many bytes apart on average, found by counting."""

    def __init__(self, rng: Random, every_bytes: int, count: int) -> None:
        self._rng = rng
        self._every_bytes = every_bytes
        self._left = count or inf
        self._gap = self._draw()

    def _draw(self) -> int:
        """Bytes up to and with the next place."""
        return 1 + int(self._rng.expovariate(1 / (self._every_bytes - 1))) if self._every_bytes > 1 else 1

    def within(self, size: int) -> Iterator[int]:
        """Behind how many of the next `size` bytes there is a place."""
        at = 0
        while self._left and size - at >= self._gap:
            at += self._gap
            self._left -= 1
            self._gap = self._draw()
            yield at
        self._gap -= size - at


# --- By frame


class FrameStage(Stage[T]):
    """Sees whole frames. Bytes that are none pass; the start of a frame waits for its rest."""

    def begin(self) -> None:
        self._framer = Framer()
        self._raw = bytearray()
        self._matched = 0

    def data(self, at_s: float, data: bytes) -> None:
        self._framer.feed(data)
        self._raw += data
        self.held_bytes += len(data)
        while (found := self._framer.next_frame()) is not NEED_DATA:
            if isinstance(found, Frame):
                raw = self._cut(HEADER_SIZE + len(found.body) + CRC_SIZE)
                if self.toxic.mti in (None, f"{found.mti:04X}"):  # type: ignore[attr-defined]  # each of them has it
                    self._matched += 1
                    self.frame(at_s, raw)
                    continue
            else:
                raw = self._cut(found.size)  # type: ignore[union-attr]  # NEED_DATA has been excluded
            self.other(at_s, raw)

    def _cut(self, size: int) -> bytes:
        raw = bytes(self._raw[:size])
        del self._raw[:size]
        self.held_bytes -= size
        return raw

    def end(self, item: Item) -> None:
        self.release(item.at_s)
        self.emit(item)

    def release(self, now_s: float) -> None:
        if self._onset_s < inf:
            self.other(now_s, self._cut(len(self._raw)))

    def frame(self, at_s: float, raw: bytes) -> None:
        """A frame that matches, the `_matched`th."""
        raise NotImplementedError

    def other(self, at_s: float, raw: bytes) -> None:
        """Anything else."""
        self.send(at_s, raw)


class StallStage(FrameStage[toxics.Stall]):
    """See toxics.Stall."""

    def frame(self, at_s: float, raw: bytes) -> None:
        toxic = self.toxic
        if self._matched != toxic.frame:
            self.send(at_s, raw)
            return
        self.send(at_s, raw[: toxic.at_byte])
        self.send(inf if toxic.for_s is None else at_s + toxic.for_s, raw[toxic.at_byte :])


class DropFrameStage(FrameStage[toxics.DropFrame]):
    """See toxics.DropFrame."""

    def frame(self, at_s: float, raw: bytes) -> None:
        toxic = self.toxic
        behind = self._matched - toxic.frame
        if behind < 0 or (toxic.count and behind >= toxic.count):
            self.send(at_s, raw)


class DelayFrameStage(FrameStage[toxics.DelayFrame]):
    """See toxics.DelayFrame."""

    def frame(self, at_s: float, raw: bytes) -> None:
        toxic = self.toxic
        behind = self._matched - toxic.frame
        late = behind >= 0 and (not toxic.count or behind < toxic.count)
        self.send(at_s + toxic.delay_s if late else at_s, raw)


STAGES: Final[dict[type[Toxic], type[Stage[Any]]]] = {
    toxics.Latency: LatencyStage,
    toxics.Bandwidth: BandwidthStage,
    toxics.Slice: SliceStage,
    toxics.Drip: DripStage,
    toxics.SlowClose: SlowCloseStage,
    toxics.Reset: ResetStage,
    toxics.Timeout: TimeoutStage,
    toxics.Limit: LimitStage,
    toxics.BlackHole: BlackHoleStage,
    toxics.Cut: BlackHoleStage,
    toxics.Corrupt: CorruptStage,
    toxics.Duplicate: DuplicateStage,
    toxics.Stall: StallStage,
    toxics.DropFrame: DropFrameStage,
    toxics.DelayFrame: DelayFrameStage,
}
"""The stage of every kind of fault."""
