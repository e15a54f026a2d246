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

from server.ledger.model import (
    NO_CHANGES,
    Account,
    Card,
    Changes,
    Entry,
    Hold,
    Identity,
    Side,
    Terminal,
    Transfer,
)

_COLUMNS: Final = [field.name for field in msgspec.structs.fields(Transfer)]
_ACCOUNT: Final = [field.name for field in msgspec.structs.fields(Account)]
_TERMINAL_STATE: Final = ("closed_batch", "pin_wrong", "code_wrong", "pin_window_ms", "saf_sequence", "saf_tag")
_accounts: Final = msgspec.json.Decoder(list[Account])
"""Half the time of a list for each row and an account of it; a sale needs two to four."""
VERIFIER: Final = Card.__struct_fields__.index("pin_verifier")
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
_LOAD_FAMILY: Final = " ".join(
    [
        "WITH RECURSIVE up (seq, about) AS (",
        "SELECT t.seq, CASE WHEN t.kind = 4 THEN 0 ELSE t.original_seq END",
        "FROM json_each(?) AS wanted CROSS JOIN transfers AS t ON t.seq = wanted.value",
        "UNION SELECT t.seq, CASE WHEN t.kind = 4 THEN 0 ELSE t.original_seq END",
        "FROM up CROSS JOIN transfers AS t ON t.seq = up.about),",
        "family (seq) AS (SELECT seq FROM up",
        "UNION SELECT t.seq FROM family CROSS JOIN transfers AS t ON t.original_seq = family.seq",
        "WHERE t.original_seq > 0 AND t.kind <> 4)",
        "SELECT",
        ", ".join(f"t.{name}" for name in _COLUMNS),
        "FROM family CROSS JOIN transfers AS t ON t.seq = family.seq ORDER BY t.seq",
    ]
)
_LOAD_ENTRIES: Final = (
    "SELECT e.seq, e.account_id, e.amount_fen, e.balance_fen, e.previous_seq"
    " FROM json_each(?) AS wanted CROSS JOIN entries AS e ON e.seq = wanted.value ORDER BY e.seq, e.account_id"
)
_LOAD_TERMINALS: Final = (
    "SELECT json_group_array(json_array(t.terminal_id, t.status, m.merchant_id, m.status, m.account_id, t.closed_batch,"
    " t.pin_wrong, t.code_wrong, t.pin_window_ms, t.saf_sequence, hex(t.saf_tag)))"
    " FROM json_each(?) AS wanted CROSS JOIN terminals AS t ON t.terminal_id = wanted.value"
    " JOIN merchants AS m USING (merchant_id)"
)
_LOAD_CARDS: Final = (
    "SELECT json_group_array(json_array(wanted.value, account_id, status, sale_limit_fen, day_limit_fen, class_id,"
    " hex(pin_verifier), pin_tries, is_bound, meal_limit_fen))"
    " FROM json_each(?) AS wanted CROSS JOIN cards ON token = unhex(wanted.value)"
)
_LOAD_BINDINGS: Final = (
    "SELECT json_group_array(json_array(wanted.value, merchant_id))"
    " FROM json_each(?) AS wanted CROSS JOIN card_bindings ON token = unhex(wanted.value)"
)
_LOAD_ACCOUNTS: Final = " ".join(
    [
        f"SELECT json_group_array(json_array({', '.join(_ACCOUNT)}))",
        "FROM json_each(?) AS wanted CROSS JOIN accounts ON account_id = wanted.value",
    ]
)
_LOAD_HELD: Final = (
    "SELECT h.account_id, sum(h.amount_fen) FROM json_each(?) AS wanted"
    " CROSS JOIN holds AS h ON h.account_id = wanted.value GROUP BY h.account_id"
)
_LOAD_DUE: Final = (
    "SELECT seq, account_id, amount_fen, expires_at_ms FROM holds WHERE expires_at_ms <= ?"
    " ORDER BY expires_at_ms, seq LIMIT ?"
)
_SAVE_TRANSFERS: Final = _many_rows(f"INSERT INTO transfers ({', '.join(_COLUMNS)})", len(_COLUMNS))
_SAVE_ENTRIES: Final = _many_rows(f"INSERT INTO entries ({', '.join(Entry._fields)})", len(Entry._fields))
_SAVE_ACCOUNTS: Final = _many_rows(
    f"INSERT INTO accounts ({', '.join(_ACCOUNT)})",
    len(_ACCOUNT),
    f"ON CONFLICT (account_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _ACCOUNT[2:])}",
)
_SAVE_HOLDS: Final = _many_rows(
    f"INSERT INTO holds ({', '.join(Hold._fields)})",
    len(Hold._fields),
    "ON CONFLICT (seq) DO UPDATE SET account_id = excluded.account_id, amount_fen = excluded.amount_fen,"
    " expires_at_ms = excluded.expires_at_ms",
)
_FREE_HOLDS: Final = "DELETE FROM holds WHERE seq IN (SELECT value FROM json_each(?))"
_SAVE_CARD: Final = "UPDATE cards SET pin_tries = ? WHERE token = ?"
# Each is there: it was loaded in this transaction, so nothing is inserted.
_SAVE_TERMINALS: Final = _many_rows(
    f"INSERT INTO terminals (terminal_id, merchant_id, {', '.join(_TERMINAL_STATE)})",
    2 + len(_TERMINAL_STATE),
    f"ON CONFLICT (terminal_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _TERMINAL_STATE)}",
)


