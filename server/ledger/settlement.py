"""Settlements: a terminal's batch is held against the journal and closed, balanced or with a list of what differs.

What the host counts for (terminal, batch) is what its journal has approved under these numbers and not reversed,
whatever business days it fell on: a batch may span midnight. Nothing of it can change once it is closed: what is new
under a closed number is declined. Everything here is one commit a call, in the ledger's thread, between batches; a call
that is repeated after a lost answer finds what the first one did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from server.ledger.batch import IN_POINTS, STANDS_FOR
from server.ledger.comparison import Differing, Item, Standing, Total, compare, totals
from server.ledger.ledger import Ledger
from server.ledger.model import Decision, Side
from server.ledger.store import Store

DIGEST_SIZE: Final = 8
"""Bytes of the journal's digest that the slip carries."""
LAST_BATCH: Final = 999_998
"""The last batch that is ever closed: behind it is the last number there is, and a terminal needs one to sell under."""
RRNS_MAX: Final = 500
"""RRNs looked up in one statement: of records that the host has under none of their numbers, which are few."""

_SETTLEMENT: Final = (
    "SELECT settlement, state, request_hash, records, merchant_id, operator, opened_at_ms, closed_at_ms, business_day,"
    " through_seq, digest FROM settlements WHERE terminal_id = ? AND batch = ?"
)
_ITEMS: Final = f"SELECT {', '.join(Item._fields)} FROM settlement_records"  # noqa: S608 - our own names
_DIFFERENCES: Final = (
    "stan, difference, kind, terminal_standing, terminal_fen, host_standing, host_fen, rrn FROM settlement_differences"
)


class State(IntEnum):
    """Of a settlement. Stored."""

    OPEN = 0
    """It does not balance; records are being sent, or nobody has accepted yet what differs."""
    BALANCED = 1
    DIFFERENCES = 2
    """Closed with a list of what differs."""


class Result(IntEnum):
    """What a request to settle comes to."""

    CLOSED = 1
    UNBALANCED = 2
    ALREADY_CLOSED = 3
    """By another request."""
    EARLIER_OPEN = 4
    """An older batch was never settled, and there is money in it, or none newer is known."""


class Whose(IntEnum):
    """Which side a total is of. Stored."""

    TERMINAL = 0
    HOST = 1


class Claim(NamedTuple):
    """What a terminal says its batch comes to. `agrees` tells whether the host's items come to the same."""

    terminal_id: int
    batch: int
    operator: int
    request_hash: bytes
    totals: Sequence[Total]
    agrees: Callable[[Sequence[Item]], bool]


class Settlement(NamedTuple):
    """A row of `settlements`."""

    settlement: int
    state: int
    request_hash: bytes
    records: int
    merchant_id: int
    operator: int
    opened_at_ms: int
    closed_at_ms: int
    business_day: int
    through_seq: int
    digest: bytes


class Settled(NamedTuple):
    """What became of a request to settle. `next_batch`: to go on with, or the older one to settle first."""

    result: Result
    next_batch: int
    settlement: int = 0
    state: int = State.OPEN
    differences: int = 0
    closed_at_ms: int = 0
    digest: bytes = bytes(DIGEST_SIZE)
    totals: Sequence[Total] = ()


class Compared(NamedTuple):
    """What a comparison has found; None when records are missing, and the part to go on from (0: not being settled)."""

    differing: list[Differing] | None
    next_part: int = 0


# --- what the terminal asks for, each once or as often as it likes


