"""The stop list (黑名单) as terminals download it: its version, the cards on it. `card.lost` and its kin change it."""

from __future__ import annotations

from typing import ClassVar

from server.ledger import stop_list
from server.operations.desk import PAGE_MAX, Desk, Fields, check_page


class StopListDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("show", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def show(self) -> Fields:
        """Version and number of cards that no terminal may take offline."""
        store = self._desk.registry.store
        return {"version": stop_list.newest_version(store), "stopped": stop_list.stopped_count(store)}

    def listing(self, after: int = 0, limit: int = PAGE_MAX) -> list[Fields]:
        """Up to `limit` changes above a version, in order; a card has one, its newest."""
        return [
            {"version": row.version, "token_hash": row.token_hash.hex(), "stopped": bool(row.stopped)}
            for row in stop_list.after(self._desk.registry.store, after, check_page(limit))
        ]
