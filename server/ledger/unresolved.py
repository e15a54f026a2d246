"""Money about which something is still to be done, with its age and whose it is: nothing is silently given up.

    hold        a pre-authorization that nobody has completed, voided or let expire
    reversal    a terminal has reversed what this host never saw, an hour ago or longer: did the customer pay otherwise?
    batch       a terminal has not settled a batch of an earlier business day
    settlement  a batch was closed although records differ, and nobody in the office has looked
    late        booked under a batch that was closed: an offline sale, an upload, or the reversal of what was settled
    quarantine  an offline record that was not posted, because something is wrong with it

A hold goes by completion, void or expiry, a batch by settlement. The others go when somebody says that they have looked
(`resolve`); what has to be paid is an adjustment. Found through indexes alone, so that a metric may ask every minute.
"""

from __future__ import annotations

from typing import Final

import msgspec

from server.ledger.model import Kind
from server.ledger.quarantine import Reason
from server.ledger.store import Row, Store

HOLD: Final = "hold"
REVERSAL: Final = "reversal"
BATCH: Final = "batch"
SETTLEMENT: Final = "settlement"
LATE: Final = "late"
QUARANTINE: Final = "quarantine"
KINDS: Final = (HOLD, REVERSAL, BATCH, SETTLEMENT, LATE, QUARANTINE)
RESOLVABLE: Final = (REVERSAL, SETTLEMENT, LATE, QUARANTINE)
"""What goes only when somebody says so."""
REVERSAL_PATIENCE_MS: Final = 3_600_000
"""A late original comes within minutes and is declined; after an hour it was never sent."""
BATCH_BITS: Final = 24
"""A batch's number, below its terminal's, makes the number of an entry."""


class Unresolved(msgspec.Struct, frozen=True):
    """One entry of the list. `number` is unique within its kind; an amount that was not asked for is 0."""

    kind: str
    number: int
    since_ms: int
    terminal_id: int
    merchant_id: int
    merchant_name: str
    amount_fen: int
    detail: str


def unresolved(store: Store, now_ms: int, business_day: int, *, with_amounts: bool = True) -> list[Unresolved]:
    """All there is, by kind, oldest first. `with_amounts` adds up unsettled batches: for a connection of its own."""
    return [
        *_holds(store),
        *_reversals(store, now_ms),
        *_batches(store, business_day, with_amounts),
        *_settlements(store),
        *_late(store),
        *_quarantine(store),
    ]


def find(store: Store, kind: str, number: int) -> bool:
    """Whether there is such an entry, resolved or not, of a kind that can be resolved."""
    return bool(store.execute(_EXISTS[kind], (number,)))


def resolve(store: Store, kind: str, number: int, at_ms: int, who: str, note: str) -> None:
    """Somebody has looked at it. Inside a transaction; the first note stays."""
    store.execute(
        "INSERT INTO resolutions (kind, number, at_ms, who, note) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (kind, number) DO NOTHING",
        (kind, number, at_ms, who, note),
    )


def resolution(store: Store, kind: str, number: int) -> tuple[int, str, str] | None:
    """When, by whom and with what note it was resolved; None if it is open."""
    rows = store.execute("SELECT at_ms, who, note FROM resolutions WHERE kind = ? AND number = ?", (kind, number))
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


_EXISTS: Final = {
    REVERSAL: "SELECT 1 FROM transfers WHERE seq = ? AND kind = 2 AND original_seq = 0",
    SETTLEMENT: "SELECT 1 FROM settlements WHERE settlement = ? AND state = 2",
    LATE: "SELECT 1 FROM late_transfers WHERE seq = ?",
    QUARANTINE: "SELECT 1 FROM quarantine WHERE number = ?",
}


def _entry(kind: str, row: Row, detail: str) -> Unresolved:
    """Of a row that begins with number, time, terminal, merchant, its name, amount."""
    number, since_ms, terminal_id, merchant_id, name, amount_fen = row[:6]
    return Unresolved(kind, number, since_ms, terminal_id, merchant_id, name, int(amount_fen), detail)