def settle(ledger: Ledger, claim: Claim, now_ms: int) -> Settled:
    """Close the batch if both sides agree; otherwise open a settlement, for which the terminal sends its records."""
    store, (terminal_id, batch) = ledger.store, claim[:2]
    found = find(store, terminal_id, batch)
    if found is not None and found.state != State.OPEN:
        if found.request_hash == claim.request_hash:
            return _settled(store, terminal_id, found)
        return already_closed(store, terminal_id)
    closed = closed_batch(store, terminal_id)
    if batch <= closed:
        return already_closed(store, terminal_id)
    if (earlier := _earlier_open(store, terminal_id, closed, batch)) is not None:
        return Settled(Result.EARLIER_OPEN, earlier)
    newest = min(max(closed + 1, _newest_batch(store, terminal_id)), LAST_BATCH)
    if batch > newest:
        # A wrong number, once closed, would refuse all that the terminal sells under its right ones.
        return Settled(Result.EARLIER_OPEN, newest)
    items = host_items(store, terminal_id, batch)
    with store.transaction():
        number = _open(ledger, claim, found, items, now_ms)
        _save_totals(store, number, Whose.HOST, totals(items))
        if claim.agrees(items):
            _close(ledger, terminal_id, batch, number, State.BALANCED, (), now_ms)
    opened = find(store, terminal_id, batch)
    assert opened is not None
    return _settled(store, terminal_id, opened)


def take_part(store: Store, terminal_id: int, batch: int, part: int, items: Sequence[Item]) -> int:
    """Keep one part of a terminal's records; the part wanted next, 0 when the batch is not being settled.

    One that says otherwise than before replaces itself and all behind it; one that comes too early is not kept.
    """
    found = _open_settlement(store, terminal_id, batch)
    if found is None:
        return 0
    number = found.settlement
    wanted = _parts(store, number) + 1
    if part > wanted or (part < wanted and _part(store, number, part) == [*items]):
        return wanted
    with store.transaction():
        store.execute("DELETE FROM settlement_records WHERE settlement = ? AND part >= ?", (number, part))
        store.execute("UPDATE settlements SET records = -1, through_seq = 0 WHERE settlement = ?", (number,))
        store.execute("DELETE FROM settlement_differences WHERE settlement = ?", (number,))
        for place, item in enumerate(items):
            store.execute(
                "INSERT INTO settlement_records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (number, part, place, *item)
            )
    return part + 1


def end_parts(store: Store, terminal_id: int, batch: int, records: int) -> Compared:
    """All of `records` were sent: what differs?"""
    found = _open_settlement(store, terminal_id, batch)
    if found is None:
        return Compared(None)
    number = found.settlement
    kept = store.execute("SELECT count(*) FROM settlement_records WHERE settlement = ?", (number,))[0][0]
    if kept != records:
        # Too few: go on behind them. Too many: they are not these records, begin again.
        return Compared(None, _parts(store, number) + 1 if kept < records else 1)
    if found.records != records:
        with store.transaction():
            store.execute("UPDATE settlements SET records = ? WHERE settlement = ?", (records, number))
    return Compared(_compared(store, terminal_id, batch))


def differences(store: Store, terminal_id: int, batch: int, first: int, limit: int) -> tuple[Compared, int]:
    """Up to `limit` of what differs, from place `first` on, and how many there are in all; once all records are here.
    Of a closed settlement, what was accepted. Never all of it: a batch may differ in every record."""
    found = find(store, terminal_id, batch)
    if found is None:
        return Compared(None), 0
    if found.state == State.OPEN:
        if found.records < 0:
            return Compared(None, _parts(store, found.settlement) + 1), 0
        _keep_compared(store, terminal_id, batch)
    rows = store.execute(
        f"SELECT {_DIFFERENCES} WHERE settlement = ? AND place >= ? AND place < ? ORDER BY place",
        (found.settlement, first, first + limit),
    )
    return Compared([Differing(*row) for row in rows]), count_accepted(store, found.settlement)


def close(
    ledger: Ledger, terminal_id: int, batch: int, seen: Callable[[Sequence[Differing]], bool], now_ms: int
) -> Settled:
    """Close the batch with what differs, if `seen` says that a supervisor has seen exactly this.

    Something may have come since the list was read, that takes one difference away and makes another.
    """
    store = ledger.store
    found = find(store, terminal_id, batch)
    if found is None or found.state != State.OPEN:
        if found is not None and seen(accepted(store, found.settlement)):
            return _settled(store, terminal_id, found)
        return already_closed(store, terminal_id)
    differing = _compared(store, terminal_id, batch) if found.records >= 0 else None
    if differing is None or not seen(differing):
        return _settled(store, terminal_id, found)
    with store.transaction():
        # Of the records, which were compared: what was claimed at first may have been added up wrongly.
        _save_totals(store, found.settlement, Whose.TERMINAL, totals(_sent(store, found.settlement)))
        _save_totals(store, found.settlement, Whose.HOST, totals(host_items(store, terminal_id, batch)))
        state = State.DIFFERENCES if differing else State.BALANCED
        _close(ledger, terminal_id, batch, found.settlement, state, differing, now_ms)
    closed = find(store, terminal_id, batch)
    assert closed is not None
    return _settled(store, terminal_id, closed)


