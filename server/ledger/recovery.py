"""Histories: each restore from a backup opens one, and with it a recovery, in which terminals upload what is missing.

Reads and writes rows; `server.ledger.ledger` decides when. The times are the host's own.
"""

from __future__ import annotations

from typing import Final

import msgspec

from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Kind
from server.ledger.store import Store

FIRST_HISTORY: Final = 1
"""Of a ledger that never was restored."""
DAY_MS: Final = 86_400_000
RECOVERY_WINDOW_MS: Final = 30 * DAY_MS
"""How long uploads are taken after a restore: a terminal may stand in a locked canteen through the holidays. Not for
ever: while it lasts, whoever has a terminal's key can make up sales of that terminal."""
EPOCH_JUMP: Final = 1_000_000
"""What the epoch grows by with a restore when the clock is not ahead of it: the lost host was started since the backup,
nobody knows how often, and a terminal must never see the epoch go back. A start every second for eleven days."""
EPOCH_TIME_MIN_S: Final = 1_577_836_800
"""A clock before the year 2020 is one that was never set."""
EPOCH_TIME_MAX_S: Final = 0xF000_0000
"""A clock beyond the year 2097 is not believed: the epoch has to fit the wire's 32 bits, with room for starts."""


class Recovery(msgspec.Struct, frozen=True):
    """One history after a restore. `closed_at_ms` 0: nobody has closed it; the window may be over all the same."""

    history: int
    opened_at_ms: int
    first_seq: int
    closed_at_ms: int

    def is_open(self, now_ms: int) -> bool:
        """Whether uploads are taken."""
        return self.closed_at_ms == 0 and self.is_in_window(now_ms)

    def is_in_window(self, at_ms: int) -> bool:
        """Whether uploads could have been taken then, unless somebody had closed it."""
        return at_ms < self.opened_at_ms + RECOVERY_WINDOW_MS


class Restored(msgspec.Struct, frozen=True):
    """What terminals have brought back since a restore: sales, fen, and what of it the payers' balances did not cover.
    `declined` were reversed already, `others` are of other kinds: refunds, top-ups, holds."""

    sales: int
    amount_fen: int
    debt_fen: int
    declined: int
    others: int = 0


def recoveries(store: Store) -> list[Recovery]:
    """Every restore of this ledger, oldest first."""
    rows = store.execute("SELECT history, opened_at_ms, first_seq, closed_at_ms FROM histories ORDER BY history")
    return [Recovery(*row) for row in rows]


def begin(store: Store, recovery: Recovery) -> int:
    """Write down a new history and raise the epoch; what that is now. Inside the caller's transaction."""
    store.execute(
        "INSERT INTO histories (history, opened_at_ms, first_seq) VALUES (?, ?, ?)",
        (recovery.history, recovery.opened_at_ms, recovery.first_seq),
    )
    rows = store.execute("SELECT value FROM meta WHERE name = 'epoch'")
    epoch = int(rows[0][0]) if rows else 0
    # The time, and nothing added to it: otherwise a restore of a restored ledger would leap ahead of the clock, and a
    # later one, from an older backup, would begin behind it. The jump is for a clock that cannot be believed.
    at_s = recovery.opened_at_ms // 1_000
    epoch = at_s if max(epoch, EPOCH_TIME_MIN_S) < at_s <= EPOCH_TIME_MAX_S else epoch + EPOCH_JUMP
    for name, value in (("history", recovery.history), ("epoch", epoch)):
        store.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, str(value)),
        )
    return epoch


def end(store: Store, history: int, now_ms: int) -> None:
    """Close a recovery. Inside the caller's transaction."""
    store.execute("UPDATE histories SET closed_at_ms = ? WHERE history = ?", (now_ms, history))


def restored(store: Store, first_seq: int) -> Restored:
    """What has come back from transfer `first_seq` on.

    Reads every transfer from there: for a connection of its own, never for the ledger's thread while it serves.
    """
    [(sales, amount_fen, others, declined)] = store.execute(
        "SELECT sum(CASE WHEN decision = 0 AND kind = ?1 THEN 1 ELSE 0 END),"
        " sum(CASE WHEN decision = 0 AND kind = ?1 THEN amount_fen + adjust_fen ELSE 0 END),"
        " sum(CASE WHEN decision = 0 AND kind <> ?1 THEN 1 ELSE 0 END),"
        " sum(CASE WHEN decision <> 0 THEN 1 ELSE 0 END)"
        " FROM transfers WHERE seq >= ?2 AND (kind = ?1 OR lost_rrn <> 0)",
        (int(Kind.UPLOAD), first_seq),
    )
    [(debt_fen,)] = store.execute(
        "SELECT -sum(e.amount_fen) FROM transfers AS t JOIN entries AS e ON e.seq = t.seq AND e.account_id = ?1"
        " LEFT JOIN transfers AS o ON o.seq = t.original_seq AND t.kind <> ?2"
        " WHERE t.seq >= ?3 AND (t.kind = ?2 OR t.lost_rrn <> 0 OR o.kind = ?2 OR o.lost_rrn <> 0)",
        (OFFLINE_DEBT_ACCOUNT, int(Kind.UPLOAD), first_seq),
    )
    return Restored(int(sales or 0), int(amount_fen or 0), int(debt_fen or 0), int(declined or 0), int(others or 0))
