"""Everything that can go wrong on the wire, as two kinds of exception.

ProtocolError
    LocalProtocolError    our own program used the protocol wrongly: a bug on this side
    RemoteProtocolError   the peer (or the line) broke the protocol; carries a Reason and the evidence

Any other exception that leaves this package is a bug of this package.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why bytes from the peer were refused. Bounded on purpose: it is a metric label."""

    SYNC = "sync"  # bytes that do not start with the sync word
    VERSION = "version"  # a header version this side does not speak
    FLAGS = "flags"  # reserved flag bits set, or flags that do not fit the message type
    LENGTH = "length"  # a body length above the limit in force
    CRC = "crc"  # the frame was damaged on the line
    TERMINAL = "terminal"  # a terminal number that is not the session's
    SEQUENCE = "sequence"  # replayed, reordered or missing frame; session frame limit reached
    TAG = "tag"  # the GCM tag or a handshake cryptogram does not verify
    TYPE = "type"  # (MTI, processing code) unknown, or not sent by this role
    FIELD = "field"  # a field out of range, or a body of the wrong size
    STATE = "state"  # a known message at the wrong moment
    TRUNCATED = "truncated"  # the peer closed in the middle of a frame


class ProtocolError(Exception):
    """Base of the two kinds below; never raised itself."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow. Nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer's bytes were refused.

    `offset` counts from the first byte of the frame (0 = the sync word); in a sealed frame it counts as if the
    body were in clear. `expected` and `got` are short and free of secrets: they may be logged and sent.
    """

    def __init__(self, reason: Reason, *, expected: str, got: str, field: str = "", offset: int = 0) -> None:
        self.reason = reason
        self.field = field
        self.offset = offset
        self.expected = expected
        self.got = got
        where = f"{field} at offset {offset}" if field else f"offset {offset}"
        super().__init__(f"{reason}: {where}: expected {expected}, got {got}")
