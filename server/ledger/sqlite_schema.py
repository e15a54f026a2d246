"""Whether the schema of a ledger file is the one that its migrations make.

`PRAGMA integrity_check` does not look at names: one flipped bit in the text of a table and a column is called something
else, which is found only by the statement that wants it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import Final

import apsw

from server.ledger import migrate

_OBJECTS: Final = (
    # As bytes: what a flipped bit leaves need not be UTF-8. SQLite's own objects are its own affair.
    "SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(tbl_name AS BLOB), CAST(sql AS BLOB) FROM sqlite_schema"
    " WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' OR sql IS NOT NULL AND name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'"
)

_Object = tuple[bytes, ...]


def differences(db: apsw.Connection, *, with_extra: bool = True) -> Iterator[str]:
    """Each table or index that is not as the applied migrations make it; `with_extra` also what they do not make."""
    applied = {number for (number,) in db.execute("SELECT number FROM migrations")}
    known = migrate.available()
    if not applied <= {migration.number for migration in known}:
        return  # a newer program's: whoever opens it says so
    wanted = _expected(tuple(migration for migration in known if migration.number in applied))
    found = _objects(db)
    for key, expected in wanted.items():
        if key not in found:
            yield f"schema: expected {_name(key)}, found none"
        elif found[key] != expected:
            yield f"schema: {_name(key)}: expected it as the migrations make it, got {_text(found[key][-1])!r}"
    if with_extra:
        for key in found.keys() - wanted.keys():
            yield f"schema: expected only what the migrations make, found {_name(key)}"


@cache
def _expected(migrations: tuple[migrate.Migration, ...]) -> dict[_Object, _Object]:
    with closing(apsw.Connection(":memory:")) as db:
        db.execute(migrate.MIGRATIONS_TABLE)
        for migration in migrations:
            db.execute(migration.sql)
        return _objects(db)


def _objects(db: apsw.Connection) -> dict[_Object, _Object]:
    return {row[:2]: row for row in db.execute(_OBJECTS)}


def _name(key: _Object) -> str:
    return " ".join(map(_text, key))


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")
