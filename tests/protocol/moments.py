"""Every sealed message of the wire at the moment it is due: an end that would take it, and the frame it would take."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from protocol import Connection, Discarded, PeerClosed, RemoteProtocolError, Role, State
from protocol.framing import close_frame
from protocol.messages import LAYOUTS
from protocol.messages.fields import UNSEALED_KINDS
from protocol.state import Kind
from tests.protocol.pair import ConnectionPair, ready_pair
from tests.protocol.samples import READY, SAMPLE_OF


class Moment(NamedTuple):
    """`receiver` is for `fork` only: nobody may use it up."""

    title: str
    receiver: Connection
    frame: bytes


def fork(connection: Connection) -> Connection:
    """An independent copy of one end of a session, as it stands."""
    twin = object.__new__(Connection)
    for name in Connection.__slots__:
        setattr(twin, name, getattr(connection, name))
    framer = twin._framer = copy.copy(connection._framer)
    framer._buffer = bytearray(connection._framer._buffer)
    return twin


@cache
def moments() -> tuple[Moment, ...]:
    """One for every message that is sealed, in the order of the table of messages."""
    found = []
    for layout in LAYOUTS.values():
        message = SAMPLE_OF[layout.message]
        if layout.kind in UNSEALED_KINDS:
            continue
        if layout.kind is Kind.READY:
            pair = ConnectionPair().to_state(State.AUTH_SENT)
            moment = Moment(layout.title, fork(pair.terminal), pair.host.send(READY))
        elif layout.sender is Role.TERMINAL:
            pair = ready_pair()
            moment = Moment(layout.title, fork(pair.host), pair.terminal.send(message))
        else:
            pair = ready_pair()
            asked = LAYOUTS.get((layout.mti - 0x10, layout.processing_code), LAYOUTS[0x0200, 0x00])
            pair.send(Role.TERMINAL, SAMPLE_OF[asked.message])
            moment = Moment(layout.title, fork(pair.terminal), pair.host.send(message))
        found.append(moment)
    return tuple(found)


def bits(frame: bytes, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The frame with each single bit of [start, end) turned."""
    for index in range(start, len(frame) if end is None else end):
        for bit in range(8):
            yield frame[:index] + bytes([frame[index] ^ 1 << bit]) + frame[index + 1 :]


def fitted(header: bytes, body: bytes) -> bytes:
    """A frame with length and CRC made right: what an attacker sends who has changed something."""
    return close_frame(header[:6] + len(body).to_bytes(2, "big") + header[8:16], body)


class Fate(NamedTuple):
    """What came of bytes that nobody should take."""

    reason: str
    """Why the session ended, or "" if it ended only because the line did."""
    dropped: tuple[str, ...]
    """Why bytes were discarded before."""


def fate_of(receiver: Connection, data: bytes) -> Fate:
    """Feed bytes and then the end of the line. AssertionError if a message or something to be answered comes of them.

    However it goes, the session is over at the end, and every byte has been counted: taken as the reason of the end, or
    reported as dropped.
    """
    receiver.receive_data(data)
    receiver.receive_data(b"")
    dropped = []
    size = 0
    for _ in range(len(data) + 2):
        try:
            event = receiver.next_event()
        except RemoteProtocolError as error:
            assert receiver.state is State.CLOSED
            assert isinstance(receiver.next_event(), PeerClosed)
            return Fate(error.reason.value, tuple(dropped))
        if isinstance(event, PeerClosed):
            assert receiver.state is State.CLOSED
            assert size == len(data), "bytes that nobody counted"
            return Fate("", tuple(dropped))
        assert isinstance(event, Discarded), f"accepted: {event}"
        dropped.append(event.reason.value)
        size += event.size
    raise AssertionError("no end to the events")
