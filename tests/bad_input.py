"""Everything a peer can do wrong on the wire, as data: what it sends, and by which reason the host refuses it.

Tests of the host in memory and of a real process over real sockets go through the same lists. `make` gets the sender (a
`tests.wire.Wire` or `tests.server.host.Line`) and gives the bytes to send.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from protocol import Connection, Reason, TerminalNumber
from protocol.framing import build_header, close_frame
from protocol.limits import MAX_BODY_SIZE, MAX_DISCARDED_BYTES, MAX_FIRST_BODY_SIZE
from protocol.messages import Challenge, Hello, SaleRequest
from tests.protocol.pair import forge, with_good_crc
from tests.wire import ECHO

CARD = b"\x04\xa1\xb2\xc3"


class Bad(NamedTuple):
    """One way to misbehave. `says` is a part of what the host's log says of it: expected and got."""

    name: str
    make: Callable[[Any], bytes]
    reason: Reason
    says: str


class Rejected(NamedTuple):
    """An authentic request that cannot be read, and what its reject says."""

    name: str
    make: Callable[[Any], bytes]
    reason: Reason
    code: str
    field: str
    expected: str
    got: str


def patched(frame: bytes, offset: int, new: bytes) -> bytes:
    """The frame with some bytes replaced and a CRC that fits: not noise, but somebody's intention."""
    return with_good_crc(frame[:offset] + new + frame[offset + len(new) :])


# ------------------------------------------------------------------------------- before authentication


def hello(line: Any) -> bytes:
    """A good first frame of this terminal, from a connection of its own."""
    said: bytes = line.till.connection().send(line.till.hello())
    return said


def unchecked_hello(line: Any, **fields: int) -> bytes:
    """HELLO with values its own encoder would refuse."""
    good = Hello(key_version=1, terminal_challenge=bytes(16))
    body = bytearray(good.layout.encode(good))
    for name, value in fields.items():
        body[good.layout.offset_of(name) - 16] = value
    return close_frame(build_header(0, 0x0800, len(body), line.till.number, 0), bytes(body))


def first_frame(line: Any, mti: int, body: bytes, *, flags: int = 0, sequence: int = 0) -> bytes:
    return close_frame(build_header(flags, mti, len(body), line.till.number, sequence), body)


def challenge_frame(line: Any) -> bytes:
    message = Challenge(host_challenge=bytes(16), host_time_ms=0, epoch=1)
    return first_frame(line, 0x0810, message.layout.encode(message), flags=2)


BEFORE = [
    Bad("http", lambda _: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Reason.SYNC, "expected 464b, got 4745"),
    Bad("tls", lambda _: bytes.fromhex("160301020001000200"), Reason.SYNC, "expected 464b, got 1603"),
    Bad("random bytes", lambda _: b"\x9c" + random.Random(1).randbytes(500), Reason.SYNC, "expected 464b, got 9c"),
    Bad("zeros", lambda _: bytes(100), Reason.SYNC, "expected 464b, got 0000"),
    Bad("wrong sync", lambda line: patched(hello(line), 0, b"KF"), Reason.SYNC, "expected 464b, got 4b46"),
    Bad("wrong version", lambda line: patched(hello(line), 2, b"\x02"), Reason.VERSION, "expected 1, got 2"),
    Bad(
        "reserved flags", lambda line: patched(hello(line), 3, b"\x80"), Reason.FLAGS, "expected bits 3-7 zero, got 10"
    ),
    Bad(
        "oversize length",
        lambda line: patched(hello(line), 6, (MAX_FIRST_BODY_SIZE + 1).to_bytes(2, "big")),
        Reason.LENGTH,
        "expected at most 76, got 77",
    ),
    Bad(
        "huge length",
        lambda line: patched(hello(line), 6, b"\xff\xff"),
        Reason.LENGTH,
        "expected at most 76, got 65535",
    ),
    Bad("lying length", lambda line: hello(line)[:6] + b"\x00\x20" + hello(line)[8:], Reason.CRC, "expected "),
    Bad("bad CRC", lambda line: hello(line)[:-1] + bytes([hello(line)[-1] ^ 1]), Reason.CRC, "expected "),
    Bad("bit flipped", lambda line: hello(line)[:30] + b"\xaa\x55" + hello(line)[32:], Reason.CRC, "expected "),
    Bad("wrong sequence", lambda line: patched(hello(line), 12, b"\0\0\0\x01"), Reason.SEQUENCE, "expected 0, got 1"),
    Bad("sealed", lambda line: patched(hello(line), 3, b"\x01"), Reason.FLAGS, "expected not sealed before keys"),
    Bad("sale first", lambda line: first_frame(line, 0x0200, sale_body(line)), Reason.FLAGS, "expected 00000001, got "),
    Bad(
        "AUTH first", lambda line: first_frame(line, 0x0800, b"\x91" + bytes(16)), Reason.STATE, "expected hello while"
    ),
    Bad("a host's message", challenge_frame, Reason.TYPE, "expected a message sent by the terminal, got CHALLENGE"),
    Bad("unknown type", lambda line: first_frame(line, 0x0999, b"\0"), Reason.TYPE, "expected a message type"),
    Bad("empty body", lambda line: first_frame(line, 0x0800, b""), Reason.TYPE, "got 0800 with an empty body"),
    Bad(
        "field out of range",
        lambda line: unchecked_hello(line, lowest_version=0),
        Reason.FIELD,
        "expected 1..255, got 0",
    ),
    Bad(
        "truncated body",
        lambda line: patched_body(hello(line), -1),
        Reason.FIELD,
        "expected 45 bytes for HELLO, got 44",
    ),
    Bad(
        "trailing byte", lambda line: patched_body(hello(line), +1), Reason.FIELD, "expected 45 bytes for HELLO, got 46"
    ),
    Bad(
        "no version in common",
        lambda line: unchecked_hello(line, lowest_version=2, highest_version=3),
        Reason.VERSION,
        "expected a range with 1, got 2..3",
    ),
]
"""Each ends the connection without a byte."""


