"""Echo test: is the other end alive? Sent by a terminal that has been silent for a heartbeat."""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, unsigned
from protocol.state import Kind


class EchoRequest(Message, frozen=True, kw_only=True):
    """Terminal to host."""

    claimed_at_s: int


class EchoAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal."""

    host_time_ms: int
    business_day: int
    config_version: int


LAYOUTS: Final = (
    Layout(
        EchoRequest,
        0x0800,
        0x31,
        "echo test",
        [unsigned("claimed_at_s", 4, "terminal clock, seconds since 1970-01-01 UTC")],
        kind=Kind.REQUEST,
    ),
    Layout(
        EchoAnswer,
        0x0810,
        0x31,
        "echo test answer",
        [
            unsigned("host_time_ms", 8, "host clock, milliseconds since 1970-01-01 UTC"),
            unsigned("business_day", 4, "the open business day as YYYYMMDD"),
            unsigned("config_version", 4, "if it is not that of the terminal's parameters, fetch them: 0800/07"),
        ],
        kind=Kind.ANSWER,
    ),
)
