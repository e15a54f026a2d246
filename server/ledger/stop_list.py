"""The stop list (黑名单): cards that no terminal may take offline. Every change of a card's status raises its version.

A card has one row, that of its newest change: a terminal that holds version n is up to date once it has added the rows
above n, and who holds none begins at 0. Cards are known by a hash of their token: a terminal lost in the street must
not be a list of card numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Final

import msgspec

from server.ledger.model import Status
from server.ledger.store import Store

TOKEN_HASH_SIZE: Final = 8
"""Bytes; as in the journal. Among a million cards two share one with a chance of 1 to 30 millions."""
HISTORY_STEP: Final = 1 << 24
"""A restored ledger has forgotten versions that terminals hold. It goes on above them, so that none of its changes is
taken for one they have: so many changes fit between two restores, and 255 restores into the wire's four bytes."""


class StopRecord(msgspec.Struct, frozen=True):
    """A card's newest change. `stopped` 0 = it may be taken again."""

    version: int
    token_hash: bytes
    stopped: int


def token_hash(token: bytes) -> bytes:
    """What stands for a card in the list."""
    return sha256(token).digest()[:TOKEN_HASH_SIZE]


def note(store: Store, token: bytes, status: int) -> None:
    """A card has changed to this status. Inside the transaction that changes it.

    A card that was never stopped needs no row to say so.
    """
    hashed, stopped = token_hash(token), int(status != Status.ACTIVE)
    known = store.execute("SELECT stopped FROM stop_list WHERE token_hash = ?", (hashed,))
    if (known[0][0] if known else 0) == stopped:
        return
    version = max(newest_version(store) + 1, (_history(store) - 1) * HISTORY_STEP)
    store.execute(
        "INSERT INTO stop_list (version, token_hash, stopped) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (token_hash) DO UPDATE SET version = ?1, stopped = ?3",
        (version, hashed, stopped),
    )


def stopped_among(store: Store, hashes: Collection[bytes]) -> dict[bytes, int]:
    """Those of these cards that are stopped, and since which version."""
    places = ", ".join("?" * len(hashes))
    rows = store.execute(
        f"SELECT token_hash, version FROM stop_list WHERE stopped = 1 AND token_hash IN ({places})",  # noqa: S608
        sorted(hashes),
    )
    return {bytes(hashed): int(version) for hashed, version in rows}


def complete(store: Store) -> int:
    """Put in the cards that were stopped before there was a list; how many. Inside a transaction."""
    rows = store.execute("SELECT token, status FROM cards WHERE status <> 0 ORDER BY token")
    for token, status in rows:
        note(store, token, status)
    return len(rows)


def newest_version(store: Store) -> int:
    """The version of the list; 0 while no card was ever stopped."""
    return int(store.execute("SELECT coalesce(max(version), 0) FROM stop_list")[0][0])


def _history(store: Store) -> int:
    rows = store.execute("SELECT value FROM meta WHERE name = 'history'")
    return int(rows[0][0]) if rows else 1


def after(store: Store, version: int, limit: int) -> list[StopRecord]:
    """Up to `limit` rows above a version, in order: what a terminal that holds it is missing."""
    rows = store.execute(
        "SELECT version, token_hash, stopped FROM stop_list WHERE version > ? ORDER BY version LIMIT ?",
        (version, limit),
    )
    return [StopRecord(*row) for row in rows]


def stopped_count(store: Store) -> int:
    """How many cards no terminal may take offline."""
    return int(store.execute("SELECT count(*) FROM stop_list WHERE stopped = 1")[0][0])
