"""Settlements as the office looks at them, and what has not been settled yet. Reads only."""

from __future__ import annotations

from typing import NamedTuple

from server.ledger.settlement import State
from server.ledger.store import Row, Store


class Listed(NamedTuple):
    """One settlement in a list. `transactions` are those the host counts, of all kinds together."""

    settlement: int
    terminal_id: int
    batch: int
    state: int
    merchant_id: int
    operator: int
    opened_at_ms: int
    closed_at_ms: int
    business_day: int
    through_seq: int
    digest: bytes
    transactions: int
    differences: int


class Due(NamedTuple):
    """A batch with money in it that is not settled."""

    terminal_id: int
    merchant_id: int
    batch: int
    transactions: int
    since_ms: int
    newest_ms: int


_LISTED = (
    "SELECT settlement, terminal_id, batch, state, merchant_id, operator, opened_at_ms, closed_at_ms, business_day,"
    " CASE state WHEN 0 THEN 0 ELSE through_seq END, digest,"
    " (SELECT coalesce(sum(count), 0) FROM settlement_totals AS t WHERE t.settlement = s.settlement AND t.side = 1),"
    " (SELECT count(*) FROM settlement_differences AS d WHERE d.settlement = s.settlement AND s.state <> 0)"
    " FROM settlements AS s"
)


def newest(store: Store, before: int, limit: int, *, only_open: bool = False) -> list[Listed]:
    """Up to `limit` settlements numbered below `before`, newest first."""
    states = (int(State.OPEN), int(State.OPEN)) if only_open else (int(State.OPEN), int(State.DIFFERENCES))
    rows = store.execute(
        f"{_LISTED} WHERE settlement < ? AND state BETWEEN ? AND ? ORDER BY settlement DESC LIMIT ?",
        (before, *states, limit),
    )
    return [_listed(row) for row in rows]


def one(store: Store, settlement: int) -> Listed | None:
    """A settlement by its number."""
    rows = store.execute(f"{_LISTED} WHERE settlement = ?", (settlement,))
    return _listed(rows[0]) if rows else None


def _listed(row: Row) -> Listed:
    return Listed._make((*row[:10], bytes(row[10]), int(row[11]), int(row[12])))


def due(store: Store) -> list[Due]:
    """What terminals have not settled, the oldest first.

    Reads every transfer of batches that are open: for a connection of its own, never for the ledger's thread while it
    serves.
    """
    rows = store.execute(
        "SELECT t.terminal_id, own.merchant_id, t.batch, count(*), min(t.posted_at_ms), max(t.posted_at_ms)"
        " FROM terminals AS own JOIN transfers AS t ON t.terminal_id = own.terminal_id AND t.batch > own.closed_batch"
        " WHERE t.side = 0 AND t.decision = 0 AND NOT EXISTS (SELECT 1 FROM transfers AS undone"
        " WHERE undone.terminal_id = t.terminal_id AND undone.batch = t.batch AND undone.stan = t.stan"
        " AND undone.side = 1)"
        " GROUP BY t.terminal_id, own.merchant_id, t.batch ORDER BY min(t.posted_at_ms), t.terminal_id, t.batch"
    )
    return [Due(*map(int, row)) for row in rows]
