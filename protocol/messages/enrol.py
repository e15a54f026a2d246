"""Enrolment: a session keyed by a one-time code (key version 0) carries exactly this.

It gives the terminal its root key.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, Privacy, code2, octets, text, unsigned
from protocol.state import Kind


class EnrolRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: give me my root key."""

    serial_number: str


class EnrolAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the key, once. The terminal stores it, then opens a new session with `key_version`."""

    response_code: str
    key_version: int
    root_key: bytes


LAYOUTS: Final = (
    Layout(
        EnrolRequest,
        0x0800,
        0x92,
        "enrolment",
        [text("serial_number", 24, "the serial number on the terminal's type plate")],
        kind=Kind.REQUEST,
    ),
    Layout(
        EnrolAnswer,
        0x0810,
        0x92,
        "enrolment answer",
        [
            code2("response_code", "00 enrolled; 58 code used up, expired, or for another serial number"),
            unsigned("key_version", 2, "number of the new root key, 0 when refused"),
            octets("root_key", 32, "the new root key; zero bytes when refused", privacy=Privacy.HIDDEN),
        ],
        kind=Kind.ANSWER,
    ),
)
