"""Any body: a message or RemoteProtocolError TYPE or FIELD, as docs/protocol.md says; encoded again, the same bytes.

What construct interprets and what `struct` unpacks is the same, or both refuse; so is what a reader makes of it that
knows nothing but the page. A body that is taken is the only form of its message.
"""

from __future__ import annotations

import struct

import construct as c
import msgspec

from protocol.codec import decode, encode
from protocol.errors import Reason, RemoteProtocolError
from protocol.flat import FlatPacker
from protocol.messages import LAYOUTS, Layout, Message
from tests.fuzz.target import Target
from tests.fuzz.wire import WORDS, golden_bodies
from tests.protocol import from_document
from tests.protocol.samples import SAMPLES, rows_in

PACKERS = {key: FlatPacker(layout.struct) for key, layout in LAYOUTS.items()}


def interpreted(layout: Layout, body: bytes) -> list[object] | None:
    """The raw values as construct reads them, None if it refuses."""
    try:
        container = layout.struct.parse(body)
    except c.ConstructError:
        return None
    return [container[name] for name in ["processing_code", *(field.name for field in layout.fields)]]


def compare_layouts(layout: Layout, body: bytes) -> None:
    """The compiled layout against the interpreted one."""
    packer = PACKERS[layout.mti, layout.processing_code]
    slow = interpreted(layout, body)
    try:
        fast = packer.unpack(body)
    except struct.error:
        assert slow is None
        return
    assert fast == slow
    assert packer.pack(fast) == body


def run(data: bytes) -> str:
    if len(data) < 3:
        return "short"
    mode, mti, body = data[0], int.from_bytes(data[1:3], "big"), data[3:]
    layout = LAYOUTS.get((mti, body[0])) if body else None
    if layout is not None:
        if mode & 1:
            body = body[: layout.size].ljust(layout.size, b"\0")
        compare_layouts(layout, body)
    theirs = from_document.read_body(mti, body)
    try:
        message = decode(mti, body)
    except RemoteProtocolError as error:
        assert theirs is None
        assert error.reason is (Reason.TYPE if layout is None else Reason.FIELD)
        assert 0 <= error.offset <= 16 + len(body)
        return f"{mti:04x} {error.field}" if layout is not None else "unknown"
    assert isinstance(message, Message)
    assert theirs == msgspec.structs.asdict(message) | rows_in(message)
    assert encode(message) == body
    repr(message)
    return type(message).__name__


EDGES = (b"", b"\xff" * 256, "\x85".encode(), "\x9f".encode(), b"\x7f", b"\x1f", b"a\0b", "　".encode(), b"\x19", b"a0")
"""What a field is filled with: both ends of its bytes, and what text, codes and payers may just not hold."""


def edges() -> list[bytes]:
    """Every field of every sample with each of these in it, the other fields as they are."""
    found = []
    for message in SAMPLES:
        layout, body, at = message.layout, encode(message), 1
        for field in layout.fields:
            front, behind = b"\0" + layout.mti.to_bytes(2, "big") + body[:at], body[at + field.size :]
            found += [front + edge.ljust(field.size, b"\0")[: field.size] + behind for edge in EDGES]
            at += field.size
    return found


def seeds() -> list[bytes]:
    whole = [mti.to_bytes(2, "big") + body for mti, body in golden_bodies()]
    cut = [b"\0" + one[:-1] for one in whole] + [b"\0" + one + b"\0" for one in whole]
    return [*(b"\1" + one for one in whole), *cut, *edges()]


TARGET = Target(run, seeds, words=WORDS, size_max=1024, share=2.0)
