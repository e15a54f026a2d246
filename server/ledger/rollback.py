"""The note that an older ledger stands in the place of a newer one: a terminal has seen later epochs than it knows.

Written when the first terminal says so after a start, and kept until somebody opens a new history (`fanka restore` does
by itself, `fanka admin ledger recover` by hand). Sales go on meanwhile: they are right, only older ones are missing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from server.ledger.store import Store

NOTE: Final = "rollback_seen"
"""Row of the table `meta`."""


class Rollback(msgspec.Struct, frozen=True):
    """Which terminal has seen which epoch of the host that is lost, and when it said so."""

    terminal_id: int
    seen_epoch: int
    own_epoch: int
    noted_at_ms: int


def noted(store: Store) -> Rollback | None:
    """The note; None if all is well, as far as terminals have told."""
    rows = store.execute("SELECT value FROM meta WHERE name = ?", (NOTE,))
    return msgspec.json.decode(rows[0][0], type=Rollback) if rows else None


def note(store: Store, rollback: Rollback) -> None:
    """Write it down, one commit; the first one stays."""
    if noted(store) is None:
        with store.transaction():
            store.execute("INSERT INTO meta VALUES (?, ?)", (NOTE, msgspec.json.encode(rollback).decode()))


def forget(store: Store) -> None:
    """Take the note away. Inside the caller's transaction."""
    store.execute("DELETE FROM meta WHERE name = ?", (NOTE,))
