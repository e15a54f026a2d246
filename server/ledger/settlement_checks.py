"""Settlements against the journal: what was closed is what the journal had of the batch then, once, and all of it."""

from __future__ import annotations

from collections.abc import Sequence

from server.ledger.checks import SETTLEMENTS, Findings
from server.ledger.comparison import Total, totals
from server.ledger.model import Kind
from server.ledger.settlement import DIGEST_SIZE, State, Whose, accepted, compare_batch, host_items, totals_of
from server.ledger.store import Row, Store

_COLUMNS = (
    "settlement, terminal_id, batch, state, closed_at_ms, through_seq, digest,"
    " (SELECT count(*) FROM settlement_differences AS d WHERE d.settlement = settlements.settlement),"
    " (SELECT count(*) FROM settlement_records AS r WHERE r.settlement = settlements.settlement), records"
)

_OUTSIDE = (
    "SELECT t.seq, t.kind, t.lost_rrn, t.terminal_id, t.batch FROM transfers AS t JOIN terminals AS own"
    " ON own.terminal_id = t.terminal_id WHERE t.side = 0 AND t.decision = 0 AND t.batch <= own.closed_batch"
    " AND NOT EXISTS (SELECT 1 FROM settlements AS s WHERE s.terminal_id = t.terminal_id AND s.batch = t.batch"
    " AND s.state <> 0 AND s.through_seq >= t.seq)"
    " AND NOT EXISTS (SELECT 1 FROM transfers AS undone WHERE undone.terminal_id = t.terminal_id"
    " AND undone.batch = t.batch AND undone.stan = t.stan AND undone.side = 1)"
    " ORDER BY t.seq"
)
"""Approved under a batch number that is closed, and in no settlement."""

_LATE = (
    "SELECT t.seq FROM transfers AS t WHERE t.decision = 0 AND (t.kind IN (4, 15) OR t.lost_rrn <> 0"
    " OR (t.kind = 2 AND t.amount_fen <> 0)) AND (SELECT s.through_seq FROM settlements AS s"
    " WHERE s.terminal_id = t.terminal_id AND s.batch >= t.batch AND s.state <> 0 ORDER BY s.batch LIMIT 1) < t.seq"
)
"""Booked under a batch that was closed then: batches are closed in their order, so the next that was says it."""

_LATE_KINDS = (Kind.UPLOAD, Kind.OFFLINE_SALE)
"""What may come after its batch was closed: it had happened before, and is taken whenever it comes."""


def check_settlements(store: Store, findings: Findings) -> None:
    """Every settlement in turn, then what no settlement has."""
    expected = 1
    closed: dict[int, int] = {}
    for row in store.rows(f"SELECT {_COLUMNS} FROM settlements ORDER BY settlement"):  # noqa: S608 - our own names
        if row[0] != expected:
            findings.add(SETTLEMENTS, f"settlement {row[0]}: expected {expected} here: rows are missing")
        expected = row[0] + 1
        _check_one(store, row, findings)
        if row[3] != State.OPEN:
            closed[row[1]] = max(closed.get(row[1], 0), row[2])
    for terminal_id, batch in store.rows("SELECT terminal_id, closed_batch FROM terminals ORDER BY terminal_id"):
        if batch != closed.get(terminal_id, 0):
            where = f"terminal {terminal_id >> 16}-{terminal_id & 0xFFFF}"
            findings.add(
                SETTLEMENTS,
                f"{where}: expected batch {closed.get(terminal_id, 0)} to be its newest closed one, got {batch}",
            )
    _check_strays(store, findings)
    late = _check_outside(store, findings)
    _check_late(store, findings)
    more = f"; {late} transfers came after their batch was closed" if late else ""
    findings.summary[SETTLEMENTS] = f"{expected - 1} settlements, each what the journal had of its batch{more}"


