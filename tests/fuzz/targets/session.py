"""Any authentic content: a message the page allows now, a reject that can be sent, or the end by RemoteProtocolError.

The peer has the keys and says what it likes, well sealed and in sequence: a terminal gone rogue, a host of another
version.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from protocol import Connection, NeedData, Refused, RemoteProtocolError, Role, State
from protocol.framing import build_header, close_frame
from protocol.limits import MAX_BODY_SIZE, TAG_SIZE
from protocol.messages import LAYOUTS, Message, Reject, SaleAnswer
from protocol.messages.fields import Kind
from tests.fuzz.target import PIECE_MAX, Target, joined, pieces, slices
from tests.fuzz.wire import WORDS, end_of, golden_bodies
from tests.protocol import from_document
from tests.protocol.example import TERMINAL
from tests.protocol.samples import SALE, SAMPLE_OF, rows_in

FRAMES_MAX = 12
"""Frames of one input: a session forgets nothing that a longer one could bring out."""
ASK, SLICED = 2, 4
"""Mode bits: the terminal has asked for a sale; bytes come in several parts."""


def sealed(peer: Connection, flags: int, mti: int, body: bytes) -> bytes:
    """The next frame of `peer`, with anything in it."""
    body = body[: MAX_BODY_SIZE - TAG_SIZE]
    seal, sequence = peer._send_seal, peer._sent
    assert seal is not None
    peer._sent += 1
    header = build_header(flags | 1, mti, len(body) + TAG_SIZE, TERMINAL, sequence)
    return close_frame(header, seal.close(sequence, header, body))


def reply(connection: Connection, event: Message | Refused) -> None:
    """A host answers what it has taken; that must always be possible."""
    if connection.role is Role.TERMINAL:
        return
    if isinstance(event, Refused):
        connection.send(event.reject)
    else:
        answer = LAYOUTS[event.layout.mti + 0x10, event.layout.processing_code]
        connection.send(SAMPLE_OF[answer.message])
    assert connection.state in (State.READY, State.CLOSED)


def take(connection: Connection, flags: int, mti: int, body: bytes) -> str:
    """What comes of one frame that has been fed, checked against the page."""
    table = from_document.tables().get((mti, body[0])) if body else None
    values = from_document.read_body(mti, body)
    before = connection.state
    try:
        event = connection.next_event()
    except RemoteProtocolError as error:
        assert connection.state is State.CLOSED
        return f"{error.reason} {error.field}"
    if isinstance(event, Refused):
        assert connection.role is Role.HOST
        assert before is State.READY
        assert values is None or (table is not None and table.sender == "host")
        reply(connection, event)
        return f"reject {event.reject.response_code} {event.reject.field}"
    assert isinstance(event, Message), event
    assert table is not None
    assert values == msgspec.structs.asdict(event) | rows_in(event)
    assert (table.sender, table.flags) == (connection.role.peer.value, flags | 1)
    allowed = {"terminal": {"answer"}, "host": {"request", "sign_off"}}[connection.role.value]
    assert table.kind in allowed
    if connection.role is Role.TERMINAL:
        assert isinstance(event, SaleAnswer | Reject)  # a sale is what it has asked for
    if connection.role is Role.HOST:
        assert before is State.READY
        assert event.layout.kind in (Kind.REQUEST, Kind.SIGN_OFF)
    reply(connection, event)
    return type(event).__name__


def run(data: bytes) -> str:
    mode = data[0] if data else 0
    role = Role.TERMINAL if mode & 1 else Role.HOST
    connection, peer = end_of(role, State.READY), end_of(role.peer, State.READY)
    if mode & ASK and role is Role.TERMINAL:
        connection.send(SALE)
    labels = []
    for content in islice(pieces(data[1:]), FRAMES_MAX):
        flags, mti, body = (content[0] & 7 if content else 0), int.from_bytes(content[1:3], "big"), content[3:]
        frame = sealed(peer, flags, mti, body)
        if mode & SLICED:
            for part in slices(frame[:-1], 24):
                connection.receive_data(part)
                assert isinstance(connection.next_event(), NeedData)
            frame = frame[-1:]
        connection.receive_data(frame)
        labels.append(take(connection, flags, mti, body))
        if connection.state is State.CLOSED:
            break
    return f"{role}: {', '.join(labels[-2:])}"


def seeds() -> list[bytes]:
    parts = {Role.TERMINAL: [], Role.HOST: []}
    for mti, body in golden_bodies():
        layout = LAYOUTS[mti, body[0]]
        part = bytes([layout.flags & 6]) + mti.to_bytes(2, "big") + body
        if len(part) <= PIECE_MAX:
            parts[layout.sender].append(part)
    to_host = [b"\0" + joined([part]) for part in parts[Role.TERMINAL]]
    to_terminal = [b"\3" + joined([part]) for part in parts[Role.HOST]]
    return [*to_host, *to_terminal, b"\4" + joined(parts[Role.TERMINAL][-3:]), b"\1" + joined(parts[Role.HOST][:1])]


TARGET = Target(run, seeds, words=WORDS, size_max=512, share=1.0)