def patched_body(frame: bytes, change: int) -> bytes:
    """A frame whose body is one byte shorter or longer, its length and CRC telling the truth."""
    body = frame[16:-4] + b"\0"
    body = body[: len(body) - 1 + change]
    return with_good_crc(frame[:6] + len(body).to_bytes(2, "big") + frame[8:16] + body + b"\0\0\0\0")


# -------------------------------------------------------------------------------- after authentication


def sale_body(line: Any, **fields: bytes) -> bytes:
    """The body of a new sale, with raw values its own encoder would refuse."""
    message: SaleRequest = line.till.sale(CARD, 100)
    body = bytearray(message.layout.encode(message))
    for name, value in fields.items():
        offset = message.layout.offset_of(name) - 16
        body[offset : offset + len(value)] = value
    return bytes(body)


def sealed_sale(line: Any, **fields: bytes) -> bytes:
    """The frame of a sale as only this terminal could have sealed it."""
    return forge(line.connection, 0x0200, sale_body(line, **fields), flags=1)


def sealed_next(line: Any) -> bytes:
    """A good sale, but with the sequence number of the frame after the next."""
    connection: Connection = line.connection
    connection._sent += 1
    frame = sealed_sale(line)
    connection._sent -= 1
    return frame


def flipped(frame: bytes, offset: int) -> bytes:
    return patched(frame, offset, bytes([frame[offset] ^ 1]))


def reflected(line: Any) -> bytes:
    """The host's own last answer, sent back to it with a sequence number that would be right."""
    frame: bytes = line.last_answer
    return patched(frame, 12, line.connection._sent.to_bytes(4, "big"))


def challenge_again(line: Any) -> bytes:
    return forge(line.connection, 0x0800, unchecked_hello(line)[16:-4], flags=1)


VIOLATIONS = [
    Bad(
        "bad tag",
        lambda line: flipped(sealed_sale(line), -5 % len(sealed_sale(line))),
        Reason.TAG,
        "expected a tag made",
    ),
    Bad("changed ciphertext", lambda line: flipped(sealed_sale(line), 20), Reason.TAG, "expected a tag made with this"),
    Bad(
        "changed header",
        lambda line: patched(sealed_sale(line), 4, b"\x04\x00"),
        Reason.TAG,
        "expected a tag made with",
    ),
    Bad("replayed", lambda line: line.last_frame, Reason.SEQUENCE, "expected 3, got 2"),
    Bad("reordered", sealed_next, Reason.SEQUENCE, "expected 3, got 4"),
    Bad("reflected", lambda line: line.last_answer, Reason.SEQUENCE, "expected 3, got 2"),
    Bad("reflected in sequence", reflected, Reason.TAG, "expected a tag made with this session's key, got another"),
    Bad(
        "another's number",
        lambda line: patched(sealed_sale(line), 8, bytes.fromhex("00090009")),
        Reason.TERMINAL,
        "got 9-9",
    ),
    Bad(
        "not sealed",
        lambda line: patched(sealed_sale(line), 3, b"\0"),
        Reason.FLAGS,
        "expected a sealed frame, got 0000",
    ),
    Bad(
        "wrong flags",
        lambda line: forge(line.connection, 0x0200, sale_body(line), flags=3),
        Reason.FLAGS,
        "expected 0000",
    ),
    Bad(
        "no room for a tag",
        lambda line: close_frame(build_header(1, 0x0200, 15, line.till.number, line.connection._sent), bytes(15)),
        Reason.LENGTH,
        "expected at least the 16 bytes of a tag, got 15",
    ),
    Bad("HELLO again", challenge_again, Reason.FLAGS, "expected 00000000, got 00000001"),
    Bad(
        "noise without end",
        lambda _: b"\x55" * (2 * MAX_DISCARDED_BYTES + 1),
        Reason.SYNC,
        f"expected at most {MAX_DISCARDED_BYTES} bytes of noise, got ",
    ),
]
"""Each ends the session without a byte. The sender has made one sale: `last_frame`, answered by `last_answer`."""

