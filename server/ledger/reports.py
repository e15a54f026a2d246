"""What was done on a business day, by merchant, type and meal. Reads every transfer of the day: for a connection of its
own, never for the ledger's thread while it serves.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from server.ledger.batch import IN_POINTS
from server.ledger.model import OFFLINE_DEBT_ACCOUNT, POINTS_ACCOUNT_OFFSET, AccountKind, Decision, Kind
from server.ledger.store import Store
from server.ledger.tariff import Tariff

MINUTE_MS: Final = 60_000


class DayLine(msgspec.Struct, frozen=True):
    """One sum: of a type, at a merchant, in a meal (0 = between meals).

    `amount_fen` is what was keyed, `charged_fen` what was moved: less a discount, or with a bonus; both are 0 of what
    counts points. `net_fen` is what the merchant's account got by it, below zero what it gave: what comes back to
    payers, and top-ups, whose cash the merchant has. `points` is the same of the payers' points.
    """

    merchant_id: int
    merchant_name: str
    meal_id: int
    kind: int
    about: int
    """Of a reversal: the kind of what it undid. Else 0."""
    count: int
    undone: int
    """How many of them were reversed, until now: they did not happen."""
    amount_fen: int
    charged_fen: int
    net_fen: int
    points: int


class LossLine(msgspec.Struct, frozen=True):
    """Offline sales of a merchant that were declined when they came, by reason: food that nobody has paid for."""

    merchant_id: int
    merchant_name: str
    decision: int
    count: int
    amount_fen: int


class DebtLine(msgspec.Struct, frozen=True):
    """What one payer owes the campus: what OFFLINE_DEBT bears, of meals that were eaten and could not be covered, and
    points that were spent before what had earned them was undone."""

    account_id: int
    student_number: str
    name: str
    count: int
    """Of the movements that made up the debt in money."""
    debt_fen: int
    points: int
    newest_ms: int


_OF_DAY: Final = (
    " FROM transfers AS t JOIN merchants AS m ON m.account_id = t.merchant_account_id{more}"
    " WHERE t.seq >= (SELECT first_seq FROM business_days WHERE day = ?1)"
    " AND t.seq < coalesce((SELECT min(first_seq) FROM business_days WHERE day > ?1), ?2) AND t.business_day = ?1"
)
_ABOUT: Final = (
    " LEFT JOIN entries AS e ON e.seq = t.seq AND e.account_id = t.merchant_account_id"
    " LEFT JOIN transfers AS o ON o.seq = t.original_seq AND t.kind = 2"
    " LEFT JOIN transfers AS r ON r.terminal_id = t.terminal_id AND r.batch = t.batch AND r.stan = t.stan"
    "  AND r.side = 1 AND t.side = 0"
)
NO_END: Final = 1 << 62


def day_report(store: Store, day: int, tariff: Tariff) -> list[DayLine]:
    """What each merchant has done on a day. Meals as they are configured now, by the time of posting."""
    rows = store.rows(
        "SELECT m.merchant_id, m.name, t.kind, coalesce(o.kind, 0), t.posted_at_ms / 60000, count(*), count(r.seq),"
        " sum(t.amount_fen), sum(t.amount_fen + t.adjust_fen), sum(coalesce(e.amount_fen, 0)), sum(t.points)"
        f"{_OF_DAY.format(more=_ABOUT)} AND t.decision = 0 AND t.amount_fen > 0"
        " GROUP BY m.merchant_id, m.name, t.kind, coalesce(o.kind, 0), t.posted_at_ms / 60000",
        (day, NO_END),
    )
    sums: defaultdict[tuple[int, str, int, int, int], list[int]] = defaultdict(lambda: [0] * 6)
    for merchant_id, name, kind, about, minute, *values in rows:
        line = sums[merchant_id, name, tariff.meal_at(int(minute) * MINUTE_MS), kind, about]
        for place, value in enumerate(values):
            in_points = place in (2, 3) and (kind in IN_POINTS or about in IN_POINTS)
            line[place] += 0 if in_points else int(value)
    return [DayLine(*key, *values) for key, values in sorted(sums.items())]


def loss_report(store: Store, day: int) -> list[LossLine]:
    """What was sold offline and could not be booked on a day."""
    rows = store.execute(
        f"SELECT m.merchant_id, m.name, t.decision, count(*), sum(t.amount_fen){_OF_DAY.format(more='')}"
        " AND t.kind = ?3 AND t.decision <> ?4 GROUP BY m.merchant_id, m.name, t.decision ORDER BY 1, 3",
        (day, NO_END, int(Kind.OFFLINE_SALE), int(Decision.APPROVED)),
    )
    return [LossLine(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in rows]


def debt_report(store: Store) -> list[DebtLine]:
    """Who owes the campus money, the largest debt first, or points."""
    found = {line.account_id: line for line in _money_owed(store)}
    for owed in _points_owed(store):
        line = found.get(owed.account_id, owed)
        newest_ms = max(line.newest_ms, owed.newest_ms)
        found[owed.account_id] = msgspec.structs.replace(line, points=owed.points, newest_ms=newest_ms)
    return sorted(found.values(), key=lambda line: (-line.debt_fen, -line.points, line.account_id))


def _money_owed(store: Store) -> list[DebtLine]:
    """What OFFLINE_DEBT bears of each payer. Follows the chain of the account: only its entries."""
    rows = store.execute(
        "WITH RECURSIVE chain (seq, amount_fen, previous_seq) AS ("
        " SELECT e.seq, e.amount_fen, e.previous_seq FROM accounts AS a"
        "  JOIN entries AS e ON e.seq = a.last_seq AND e.account_id = a.account_id WHERE a.account_id = ?1"
        " UNION ALL SELECT e.seq, e.amount_fen, e.previous_seq FROM chain"
        "  JOIN entries AS e ON e.seq = chain.previous_seq AND e.account_id = ?1)"
        " SELECT t.account_id, coalesce(c.student_number, ''), coalesce(c.name, ''), count(*), -sum(chain.amount_fen),"
        " max(t.posted_at_ms) FROM chain JOIN transfers AS t USING (seq)"
        " LEFT JOIN customers AS c ON c.account_id = t.account_id"
        " GROUP BY t.account_id, c.student_number, c.name HAVING sum(chain.amount_fen) <> 0",
        (OFFLINE_DEBT_ACCOUNT,),
    )
    return [DebtLine(row[0], row[1], row[2], int(row[3]), int(row[4]), 0, row[5]) for row in rows]


def _points_owed(store: Store) -> list[DebtLine]:
    """Accounts of points below zero."""
    rows = store.execute(
        "SELECT a.account_id, coalesce(c.student_number, ''), coalesce(c.name, ''), -a.balance_fen, t.posted_at_ms"
        " FROM accounts AS a JOIN transfers AS t ON t.seq = a.last_seq"
        " LEFT JOIN customers AS c ON c.account_id = a.account_id - ?1 WHERE a.kind = ?2 AND a.balance_fen < 0",
        (POINTS_ACCOUNT_OFFSET, int(AccountKind.POINTS)),
    )
    return [DebtLine(row[0] - POINTS_ACCOUNT_OFFSET, row[1], row[2], 0, 0, row[3], row[4]) for row in rows]