def _holds(store: Store) -> list[Unresolved]:
    rows = store.execute(
        "SELECT h.seq, t.posted_at_ms, t.terminal_id, coalesce(m.merchant_id, 0), coalesce(m.name, ''), h.amount_fen,"
        " c.student_number FROM holds AS h JOIN transfers AS t USING (seq)"
        " LEFT JOIN merchants AS m ON m.account_id = t.merchant_account_id"
        " LEFT JOIN customers AS c ON c.account_id = h.account_id ORDER BY h.seq"
    )
    return [_entry(HOLD, row, f"RRN {row[0]} of {row[6] or 'an unknown payer'}") for row in rows]


def _reversals(store: Store, now_ms: int) -> list[Unresolved]:
    rows = store.execute(
        "SELECT t.seq, t.posted_at_ms, t.terminal_id, coalesce(m.merchant_id, 0), coalesce(m.name, ''), t.amount_fen,"
        " t.batch, t.stan FROM transfers AS t LEFT JOIN terminals AS k ON k.terminal_id = t.terminal_id"
        " LEFT JOIN merchants AS m ON m.merchant_id = k.merchant_id"
        " WHERE t.kind = 2 AND t.original_seq = 0 AND t.posted_at_ms < ?2"
        " AND NOT EXISTS (SELECT 1 FROM transfers AS o WHERE o.terminal_id = t.terminal_id AND o.batch = t.batch"
        "  AND o.stan = t.stan AND o.side = 0)"
        " AND NOT EXISTS (SELECT 1 FROM resolutions AS r WHERE r.kind = ?1 AND r.number = t.seq)"
        " ORDER BY t.seq",
        (REVERSAL, now_ms - REVERSAL_PATIENCE_MS),
    )
    return [_entry(REVERSAL, row, f"batch {row[6]}, voucher {row[7]}: nothing of it was seen here") for row in rows]


def _batches(store: Store, business_day: int, with_amounts: bool) -> list[Unresolved]:
    """The oldest unsettled batch with money in it of each terminal, if it began on an earlier day."""
    rows = store.execute(
        "SELECT t.terminal_id, t.batch, o.merchant_id, m.name, t.business_day, t.posted_at_ms"
        " FROM (SELECT k.terminal_id, k.merchant_id, (SELECT y.seq FROM transfers AS y"
        "  WHERE y.terminal_id = k.terminal_id AND y.batch > k.closed_batch AND y.side = 0 AND y.decision = 0"
        "  AND NOT EXISTS (SELECT 1 FROM transfers AS undone WHERE undone.terminal_id = y.terminal_id"
        "   AND undone.batch = y.batch AND undone.stan = y.stan AND undone.side = 1)"
        "  ORDER BY y.batch, y.stan LIMIT 1) AS seq FROM terminals AS k) AS o"
        " JOIN transfers AS t ON t.seq = o.seq JOIN merchants AS m ON m.merchant_id = o.merchant_id"
        " ORDER BY t.terminal_id"
    )
    found = []
    for terminal_id, batch, merchant_id, name, day, since_ms in rows:
        if day >= business_day:
            continue
        count, amount_fen = _batch_total(store, terminal_id, batch) if with_amounts else (0, 0)
        detail = f"batch {batch} since {day}" + (f", {count} booked" if with_amounts else "")
        number = terminal_id << BATCH_BITS | batch
        found.append(Unresolved(BATCH, number, since_ms, terminal_id, merchant_id, name, amount_fen, detail))
    return found