def _check_compared(store: Store, row: Row, announced: int, findings: Findings) -> None:
    """What an open settlement keeps of its comparison is what the comparison finds."""
    number, terminal_id, batch, _, _, through_seq, *_ = row
    where = f"settlement {number}"
    newest, _ = store.head()
    if announced < 0 or not 0 < through_seq <= newest:
        findings.add(SETTLEMENTS, f"{where}: open, with differences as of transfer {through_seq} of {newest}")
    elif accepted(store, number) != compare_batch(store, terminal_id, batch, number, through_seq):
        findings.add(SETTLEMENTS, f"{where}: open, and its list is not what its records differ in from the journal")


def _check_one(store: Store, row: Row, findings: Findings) -> None:
    number, terminal_id, batch, state, closed_at_ms, through_seq, digest, differing, records, announced = row
    where = f"settlement {number}"
    if state == State.OPEN:
        if closed_at_ms or any(digest):
            findings.add(SETTLEMENTS, f"{where}: open, but it says when it was closed, or with what")
        if through_seq or differing:
            _check_compared(store, row, announced, findings)
        return
    if state not in (State.BALANCED, State.DIFFERENCES):
        findings.add(SETTLEMENTS, f"{where}: expected a known state, got {state}")
        return
    found = store.execute("SELECT digest FROM transfers WHERE seq = ?", (through_seq,))
    if not found or bytes(found[0][0])[:DIGEST_SIZE] != bytes(digest):
        got = bytes(digest).hex()
        findings.add(SETTLEMENTS, f"{where}: its digest {got} is not that of transfer {through_seq}, the newest then")
    host = totals_of(store, number, Whose.HOST)
    journal = totals(host_items(store, terminal_id, batch, through_seq))
    if host != journal:
        findings.add(
            SETTLEMENTS, f"{where}: expected the totals {_shown(journal)} from the journal, got {_shown(host)}"
        )
    terminal = totals_of(store, number, Whose.TERMINAL)
    if state == State.BALANCED and terminal != host:
        findings.add(
            SETTLEMENTS, f"{where}: balanced, but the terminal has {_shown(terminal)}, the host {_shown(host)}"
        )
    if (state == State.DIFFERENCES) != (differing > 0):
        findings.add(SETTLEMENTS, f"{where}: {State(state).name.lower()}, but {differing} differences are listed")
    if records:
        findings.add(SETTLEMENTS, f"{where}: closed, but {records} records that were sent for it are still there")


def _check_strays(store: Store, findings: Findings) -> None:
    for table in ("settlement_totals", "settlement_records", "settlement_differences"):
        for (number,) in store.rows(
            f"SELECT DISTINCT settlement FROM {table} WHERE NOT EXISTS"  # noqa: S608 - our own names
            f" (SELECT 1 FROM settlements AS s WHERE s.settlement = {table}.settlement)"
        ):
            findings.add(SETTLEMENTS, f"settlement {number}: {table} has rows of it, but there is no such settlement")


def _check_outside(store: Store, findings: Findings) -> int:
    """How many transfers came late and were right to."""
    late = 0
    for seq, kind, lost_rrn, terminal_id, batch in store.rows(_OUTSIDE):
        if kind in _LATE_KINDS or lost_rrn:
            late += 1
            continue
        terminal = f"{terminal_id >> 16}-{terminal_id & 0xFFFF}"
        findings.add(SETTLEMENTS, f"transfer {seq}: batch {batch} of terminal {terminal} is closed without it")
    return late


def _check_late(store: Store, findings: Findings) -> None:
    """The list of what came late is what the journal says."""
    wanted = {seq for (seq,) in store.rows(_LATE)}
    listed = {seq for (seq,) in store.rows("SELECT seq FROM late_transfers")}
    for seq in sorted(wanted - listed):
        findings.add(SETTLEMENTS, f"transfer {seq}: its batch was closed before, but it is not on the list of those")
    for seq in sorted(listed - wanted):
        findings.add(SETTLEMENTS, f"transfer {seq}: on the list of what came late, but its batch was not closed before")


def _shown(rows: Sequence[Total]) -> str:
    return " ".join(f"{Kind(row[0]).name} {row[1]}x {row[2]}/{row[3]}" for row in rows) or "nothing"
