"""The SQL that loads and saves whole sets. A set crosses into SQLite as JSON, so that it costs one step of one
statement.

Every step of a statement lets go of Python's lock and takes it again, and against a busy event loop that costs more
than the row itself. Measured with 1,000 terminals on two cores: half the ledger thread's time went there with a row per
step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import apsw
import msgspec

from server.ledger.model import Account, Card, Entry, Identity, Side, Terminal, Transfer

_COLUMNS: Final = [field.name for field in msgspec.structs.fields(Transfer)]
_BINARY: Final = tuple(_COLUMNS.index(name) for name in ("request_hash", "token_hash", "digest"))
_HASH, _TOKEN, _DIGEST = _BINARY


def _picked(index: int) -> str:
    """One column of a row that came as a JSON array; binary ones come as hex."""
    return f"unhex(value ->> {index})" if index in _BINARY else f"value ->> {index}"


# No value is ever put into the text of a statement: only the names of our own columns are. CROSS JOIN and the upsert fix
# the order of work, each key to its row: with the statistics of a young ledger SQLite would read whole tables instead.
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
_SAVE_TRANSFERS: Final = " ".join(
    [
        "INSERT INTO transfers (",
        ", ".join(_COLUMNS),
        ") SELECT",
        ", ".join(_picked(index) for index in range(len(_COLUMNS))),
        "FROM json_each(?)",
    ]
)
_SAVE_ENTRIES: Final = (
    "INSERT INTO entries (seq, account_id, amount_fen, balance_fen, previous_seq)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?)"
)
_SAVE_ACCOUNTS: Final = (
    "INSERT INTO accounts (account_id, kind, balance_fen, spent_day, spent_fen, last_seq)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?) WHERE true"
    " ON CONFLICT (account_id) DO UPDATE SET balance_fen = excluded.balance_fen, spent_day = excluded.spent_day,"
    " spent_fen = excluded.spent_fen, last_seq = excluded.last_seq"
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
    rows = []
    for transfer in transfers:
        row = list(astuple(transfer))
        row[_HASH], row[_TOKEN], row[_DIGEST] = row[_HASH].hex(), row[_TOKEN].hex(), row[_DIGEST].hex()
        rows.append(row)
    db.execute(_SAVE_TRANSFERS, (_json(rows),))
    db.execute(_SAVE_ENTRIES, (_json(entries),))
    ordered = sorted(accounts, key=lambda account: account.account_id)
    db.execute(_SAVE_ACCOUNTS, (_json([astuple(account) for account in ordered]),))


def _load(db: apsw.Connection, sql: str, keys: list[Any]) -> list[list[Any]]:
    ((text,),) = db.execute(sql, (_json(keys),))
    rows: list[list[Any]] = msgspec.json.decode(text)
    return rows


def _json(values: Sequence[Any]) -> str:
    return msgspec.json.encode(values).decode()
