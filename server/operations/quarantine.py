"""The quarantine: offline records that were not posted, whole as they came, for whoever has to look at them."""

from __future__ import annotations

from typing import ClassVar

from server.ledger import quarantine, unresolved
from server.ledger.quarantine import Reason
from server.operations.desk import PAGE_MAX, Desk, Fields, check_page, show_terminal, show_uid


class QuarantineDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("listing",)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def listing(self, after: int = 0, limit: int = PAGE_MAX) -> list[Fields]:
        """Up to `limit` records with numbers above `after`, and what became of each."""
        store = self._desk.registry.store
        return [
            {
                "number": record.number,
                "reason": Reason(record.reason).name.lower(),
                "terminal": show_terminal(record.terminal_id),
                "saf_sequence": record.saf_sequence,
                "batch": record.batch,
                "stan": record.stan,
                "amount_fen": record.amount_fen,
                "card": show_uid(record.token),
                "operator": record.operator,
                "claimed_at_ms": record.claimed_at_s * 1_000,
                "at_ms": record.at_ms,
                "resolved": _note(unresolved.resolution(store, unresolved.QUARANTINE, record.number)),
            }
            for record in quarantine.after(store, after, check_page(limit))
        ]


def _note(resolution: tuple[int, str, str] | None) -> str:
    return f"{resolution[1]}: {resolution[2]}" if resolution is not None else ""
