"""Whatever one value is edited by hand, whichever row deleted, added or moved: `verify` fails and names it.

The columns are the schema's own, so a new one joins by itself: either it is seen, or it is written down in UNSEEN with
the reason. What UNSEEN says is tested as well, so that the list can only be as long as it is true.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from server.ledger.batch import chain_digest
from server.ledger.copy import TABLES, Table, copy_ledger
from server.ledger.ledger import Ledger
from server.ledger.model import (
    FIRST_MERCHANT_ACCOUNT,
    Entry,
    Kind,
    Transfer,
)
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Row, Store
from server.ledger.verify import verify
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    NO_LIMITS,
    NOW_MS,
    START_FEN,
    STRANGER,
    adjustment,
    apply,
    open_campus,
    reversal,
    sale,
    upload,
)
from tests.server.ledger.every_key import every_key

NOT_MONEY = "who is who and what may be sold are no part of the journal: the office changes them every day"
KEYS = "a key that was exchanged does not open: the terminal cannot connect"
COUNTERS = "it says what may be asked for from now on; what was moved is in the journal"
NOTES = "what the host notes about itself decides nothing about money"
UNSEEN: dict[tuple[str, str], str] = {
    ("meta", "name"): NOTES,
    ("meta", "value"): NOTES,
    ("histories", "first_seq"): "only an upload from before the first one would show it",
    ("holds", "expires_at_ms"): "when a hold ends decides the tariff of that day; what is held, and of whom, is seen",
    ("histories", "opened_at_ms"): "a time of the host's clock, which nothing else bears witness to",
    ("histories", "closed_at_ms"): "a time of the host's clock, which nothing else bears witness to",
    ("business_days", "opened_at_ms"): "a time of the host's clock: only its order is witnessed",
    ("customers", "student_number"): NOT_MONEY,
    ("customers", "name"): NOT_MONEY,
    ("cards", "token"): NOT_MONEY,
    ("cards", "account_id"): "whose card it is, is no transfer; what it paid is, with the account",
    ("cards", "status"): NOT_MONEY,
    ("cards", "sale_limit_fen"): NOT_MONEY,
    ("cards", "day_limit_fen"): NOT_MONEY,
    ("cards", "class_id"): NOT_MONEY,
    ("cards", "pin_verifier"): NOT_MONEY,
    ("cards", "pin_tries"): COUNTERS,
    ("cards", "is_bound"): NOT_MONEY,
    ("cards", "meal_limit_fen"): NOT_MONEY,
    ("accounts", "meal_key"): COUNTERS,
    ("accounts", "meal_fen"): COUNTERS,
    ("accounts", "day_count"): COUNTERS,
    ("accounts", "code_step"): COUNTERS,
    ("merchants", "name"): NOT_MONEY,
    ("merchants", "status"): NOT_MONEY,
    ("terminals", "terminal_id"): NOT_MONEY,
    (
        "terminals",
        "merchant_id",
    ): "whom a terminal sells for from now on; what it has sold names the merchant's account",
    ("terminals", "status"): NOT_MONEY,
    ("terminals", "serial_number"): NOT_MONEY,
    ("terminals", "key_version"): KEYS,
    ("terminals", "wrapped_key"): KEYS,
    ("terminals", "wrapped_code"): KEYS,
    ("terminals", "code_serial_number"): NOT_MONEY,
    ("terminals", "code_expires_at_ms"): NOT_MONEY,
    ("terminals", "enrolled_at_ms"): NOT_MONEY,
    ("terminals", "next_key_version"): KEYS,
    ("terminals", "next_wrapped_key"): KEYS,
    ("terminals", "key_made_at_ms"): NOT_MONEY,
    ("terminals", "pin_wrong"): COUNTERS,
    ("terminals", "code_wrong"): COUNTERS,
    ("terminals", "pin_window_ms"): COUNTERS,
    ("terminals", "saf_sequence"): COUNTERS,
    ("terminals", "saf_tag"): COUNTERS,
}
"""Columns of which some edits pass, and why that is so. SECURITY.md and docs/operating.md say it in plain words."""
OFFICE = (
    "card_classes",
    "meal_periods",
    "class_meals",
    "bonus_tiers",
    "points_rates",
    "products",
    "operators",
    "parameters",
    "terminal_states",
    "terminal_moves",
    "terminal_events",
    "stop_list",
    "changes",
    "resolutions",
    "card_bindings",
    "quarantine",
    "settlements",
    "settlement_totals",
    "settlement_records",
    "settlement_differences",
    "late_transfers",
)
"""Tables of which nothing is witnessed, for the reason NOT_MONEY: on which terms is sold, and by whom. Settlements have
tests of their own, `test_settlement_checks.py`; here there are none."""
JOURNAL = [table for table in TABLES if table.name not in OFFICE]
WITNESSED = ("accounts", "holds", "business_days", "entries", "histories", "merchants", "transfers")
"""Tables of which no row can be taken away."""


def busy_ledger(store: Store) -> Ledger:
    """Every kind of transfer, approved and declined, on two days and in two histories."""
    ledger = open_campus(store)
    with store.transaction():
        for account_id in (ANN, BEN, COY):
            store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
        store.execute(
            "UPDATE terminals SET wrapped_key = ?, next_wrapped_key = ?, wrapped_code = ?", (b"k", b"n", b"c")
        )
        store.execute("UPDATE terminals SET serial_number = 'SN', code_serial_number = 'SN', saf_tag = ?", (b"t",))
        store.execute("UPDATE cards SET pin_verifier = ?", (b"p",))
    apply(ledger, sale(1, 1200), sale(2, 300), reversal(2, 300), sale(3, 1, COY), reversal(4, 500), sale(4, 500))
    apply(ledger, adjustment(3, -700, BEN), sale(6, 80, BEN), sale(7, 20, token=STRANGER))
    ledger.open_day(DAY + 1, NOW_MS + 1)
    apply(ledger, sale(5, 50))
    ledger.open_history(NOW_MS + 2)
    ledger.open_history(NOW_MS + 3)
    every_key(ledger)
    apply(ledger, upload(10, 700), upload(11, 5, COY), upload(12, START_FEN, BEN), reversal(12, START_FEN, BEN))
    return ledger


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(":memory:")) as store:
        busy_ledger(store)
        yield store


def problems(store: Store) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in verify(store) if not check.ok]


def test_the_ledger_holds_before_anything_is_done_to_it(store):
    assert problems(store) == []
    assert [kind for (kind,) in store.execute("SELECT DISTINCT kind FROM transfers ORDER BY kind")] == [
        kind for kind in Kind if kind != Kind.OFFLINE_SALE
    ]
    assert len(store.execute("SELECT DISTINCT decision FROM transfers")) >= 4
    assert all(store.execute(f"SELECT * FROM {table.name}") for table in JOURNAL if table.name != "meta")


# ------------------------------------------------------------------------------------------ edit one value


def keys_of(table: Table, row: Row) -> list[Any]:
    return [row[table.columns.index(name.strip())] for name in table.key.split(",")]


def where(table: Table) -> str:
    return " AND ".join(f"{name.strip()} IS ?" for name in table.key.split(","))


def rows_of(store: Store, table: Table) -> list[Row]:
    return store.execute(f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {table.key}")


def edits_of(value: Any) -> list[Any]:
    """What somebody might make of a value."""
    if isinstance(value, int):
        return [value + 1, value - 1, value + 1000, -value if value else 7]
    if isinstance(value, str):
        return [value + "1", ""]
    return [bytes([value[0] ^ 1]) + value[1:], value[:-1], b""]


def put_back(store: Store, table: Table, row: Row) -> None:
    """The table as it was: `row` again, whatever has become of it."""
    marks = ", ".join("?" for _ in row)
    store.execute(f"INSERT OR REPLACE INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})", row)


def edited(store: Store, table: Table, column: str) -> Iterator[tuple[Row, Any, list[str]]]:
    """(row, new value, what verify says) of every edit of a column that the schema itself does not refuse."""
    store.execute("PRAGMA ignore_check_constraints = 1")
    for row in rows_of(store, table):
        for value in edits_of(row[table.columns.index(column)]):
            changed = list(row)
            changed[table.columns.index(column)] = value
            store.execute("BEGIN")
            with contextlib.suppress(Exception):  # a key or an index refuses it: nobody can do that to us
                store.execute(
                    f"UPDATE {table.name} SET {column} = ? WHERE {where(table)}", [value, *keys_of(table, row)]
                )
                store.execute("COMMIT")
                yield row, value, problems(store)
                store.execute("BEGIN")
                store.execute(f"DELETE FROM {table.name} WHERE {where(table)}", keys_of(table, tuple(changed)))
                put_back(store, table, row)
            store.execute("COMMIT")
    assert problems(store) == []


def names_of(table: Table, *rows: Row) -> list[str]:
    """How verify may call a row, as it was or as it is: by itself, or by the row that points to it."""
    return [name for row in rows for name in _names(table, row)]


def _names(table: Table, row: Row) -> list[str]:
    fields = dict(zip(table.columns, row, strict=True))
    match table.name:
        case "transfers":
            return [f"transfer {fields['seq']}", f"expected {fields['seq']} here", f"(seq {fields['seq']},"]
        case "entries":
            return [f"(seq {fields['seq']}, account {fields['account_id']})", f"transfer {fields['seq']}"]
        case "accounts":
            number = fields["account_id"]
            return [f"account {number}", f"customer S{number}", f"merchant {number - FIRST_MERCHANT_ACCOUNT + 1}:"]
        case "business_days":
            return [f"day {fields['day']}", f"transfer {fields['first_seq']}:"]
        case "histories":
            return [f"history {fields['history']}:", f"expected {fields['history']} here", f"be {fields['history']}"]
        case "customers":
            return [f"account {fields['account_id']}:", f"customer S{fields['account_id']}"]
        case "merchants":
            return [
                f"merchant {fields['merchant_id']}:",
                f"account {fields['account_id']}:",
                f"terminal 3-{fields['merchant_id'] + 57}:",
            ]
        case "holds":
            return [f"hold {fields['seq']}:"]
        case "cards":
            return [f"card {fields['token'].hex().upper()}"]
        case "terminals":
            return [f"terminal {fields['terminal_id'] >> 16}-{fields['terminal_id'] & 0xFFFF}"]
    raise AssertionError(f"expected a way to name a row of {table.name}: a new table wants a check and a line here")


COLUMNS = [(table, column) for table in JOURNAL for column in table.columns]


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table.name}.{column}" for table, column in COLUMNS])
def test_an_edited_value_is_seen_and_its_row_named(store, table, column):
    tried = 0
    passed = []
    for row, value, found in edited(store, table, column):
        tried += 1
        if not found:
            passed.append((row, value))
        elif (table.name, column) not in UNSEEN:
            changed = tuple(value if name == column else old for name, old in zip(table.columns, row, strict=True))
            called = names_of(table, row, changed)
            assert any(name in line for name in called for line in found), (row, value, found)
    assert tried > 0
    if (table.name, column) in UNSEEN:
        assert passed, f"{table.name}.{column} is seen now: strike it off the list"
    else:
        assert passed == []


def test_the_list_of_what_is_not_seen_names_columns_that_are():
    assert {*UNSEEN} <= {(table.name, column) for table, column in COLUMNS}
    assert not [name for name, _ in UNSEEN if name in ("transfers", "entries")], "money is always seen"


# ---------------------------------------------------------------------------------- delete, insert, reorder


@pytest.mark.parametrize("name", WITNESSED)
def test_a_deleted_row_is_named(store, name):
    table = next(table for table in TABLES if table.name == name)
    for row in rows_of(store, table):
        store.execute(f"DELETE FROM {name} WHERE {where(table)}", keys_of(table, row))
        found = problems(store)
        assert any(called in line for called in names_of(table, row) for line in found), (row, found)
        put_back(store, table, row)
    assert problems(store) == []


def test_what_can_be_deleted_and_nothing_tells(store):
    """A day on which nothing was sold; who is who, as long as nothing points to it."""
    Ledger(store, NO_LIMITS).open_day(DAY + 2, NOW_MS + 9)
    for deletion in (
        f"DELETE FROM business_days WHERE day = {DAY + 2}",
        "DELETE FROM cards",
        "DELETE FROM terminals",
        "DELETE FROM meta WHERE name = 'epoch'",
        *(f"DELETE FROM {name}" for name in OFFICE),
    ):
        store.execute(deletion)
        assert problems(store) == []


@pytest.mark.parametrize("name", ["transfers", "entries", "accounts", "histories", "merchants"])
def test_an_inserted_row_is_named(store, name):
    """A copy of any row under the next free key: in the past of the journal there is no room for one."""
    table = next(table for table in TABLES if table.name == name)
    rows = rows_of(store, table)
    for row in rows:
        new = list(row)
        new[0] = rows[-1][0] + 1
        if name == "transfers":
            new[table.columns.index("stan")] = 99_999  # its identity is taken
        if name == "merchants":
            new[table.columns.index("account_id")] = 77  # its account, too
        put_back(store, table, tuple(new))
        found = problems(store)
        assert any(called in line for called in names_of(table, tuple(new)) for line in found), (new, found)
        store.execute(f"DELETE FROM {name} WHERE {where(table)}", keys_of(table, tuple(new)))
    assert problems(store) == []


def test_a_business_day_in_the_past_cannot_be_inserted(store):
    store.execute("INSERT INTO business_days VALUES (?, ?, 3)", (DAY - 1, NOW_MS))
    assert any(f"day {DAY - 1}" in line or "transfer 1:" in line for line in problems(store))


@pytest.mark.parametrize("name", ["transfers", "entries", "accounts"])
def test_swapped_rows_are_named(store, name):
    """Every two neighbours trade places: the same contents under each other's keys."""
    table = next(table for table in TABLES if table.name == name)
    rows = rows_of(store, table)
    tried = 0
    for one, other in pairwise(rows):
        width = len(keys_of(table, one))
        first, second = (*keys_of(table, one), *other[width:]), (*keys_of(table, other), *one[width:])
        if (first, second) == (one, other):
            continue  # what is the same under another key: two entries of 0, two accounts nobody has used
        tried += 1
        store.execute("BEGIN")
        for row in (one, other):
            store.execute(f"DELETE FROM {name} WHERE {where(table)}", keys_of(table, row))
        for row in (first, second):
            put_back(store, table, row)
        store.execute("COMMIT")
        found = problems(store)
        assert any(called in line for called in names_of(table, one) for line in found), (one, other, found)
        for row in (one, other):
            put_back(store, table, row)
    assert tried > 4
    assert problems(store) == []


