"""Every row of a ledger from one store to another, whatever databases they are.

`TABLES` is the one list of what a ledger consists of; a test holds it against the schema. The same rows give the same
digests: a copy verifies exactly as its source does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from server.ledger.store import Row, Store, StoreRefused
from server.ledger.walk import Progress

UNFINISHED: Final = "copy_unfinished"
"""Row of `meta` in a ledger that is still being filled: it is empty, and must not be served in the place of another."""
VALUES_MAX: Final = 8_000
"""Placeholders in one statement: a quarter of what SQLite takes, and a bound on the rows held in memory."""


class Table(NamedTuple):
    """A table, its columns in the order of the copy, and what its rows are sorted by."""

    name: str
    columns: tuple[str, ...]
    key: str


def _table(name: str, key: str, columns: str) -> Table:
    return Table(name, tuple(columns.split()), key)


TABLES: Final = (
    _table("meta", "name", "name value"),
    _table("histories", "history", "history opened_at_ms first_seq closed_at_ms"),
    _table("business_days", "day", "day opened_at_ms first_seq"),
    _table(
        "accounts",
        "account_id",
        "account_id kind balance_fen spent_day spent_fen last_seq meal_key meal_fen day_count code_step",
    ),
    _table("customers", "account_id", "account_id student_number name"),
    _table(
        "cards",
        "token",
        "token account_id status sale_limit_fen day_limit_fen class_id pin_verifier pin_tries is_bound meal_limit_fen",
    ),
    _table("card_bindings", "token, merchant_id", "token merchant_id"),
    _table("holds", "seq", "seq account_id amount_fen expires_at_ms"),
    _table("merchants", "merchant_id", "merchant_id name status account_id"),
    _table(
        "terminals",
        "terminal_id",
        "terminal_id merchant_id status serial_number key_version wrapped_key wrapped_code code_serial_number"
        " code_expires_at_ms enrolled_at_ms next_key_version next_wrapped_key key_made_at_ms"
        " closed_batch pin_wrong code_wrong pin_window_ms saf_sequence saf_tag",
    ),
    _table(
        "transfers",
        "seq",
        "seq terminal_id batch stan side kind request_hash decision amount_fen account_id merchant_account_id"
        " balance_fen operator business_day claimed_at_s posted_at_ms original_seq token_hash adjust_fen"
        " points points_balance lost_rrn digest",
    ),
    _table("entries", "seq, account_id", "seq account_id amount_fen balance_fen previous_seq"),
    _table("card_classes", "class_id", "class_id name sale_limit_fen meal_limit_fen day_limit_fen"),
    _table("meal_periods", "meal_id", "meal_id name start_minute end_minute"),
    _table("class_meals", "class_id, meal_id", "class_id meal_id discount_percent"),
    _table("bonus_tiers", "merchant_id, threshold_fen", "merchant_id threshold_fen bonus_fen"),
    _table("points_rates", "merchant_id", "merchant_id fen_per_point"),
    _table("products", "merchant_id, code", "merchant_id code name price_fen"),
    _table(
        "operators",
        "merchant_id, operator",
        "merchant_id operator role name verifier must_change tries is_locked",
    ),
    _table("parameters", "scope, owner, name", "scope owner name value"),
    _table("terminal_states", "terminal_id", "terminal_id seen_at_ms firmware"),
    _table("terminal_moves", "terminal_id, until_ms", "terminal_id until_ms merchant_id"),
    _table("terminal_events", "terminal_id, number", "terminal_id number at_ms kind detail"),
    _table("stop_list", "version", "version token_hash stopped"),
    _table(
        "quarantine",
        "number",
        "number reason terminal_id saf_sequence batch stan amount_fen token operator claimed_at_s stop_list_version"
        " previous_tag tag at_ms",
    ),
    _table("changes", "number", "number at_ms who operation what old new"),
    _table(
        "settlements",
        "settlement",
        "settlement terminal_id batch state merchant_id operator request_hash opened_at_ms records closed_at_ms"
        " business_day through_seq digest",
    ),
    _table("settlement_totals", "settlement, side, kind", "settlement side kind count amount_fen charged_fen"),
    _table(
        "settlement_records",
        "settlement, part, place",
        "settlement part place stan kind standing amount_fen charged_fen rrn points",
    ),
    _table(
        "settlement_differences",
        "settlement, place",
        "settlement place stan difference kind terminal_standing terminal_fen host_standing host_fen rrn",
    ),
    _table("late_transfers", "seq", "seq"),
    _table("resolutions", "kind, number", "kind number at_ms who note"),
)
"""All a ledger consists of. `migrations` is missing on purpose: a store writes its own when it is made."""


def copy_ledger(source: Store, target: Store, on_progress: Progress | None = None) -> None:
    """Copy all rows of `source`, as of one snapshot, into `target`, which holds no transfer yet.

    All of it is one commit of the target: whatever fails, it is as empty as before, and marked as unfinished.
    `on_progress(transfers done, transfers in all)` is called now and then. Raises StoreRefused if the target is in use,
    or what the stores raise.
    """
    if target.execute("SELECT count(*) FROM transfers")[0][0] or target.execute("SELECT count(*) FROM terminals")[0][0]:
        raise StoreRefused(
            f"copy: expected an empty ledger to copy into, found one in use: {target.describe()}; name another, empty"
            " database in fanka.toml: nothing is ever written over"
        )
    with target.transaction():
        target.execute("INSERT INTO meta VALUES (?, '') ON CONFLICT (name) DO NOTHING", (UNFINISHED,))
    with source.snapshot(), target.transaction():
        for table in TABLES:
            target.execute(f"DELETE FROM {table.name}")  # noqa: S608 - the names are our own; a new store has a few rows
            _copy_table(source, target, table, on_progress)


def is_unfinished(store: Store) -> bool:
    """Whether a copy into this ledger was begun and not finished."""
    return bool(store.execute("SELECT count(*) FROM meta WHERE name = ?", (UNFINISHED,))[0][0])


def _copy_table(source: Store, target: Store, table: Table, on_progress: Progress | None) -> None:
    columns = ", ".join(table.columns)
    total = source.execute(f"SELECT count(*) FROM {table.name}")[0][0]  # noqa: S608
    rows = source.rows(f"SELECT {columns} FROM {table.name} ORDER BY {table.key}")  # noqa: S608
    row = f"({', '.join('?' for _ in table.columns)})"
    at_once = VALUES_MAX // len(table.columns)
    done = 0
    for part in _parts(rows, at_once):
        sql = f"INSERT INTO {table.name} ({columns}) VALUES {', '.join([row] * len(part))}"  # noqa: S608
        target.execute(sql, [value for values in part for value in values])
        done += len(part)
        if on_progress is not None and table.name == "transfers":
            on_progress(done, total)


def _parts(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while part := list(islice(rows, size)):
        yield part