def _batch_total(store: Store, terminal_id: int, batch: int) -> tuple[int, int]:
    """How many of it stand, and what its merchant got by all of it: less than nothing where cash was taken in."""
    [(count,)] = store.execute(
        "SELECT count(*) FROM transfers AS t WHERE t.terminal_id = ? AND t.batch = ? AND t.side = 0 AND t.decision = 0"
        " AND NOT EXISTS (SELECT 1 FROM transfers AS undone WHERE undone.terminal_id = t.terminal_id"
        "  AND undone.batch = t.batch AND undone.stan = t.stan AND undone.side = 1)",
        (terminal_id, batch),
    )
    [(net_fen,)] = store.execute(
        "SELECT coalesce(sum(e.amount_fen), 0) FROM transfers AS t JOIN entries AS e ON e.seq = t.seq"
        " AND e.account_id = t.merchant_account_id WHERE t.terminal_id = ? AND t.batch = ?",
        (terminal_id, batch),
    )
    return int(count), int(net_fen)


def _settlements(store: Store) -> list[Unresolved]:
    rows = store.execute(
        "SELECT s.settlement, s.closed_at_ms, s.terminal_id, s.merchant_id, coalesce(m.name, ''),"
        " (SELECT coalesce(sum(d.terminal_fen - d.host_fen), 0) FROM settlement_differences AS d"
        "  WHERE d.settlement = s.settlement),"
        " s.batch, (SELECT count(*) FROM settlement_differences AS d WHERE d.settlement = s.settlement)"
        " FROM settlements AS s LEFT JOIN merchants AS m ON m.merchant_id = s.merchant_id"
        " WHERE s.state = 2"
        " AND NOT EXISTS (SELECT 1 FROM resolutions AS r WHERE r.kind = ?1 AND r.number = s.settlement)"
        " ORDER BY s.settlement",
        (SETTLEMENT,),
    )
    return [_entry(SETTLEMENT, row, f"batch {row[6]}: {row[7]} records differ") for row in rows]


def _late(store: Store) -> list[Unresolved]:
    """What came late and was reversed, is neither: the merchant has what the settlement says."""
    rows = store.execute(
        "SELECT t.seq, t.posted_at_ms, t.terminal_id, coalesce(m.merchant_id, 0), coalesce(m.name, ''),"
        " t.amount_fen + t.adjust_fen, t.batch, t.stan, t.kind"
        " FROM late_transfers AS l JOIN transfers AS t ON t.seq = l.seq"
        " LEFT JOIN merchants AS m ON m.account_id = t.merchant_account_id"
        " WHERE NOT EXISTS (SELECT 1 FROM resolutions AS r WHERE r.kind = ?1 AND r.number = t.seq)"
        " AND NOT EXISTS (SELECT 1 FROM transfers AS undone WHERE t.side = 0 AND undone.terminal_id = t.terminal_id"
        "  AND undone.batch = t.batch AND undone.stan = t.stan AND undone.side = 1)"
        " AND NOT EXISTS (SELECT 1 FROM late_transfers AS o WHERE t.side = 1 AND o.seq = t.original_seq)"
        " ORDER BY l.seq",
        (LATE,),
    )
    return [_entry(LATE, row, f"batch {row[6]}, voucher {row[7]}: {_kind(row[8])} after the close") for row in rows]


def _kind(value: int) -> str:
    return Kind(value).name.lower().replace("_", " ")


def _quarantine(store: Store) -> list[Unresolved]:
    rows = store.execute(
        "SELECT q.number, q.at_ms, q.terminal_id, coalesce(m.merchant_id, 0), coalesce(m.name, ''), q.amount_fen,"
        " q.batch, q.stan, q.reason FROM quarantine AS q LEFT JOIN terminals AS k ON k.terminal_id = q.terminal_id"
        " LEFT JOIN merchants AS m ON m.merchant_id = k.merchant_id"
        " WHERE NOT EXISTS (SELECT 1 FROM resolutions AS r WHERE r.kind = ?1 AND r.number = q.number)"
        " ORDER BY q.number",
        (QUARANTINE,),
    )
    return [_entry(QUARANTINE, row, f"batch {row[6]}, voucher {row[7]}: {_reason(row[8])}") for row in rows]


def _reason(value: int) -> str:
    try:
        return Reason(value).name.lower()
    except ValueError:
        return str(value)
