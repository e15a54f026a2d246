"""Schema migrations: numbered plain SQL files, applied in order, each in one transaction, remembered with its
checksum."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from server.ledger.store import StoreRefused

if TYPE_CHECKING:
    import apsw

_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS migrations (
    number   INTEGER PRIMARY KEY,
    name     TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT"""


def available() -> list[tuple[int, str, str]]:
    """Number, name and SQL of every migration this program has, in order."""
    found = sorted(
        path.name for path in (files("server.ledger") / "migrations").iterdir() if path.name.endswith(".sql")
    )
    return [(int(name[:4]), name, (files("server.ledger") / "migrations" / name).read_text("utf-8")) for name in found]


def migrate(db: apsw.Connection, path: str, *, readonly: bool = False) -> None:
    """Bring the database to this program's schema; StoreRefused if it is newer, or an applied migration differs."""
    known = available()
    if not readonly:
        db.execute(_MIGRATIONS_TABLE)
    rows = db.execute("SELECT number, checksum FROM migrations")
    applied: dict[int, str] = {int(row[0]): str(row[1]) for row in rows}
    newest = max(applied, default=0)
    if newest > len(known):
        raise StoreRefused(
            f"{path}: expected schema {len(known)} or older, got {newest}: this program is too old for it"
        )
    for number, name, sql in known:
        checksum = sha256(sql.encode()).hexdigest()
        if number in applied:
            if applied[number] != checksum:
                raise StoreRefused(f"{path}: migration {name} was applied with other content than this program has")
            continue
        if readonly:
            raise StoreRefused(f"{path}: expected schema {len(known)}, got {newest}: start the host once to migrate it")
        with db:
            # apsw executes every statement of a text, comments included, inside the savepoint of `with`.
            db.execute(sql)
            db.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, checksum))
