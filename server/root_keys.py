"""Which root key a handshake must prove: the one in force, one that waits to be proved, or a one-time code's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from protocol import TerminalNumber
from protocol.security import ROOT_KEY_SIZE, root_key_from_enrol_code
from server.keys import KeyFault
from server.ledger.model import Status
from server.ledger.registry import TerminalRecord

ENROL_KEY_VERSION: Final = 0


class Keys(Protocol):
    """Wraps keys and opens wrapped ones."""

    def wrap(self, key: bytes) -> bytes:
        """The key, safe to store."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key in clear; KeyFault if it was not wrapped by us."""


class RootKeys:
    """See the module's docstring."""

    def __init__(self, keys: Keys, *, now_ms: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._keys = keys
        self._now_ms = now_ms
        # An unknown terminal is answered with this key, so that it sees the same frames at the same time as a known
        # one.
        self._dummy = random_bytes(ROOT_KEY_SIZE)
        self._wrapped_dummy = keys.wrap(self._dummy)

    def dummy(self) -> bytes:
        """A key nobody has, after the work that a real one takes."""
        try:
            return self._keys.unwrap(self._wrapped_dummy)
        except KeyFault:  # the key-encryption key has been changed since
            self._wrapped_dummy = self._keys.wrap(self._dummy)
            return self._dummy

    def of(self, terminal: TerminalNumber, record: TerminalRecord | None, key_version: int) -> bytes | tuple[str, str]:
        """The key this terminal must prove; or why there is none, as (expected, got) for the log."""
        if record is None:
            return "an enrolled terminal", "a number nobody has"
        if record.status != Status.ACTIVE:
            return "an active terminal", "a revoked one"
        if key_version == ENROL_KEY_VERSION:
            if record.wrapped_code is None:
                return "an open enrolment code", "none"
            if record.code_expires_at_ms <= self._now_ms():
                return "an open enrolment code", "an expired one"
            code = self._unwrapped(record.wrapped_code)
            return root_key_from_enrol_code(code, terminal) if isinstance(code, bytes) else code
        if record.wrapped_key is None:
            return "a terminal with a key", "one that has none yet"
        if record.next_wrapped_key is not None and key_version == record.next_key_version:
            return self._unwrapped(record.next_wrapped_key)
        if key_version != record.key_version:
            return f"key version {record.key_version}", str(key_version)
        return self._unwrapped(record.wrapped_key)

    def _unwrapped(self, wrapped: bytes) -> bytes | tuple[str, str]:
        try:
            return self._keys.unwrap(wrapped)
        except KeyFault:
            return "a key wrapped under this host's kek.key", "a damaged one: enrol the terminal again"
