"""Stop list (黑名单), 0800/08: which cards a terminal refuses while it has no host to ask.

Versions count changes, one card each. A terminal asks with the version it has and gets the changes after it, oldest
first; it asks again until `version` is `newest`. A card is named by the first 8 bytes of SHA-256 over its UID. An
answer whose `newest` is below the version asked with is of a host restored from a backup: forget the list, ask with 0.
One without changes whose `newest` is above `version` decides nothing, the host is busy: ask again later.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from typing import Final

import msgspec

from protocol.messages.fields import Layout, Message, choice, octets, rows, unsigned
from protocol.state import Kind

TOKEN_HASH_SIZE: Final = 8
STOP_ROWS_MAX: Final = 64
"""Changes in one answer: 600 bytes. A terminal that was away for a term asks a few times."""


class StopAction(IntEnum):
    """What a change says of its card."""

    ALLOWED = 0
    STOPPED = 1


class StopRow(msgspec.Struct, frozen=True):
    """One change of the list."""

    token_hash: bytes
    action: StopAction


class StopListRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: what has changed since the version I have?"""

    version: int


class StopListAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the changes that lead to `version`."""

    version: int
    newest: int
    changes: tuple[StopRow, ...]


def token_hash(token: bytes) -> bytes:
    """How the list names a card."""
    return sha256(token).digest()[:TOKEN_HASH_SIZE]


LAYOUTS: Final = (
    Layout(
        StopListRequest,
        0x0800,
        0x08,
        "stop list",
        [unsigned("version", 4, "version of the list the terminal has, 0 = none")],
        kind=Kind.REQUEST,
    ),
    Layout(
        StopListAnswer,
        0x0810,
        0x08,
        "stop list answer",
        [
            unsigned("version", 4, "version that these changes lead to"),
            unsigned("newest", 4, "newest version there is"),
            rows(
                "changes",
                StopRow,
                [
                    octets("token_hash", TOKEN_HASH_SIZE, "first 8 bytes of SHA-256 over the card's UID"),
                    choice("action", StopAction, "what holds for the card from now on"),
                ],
                STOP_ROWS_MAX,
                "changes, oldest first",
            ),
        ],
        kind=Kind.ANSWER,
    ),
)
