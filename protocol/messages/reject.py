"""Reject, 0620/00: the host's answer to an authentic request it cannot read.

It says which field, what was expected, and what came.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import EXPECTED_SIZE, Layout, Message, code2, text, unsigned
from protocol.state import Kind


class Reject(Message, frozen=True, kw_only=True):
    """Host to terminal. Nothing was posted; sending the same bytes again cannot help."""

    rejected_mti: int
    rejected_processing_code: int
    response_code: str
    offset: int
    field: str
    expected: str
    got: str


LAYOUTS: Final = (
    Layout(
        Reject,
        0x0620,
        0x00,
        "reject",
        [
            unsigned("rejected_mti", 2, "MTI of the refused request"),
            unsigned("rejected_processing_code", 1, "its processing code, 0 when the body was empty"),
            code2("response_code", "30 format error, 40 message type unknown, 58 not allowed to this session"),
            unsigned("offset", 2, "offset of the field in the frame as if in clear, 0 = the sync word"),
            text("field", 24, "name of the field"),
            text("expected", EXPECTED_SIZE, "what the field may hold"),
            text("got", 48, "what it held"),
        ],
        kind=Kind.ANSWER,
    ),
)
