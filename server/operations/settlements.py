"""Settlements (结算) for the office: which batches were closed, what differed, which are stuck."""

from __future__ import annotations

from typing import ClassVar

from server.ledger import settlement_list
from server.ledger.comparison import Difference, Differing, Standing, Total
from server.ledger.model import Kind
from server.ledger.settlement import State, Whose, accepted, totals_of
from server.ledger.settlement_list import Listed
from server.operations.desk import PAGE_MAX, AdminError, Desk, Fields, check_page, show_terminal


class Settlements:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("show", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def listing(self, before: int = (1 << 31), limit: int = PAGE_MAX, only_open: bool = False) -> list[Fields]:
        """Up to `limit` settlements numbered below `before`, newest first; `only_open`: those that do not balance and
        wait for their terminal, or for somebody to accept what differs."""
        rows = settlement_list.newest(self._desk.ledger.store, before, check_page(limit), only_open=only_open)
        return [settlement_fields(row) for row in rows]

    def show(self, settlement: int) -> Fields:
        """One settlement with both sides' totals and every difference."""
        store = self._desk.ledger.store
        found = settlement_list.one(store, settlement)
        if found is None:
            raise AdminError(
                f"settlement: expected the number of a settlement, got {settlement}, which none has;"
                " see `fanka admin settlement list`"
            )
        return settlement_fields(found) | {
            "terminal_totals": [*map(_total, totals_of(store, settlement, Whose.TERMINAL))],
            "host_totals": [*map(_total, totals_of(store, settlement, Whose.HOST))],
            "differing": [*map(_differing, accepted(store, settlement))],
        }


def settlement_fields(row: Listed) -> Fields:
    """A settlement as listings show it."""
    return {
        "settlement": row.settlement,
        "terminal": show_terminal(row.terminal_id),
        "batch": row.batch,
        "state": State(row.state).name.lower(),
        "merchant_id": row.merchant_id,
        "operator": row.operator,
        "opened_at_ms": row.opened_at_ms,
        "closed_at_ms": row.closed_at_ms,
        "business_day": row.business_day,
        "through_rrn": row.through_seq,
        "digest": row.digest.hex().upper() if any(row.digest) else "",
        "transactions": row.transactions,
        "differences": row.differences,
    }


def _total(row: Total) -> Fields:
    return {
        "kind": Kind(row.kind).name.lower(),
        "count": row.transactions,
        "amount_fen": row.amount_fen,
        "charged_fen": row.charged_fen,
    }


def _differing(row: Differing) -> Fields:
    return {
        "stan": row.stan,
        "difference": Difference(row.difference).name.lower(),
        "kind": Kind(row.kind).name.lower(),
        "terminal_standing": Standing(row.terminal_standing).name.lower(),
        "terminal_fen": row.terminal_fen,
        "host_standing": Standing(row.host_standing).name.lower(),
        "host_fen": row.host_fen,
        "rrn": row.rrn,
    }
