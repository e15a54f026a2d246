"""Merchant clearing (清算): what each merchant is owed at the end of a business day, and what was paid out for it.

A day is cleared once per merchant, and in order: the identity of a clearing is made of the day and the merchant, so
that running it again changes nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

from server.ledger.model import CONSOLE, Clearing, Identity, Kind
from server.ledger.store import Store

CLEARING_BATCH_OFFSET: Final = 1 << 31
"""Batch of a clearing: this and the day. Beyond all numbers an administrator's other requests can have."""


class Owed(NamedTuple):
    """A merchant's account as it was when a day ended; negative: the merchant owes, having taken cash for top-ups."""

    merchant_id: int
    name: str
    account_id: int
    amount_fen: int


class Cleared(NamedTuple):
    """One merchant's clearing of a day."""

    merchant_id: int
    name: str
    amount_fen: int
    seq: int
    posted_at_ms: int


def command(day: int, merchant_id: int, account_id: int, amount_fen: int, claimed_at_s: int) -> Clearing:
    """The clearing of one merchant for one day. Its hash leaves the amount out: a repeat gets the first answer."""
    identity = Identity(CONSOLE, CLEARING_BATCH_OFFSET + day, merchant_id)
    return Clearing(
        identity, sha256(b"clearing %d %d" % (day, merchant_id)).digest(), account_id, amount_fen, claimed_at_s
    )


def owed(store: Store, day: int) -> list[Owed]:
    """What each merchant with anything in its account is owed at the end of a day that is over, by number.

    What came later is left out, but for clearings: they are of earlier days, whenever they were made. Reads every entry
    since that day: for a connection of its own, never for the ledger's thread while it serves.
    """
    with store.snapshot():
        rows = store.execute("SELECT min(first_seq) FROM business_days WHERE day > ?", (day,))
        end_seq = rows[0][0]
        later: dict[int, int] = {}
        if end_seq is not None:
            later = {
                account_id: int(amount_fen)
                for account_id, amount_fen in store.execute(
                    "SELECT e.account_id, sum(e.amount_fen) FROM entries AS e JOIN transfers AS t ON t.seq = e.seq"
                    " JOIN merchants AS m ON m.account_id = e.account_id"
                    " WHERE e.seq >= ? AND t.kind <> ? GROUP BY e.account_id",
                    (end_seq, int(Kind.CLEARING)),
                )
            }
        found = [
            Owed(merchant_id, name, account_id, int(balance_fen) - later.get(account_id, 0))
            for merchant_id, name, account_id, balance_fen in store.execute(
                "SELECT m.merchant_id, m.name, m.account_id, a.balance_fen FROM merchants AS m"
                " JOIN accounts AS a ON a.account_id = m.account_id ORDER BY m.merchant_id"
            )
        ]
    return [one for one in found if one.amount_fen]


def newest_cleared(store: Store) -> int:
    """The newest day of which anything was cleared, 0 if none was."""
    [(batch,)] = store.execute(
        "SELECT max(batch) FROM transfers WHERE terminal_id = ? AND batch > ?", (CONSOLE, CLEARING_BATCH_OFFSET)
    )
    return 0 if batch is None else int(batch) - CLEARING_BATCH_OFFSET


def cleared(store: Store, day: int) -> list[Cleared]:
    """What was cleared for a day, by merchant."""
    rows = store.execute(
        "SELECT t.stan, m.name, t.amount_fen, t.seq, t.posted_at_ms FROM transfers AS t"
        " JOIN merchants AS m ON m.merchant_id = t.stan"
        " WHERE t.terminal_id = ? AND t.batch = ? AND t.decision = 0 ORDER BY t.stan",
        (CONSOLE, CLEARING_BATCH_OFFSET + day),
    )
    return [Cleared(*row) for row in rows]
