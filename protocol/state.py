"""The session as a table: who may send what when.

Nothing else lives here; the diagram in docs/protocol.md is made from it.

Both ends keep the same state, because the conversation strictly alternates: a terminal has at most one request
outstanding, and the host sends nothing else until it is answered.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Which end of the line we are."""

    TERMINAL = "terminal"
    HOST = "host"

    @property
    def peer(self) -> Role:
        """The other end."""
        return Role.HOST if self is Role.TERMINAL else Role.TERMINAL


class Kind(StrEnum):
    """What a message means to the session, whatever it means to the ledger."""

    HELLO = "hello"
    CHALLENGE = "challenge"
    AUTH = "auth"
    READY = "ready"
    REQUEST = "request"
    ANSWER = "answer"
    PUSH = "push"
    SIGN_OFF = "sign_off"
    SIGNED_OFF = "signed_off"


class State(StrEnum):
    """Where a session stands, seen from either end."""

    CONNECTED = "connected"
    HELLO_SENT = "hello_sent"
    CHALLENGED = "challenged"
    AUTH_SENT = "auth_sent"
    READY = "ready"
    REQUESTED = "requested"
    SIGNING_OFF = "signing_off"
    CLOSED = "closed"


TRANSITIONS: Final[dict[State, dict[tuple[Role, Kind], State]]] = {
    State.CONNECTED: {(Role.TERMINAL, Kind.HELLO): State.HELLO_SENT},
    State.HELLO_SENT: {(Role.HOST, Kind.CHALLENGE): State.CHALLENGED},
    State.CHALLENGED: {(Role.TERMINAL, Kind.AUTH): State.AUTH_SENT},
    State.AUTH_SENT: {(Role.HOST, Kind.READY): State.READY},
    State.READY: {
        (Role.TERMINAL, Kind.REQUEST): State.REQUESTED,
        (Role.TERMINAL, Kind.SIGN_OFF): State.SIGNING_OFF,
        (Role.HOST, Kind.PUSH): State.READY,
    },
    State.REQUESTED: {(Role.HOST, Kind.ANSWER): State.READY},
    State.SIGNING_OFF: {(Role.HOST, Kind.SIGNED_OFF): State.CLOSED},
    State.CLOSED: {},
}

HANDSHAKE_STATES: Final = frozenset({State.CONNECTED, State.HELLO_SENT, State.CHALLENGED, State.AUTH_SENT})


def expected_in(state: State, sender: Role) -> str:
    """In words, what `sender` may send now: for error messages."""
    kinds = [kind for role, kind in TRANSITIONS[state] if role is sender]
    return " or ".join(kinds) or "nothing"
