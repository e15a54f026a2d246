"""Schema migrations: numbered plain SQL files, applied in order, each in one transaction, remembered with its
checksum. One file serves both databases.

How to write one (`migrations/0002_what_it_adds.sql`):

- It is written for SQLite, in what PostgreSQL understands as well: CREATE TABLE, CREATE [UNIQUE] INDEX, ALTER TABLE ...
  ADD COLUMN, INSERT, UPDATE, DELETE, CHECK, DEFAULT <literal>. Nothing of one database only (INSERT OR, AUTOINCREMENT,
  iif, json, PRAGMA, triggers, booleans as numbers).
- The only types are INTEGER (64 bits), TEXT and BLOB, and these three words in capitals stand for types only: for
  PostgreSQL they become bigint, text COLLATE "C" (the order of bytes, as in SQLite, and independent of the system's
  locales, whose changes have corrupted many an index) and bytea.
- Every table ends `) STRICT;` or `) STRICT, WITHOUT ROWID;`: dropped for PostgreSQL.
- A file that has been released never changes again, not even a comment: its checksum is in every ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from typing import Final, NamedTuple

from server.ledger.store import StoreRefused

MIGRATIONS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    number   INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT"""
"""What has been applied; as portable as a migration."""

_POSTGRES: Final = {"INTEGER": "bigint", "BLOB": "bytea", "TEXT": 'text COLLATE "C"'}
_SQLITE_ONLY: Final = re.compile(r"\)\s*STRICT(\s*,\s*WITHOUT ROWID)?(?=\s*(;|\Z))")


class Migration(NamedTuple):
    """One file of `migrations/`."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Of the file as it is, whatever database it is translated for."""
        return sha256(self.sql.encode()).hexdigest()


def available() -> list[Migration]:
    """Every migration this program has, in order."""
    folder = files("server.ledger") / "migrations"
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))
    return [Migration(int(name[:4]), name, (folder / name).read_text("utf-8")) for name in names]


def for_postgres(sql: str) -> str:
    """The same statements in PostgreSQL's words; see the module's docstring."""
    code = re.sub(r"--[^\n]*", "", sql)
    code = _SQLITE_ONLY.sub(")", code)
    return re.sub(r"\b(INTEGER|BLOB|TEXT)\b", lambda found: _POSTGRES[found[0]], code)


def pending(rows: Iterable[tuple[object, ...]], where: str, *, readonly: bool = False) -> list[Migration]:
    """What is still to be applied to the database whose table of migrations has these (number, checksum).

    Raises StoreRefused if the database is newer than this program, or an applied migration differs.
    """
    known = available()
    applied = {int(str(number)): str(checksum) for number, checksum in rows}
    newest, latest = max(applied, default=0), known[-1].number
    if newest > latest:
        raise StoreRefused(f"{where}: expected schema {latest} or older, got {newest}: this program is too old for it")
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise StoreRefused(
                f"{where}: migration {migration.name} was applied with other content than this program has"
            )
    missing = [migration for migration in known if migration.number not in applied]
    if missing and readonly:
        raise StoreRefused(
            f"{where}: expected schema {latest}, got {newest}: start the host once to migrate it (a backup is migrated"
            " when it is restored)"
        )
    return missing