# --- what the journal says


def host_items(store: Store, terminal_id: int, batch: int, through_seq: int | None = None) -> list[Item]:
    """The batch as the journal has it, by STAN; as it was after transfer `through_seq`, if that is given.

    Only the columns that count: with whole transfers a batch of some thousands held up the ledger three times as long.
    """
    until = (1 << 62) if through_seq is None else through_seq
    rows = store.execute(
        "SELECT stan, side, kind, decision, amount_fen, adjust_fen, seq, points FROM transfers"
        " WHERE terminal_id = ? AND batch = ? AND seq <= ? ORDER BY stan, side",
        (terminal_id, batch, until),
    )
    original, approved = int(Side.ORIGINAL), int(Decision.APPROVED)  # enums compare slowly, and there are many rows
    undone = {row[0] for row in rows if row[1] != original}
    items = []
    for stan, side, kind, decision, amount_fen, adjust_fen, seq, points in rows:
        if side != original:
            continue
        is_approved = decision == approved
        standing = Standing.REVERSED if stan in undone else Standing.APPROVED if is_approved else Standing.DECLINED
        charged_fen = amount_fen + adjust_fen if is_approved and kind not in IN_POINTS else 0
        stands_for = int(STANDS_FOR[kind]) if kind in STANDS_FOR else kind
        items.append(Item(stan, stands_for, standing, amount_fen, charged_fen, seq, abs(points)))
    return items


def closed_batch(store: Store, terminal_id: int) -> int:
    """The newest batch of a terminal that is closed, 0 if none is."""
    rows = store.execute("SELECT closed_batch FROM terminals WHERE terminal_id = ?", (terminal_id,))
    return int(rows[0][0]) if rows else 0


def oldest_due(store: Store, terminal_id: int) -> int | None:
    """The oldest batch of a terminal that has to be settled, None if none has."""
    return _earlier_open(store, terminal_id, closed_batch(store, terminal_id), LAST_BATCH + 2)


def _earlier_open(store: Store, terminal_id: int, closed: int, batch: int) -> int | None:
    """The oldest batch in between that has to be settled first: one with money in it, or with a settlement begun."""
    [(begun,)] = store.execute(
        "SELECT min(batch) FROM settlements WHERE terminal_id = ? AND batch < ? AND state = ?",
        (terminal_id, batch, int(State.OPEN)),
    )
    [(found,)] = store.execute(
        "SELECT min(batch) FROM transfers WHERE terminal_id = ?1 AND batch > ?2 AND batch < ?3 AND side = 0"
        " AND decision = 0 AND NOT EXISTS (SELECT 1 FROM transfers AS undone WHERE undone.terminal_id = ?1"
        " AND undone.batch = transfers.batch AND undone.stan = transfers.stan AND undone.side = 1)",
        (terminal_id, closed, batch),
    )
    return min((int(one) for one in (begun, found) if one is not None), default=None)


def _newest_batch(store: Store, terminal_id: int) -> int:
    """The newest batch of a terminal of which there is anything, 0 if there is nothing."""
    [(found,)] = store.execute("SELECT max(batch) FROM transfers WHERE terminal_id = ?", (terminal_id,))
    return 0 if found is None else int(found)


# --- rows


def find(store: Store, terminal_id: int, batch: int) -> Settlement | None:
    """The settlement of a batch, open or closed."""
    rows = store.execute(_SETTLEMENT, (terminal_id, batch))
    return Settlement(*rows[0]) if rows else None