# ------------------------------------------------------------------------------------------------- the tail


def cut_tail(store: Store, first_seq: int) -> None:
    for table in ("transfers", "entries"):
        store.execute(f"DELETE FROM {table} WHERE seq >= ?", (first_seq,))


def test_a_cut_off_tail_shows_in_what_is_left(store):
    head = store.head()[0]
    for first_seq in range(1, head + 1):
        with contextlib.closing(SqliteStore(":memory:")) as cut:
            copy_ledger(store, cut)
            cut_tail(cut, first_seq)
            assert problems(cut), first_seq


def spending(store: Store, account_id: int) -> tuple[int, int, int]:
    """(day, fen, payments) of an account's last day with payments: of each, all that has come of it."""
    roots = store.execute(
        "SELECT business_day, seq FROM transfers WHERE account_id = ? AND decision = 0 AND kind IN (1, 4, 7, 15)",
        (account_id,),
    )
    day = max((day for day, _ in roots), default=0)
    seqs = [row.seq for _, seq in [one for one in roots if one[0] == day] for row in store.load_family([seq])]
    own = [entry.amount_fen for entry in store.load_entries(seqs) if entry.account_id in (account_id, 2)]
    return day, -sum(own), len([one for one in roots if one[0] == day])


def settle_accounts(store: Store) -> None:
    """What a careful forger does after changing the journal: all that is derived from it is made to fit."""
    for account_id, *_ in rows_of(store, next(table for table in TABLES if table.name == "accounts")):
        entries = store.execute(
            "SELECT seq, amount_fen FROM entries WHERE account_id = ? ORDER BY seq DESC", (account_id,)
        )
        balance = sum(amount_fen for _, amount_fen in entries)
        spent_day, spent, payments = spending(store, account_id)
        store.execute(
            "UPDATE accounts SET balance_fen = ?, last_seq = ?, spent_day = ?, spent_fen = ?, day_count = ?"
            " WHERE account_id = ?",
            (balance, entries[0][0] if entries else 0, spent_day, spent, payments, account_id),
        )


