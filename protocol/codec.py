"""encode(message) -> body bytes, decode(MTI, body) -> message, over the table of messages.

No construct object leaves this module: what comes out is a frozen message or a RemoteProtocolError.
"""

from __future__ import annotations

from protocol.errors import Reason, RemoteProtocolError
from protocol.limits import HEADER_SIZE
from protocol.messages import LAYOUTS, Layout, Message


def find_layout(mti: int, body: bytes) -> Layout:
    """The layout of a body in clear, by (MTI, processing code); raises RemoteProtocolError(TYPE) if there is none."""
    layout = LAYOUTS.get((mti, body[0])) if body else None
    if layout is None:
        got = f"{mti:04X}/{body[0]:02X}" if body else f"{mti:04X} with an empty body"
        raise RemoteProtocolError(
            Reason.TYPE, field="processing_code", offset=HEADER_SIZE, expected="a message type of version 1", got=got
        )
    return layout


def decode(mti: int, body: bytes) -> Message:
    """The message in a body in clear; raises RemoteProtocolError (TYPE or FIELD)."""
    return find_layout(mti, body).decode(body)


def encode(message: Message) -> bytes:
    """The body in clear; raises LocalProtocolError for a value that may not be sent."""
    return message.layout.encode(message)