NOISE = [
    Bad("garbage", lambda _: b"\x00noise on the line\xff", Reason.SYNC, "464b"),
    Bad("wrong sync", lambda line: patched(sealed_sale(line), 0, b"KF"), Reason.SYNC, "464b"),
    Bad("wrong version", lambda line: patched(sealed_sale(line), 2, b"\x02"), Reason.VERSION, "1"),
    Bad("reserved flags", lambda line: patched(sealed_sale(line), 3, b"\x81"), Reason.FLAGS, "bits 3-7 zero"),
    Bad(
        "oversize length",
        lambda line: patched(sealed_sale(line), 6, (MAX_BODY_SIZE + 1).to_bytes(2, "big")),
        Reason.LENGTH,
        "at most 4096",
    ),
    Bad("lying length", lambda line: sealed_sale(line)[:6] + b"\x00\x20" + sealed_sale(line)[8:], Reason.CRC, ""),
    Bad("bad CRC", lambda line: sealed_sale(line)[:-1] + bytes([sealed_sale(line)[-1] ^ 1]), Reason.CRC, ""),
    Bad("bit flipped", lambda line: sealed_sale(line)[:30] + b"\xaa\x55" + sealed_sale(line)[32:], Reason.CRC, ""),
]
"""Each is dropped and counted, and the session goes on. `says` is what was expected where the frame should start."""


def sale_with(field: str, value: bytes) -> Callable[[Any], bytes]:
    """A sale with one raw value its own encoder would refuse, sealed as only this terminal could."""
    return lambda line: sealed_sale(line, **{field: value})


FIELDS = {
    "amount zero": ("amount_fen", b"\0\0\0\0", "1..999999999", "0"),
    "amount above the field's": ("amount_fen", b"\xff\xff\xff\xff", "1..999999999", "4294967295"),
    "STAN zero": ("stan", b"\0\0\0", "1..999999", "0"),
    "STAN above the field's": ("stan", b"\xff\xff\xff", "1..999999", "16777215"),
    "batch zero": ("batch", b"\0\0\0", "1..999999", "0"),
    "entry mode unknown": ("entry_mode", b"\x09", "1 card, 2 code", "9"),
    "no payer": ("payer", b"\0", "length 1..24, that many bytes, then zero bytes", "25 bytes that do not fit"),
    "payer too long": ("payer", b"\x19", "length 1..24, that many bytes, then zero bytes", "25 bytes that do not fit"),
}

REJECTED = [
    Rejected(
        name,
        sale_with(field, value),
        Reason.FIELD,
        "30",
        field,
        expected,
        got,
    )
    for name, (field, value, expected, got) in FIELDS.items()
] + [
    Rejected(
        "truncated body",
        lambda line: forge(line.connection, 0x0200, sale_body(line)[:-1], flags=1),
        Reason.FIELD,
        "30",
        "body",
        "59 bytes for sale",
        "58 bytes",
    ),
    Rejected(
        "trailing byte",
        lambda line: forge(line.connection, 0x0200, sale_body(line) + b"\0", flags=1),
        Reason.FIELD,
        "30",
        "body",
        "59 bytes for sale",
        "60 bytes",
    ),
    Rejected(
        "unknown type",
        lambda line: forge(line.connection, 0x0999, b"\0", flags=1),
        Reason.TYPE,
        "40",
        "processing_code",
        "a message type of version 1",
        "0999/00",
    ),
    Rejected(
        "unknown processing code",
        lambda line: forge(line.connection, 0x0200, b"\x77" + sale_body(line)[1:], flags=1),
        Reason.TYPE,
        "40",
        "processing_code",
        "a message type of version 1",
        "0200/77",
    ),
    Rejected(
        "a host's message",
        lambda line: forge(line.connection, 0x0210, b"\0" + bytes(40), flags=1),
        Reason.TYPE,
        "40",
        "mti",
        "a message sent by the terminal",
        "sale answer, sent by the host",
    ),
]
"""Each is answered with a reject, and the session goes on."""

STRANGER = TerminalNumber(60_000, 60_000)
"""A number nobody has."""

HALF: list[Callable[[Any], bytes]] = [
    lambda line: hello(line)[:1],
    lambda line: hello(line)[:16],
    lambda line: hello(line)[:-1],
]
"""Beginnings of a first frame."""


def expect_reject(line: Any) -> None:
    """Let the sender's side know that it has asked something: an answer to it is on its way."""
    line.connection.send(ECHO)
