"""The faults a line can have, as plain data. What each does to the bytes stands in stages.py.

Every fault says in which direction it acts (up: terminal to host), when it begins (after so many bytes of that
direction, and so many seconds after the connection opened or the fault was added, whichever is later), and which share
of the connections has it. Where a fault happens is decided by counting bytes, not chunks, so that it does not depend on
how a network happened to cut the stream.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Final, get_args

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Some = Annotated[float, Meta(gt=0, le=86_400)]
Size = Annotated[int, Meta(ge=1, le=1 << 30)]
Offset = Annotated[int, Meta(ge=0, le=1 << 40)]
Count = Annotated[int, Meta(ge=0, le=1 << 30)]
Mti = Annotated[str, Meta(pattern=r"^[0-9]{4}\Z")]


class Direction(StrEnum):
    """Which way bytes go. BOTH is for faults only: each way has its own."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Toxic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all faults have in common."""

    direction: Direction = Direction.BOTH
    after_bytes: Offset = 0
    """It begins behind this many bytes of its direction."""
    after_s: Seconds = 0.0
    """It begins this long after the connection opened, or after it was added to an open one."""
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """The share of connections that have it; drawn once for a connection and direction."""

    @property
    def kind(self) -> str:
        """Its name in a plan."""
        return str(self.__struct_config__.tag)

    def acts(self, direction: Direction) -> bool:
        """Whether it concerns the bytes that go this way."""
        return self.direction in (Direction.BOTH, direction)


# --- Slow


class Latency(Toxic, frozen=True, tag="latency"):
    """Everything comes later: by `delay_s`, more or less `jitter_s`, in order all the same."""

    delay_s: Seconds
    jitter_s: Seconds = 0.0


class Bandwidth(Toxic, frozen=True, tag="bandwidth"):
    """A narrow line."""

    bytes_per_s: Annotated[float, Meta(ge=1, le=1e10)]


class Slice(Toxic, frozen=True, tag="slice"):
    """Small pieces of `size_bytes`, more or less `vary_bytes`, at least `gap_s` apart."""

    size_bytes: Size
    vary_bytes: Count = 0
    gap_s: Seconds = 0.0


class Drip(Toxic, frozen=True, tag="drip"):
    """`size_bytes` every `every_s`, no matter how much waits: a slowloris."""

    size_bytes: Size = 1
    every_s: Some = 1.0


class SlowClose(Toxic, frozen=True, tag="slow_close"):
    """The end of the stream comes `delay_s` late."""

    delay_s: Seconds


# --- Gone


class Reset(Toxic, frozen=True, tag="reset"):
    """Both ends get a TCP reset as soon as it begins."""


class Timeout(Toxic, frozen=True, tag="timeout"):
    """Nothing more passes this way, and `wait_s` later both ends are closed."""

    wait_s: Seconds


class Limit(Toxic, frozen=True, tag="limit"):
    """Both ends are closed behind `size_bytes` of this direction."""

    size_bytes: Count


class BlackHole(Toxic, frozen=True, tag="black_hole"):
    """What is sent vanishes, ends and resets too: whoever waits is not told anything."""


class Cut(Toxic, frozen=True, tag="cut"):
    """A black hole one way only; the other way works on. Its direction must be up or down."""

    def __post_init__(self) -> None:
        if self.direction is Direction.BOTH:
            raise ValueError("cut: expected the one direction that is cut, up or down; black_hole cuts both")


# --- Wrong


class Corrupt(Toxic, frozen=True, tag="corrupt"):
    """One bit flipped in one of `every_bytes` on average; at most `count` times (0: without end)."""

    every_bytes: Size
    count: Count = 0


class Duplicate(Toxic, frozen=True, tag="duplicate"):
    """The last `size_bytes` once more, after `every_bytes` on average; at most `count` times (0: without end)."""

    size_bytes: Size
    every_bytes: Size
    count: Count = 0


# --- By frame. The type stands in clear in the header, also when the body is sealed.


class Stall(Toxic, frozen=True, tag="stall"):
    """The line stops inside frame number `frame` of those that match, behind its first `at_byte` bytes, for `for_s`
    (None: until the fault is removed)."""

    frame: Size = 1
    at_byte: Size = 20
    for_s: Seconds | None = None
    mti: Mti | None = None
    """Only frames of this type, like "0210"; None: any."""


class DropFrame(Toxic, frozen=True, tag="drop_frame"):
    """Frame number `frame` of those that match never arrives, nor do those up to `count` in all (0: without end)."""

    frame: Size = 1
    count: Count = 1
    mti: Mti | None = None


class DelayFrame(Toxic, frozen=True, tag="delay_frame"):
    """Frame number `frame` of those that match, and `count` in all (0: without end), come `delay_s` late; what follows
    waits behind them."""

    delay_s: Seconds
    frame: Size = 1
    count: Count = 1
    mti: Mti | None = None


AnyToxic = (
    Latency
    | Bandwidth
    | Slice
    | Drip
    | SlowClose
    | Reset
    | Timeout
    | Limit
    | BlackHole
    | Cut
    | Corrupt
    | Duplicate
    | Stall
    | DropFrame
    | DelayFrame
)
KINDS: Final[dict[str, type[Toxic]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyToxic)}
"""Every kind of fault by its name in a plan."""


def toxic_from(kind: str, values: dict[str, Any]) -> Toxic:
    """A fault of this kind from its fields, which may still be text. ValueError says what was expected."""
    try:
        return msgspec.convert({"kind": kind} | values, KINDS[kind], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(_explain(kind, values, str(error))) from None


def _explain(kind: str, values: dict[str, Any], message: str) -> str:
    """What msgspec objects to, in the words of somebody who writes a plan."""
    wrong = re.search(r"Expected `(\w+)[^`]*`(.*?)(?:, got .*)? - at `\$\.(\w+)`", message)
    if wrong is not None:
        what = {"int": "a whole number", "float": "a number"}.get(wrong[1], "text")
        return f"{kind}: {wrong[3]}: expected {what}{wrong[2]}, got {values.get(wrong[3])!r}"
    missing = re.search(r"missing required field `(\w+)`", message)
    return f"{kind}: expected {missing[1]}=..., got none" if missing is not None else message
