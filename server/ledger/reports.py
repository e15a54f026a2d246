"""What was done on a business day, by merchant, type and meal. Reads every transfer of the day: for a connection of its
own, never for the ledger's thread while it serves.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Decision, Kind
from server.ledger.store import Store
from server.ledger.tariff import Tariff

MINUTE_MS: Final = 60_000


class DayLine(msgspec.Struct, frozen=True):
    """One sum: of a type, at a merchant, in a meal (0 = between meals).

    `amount_fen` is what was keyed, `charged_fen` what was moved: less a discount, or with a bonus. Of points sales
    and their voids the amount counts points.
    """

    merchant_id: int
    merchant_name: str
    meal_id: int
    kind: int
    count: int
    amount_fen: int
    charged_fen: int


class LossLine(msgspec.Struct, frozen=True):
    """Offline sales of a merchant that were declined when they came, by reason: food that nobody has paid for."""

    merchant_id: int
    merchant_name: str
    decision: int
    count: int
    amount_fen: int


class DebtLine(msgspec.Struct, frozen=True):
    """What OFFLINE_DEBT bears of one payer: meals that were eaten and could not be covered."""

    account_id: int
    student_number: str
    name: str
    count: int
    debt_fen: int
    newest_ms: int


_OF_DAY: Final = (
    " FROM transfers AS t JOIN merchants AS m ON m.account_id = t.merchant_account_id"
    " WHERE t.seq >= (SELECT first_seq FROM business_days WHERE day = ?1)"
    " AND t.seq < coalesce((SELECT min(first_seq) FROM business_days WHERE day > ?1), ?2) AND t.business_day = ?1"
)
NO_END: Final = 1 << 62


def day_report(store: Store, day: int, tariff: Tariff) -> list[DayLine]:
    """What each merchant has done on a day. Meals as they are configured now, by the time of posting."""
    rows = store.rows(
        "SELECT m.merchant_id, m.name, t.kind, t.posted_at_ms / 60000, count(*), sum(t.amount_fen),"
        f" sum(t.amount_fen + t.adjust_fen){_OF_DAY} AND t.decision = 0 AND t.amount_fen > 0"
        " GROUP BY m.merchant_id, m.name, t.kind, t.posted_at_ms / 60000",
        (day, NO_END),
    )
    sums: defaultdict[tuple[int, str, int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for merchant_id, name, kind, minute, *values in rows:
        line = sums[merchant_id, name, tariff.meal_at(int(minute) * MINUTE_MS), kind]
        for place, value in enumerate(values):
            line[place] += int(value)
    return [DayLine(*key, *values) for key, values in sorted(sums.items())]


def loss_report(store: Store, day: int) -> list[LossLine]:
    """What was sold offline and could not be booked on a day."""
    rows = store.execute(
        f"SELECT m.merchant_id, m.name, t.decision, count(*), sum(t.amount_fen){_OF_DAY}"
        " AND t.kind = ?3 AND t.decision <> ?4 GROUP BY m.merchant_id, m.name, t.decision ORDER BY 1, 3",
        (day, NO_END, int(Kind.OFFLINE_SALE), int(Decision.APPROVED)),
    )
    return [LossLine(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in rows]


def debt_report(store: Store) -> list[DebtLine]:
    """What OFFLINE_DEBT bears of each payer, the largest first. Follows the chain of the account: only its entries."""
    rows = store.execute(
        "WITH RECURSIVE chain (seq, amount_fen, previous_seq) AS ("
        " SELECT e.seq, e.amount_fen, e.previous_seq FROM accounts AS a"
        "  JOIN entries AS e ON e.seq = a.last_seq AND e.account_id = a.account_id WHERE a.account_id = ?1"
        " UNION ALL SELECT e.seq, e.amount_fen, e.previous_seq FROM chain"
        "  JOIN entries AS e ON e.seq = chain.previous_seq AND e.account_id = ?1)"
        " SELECT t.account_id, coalesce(c.student_number, ''), coalesce(c.name, ''), count(*), -sum(chain.amount_fen),"
        " max(t.posted_at_ms) FROM chain JOIN transfers AS t USING (seq)"
        " LEFT JOIN customers AS c ON c.account_id = t.account_id"
        " GROUP BY t.account_id, c.student_number, c.name HAVING sum(chain.amount_fen) <> 0 ORDER BY 5 DESC, 1",
        (OFFLINE_DEBT_ACCOUNT,),
    )
    return [DebtLine(row[0], row[1], row[2], int(row[3]), int(row[4]), row[5]) for row in rows]
