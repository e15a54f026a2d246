"""Who is who: merchants, terminals, customers, cards. Loads and saves rows; `server.operations` decides what is done.

Nothing here opens a transaction: every writing method is called inside the caller's `store.transaction()`, so that a
whole operation is one commit. Money is never written here, only read: balances change through `Ledger.apply` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from server.ledger import stop_list
from server.ledger.card_terms import CardTerms
from server.ledger.model import (
    FIRST_CUSTOMER_ACCOUNT,
    FIRST_MERCHANT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    AccountKind,
    Status,
)
from server.ledger.operators import Operators
from server.ledger.store import Store


class MerchantRecord(msgspec.Struct, frozen=True):
    """A merchant and the account its sales are paid into."""

    merchant_id: int
    name: str
    status: int
    account_id: int
    balance_fen: int


class TerminalRecord(msgspec.Struct, frozen=True):
    """A terminal, its merchant's name, and its key under the key-encryption key. `key_version` 0 = never had a key.

    `wrapped_code` is an enrolment code to be used until `code_expires_at_ms`, by `code_serial_number` if not empty.
    `next_wrapped_key` is a key made for it, number `next_key_version`, that no handshake has proved yet. The number
    stays when that key is dropped, so that none is given twice. `key_made_at_ms`: since when the key in force is so.
    """

    terminal_id: int
    merchant_id: int
    merchant_name: str
    status: int
    serial_number: str
    key_version: int
    wrapped_key: bytes | None
    wrapped_code: bytes | None
    code_serial_number: str
    code_expires_at_ms: int
    enrolled_at_ms: int
    next_key_version: int
    next_wrapped_key: bytes | None
    key_made_at_ms: int

    @property
    def waiting_version(self) -> int:
        """The number of the key that waits to be fetched and proved; 0 if none does."""
        return 0 if self.next_wrapped_key is None else self.next_key_version


class CustomerRecord(msgspec.Struct, frozen=True):
    """A customer's account: student number (学工号), name, balance, and what was spent on business day `spent_day`."""

    account_id: int
    student_number: str
    name: str
    balance_fen: int
    spent_day: int
    spent_fen: int
    last_seq: int


class CardRecord(msgspec.Struct, frozen=True):
    """A card and whose it is. Limits in fen; 0 = the host's default."""

    token: bytes
    account_id: int
    status: int
    sale_limit_fen: int
    day_limit_fen: int
    student_number: str
    name: str
    balance_fen: int


class HistoryRecord(msgspec.Struct, frozen=True):
    """One entry of an account with the transfer that made it."""

    seq: int
    amount_fen: int
    balance_fen: int
    kind: int
    terminal_id: int
    batch: int
    stan: int
    business_day: int
    posted_at_ms: int
    original_seq: int


class DayRecord(msgspec.Struct, frozen=True):
    """A business day YYYYMMDD, since when it is open, or its start by the calendar if it was opened later, and the
    first transfer that may belong to it."""

    day: int
    opened_at_ms: int
    first_seq: int


_MERCHANTS: Final = (
    "SELECT m.merchant_id, m.name, m.status, m.account_id, a.balance_fen"
    " FROM merchants AS m JOIN accounts AS a USING (account_id)"
)
_TERMINALS: Final = (
    "SELECT t.terminal_id, t.merchant_id, m.name, t.status, t.serial_number, t.key_version, t.wrapped_key,"
    " t.wrapped_code, t.code_serial_number, t.code_expires_at_ms, t.enrolled_at_ms, t.next_key_version,"
    " t.next_wrapped_key, t.key_made_at_ms"
    " FROM terminals AS t JOIN merchants AS m USING (merchant_id)"
)
_CUSTOMERS: Final = (
    "SELECT c.account_id, c.student_number, c.name, a.balance_fen, a.spent_day, a.spent_fen, a.last_seq"
    " FROM customers AS c JOIN accounts AS a USING (account_id)"
)
_CARDS: Final = (
    "SELECT k.token, k.account_id, k.status, k.sale_limit_fen, k.day_limit_fen, c.student_number, c.name, a.balance_fen"
    " FROM cards AS k JOIN customers AS c USING (account_id) JOIN accounts AS a USING (account_id)"
)