def accepted(store: Store, settlement: int) -> list[Differing]:
    """The differences a batch was closed with; of an open one those found last."""
    rows = store.execute(f"SELECT {_DIFFERENCES} WHERE settlement = ? ORDER BY place", (settlement,))
    return [Differing(*row) for row in rows]


def count_accepted(store: Store, settlement: int) -> int:
    """How many those are; 0 while nothing was compared yet."""
    return int(store.execute("SELECT count(*) FROM settlement_differences WHERE settlement = ?", (settlement,))[0][0])


def totals_of(store: Store, settlement: int, whose: Whose) -> list[Total]:
    """What one side came to when the batch was settled."""
    rows = store.execute(
        "SELECT kind, count, amount_fen, charged_fen FROM settlement_totals WHERE settlement = ? AND side = ?"
        " ORDER BY kind",
        (settlement, int(whose)),
    )
    return [Total(*row) for row in rows]


def already_closed(store: Store, terminal_id: int) -> Settled:
    """The batch of a request is closed, and not by it."""
    return Settled(Result.ALREADY_CLOSED, closed_batch(store, terminal_id) + 1)


def _settled(store: Store, terminal_id: int, found: Settlement) -> Settled:
    is_closed = found.state != State.OPEN
    return Settled(
        Result.CLOSED if is_closed else Result.UNBALANCED,
        # Of a settlement closed long ago the batch number after it, not today's: the answer is the same for ever.
        _batch_of(store, found.settlement) + 1 if is_closed else closed_batch(store, terminal_id) + 1,
        found.settlement,
        found.state,
        count_accepted(store, found.settlement),
        found.closed_at_ms,
        found.digest,
        totals_of(store, found.settlement, Whose.HOST),
    )


def _batch_of(store: Store, settlement: int) -> int:
    return int(store.execute("SELECT batch FROM settlements WHERE settlement = ?", (settlement,))[0][0])


def _open_settlement(store: Store, terminal_id: int, batch: int) -> Settlement | None:
    found = find(store, terminal_id, batch)
    return found if found is not None and found.state == State.OPEN else None


def _parts(store: Store, settlement: int) -> int:
    """How many parts are here: they come in order, so the newest says it."""
    [(newest,)] = store.execute("SELECT max(part) FROM settlement_records WHERE settlement = ?", (settlement,))
    return 0 if newest is None else int(newest)


def _part(store: Store, settlement: int, part: int) -> list[Item]:
    rows = store.execute(
        f"{_ITEMS} WHERE settlement = ? AND part = ? ORDER BY place",
        (settlement, part),
    )
    return [Item(*row) for row in rows]


def _sent(store: Store, settlement: int) -> list[Item]:
    rows = store.execute(
        f"{_ITEMS} WHERE settlement = ? ORDER BY part, place",
        (settlement,),
    )
    return [Item(*row) for row in rows]


def _compared(store: Store, terminal_id: int, batch: int) -> list[Differing]:
    return accepted(store, _keep_compared(store, terminal_id, batch))


def _keep_compared(store: Store, terminal_id: int, batch: int) -> int:
    """Find what differs, once, and keep it beside the open settlement, of which this is the number: every page of the
    list asks for it. Of an open settlement `through_seq` is how far the journal went when it was compared; 0 = not yet,
    or not these records."""
    found = find(store, terminal_id, batch)
    assert found is not None
    newer = not found.through_seq or store.execute(
        "SELECT 1 FROM transfers WHERE terminal_id = ? AND batch = ? AND seq > ? LIMIT 1",
        (terminal_id, batch, found.through_seq),
    )
    if newer:
        through_seq, _ = store.head()
        differing = compare_batch(store, terminal_id, batch, found.settlement)
        with store.transaction():
            store.execute(
                "UPDATE settlements SET through_seq = ? WHERE settlement = ?", (through_seq, found.settlement)
            )
            _save_differing(store, found.settlement, differing)
    return found.settlement


def _save_differing(store: Store, settlement: int, differing: Sequence[Differing]) -> None:
    store.execute("DELETE FROM settlement_differences WHERE settlement = ?", (settlement,))
    for place, row in enumerate(differing):
        store.execute(
            "INSERT INTO settlement_differences VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (settlement, place, *map(int, row)),
        )


