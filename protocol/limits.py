"""Sizes and timers of wire version 1 that both ends must agree on. docs/protocol.md is generated from this page."""

from __future__ import annotations

from typing import Final

SYNC: Final = b"FK"
"""The first two bytes of every frame."""
WIRE_VERSION: Final = 1
"""The version this page describes."""

HEADER_SIZE: Final = 16
"""Bytes in front of the body."""
CRC_SIZE: Final = 4
"""Bytes behind the body."""
TAG_SIZE: Final = 16
"""The AES-GCM tag at the end of a sealed body."""

MAX_BODY_SIZE: Final = 4096
"""Largest body, tag included. The largest messages of version 1 are of rows, and take a fifth of it."""

MAX_FIRST_BODY_SIZE: Final = 76
"""Largest body before authentication (a 96-byte frame): a stranger makes the host buffer no more than that."""

MAX_DISCARDED_BYTES: Final = 8192
"""Noise a session survives (two frames' worth). Past it the line is unusable: close and start again.

The most one call of the framer drops before it reports, too: a false header every 8 bytes costs a CRC each.
"""

MAX_SESSION_FRAMES: Final = 2**20
"""Frames per direction and session; then a new handshake makes new keys. Far below the 2**32 a GCM nonce allows."""

HANDSHAKE_TIMEOUT_S: Final = 5.0
"""From the open connection to READY, on both sides."""
FRAME_TIMEOUT_S: Final = 3.0
"""From the first byte of a frame to its last."""
HEARTBEAT_S: Final = 30.0
"""A terminal that has sent nothing for this long sends an echo test."""
IDLE_TIMEOUT_S: Final = 90.0
"""Three heartbeats missed: the host takes the terminal for dead and closes."""

ANSWER_TIMEOUT_S: Final = 3.0
"""A terminal that has waited this long for an answer hangs up: the answer may be late, and must not meet the next
request."""
MAX_RESENDS: Final = 2
"""Times the same request is sent again, each time in a new session, before the terminal asks instead."""
UNKNOWN_AFTER_S: Final = 10.0
"""A sale still unanswered this long after its record was stored (the tap) is reversed."""

RECONNECT_MIN_S: Final = 0.5
"""Least wait before connecting again."""
RECONNECT_MAX_S: Final = 20.0
"""Most wait before connecting again: the longest a canteen waits for its tills after the host is back."""

MAX_AMOUNT_FEN: Final = 999_999_999
"""9,999,999.99 yuan: what a 16-column LCD can show. The host's own limits are far lower."""