class Registry:
    """See the module's docstring."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.store.execute(sql, values)

    def meta(self, name: str) -> str | None:
        """A value kept about the ledger as a whole, None if never set."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value about the ledger as a whole."""
        self._rows(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def drop_meta(self, name: str) -> None:
        """Forget a value kept about the ledger as a whole."""
        self._rows("DELETE FROM meta WHERE name = ?", (name,))

    # --- merchants

    def merchants(self) -> list[MerchantRecord]:
        """All merchants, by number."""
        return [MerchantRecord(*row) for row in self._rows(f"{_MERCHANTS} ORDER BY m.merchant_id")]

    def find_merchant(self, merchant_id: int) -> MerchantRecord | None:
        """One merchant."""
        rows = self._rows(f"{_MERCHANTS} WHERE m.merchant_id = ?", (merchant_id,))
        return MerchantRecord(*rows[0]) if rows else None

    def add_merchant(self, name: str) -> int:
        """A new merchant with an account of its own and the operators that all have; its number."""
        account_id = self._new_account(AccountKind.MERCHANT, FIRST_MERCHANT_ACCOUNT, FIRST_CUSTOMER_ACCOUNT)
        merchant_id = self._rows("SELECT coalesce(max(merchant_id), 0) + 1 FROM merchants")[0][0]
        self._rows(
            "INSERT INTO merchants (merchant_id, name, account_id) VALUES (?, ?, ?)", (merchant_id, name, account_id)
        )
        Operators(self.store).open_merchant(int(merchant_id))
        return int(merchant_id)

    def rename_merchant(self, merchant_id: int, name: str) -> None:
        """Give a merchant another name."""
        self._rows("UPDATE merchants SET name = ? WHERE merchant_id = ?", (name, merchant_id))

    def set_merchant_status(self, merchant_id: int, status: Status) -> None:
        """Open or close a merchant."""
        self._rows("UPDATE merchants SET status = ? WHERE merchant_id = ?", (int(status), merchant_id))

    # --- terminals

    def find_terminal(self, terminal_id: int) -> TerminalRecord | None:
        """One terminal, None if it was never enrolled."""
        rows = self._rows(f"{_TERMINALS} WHERE t.terminal_id = ?", (terminal_id,))
        return TerminalRecord(*rows[0]) if rows else None

    def terminals(self, *, after: int, limit: int) -> list[TerminalRecord]:
        """Up to `limit` terminals with numbers above `after`, in order."""
        rows = self._rows(f"{_TERMINALS} WHERE t.terminal_id > ? ORDER BY t.terminal_id LIMIT ?", (after, limit))
        return [TerminalRecord(*row) for row in rows]

    def set_key(
        self, terminal_id: int, merchant_id: int, *, serial_number: str, key_version: int, wrapped: bytes, now_ms: int
    ) -> None:
        """Enrol with this key: the only one from now on; an enrolment code still open is void."""
        self._rows(
            "INSERT INTO terminals (terminal_id, merchant_id, serial_number, key_version, wrapped_key, enrolled_at_ms)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (terminal_id) DO UPDATE SET merchant_id = ?2, status = 0,"
            " serial_number = ?3, key_version = ?4, wrapped_key = ?5, enrolled_at_ms = ?6,"
            " wrapped_code = NULL, code_serial_number = '', code_expires_at_ms = 0",
            (terminal_id, merchant_id, serial_number, key_version, wrapped, now_ms),
        )
        self._rows(
            "UPDATE terminals SET next_wrapped_key = NULL, key_made_at_ms = ? WHERE terminal_id = ?",
            (now_ms, terminal_id),
        )

    def stage_key(self, terminal_id: int, *, key_version: int, wrapped: bytes) -> None:
        """Keep the next key beside the one in force until a handshake proves it."""
        self._rows(
            "UPDATE terminals SET next_key_version = ?, next_wrapped_key = ? WHERE terminal_id = ?",
            (key_version, wrapped, terminal_id),
        )

    def promote_key(self, terminal_id: int, *, now_ms: int) -> None:
        """The next key is the key from now on, and the one before is gone."""
        self._rows(
            "UPDATE terminals SET key_version = next_key_version, wrapped_key = next_wrapped_key,"
            " next_wrapped_key = NULL, key_made_at_ms = ? WHERE terminal_id = ? AND next_wrapped_key IS NOT NULL",
            (now_ms, terminal_id),
        )

    def wrap_anew(self, terminal_id: int, *, key: bytes | None, next_key: bytes | None, code: bytes | None) -> None:
        """The same secrets of a terminal, wrapped under another key-encryption key."""
        self._rows(
            "UPDATE terminals SET wrapped_key = ?, next_wrapped_key = ?, wrapped_code = ? WHERE terminal_id = ?",
            (key, next_key, code, terminal_id),
        )

    def set_code(
        self, terminal_id: int, merchant_id: int, *, wrapped: bytes, serial_number: str, expires_at_ms: int
    ) -> None:
        """Let a terminal fetch a key with this code. A key in use stays so until then, a revoked one is gone."""
        self._rows(
            "INSERT INTO terminals (terminal_id, merchant_id, wrapped_code, code_serial_number, code_expires_at_ms)"
            " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (terminal_id) DO UPDATE SET merchant_id = ?2, wrapped_code = ?3,"
            " code_serial_number = ?4, code_expires_at_ms = ?5,"
            " wrapped_key = CASE WHEN terminals.status = 0 THEN terminals.wrapped_key END, status = 0",
            (terminal_id, merchant_id, wrapped, serial_number, expires_at_ms),
        )

    def consume_code(self, terminal_id: int) -> None:
        """The code has been used, or must not be used any more."""
        self._rows(
            "UPDATE terminals SET wrapped_code = NULL, code_serial_number = '', code_expires_at_ms = 0"
            " WHERE terminal_id = ?",
            (terminal_id,),
        )

    def set_terminal_status(self, terminal_id: int, status: Status) -> None:
        """Revoke or reinstate. A code still open goes with it, and so does a next key that nobody has proved."""
        self.consume_code(terminal_id)
        self._rows(
            "UPDATE terminals SET status = ?, next_wrapped_key = NULL WHERE terminal_id = ?",
            (int(status), terminal_id),
        )

    # --- customers

    def find_customer(self, student_number: str) -> CustomerRecord | None:
        """By student number."""
        rows = self._rows(f"{_CUSTOMERS} WHERE c.student_number = ?", (student_number,))
        return CustomerRecord(*rows[0]) if rows else None

    def find_account(self, account_id: int) -> CustomerRecord | None:
        """By account number; None for accounts that are no customer's."""
        rows = self._rows(f"{_CUSTOMERS} WHERE c.account_id = ?", (account_id,))
        return CustomerRecord(*rows[0]) if rows else None

    def customers(self, *, after: int, limit: int) -> list[CustomerRecord]:
        """Up to `limit` customers with account numbers above `after`, in order."""
        rows = self._rows(f"{_CUSTOMERS} WHERE c.account_id > ? ORDER BY c.account_id LIMIT ?", (after, limit))
        return [CustomerRecord(*row) for row in rows]

    def points_of(self, account_id: int) -> int:
        """A customer's points; below zero: owed."""
        rows = self._rows(
            "SELECT balance_fen FROM accounts WHERE account_id = ?", (account_id + POINTS_ACCOUNT_OFFSET,)
        )
        return int(rows[0][0]) if rows else 0

    def add_customer(self, student_number: str, name: str) -> int:
        """A new customer with an empty account; its number."""
        account_id = self._new_account(AccountKind.CUSTOMER, FIRST_CUSTOMER_ACCOUNT, POINTS_ACCOUNT_OFFSET)
        self._rows(
            "INSERT INTO customers (account_id, student_number, name) VALUES (?, ?, ?)",
            (account_id, student_number, name),
        )
        return account_id

    def rename_customer(self, account_id: int, name: str) -> None:
        """Correct a customer's name."""
        self._rows("UPDATE customers SET name = ? WHERE account_id = ?", (name, account_id))

    def _new_account(self, kind: AccountKind, first: int, end: int) -> int:
        newest = self._rows(
            "SELECT max(account_id) FROM accounts WHERE account_id >= ? AND account_id < ?", (first, end)
        )
        account_id = first if newest[0][0] is None else int(newest[0][0]) + 1
        assert account_id < end, f"account numbers {first}..{end - 1} are used up"
        self._rows("INSERT INTO accounts (account_id, kind) VALUES (?, ?)", (account_id, int(kind)))
        return account_id

    # --- cards

    def find_card(self, token: bytes) -> CardRecord | None:
        """One card."""
        rows = self._rows(f"{_CARDS} WHERE k.token = ?", (token,))
        return CardRecord(*rows[0]) if rows else None

    def cards(self, *, after: bytes, limit: int) -> list[CardRecord]:
        """Up to `limit` cards with tokens above `after`, in order."""
        rows = self._rows(f"{_CARDS} WHERE k.token > ? ORDER BY k.token LIMIT ?", (after, limit))
        return [CardRecord(*row) for row in rows]

    def cards_of(self, account_id: int) -> list[CardRecord]:
        """All cards that pay from an account."""
        return [
            CardRecord(*row) for row in self._rows(f"{_CARDS} WHERE k.account_id = ? ORDER BY k.token", (account_id,))
        ]

    def put_card(self, token: bytes, account_id: int, *, sale_limit_fen: int, day_limit_fen: int) -> None:
        """A new active card, or a closed one issued anew: it has none of the terms it had before."""
        if self._rows("SELECT 1 FROM cards WHERE token = ?", (token,)):
            CardTerms(self.store).clear(token)
        self._rows(
            "INSERT INTO cards (token, account_id, sale_limit_fen, day_limit_fen) VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (token) DO UPDATE SET account_id = ?2, sale_limit_fen = ?3, day_limit_fen = ?4, status = 0",
            (token, account_id, sale_limit_fen, day_limit_fen),
        )
        stop_list.note(self.store, token, Status.ACTIVE)

    def set_card_status(self, token: bytes, status: Status) -> None:
        """Freeze, report lost, close, or make active again."""
        self._rows("UPDATE cards SET status = ? WHERE token = ?", (int(status), token))
        stop_list.note(self.store, token, status)

    def set_card_limits(self, token: bytes, *, sale_limit_fen: int, day_limit_fen: int) -> None:
        """Limits in fen; 0 = the host's default."""
        self._rows(
            "UPDATE cards SET sale_limit_fen = ?, day_limit_fen = ? WHERE token = ?",
            (sale_limit_fen, day_limit_fen, token),
        )

    # --- history

    def history(self, account_id: int, limit: int) -> list[HistoryRecord]:
        """An account's newest entries, newest first, found by walking its chain: cheap however large the ledger is."""
        rows = self._rows(
            "WITH RECURSIVE chain (place, seq, amount_fen, balance_fen, previous_seq) AS ("
            " SELECT 1, e.seq, e.amount_fen, e.balance_fen, e.previous_seq FROM accounts AS a"
            "  JOIN entries AS e ON e.seq = a.last_seq AND e.account_id = a.account_id WHERE a.account_id = ?1"
            " UNION ALL SELECT place + 1, e.seq, e.amount_fen, e.balance_fen, e.previous_seq FROM chain"
            "  JOIN entries AS e ON e.seq = chain.previous_seq AND e.account_id = ?1 WHERE place < ?2)"
            " SELECT t.seq, chain.amount_fen, chain.balance_fen, t.kind, t.terminal_id, t.batch, t.stan,"
            " t.business_day, t.posted_at_ms, t.original_seq"
            " FROM chain JOIN transfers AS t USING (seq) ORDER BY t.seq DESC",
            (account_id, limit),
        )
        return [HistoryRecord(*row) for row in rows]

    # --- business days

    def days(self, limit: int) -> list[DayRecord]:
        """The newest business days, newest first."""
        rows = self._rows("SELECT day, opened_at_ms, first_seq FROM business_days ORDER BY day DESC LIMIT ?", (limit,))
        return [DayRecord(*row) for row in rows]

    def day_totals(self, day: int) -> list[tuple[int, str, int, int, int, int]]:
        """Per merchant: number, name, what it took (count, fen) and what it gave back (count, fen) on a business day.

        Taken: sales, completions and what was restored of them, less discounts. Given back: reversals, voids and
        refunds of these. Uploaded sales are sales of the day they were uploaded. Top-ups are no sales.

        Reads every transfer of the day: for a connection of its own, never for the ledger's thread while it serves.
        """
        rows = self._rows(
            "SELECT m.merchant_id, m.name, sum(CASE WHEN e.amount_fen > 0 THEN 1 ELSE 0 END),"
            " sum(CASE WHEN e.amount_fen > 0 THEN e.amount_fen ELSE 0 END),"
            " sum(CASE WHEN e.amount_fen < 0 THEN 1 ELSE 0 END),"
            " sum(CASE WHEN e.amount_fen < 0 THEN -e.amount_fen ELSE 0 END)"
            " FROM transfers AS t JOIN merchants AS m ON m.account_id = t.merchant_account_id"
            " JOIN entries AS e ON e.seq = t.seq AND e.account_id = m.account_id"
            " LEFT JOIN transfers AS o ON o.seq = t.original_seq AND t.kind = 2"
            " WHERE t.seq >= (SELECT first_seq FROM business_days WHERE day = ?1)"
            " AND t.seq < coalesce((SELECT min(first_seq) FROM business_days WHERE day > ?1), ?2)"
            " AND t.business_day = ?1 AND t.kind IN (1, 2, 4, 5, 6, 9, 10, 15) AND coalesce(o.kind, 1) NOT IN (11, 12)"
            " GROUP BY m.merchant_id, m.name ORDER BY m.merchant_id",
            (day, 1 << 62),
        )
        return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]
