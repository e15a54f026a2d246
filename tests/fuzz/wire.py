"""What the targets of the wire share: sessions to start from, forks of them, golden frames as seeds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

from protocol import Connection, Role, State
from protocol.framing import crc32c
from protocol.messages import LAYOUTS
from tests.protocol.moments import fork
from tests.protocol.pair import ConnectionPair
from tests.protocol.samples import SAMPLES

VECTORS: Final = Path(__file__).resolve().parents[1] / "protocol" / "vectors"
EVENTS_MAX: Final = 10_000
"""More events than any input of a target can hold: past it the parser goes round in circles."""

WORDS: Final = (
    b"FK",
    b"FK\x01\x00",
    b"FK\x01\x01",
    b"FK\x01\x03",
    *(key[0].to_bytes(2, "big") + bytes([key[1]]) for key in LAYOUTS),
    b"\x00\x03\x00\x3a",
    b"\x10\x00",
    b"\x3b\x9a\xc9\xff",
    b"\x0f\x42\x3f",
    b"\x0f\x42\x40",
    "食".encode(),
    b"\xc2\x85",
    b"\xed\xa0\x80",
    b"\xe3\x80\x80",
)


@cache
def golden_frames() -> tuple[bytes, ...]:
    """Every frame of the golden vectors, good and bad."""
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(VECTORS.glob("*.json"))}
    texts = [frame["frame"] for name in ("session", "functions", "enrolment") for frame in read[name]["frames"]]
    texts += [frame["frame"] for frame in [*read["offline"]["session"]["frames"], *read["settlement"]["frames"]]]
    texts += [message[form] for message in read["messages"]["messages"] for form in ("frame_in_clear", "frame_sealed")]
    texts += [case["bytes"] for case in read["bad"]["cases"]]
    return tuple(dict.fromkeys(bytes.fromhex(text) for text in texts))


@cache
def golden_bodies() -> tuple[tuple[int, bytes], ...]:
    """(MTI, body in clear) of every message: the golden vectors and the samples."""
    text = (VECTORS / "messages.json").read_text(encoding="utf-8")
    found = [(int(one["mti"], 16), bytes.fromhex(one["body"])) for one in json.loads(text)["messages"]]
    found += [(message.layout.mti, message.layout.encode(message)) for message in SAMPLES]
    return tuple(dict.fromkeys(found))


def mended(data: bytes) -> bytes:
    """The bytes with every frame in them made whole: what stands between two sync words gets its length and CRC."""
    whole = b""
    start = data.find(b"FK")
    while start >= 0:
        end = data.find(b"FK", start + 16)
        piece = bytearray(data[start : end if end >= 0 else len(data)])
        if len(piece) >= 20:
            piece[6:8] = (len(piece) - 20).to_bytes(2, "big")
            piece[-4:] = crc32c(bytes(piece[:-4])).to_bytes(4, "big")
        whole += piece
        start = end
    return whole


@cache
def pair_in(state: State) -> ConnectionPair:
    """Both ends of a session in a state. For `fork` only: nobody may use it up."""
    return ConnectionPair().to_state(state)


def end_of(role: Role, state: State) -> Connection:
    """A fresh copy of one end in a state."""
    return fork(pair_in(state).ends[role])