def test_a_tail_cut_off_with_care_is_seen_only_by_who_kept_the_digest(store):
    """The gap of every hash chain: it cannot know its own end. So the newest digest is kept elsewhere."""
    seq, digest = store.head()
    store.execute("PRAGMA ignore_check_constraints = 1")
    with contextlib.closing(SqliteStore(":memory:")) as cut:
        copy_ledger(store, cut)
        cut_tail(cut, seq - 3)
        cut.execute("DELETE FROM business_days WHERE first_seq > ?", (seq - 4,))
        settle_accounts(cut)
        assert problems(cut) == []
        [check] = [check for check in verify(cut, expected=[(seq, digest)]) if not check.ok]
        assert check.name == "expected_digests"
        assert f"transfer {seq}: expected digest {digest.hex()}, the journal ends at {seq - 4}" in check.detail


def test_a_history_written_anew_is_seen_only_by_who_kept_a_digest(store):
    """Somebody who has our source and the file can compute a whole new chain."""
    seq, digest = store.execute("SELECT seq, digest FROM transfers WHERE seq = 8")[0]
    assert all(check.ok for check in verify(store, expected=[(seq, digest), store.head()]))
    store.execute("UPDATE transfers SET operator = 99 WHERE seq = 3")
    chain_anew(store)
    assert problems(store) == []
    [check] = [check for check in verify(store, expected=[(2, b"x" * 32), (seq, digest)]) if not check.ok]
    assert f"transfer {seq}: expected digest {digest.hex()}, got " in check.detail
    assert check.detail.startswith("transfer 2: expected digest 7878")


