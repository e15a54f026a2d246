"""Key change: a terminal fetches the root key that the host has made for it, the next in number.

The key travels inside the session's seal and, beneath it, under K_wrap, which is derived from the root key in force
(`protocol.security.wrap_root_key`): a program that only carries frames never sees it. Nothing changes by this exchange:
the new key comes into force with the first handshake that proves it, and the old one ends with that.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout, Message, Privacy, code2, octets, unsigned
from protocol.security import WRAPPED_KEY_SIZE
from protocol.state import Kind

NO_WRAPPED_KEY: Final = bytes(WRAPPED_KEY_SIZE)
"""Stands in a refusal: no wrapped key looks like it."""


class KeyRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: give me the key that READY's `next_key_version` named. May be asked any number of times."""

    key_version: int


class KeyAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the next root key, wrapped; the same bytes until it is in force."""

    response_code: str
    key_version: int
    wrapped_key: bytes = NO_WRAPPED_KEY


LAYOUTS: Final = (
    Layout(
        KeyRequest,
        0x0800,
        0x61,
        "key change",
        [unsigned("key_version", 2, "the version wanted: READY's next_key_version", low=1)],
        kind=Kind.REQUEST,
    ),
    Layout(
        KeyAnswer,
        0x0810,
        0x61,
        "key change answer",
        [
            code2("response_code", "00 here it is; 58 no key of this version is ready for this terminal"),
            unsigned("key_version", 2, "the version asked for", low=1),
            octets(
                "wrapped_key",
                WRAPPED_KEY_SIZE,
                "the new root key under AES key wrap (RFC 3394) with K_wrap; zero bytes when refused",
                privacy=Privacy.HIDDEN,
            ),
        ],
        kind=Kind.ANSWER,
    ),
)
