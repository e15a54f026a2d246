"""History of the configuration: who changed what, when, from what to what. Rows are only ever added.

`config_version` counts what terminals have to know of: READY and echoes carry it, so that a terminal asks for its
parameters anew when it has grown. It is of this history of the ledger: a restore raises it, too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from server.ledger.store import Store

CONFIG_VERSION: Final = "config_version"
"""Row of `meta`."""
HISTORY_STEP: Final = 1 << 24
"""A restored ledger may have forgotten changes that terminals know of. It counts on from another place: so many
changes fit between two restores, and so many restores into the four bytes of the wire."""
CONFIG_VERSION_MAX: Final = 0xFFFF_FFFF
LAST_CHARACTER: Final = "\U0010ffff"
"""Sorts behind every text in both databases: what begins with x lies between x and x with this."""


class ChangeRecord(msgspec.Struct, frozen=True):
    """One change. `old` or `new` is empty where there was or is none."""

    number: int
    at_ms: int
    who: str
    operation: str
    what: str
    old: str
    new: str


class Changes:
    """See the module's docstring. Written inside the transaction of the change itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, at_ms: int, who: str, operation: str, what: str, old: str, new: str) -> None:
        """Add one change."""
        self._store.execute(
            "INSERT INTO changes (number, at_ms, who, operation, what, old, new)"
            " SELECT coalesce(max(number), 0) + 1, ?1, ?2, ?3, ?4, ?5, ?6 FROM changes",
            (at_ms, who, operation, what, old, new),
        )

    def raise_config_version(self) -> None:
        """Terminals have something new to ask for."""
        self._store.execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (CONFIG_VERSION, str(self._count() + 1)),
        )

    def config_version(self, history: int) -> int:
        """What terminals compare; `history` is the ledger's."""
        return (history * HISTORY_STEP + self._count()) & CONFIG_VERSION_MAX

    def _count(self) -> int:
        rows = self._store.execute("SELECT value FROM meta WHERE name = ?", (CONFIG_VERSION,))
        return int(rows[0][0]) if rows else 0

    def newest(self, *, before: int, limit: int, what: str = "") -> list[ChangeRecord]:
        """Up to `limit` changes with numbers below `before`, newest first; `what` = only of what begins so."""
        rows = self._store.execute(
            "SELECT number, at_ms, who, operation, what, old, new FROM changes"
            " WHERE number < ?1 AND what >= ?2 AND what < ?3 ORDER BY number DESC LIMIT ?4",
            (before, what, what + LAST_CHARACTER, limit),
        )
        return [ChangeRecord(*row) for row in rows]