def load_transfers(db: apsw.Connection, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
    """Originals and reversals under these identities. Few are found: almost every request is new."""
    found = {}
    for row in db.execute(_LOAD_TRANSFERS, (_json(sorted(identities)),)):
        transfer = Transfer(*row)
        identity = Identity(transfer.terminal_id, transfer.batch, transfer.stan)
        found[identity, Side(transfer.side)] = transfer
    return found


def load_family(db: apsw.Connection, seqs: Collection[int]) -> list[Transfer]:
    """These rows, all they are about, and all that is about any of these, by number."""
    return [Transfer(*row) for row in db.execute(_LOAD_FAMILY, (_json(sorted(seqs)),))]


def load_entries(db: apsw.Connection, seqs: Collection[int]) -> list[Entry]:
    """Legs of these transfers, in the order of their table."""
    return [Entry(*row) for row in db.execute(_LOAD_ENTRIES, (_json(sorted(seqs)),))]


def load_terminals(db: apsw.Connection, terminal_ids: Collection[int]) -> dict[int, Terminal]:
    """Terminals with their merchants, by number."""
    rows = _load(db, _LOAD_TERMINALS, sorted(terminal_ids))
    for row in rows:
        row[-1] = bytes.fromhex(row[-1]) if row[-1] else b""
    return {row[0]: Terminal(*row) for row in rows}


def load_cards(db: apsw.Connection, tokens: Collection[bytes]) -> dict[bytes, Card]:
    """Cards by token."""
    cards = {}
    for row in _load(db, _LOAD_CARDS, sorted(token.hex() for token in tokens)):
        row[0] = bytes.fromhex(row[0])
        row[VERIFIER] = bytes.fromhex(row[VERIFIER]) if row[VERIFIER] else b""
        cards[row[0]] = Card(*row)
    return cards


def load_bindings(db: apsw.Connection, tokens: Collection[bytes]) -> set[tuple[bytes, int]]:
    """Which of these cards may pay at which merchant."""
    rows = _load(db, _LOAD_BINDINGS, sorted(token.hex() for token in tokens))
    return {(bytes.fromhex(text), merchant_id) for text, merchant_id in rows}


def load_accounts(db: apsw.Connection, account_ids: Collection[int]) -> dict[int, Account]:
    """Accounts by number."""
    ((text,),) = db.execute(_LOAD_ACCOUNTS, (_json(sorted(account_ids)),))
    return {account.account_id: account for account in _accounts.decode(text)}


def load_held(db: apsw.Connection, account_ids: Collection[int]) -> dict[int, int]:
    """What is held of these accounts; those without holds are missing."""
    return {account_id: int(held) for account_id, held in db.execute(_LOAD_HELD, (_json(sorted(account_ids)),))}


def load_due(db: apsw.Connection, now_ms: int, limit: int) -> list[Hold]:
    """Holds whose time is over, the oldest first."""
    return [Hold(*row) for row in db.execute(_LOAD_DUE, (now_ms, limit))]


def save(
    db: apsw.Connection,
    transfers: Sequence[Transfer],
    entries: Sequence[Entry],
    accounts: Iterable[Account],
    changes: Changes = NO_CHANGES,
) -> None:
    """Append journal rows and entries, rewrite accounts in the order of their numbers, to touch each page once."""
    astuple = msgspec.structs.astuple
    _save(db, _SAVE_TRANSFERS, [astuple(transfer) for transfer in transfers])
    _save(db, _SAVE_ENTRIES, entries)
    _save(db, _SAVE_ACCOUNTS, sorted(astuple(account) for account in accounts))
    if changes is NO_CHANGES:
        return
    _save(db, _SAVE_HOLDS, sorted(changes.holds))
    if changes.freed:
        db.execute(_FREE_HOLDS, (_json(sorted(changes.freed)),))
    for card in changes.cards:
        db.execute(_SAVE_CARD, (card.pin_tries, card.token))
    _save(
        db,
        _SAVE_TERMINALS,
        sorted(
            (one.terminal_id, one.merchant_id, *(getattr(one, name) for name in _TERMINAL_STATE))
            for one in changes.terminals
        ),
    )


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
