"""The SQL that loads and saves whole sets, in few steps of few statements.

Every step of a statement lets go of Python's lock and takes it again, and against a busy event loop that costs more
than the row itself. Measured with 1,000 terminals on two cores: half the ledger thread's time went there with a row per
step. So what is looked up comes and goes as one JSON text, and what is saved as statements of many rows. (JSON would
save in one step, too, but takes each row apart once per column: 8.7 us a transfer, against 1.6.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any, Final

import apsw
import msgspec

from server.ledger.model import Account, Card, Entry, Identity, Side, Terminal, Transfer

_COLUMNS: Final = [field.name for field in msgspec.structs.fields(Transfer)]
_ROWS_AT_ONCE: Final = (128, 64, 32, 16, 8, 4, 2, 1)
"""A set is cut into pieces of these sizes, so that a few prepared statements serve every size of set."""


def _many_rows(head: str, columns: int, tail: str = "") -> dict[int, str]:
    """The statement `head VALUES (?, ...), ... tail` for each number of rows."""
    row = f"({', '.join('?' for _ in range(columns))})"
    return {count: f"{head} VALUES {', '.join([row] * count)} {tail}" for count in _ROWS_AT_ONCE}


# No value is ever put into the text of a statement, only the names of our own columns are. CROSS JOIN fixes the order
# of work, each key to its row: with the statistics of a young ledger SQLite would read whole tables instead.
_LOAD_TRANSFERS: Final = " ".join(
    [
        "SELECT",
        ", ".join(f"t.{name}" for name in _COLUMNS),
        "FROM json_each(?) AS wanted CROSS JOIN transfers AS t ON t.terminal_id = wanted.value ->> 0",
        "AND t.batch = wanted.value ->> 1 AND t.stan = wanted.value ->> 2",
    ]
)
_LOAD_TERMINALS: Final = (
    "SELECT json_group_array(json_array(t.terminal_id, t.status, m.merchant_id, m.status, m.account_id))"
    " FROM json_each(?) AS wanted CROSS JOIN terminals AS t ON t.terminal_id = wanted.value"
    " JOIN merchants AS m USING (merchant_id)"
)
_LOAD_CARDS: Final = (
    "SELECT json_group_array(json_array(wanted.value, account_id, status, sale_limit_fen, day_limit_fen))"
    " FROM json_each(?) AS wanted CROSS JOIN cards ON token = unhex(wanted.value)"
)
_LOAD_ACCOUNTS: Final = (
    "SELECT json_group_array(json_array(account_id, kind, balance_fen, spent_day, spent_fen, last_seq))"
    " FROM json_each(?) AS wanted CROSS JOIN accounts ON account_id = wanted.value"
)
_SAVE_TRANSFERS: Final = _many_rows(f"INSERT INTO transfers ({', '.join(_COLUMNS)})", len(_COLUMNS))
_SAVE_ENTRIES: Final = _many_rows(f"INSERT INTO entries ({', '.join(Entry._fields)})", len(Entry._fields))
_SAVE_ACCOUNTS: Final = _many_rows(
    "INSERT INTO accounts (account_id, kind, balance_fen, spent_day, spent_fen, last_seq)",
    6,
    "ON CONFLICT (account_id) DO UPDATE SET balance_fen = excluded.balance_fen, spent_day = excluded.spent_day,"
    " spent_fen = excluded.spent_fen, last_seq = excluded.last_seq",
)


def load_transfers(db: apsw.Connection, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
    """Originals and reversals under these identities. Few are found: almost every request is new."""
    found = {}
    for row in db.execute(_LOAD_TRANSFERS, (_json(sorted(identities)),)):
        transfer = Transfer(*row)
        identity = Identity(transfer.terminal_id, transfer.batch, transfer.stan)
        found[identity, Side(transfer.side)] = transfer
    return found


def load_terminals(db: apsw.Connection, terminal_ids: Collection[int]) -> dict[int, Terminal]:
    """Terminals with their merchants, by number."""
    return {row[0]: Terminal(*row) for row in _load(db, _LOAD_TERMINALS, sorted(terminal_ids))}


def load_cards(db: apsw.Connection, tokens: Collection[bytes]) -> dict[bytes, Card]:
    """Cards by token."""
    rows = _load(db, _LOAD_CARDS, sorted(token.hex() for token in tokens))
    return {token: Card(token, *row[1:]) for row in rows for token in (bytes.fromhex(row[0]),)}


def load_accounts(db: apsw.Connection, account_ids: Collection[int]) -> dict[int, Account]:
    """Accounts by number."""
    return {row[0]: Account(*row) for row in _load(db, _LOAD_ACCOUNTS, sorted(account_ids))}


def save(
    db: apsw.Connection, transfers: Sequence[Transfer], entries: Sequence[Entry], accounts: Iterable[Account]
) -> None:
    """Append journal rows and entries, rewrite accounts in the order of their numbers, to touch each page once."""
    astuple = msgspec.structs.astuple
    _save(db, _SAVE_TRANSFERS, [astuple(transfer) for transfer in transfers])
    _save(db, _SAVE_ENTRIES, entries)
    _save(db, _SAVE_ACCOUNTS, sorted(astuple(account) for account in accounts))


def _save(db: apsw.Connection, statements: dict[int, str], rows: Sequence[tuple[Any, ...]]) -> None:
    start = 0
    for count, statement in statements.items():
        while len(rows) - start >= count:
            db.execute(statement, tuple(chain.from_iterable(rows[start : start + count])))
            start += count


def _load(db: apsw.Connection, sql: str, keys: list[Any]) -> list[list[Any]]:
    ((text,),) = db.execute(sql, (_json(keys),))
    rows: list[list[Any]] = msgspec.json.decode(text)
    return rows


def _json(values: Sequence[Any]) -> str:
    return msgspec.json.encode(values).decode()
