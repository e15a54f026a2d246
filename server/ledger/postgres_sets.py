"""The SQL that loads and saves whole sets in PostgreSQL: every set is one statement, its keys or rows come as arrays.

Saving is one round trip of three statements. Measured on two cores beside the server, sales per second and batch, this
way against COPY: 1 1,000/700, 8 6,800/7,000, 64 17,000/22,000, 128 23,500/27,000, 256 24,000/24,000. COPY takes seven
round trips for that, which on a LAN costs more than it saves.

Accounts are read with row locks, in the order of their numbers: whoever else should ever lock some of them does it in
the same order, so no two can wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from psycopg import Connection

from server.ledger.model import (
    NO_CHANGES,
    Account,
    AccountKind,
    Card,
    Changes,
    Entry,
    Hold,
    Identity,
    Kind,
    Side,
    Terminal,
    Transfer,
)
from server.ledger.postgres_arrays import Numbers, Strings

_COLUMNS: Final = [field.name for field in msgspec.structs.fields(Transfer)]
_ACCOUNT: Final = [field.name for field in msgspec.structs.fields(Account)]
_BYTES: Final = {"request_hash", "token_hash", "digest", "token", "saf_tag"}


def _unnest(columns: Sequence[str]) -> str:
    """`unnest($1::bigint[], ...)`: a table whose columns come as arrays."""
    kinds = ("bytea" if column in _BYTES else "bigint" for column in columns)
    return f"unnest({', '.join(f'${place}::{kind}[]' for place, kind in enumerate(kinds, 1))})"


# No value is ever put into the text of a statement, only the names of our own columns are.
_LOAD_TRANSFERS: Final = " ".join(
    [
        "SELECT",
        ", ".join(f"t.{name}" for name in _COLUMNS),
        f"FROM {_unnest(['terminal_id', 'batch', 'stan'])} AS wanted (terminal_id, batch, stan)",
        "JOIN transfers AS t USING (terminal_id, batch, stan)",
    ]
)
# A family is fetched generation by generation: planned as one recursive statement, its size is anybody's guess, and
# with young statistics the guess is so wrong that the whole journal is read.
_LOAD_ROWS: Final = f"SELECT {', '.join(_COLUMNS)} FROM transfers WHERE seq = ANY($1::bigint[])"  # noqa: S608
_LOAD_FOLLOWERS: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM transfers WHERE original_seq = ANY($1::bigint[])"  # noqa: S608
    " AND original_seq > 0 AND kind <> 4"
)
_LOAD_ENTRIES: Final = (
    f"SELECT {', '.join(Entry._fields)} FROM entries WHERE seq = ANY($1::bigint[]) ORDER BY seq, account_id"  # noqa: S608
)
_LOAD_TERMINALS: Final = (
    "SELECT t.terminal_id, t.status, m.merchant_id, m.status, m.account_id, t.closed_batch, t.pin_wrong, t.code_wrong,"
    " t.pin_window_ms, t.saf_sequence, coalesce(t.saf_tag, '')"
    " FROM terminals AS t JOIN merchants AS m USING (merchant_id) WHERE t.terminal_id = ANY($1::bigint[])"
)
_LOAD_CARDS: Final = (
    "SELECT token, account_id, status, sale_limit_fen, day_limit_fen, class_id, coalesce(pin_verifier, ''), pin_tries,"
    " is_bound, meal_limit_fen FROM cards WHERE token = ANY($1::bytea[])"
)
_LOAD_BINDINGS: Final = "SELECT token, merchant_id FROM card_bindings WHERE token = ANY($1::bytea[])"
_LOAD_ACCOUNTS: Final = (
    f"SELECT {', '.join(_ACCOUNT)} FROM accounts WHERE account_id = ANY($1::bigint[]) ORDER BY account_id"  # noqa: S608
)
_LOAD_HELD: Final = (
    "SELECT account_id, sum(amount_fen) FROM holds WHERE account_id = ANY($1::bigint[]) GROUP BY account_id"
)
_LOAD_DUE: Final = (
    "SELECT seq, account_id, amount_fen, expires_at_ms FROM holds WHERE expires_at_ms <= $1"
    " ORDER BY expires_at_ms, seq LIMIT $2"
)
_SAVE_TRANSFERS: Final = " ".join(
    [f"INSERT INTO transfers ({', '.join(_COLUMNS)})", "SELECT * FROM", _unnest(_COLUMNS)]
)
_SAVE_ENTRIES: Final = " ".join(
    [f"INSERT INTO entries ({', '.join(Entry._fields)})", "SELECT * FROM", _unnest(Entry._fields)]
)
_REWRITTEN: Final = ["account_id", *_ACCOUNT[2:]]
_SAVE_ACCOUNTS: Final = " ".join(
    [
        "UPDATE accounts AS a SET",
        ", ".join(f"{name} = new.{name}" for name in _REWRITTEN[1:]),
        f"FROM {_unnest(_REWRITTEN)} AS new ({', '.join(_REWRITTEN)}) WHERE a.account_id = new.account_id",
    ]
)
_SAVE_POINTS: Final = " ".join(
    [
        f"INSERT INTO accounts ({', '.join(_ACCOUNT)})",
        "SELECT * FROM",
        _unnest(_ACCOUNT),
        "ON CONFLICT (account_id) DO UPDATE SET",
        ", ".join(f"{name} = excluded.{name}" for name in _ACCOUNT[2:]),
    ]
)
"""Points accounts are made when first needed; no other account is made by a batch."""
_SAVE_HOLDS: Final = " ".join(
    [
        f"INSERT INTO holds ({', '.join(Hold._fields)})",
        "SELECT * FROM",
        _unnest(Hold._fields),
        "ON CONFLICT (seq) DO UPDATE SET account_id = excluded.account_id, amount_fen = excluded.amount_fen,",
        "expires_at_ms = excluded.expires_at_ms",
    ]
)
_FREE_HOLDS: Final = "DELETE FROM holds WHERE seq = ANY($1::bigint[])"
_CARD_STATE: Final = ["token", "pin_tries"]
_TERMINAL_STATE: Final = [
    "terminal_id",
    "closed_batch",
    "pin_wrong",
    "code_wrong",
    "pin_window_ms",
    "saf_sequence",
    "saf_tag",
]


def _update(table: str, columns: Sequence[str]) -> str:
    """Rewrite columns of rows found by the first of these."""
    return " ".join(
        [
            f"UPDATE {table} AS old SET",
            ", ".join(f"{name} = new.{name}" for name in columns[1:]),
            f"FROM {_unnest(columns)} AS new ({', '.join(columns)}) WHERE old.{columns[0]} = new.{columns[0]}",
        ]
    )


_SAVE_CARDS: Final = _update("cards", _CARD_STATE)
_SAVE_TERMINALS: Final = _update("terminals", _TERMINAL_STATE)


def load_transfers(db: Connection[Any], identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
    """Originals and reversals under these identities. Few are found: almost every request is new."""
    found = {}
    for row in db.execute(_LOAD_TRANSFERS, _columns(sorted(identities), Identity._fields)) if identities else ():
        transfer = Transfer(*row)
        identity = Identity(transfer.terminal_id, transfer.batch, transfer.stan)
        found[identity, Side(transfer.side)] = transfer
    return found


def load_family(db: Connection[Any], seqs: Collection[int]) -> list[Transfer]:
    """These rows, all they are about, and all that is about any of these, by number."""
    found: dict[int, Transfer] = {}
    wanted = set(seqs)
    while wanted:
        rows = [Transfer(*row) for row in db.execute(_LOAD_ROWS, [Numbers(sorted(wanted))])]
        found.update((row.seq, row) for row in rows)
        wanted = {row.original_seq for row in rows if row.kind != Kind.UPLOAD and row.original_seq} - found.keys()
    wanted = set(found)
    while wanted:
        rows = [Transfer(*row) for row in db.execute(_LOAD_FOLLOWERS, [Numbers(sorted(wanted))])]
        wanted = {row.seq for row in rows} - found.keys()
        found.update((row.seq, row) for row in rows)
    return [found[seq] for seq in sorted(found)]


def load_entries(db: Connection[Any], seqs: Collection[int]) -> list[Entry]:
    """Legs of these transfers, in the order of their table."""
    return [Entry(*row) for row in db.execute(_LOAD_ENTRIES, [Numbers(sorted(seqs))])]


def load_bindings(db: Connection[Any], tokens: Collection[bytes]) -> set[tuple[bytes, int]]:
    """Which of these cards may pay at which merchant."""
    return {(row[0], row[1]) for row in db.execute(_LOAD_BINDINGS, [Strings(sorted(tokens))])}


def load_held(db: Connection[Any], account_ids: Collection[int]) -> dict[int, int]:
    """What is held of these accounts; those without holds are missing."""
    return {row[0]: int(row[1]) for row in db.execute(_LOAD_HELD, [Numbers(sorted(account_ids))])}


def load_due(db: Connection[Any], now_ms: int, limit: int) -> list[Hold]:
    """Holds whose time is over, the oldest first."""
    return [Hold(*row) for row in db.execute(_LOAD_DUE, (now_ms, limit))]


def load_terminals(db: Connection[Any], terminal_ids: Collection[int]) -> dict[int, Terminal]:
    """Terminals with their merchants, by number."""
    return {row[0]: Terminal(*row) for row in db.execute(_LOAD_TERMINALS, [Numbers(sorted(terminal_ids))])}


def load_cards(db: Connection[Any], tokens: Collection[bytes]) -> dict[bytes, Card]:
    """Cards by token."""
    return {row[0]: Card(*row) for row in db.execute(_LOAD_CARDS, [Strings(sorted(tokens))])}


def load_accounts(db: Connection[Any], account_ids: Collection[int], *, lock: bool) -> dict[int, Account]:
    """Accounts by number; `lock` keeps their rows until the transaction ends."""
    sql = _LOAD_ACCOUNTS + " FOR UPDATE" if lock else _LOAD_ACCOUNTS
    return {row[0]: Account(*row) for row in db.execute(sql, [Numbers(sorted(account_ids))])}


def save(
    db: Connection[Any],
    transfers: Sequence[Transfer],
    entries: Sequence[Entry],
    accounts: Iterable[Account],
    changes: Changes = NO_CHANGES,
) -> None:
    """Append journal rows and entries, rewrite accounts."""
    astuple = msgspec.structs.astuple
    points: list[tuple[Any, ...]] = []
    rewritten: list[tuple[Any, ...]] = []
    for row in sorted(astuple(account) for account in accounts):
        if row[1] == AccountKind.POINTS:
            points.append(row)
        else:
            rewritten.append((row[0], *row[2:]))
    terminals = [
        tuple(getattr(terminal, name) for name in _TERMINAL_STATE)
        for terminal in sorted(changes.terminals, key=lambda terminal: terminal.terminal_id)
    ]
    with db.pipeline():
        for sql, rows, names in (
            (_SAVE_TRANSFERS, [astuple(transfer) for transfer in transfers], _COLUMNS),
            (_SAVE_ENTRIES, entries, Entry._fields),
            (_SAVE_ACCOUNTS, rewritten, _REWRITTEN),
            (_SAVE_POINTS, points, _ACCOUNT),
            (_SAVE_HOLDS, sorted(changes.holds), Hold._fields),
            (_SAVE_CARDS, sorted((card.token, card.pin_tries) for card in changes.cards), _CARD_STATE),
            (_SAVE_TERMINALS, terminals, _TERMINAL_STATE),
        ):
            if rows:
                db.execute(sql, _columns(rows, names))
        if changes.freed:
            db.execute(_FREE_HOLDS, [Numbers(sorted(changes.freed))])


def _columns(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> list[list[Any]]:
    """Rows as columns; there is at least one row."""
    return [
        Strings(column) if name in _BYTES else Numbers(column)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    ]