def compare_batch(
    store: Store, terminal_id: int, batch: int, settlement: int, through_seq: int | None = None
) -> list[Differing]:
    """The records sent against the journal, as it was after transfer `through_seq`, if that is given."""
    sent = _sent(store, settlement)
    items = host_items(store, terminal_id, batch, through_seq)
    stans = {item.stan for item in items}
    strange = sorted({item.rrn for item in sent if item.stan not in stans and item.rrn})
    return compare(sent, items, _in_other_batches(store, terminal_id, batch, strange))


def _in_other_batches(store: Store, terminal_id: int, batch: int, rrns: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for start in range(0, len(rrns), RRNS_MAX):
        some = rrns[start : start + RRNS_MAX]
        marks = ", ".join("?" * len(some))
        rows = store.execute(
            f"SELECT seq FROM transfers WHERE seq IN ({marks}) AND terminal_id = ? AND batch <> ?",  # noqa: S608 - marks only
            (*some, terminal_id, batch),
        )
        found.update(seq for (seq,) in rows)
    return found


def _open(ledger: Ledger, claim: Claim, found: Settlement | None, items: Sequence[Item], now_ms: int) -> int:
    """The row of a settlement, new, or with what the terminal says now. Inside the caller's transaction."""
    store = ledger.store
    if found is not None:
        number = found.settlement
        store.execute(
            "UPDATE settlements SET request_hash = ?, operator = ? WHERE settlement = ?",
            (claim.request_hash, claim.operator, number),
        )
    else:
        [(newest,)] = store.execute("SELECT max(settlement) FROM settlements")
        number = 1 if newest is None else int(newest) + 1
        store.execute(
            "INSERT INTO settlements (settlement, terminal_id, batch, state, merchant_id, operator, request_hash,"
            " opened_at_ms, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                claim.terminal_id,
                claim.batch,
                int(State.OPEN),
                _merchant_of(store, claim.terminal_id, items),
                claim.operator,
                claim.request_hash,
                now_ms,
                bytes(DIGEST_SIZE),
            ),
        )
    _save_totals(store, number, Whose.TERMINAL, claim.totals)
    return number


def _merchant_of(store: Store, terminal_id: int, items: Sequence[Item]) -> int:
    """Whose batch it is: of a terminal that has gone to another merchant, whoever has the batch's first money."""
    first = next((item.rrn for item in items if item.is_approved), 0)
    rows = store.execute(
        "SELECT m.merchant_id FROM transfers AS t JOIN merchants AS m ON m.account_id = t.merchant_account_id"
        " WHERE t.seq = ?",
        (first,),
    ) or store.execute("SELECT merchant_id FROM terminals WHERE terminal_id = ?", (terminal_id,))
    return int(rows[0][0]) if rows else 0


def _save_totals(store: Store, settlement: int, whose: Whose, rows: Sequence[Total]) -> None:
    store.execute("DELETE FROM settlement_totals WHERE settlement = ? AND side = ?", (settlement, int(whose)))
    for row in rows:
        store.execute("INSERT INTO settlement_totals VALUES (?, ?, ?, ?, ?, ?)", (settlement, int(whose), *row))


def _close(
    ledger: Ledger,
    terminal_id: int,
    batch: int,
    settlement: int,
    state: State,
    differing: Sequence[Differing],
    now_ms: int,
) -> None:
    """Inside the caller's transaction."""
    store = ledger.store
    seq, digest = store.head()
    store.execute(
        "UPDATE settlements SET state = ?, closed_at_ms = ?, business_day = ?, through_seq = ?, digest = ?"
        " WHERE settlement = ?",
        (int(state), now_ms, ledger.business_day, seq, digest[:DIGEST_SIZE], settlement),
    )
    _save_differing(store, settlement, differing)
    store.execute("DELETE FROM settlement_records WHERE settlement = ?", (settlement,))
    store.execute("UPDATE terminals SET closed_batch = ? WHERE terminal_id = ?", (batch, terminal_id))
