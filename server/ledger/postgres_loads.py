"""The sets a PostgreSQL store loads: each is one statement, read in the transaction at hand or on its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from psycopg import Connection

from server.ledger import postgres_sets
from server.ledger.model import Card, Entry, Hold, Identity, Side, Terminal, Transfer

T = TypeVar("T")


class Loads:
    """What `PostgresStore` loads without locks. It says how a statement is run."""

    def _read(self, work: Callable[[Connection[Any]], T]) -> T:
        raise NotImplementedError

    def load_transfers(self, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_transfers(db, identities))

    def load_family(self, seqs: Collection[int]) -> list[Transfer]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_family(db, seqs))

    def load_entries(self, seqs: Collection[int]) -> list[Entry]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_entries(db, seqs))

    def load_bindings(self, tokens: Collection[bytes]) -> set[tuple[bytes, int]]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_bindings(db, tokens))

    def load_held(self, account_ids: Collection[int]) -> dict[int, int]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_held(db, account_ids))

    def load_due(self, now_ms: int, limit: int) -> list[Hold]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_due(db, now_ms, limit))

    def load_terminals(self, terminal_ids: Collection[int]) -> dict[int, Terminal]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_terminals(db, terminal_ids))

    def load_cards(self, tokens: Collection[bytes]) -> dict[bytes, Card]:
        """See `Store`."""
        return self._read(lambda db: postgres_sets.load_cards(db, tokens))