def chain_anew(store: Store) -> None:
    digest = bytes(32)
    columns = next(table for table in TABLES if table.name == "transfers").columns
    for row in store.execute(f"SELECT {', '.join(columns)} FROM transfers ORDER BY seq"):
        transfer = Transfer(*row)
        legs = [
            Entry(*leg)
            for leg in store.execute(
                "SELECT seq, account_id, amount_fen, balance_fen, previous_seq FROM entries WHERE seq = ?"
                " ORDER BY account_id",
                (transfer.seq,),
            )
        ]
        digest = chain_digest(digest, transfer, legs)
        store.execute("UPDATE transfers SET digest = ? WHERE seq = ?", (digest, transfer.seq))


def test_the_tail_of_another_ledger_does_not_fit(store):
    """An old file's last rows, copied over those of a later one: the chain is another."""
    with contextlib.closing(SqliteStore(":memory:")) as old:
        copy_ledger(store, old)
        apply(Ledger(old, NO_LIMITS), sale(50, 500), sale(51, 10))
        apply(Ledger(store, NO_LIMITS), sale(60, 1), sale(61, 10))
        head = old.head()[0]
        for table in ("transfers", "entries"):
            columns = next(one for one in TABLES if one.name == table).columns
            rows = old.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE seq = ?", (head,))
            store.execute(f"DELETE FROM {table} WHERE seq = ?", (head,))
            for row in rows:
                marks = ", ".join("?" for _ in row)
                store.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)
    assert any(f"transfer {head}: its digest" in line for line in problems(store))


def test_a_digest_that_is_kept_stays_true_while_the_ledger_grows(store):
    kept = store.head()
    apply(Ledger(store, NO_LIMITS), sale(70, 1))
    assert [check.detail for check in verify(store, expected=[kept]) if check.name == "expected_digests"] == [
        "1 digest kept elsewhere is in the chain"
    ]
    assert "expected_digests" not in [check.name for check in verify(store)]
