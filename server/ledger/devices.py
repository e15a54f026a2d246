"""What happens to terminals: when each was seen last and with which firmware, and its newest events. Rows only."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from server.ledger.store import Store

EVENTS_MAX: Final = 200
"""Events kept of each terminal: weeks of ordinary life, and a terminal gone mad cannot fill the disk."""
DETAIL_MAX: Final = 200
"""Characters of an event's detail."""


class EventKind(IntEnum):
    """What happened. Stored: add, never renumber."""

    ENROLLED = 1
    CODE_ISSUED = 2
    KEY_ROTATED = 3
    REVOKED = 4
    REINSTATED = 5
    CONNECTED = 6
    """Its first session, or one with other firmware than before."""
    SIGNED_ON = 7
    PASSWORD_WRONG = 9
    OPERATOR_LOCKED = 10
    PIN_LOCKED = 11
    OFFLINE_QUARANTINED = 15
    SETTLED = 16
    SETTLEMENT_DIFFERED = 17
    ROLLBACK_SEEN = 18


class EventRecord(msgspec.Struct, frozen=True):
    """One event."""

    terminal_id: int
    number: int
    at_ms: int
    kind: int
    detail: str


class StateRecord(msgspec.Struct, frozen=True):
    """When a terminal opened its newest session, and with which firmware."""

    terminal_id: int
    seen_at_ms: int
    firmware: str


class Devices:
    """See the module's docstring. Nothing here opens a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, terminal_id: int, at_ms: int, kind: EventKind, detail: str = "") -> None:
        """Add an event, and drop the oldest beyond EVENTS_MAX."""
        newest = self._store.execute(
            "SELECT coalesce(max(number), 0) FROM terminal_events WHERE terminal_id = ?", (terminal_id,)
        )[0][0]
        self._store.execute(
            "INSERT INTO terminal_events (terminal_id, number, at_ms, kind, detail) VALUES (?, ?, ?, ?, ?)",
            (terminal_id, newest + 1, at_ms, int(kind), detail[:DETAIL_MAX]),
        )
        if newest >= EVENTS_MAX:
            self._store.execute(
                "DELETE FROM terminal_events WHERE terminal_id = ? AND number <= ?",
                (terminal_id, newest + 1 - EVENTS_MAX),
            )

    def events(self, terminal_id: int, *, before: int, limit: int) -> list[EventRecord]:
        """Up to `limit` events with numbers below `before`, newest first."""
        rows = self._store.execute(
            "SELECT terminal_id, number, at_ms, kind, detail FROM terminal_events"
            " WHERE terminal_id = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (terminal_id, before, limit),
        )
        return [EventRecord(*row) for row in rows]

    def note_seen(self, states: Sequence[StateRecord]) -> None:
        """These terminals have opened sessions. A first one, or one with other firmware, is an event."""
        for state in states:
            known = self.state(state.terminal_id)
            if known is None or known.firmware != state.firmware:
                self.note(state.terminal_id, state.seen_at_ms, EventKind.CONNECTED, state.firmware)
            self._store.execute(
                "INSERT INTO terminal_states (terminal_id, seen_at_ms, firmware) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (terminal_id) DO UPDATE SET seen_at_ms = ?2, firmware = ?3",
                msgspec.structs.astuple(state),
            )

    def state(self, terminal_id: int) -> StateRecord | None:
        """What was seen of a terminal last; None if it never opened a session."""
        rows = self._store.execute(
            "SELECT terminal_id, seen_at_ms, firmware FROM terminal_states WHERE terminal_id = ?", (terminal_id,)
        )
        return StateRecord(*rows[0]) if rows else None

    def states(self) -> dict[int, StateRecord]:
        """The same of all terminals."""
        rows = self._store.execute("SELECT terminal_id, seen_at_ms, firmware FROM terminal_states")
        return {row[0]: StateRecord(*row) for row in rows}

    def find_serial(self, serial_number: str) -> list[int]:
        """Numbers of the terminals whose serial number begins so."""
        rows = self._store.execute(
            "SELECT terminal_id FROM terminals WHERE serial_number >= ?1 AND serial_number < ?2 ORDER BY terminal_id",
            (serial_number, serial_number + LAST_CHARACTER),
        )
        return [row[0] for row in rows]

    def clock_skew_s(self, terminal_id: int) -> int | None:
        """The terminal's clock less the host's, at its newest live sale; None if it never sold anything.

        Roughly: a sale that was sent again has waited at the terminal for some seconds.
        """
        rows = self._store.execute(
            "SELECT claimed_at_s, posted_at_ms FROM transfers WHERE terminal_id = ? AND side = 0 AND kind = 1"
            " ORDER BY batch DESC, stan DESC LIMIT 1",
            (terminal_id,),
        )
        return int(rows[0][0]) - int(rows[0][1]) // 1_000 if rows else None


LAST_CHARACTER: Final = "\U0010ffff"
"""Sorts behind every text in both databases: what begins with x lies between x and x with this."""
