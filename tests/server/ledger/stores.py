"""A store of either kind: every statement of the registry's modules is understood by both, in the same way."""

from __future__ import annotations

from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from server.stores import open_postgres
from tests.postgres import shared_server

BOTH = ["sqlite", "postgres"]


def new_store(kind: str) -> Store:
    """An empty ledger in memory, or in a database of its own."""
    return SqliteStore(":memory:") if kind == "sqlite" else open_postgres(shared_server().new_database())
