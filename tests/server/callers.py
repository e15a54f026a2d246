"""Callers for tests of handlers that need no host: a terminal, its session's keys, and a known secret of the host."""

from server.host_secrets import HostSecrets
from server.payers import Caller, Payers, SessionKeys

SECRETS = HostSecrets(bytes(range(32)))
KEYS = SessionKeys(bytes(range(16)), bytes(range(16, 32)))
NOW_MS = 1_795_000_000_123


def caller_of(terminal_id: int, keys: SessionKeys = KEYS, now_ms: int = NOW_MS) -> Caller:
    return Caller(terminal_id, keys, Payers(SECRETS, lambda: now_ms))
