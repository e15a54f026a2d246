"""What a PostgreSQL database can say about its own structure, for `fanka verify` and `fanka doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from psycopg import Connection

from server.ledger.model import Identity

_UNSOUND: Final = (
    "SELECT c.relname::text, CASE WHEN c.relkind = 'i' THEN 'index' ELSE 'table' END FROM pg_class AS c"
    " LEFT JOIN pg_index AS i ON i.indexrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i')"
    " AND (c.relpersistence <> 'p' OR NOT coalesce(i.indisvalid AND i.indisready, true)) ORDER BY 1"
)
_CHECKSUMS: Final = (
    "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0"
)
_REPEATED: Final = (
    "SELECT terminal_id, batch, stan, side, string_agg(seq::text, ',' ORDER BY seq) FROM transfers"
    " GROUP BY terminal_id, batch, stan, side HAVING count(*) > 1 LIMIT $1"
)
_INDEX_PLANS: Final = ("enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")


def unsound(db: Connection[Any]) -> Iterator[str]:
    """Tables and indexes a crash would empty or that are not kept up to date, and pages found damaged."""
    found = [
        f"{kind} {name}: invalid, or would be empty after a crash (unlogged)" for name, kind in db.execute(_UNSOUND)
    ]
    found += [f"{failures} pages with a wrong checksum so far" for (failures,) in db.execute(_CHECKSUMS)]
    return iter(found)


def repeated_identities(db: Connection[Any], limit: int) -> list[tuple[Identity, int, str]]:
    """See `Store`: from the table itself. Inside a transaction."""
    for plan in _INDEX_PLANS:
        db.execute(f"SET LOCAL {plan} = off")
    found = db.execute(_REPEATED, (limit,)).fetchall()
    for plan in _INDEX_PLANS:
        db.execute(f"SET LOCAL {plan} = on")
    return [(Identity(terminal_id, batch, stan), side, seqs) for terminal_id, batch, stan, side, seqs in found]


def size_and_version(db: Connection[Any]) -> tuple[int, str]:
    """MiB of the database, and the server's version."""
    row = db.execute("SELECT pg_database_size(current_database()) >> 20, current_setting('server_version')").fetchone()
    assert row is not None
    return row[0], row[1]
