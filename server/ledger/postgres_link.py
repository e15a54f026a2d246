"""One connection to PostgreSQL: how it is made, what it must find there, and what its errors mean for a store.

What durability rests on is looked at whenever a connection is made: fsync, full_page_writes, synchronous_commit, a
server that is no standby, and nothing in between that would share the session with others.
"""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from psycopg import Connection, conninfo, errors
from psycopg.pq import TransactionStatus

from server.ledger.postgres_arrays import adapt
from server.ledger.store import StoreAway, StoreBroken, StoreConflict, StoreError, StoreFull, StoreRefused

MIN_VERSION: Final = 15
"""The oldest that the tests run on (Debian 12)."""
CONNECT_TIMEOUT_S: Final = 3
"""Per address. A server of the same campus answers within milliseconds, and terminals wait for three seconds."""
KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A server that vanished without a word is noticed after about ten seconds; TCP itself would take hours."""
SESSION: Final = {
    "default_transaction_read_only": "on",  # writes only where BEGIN says so: inside `transaction()`
    "statement_timeout": "10s",  # many times what a batch takes: ends what waits for a lock or a dead disk
    "lock_timeout": "5s",  # nobody else may hold a lock of ours for long; an administrator's ALTER TABLE, say
    "idle_in_transaction_session_timeout": "60s",  # a stopped process must not hold its locks for ever
    "idle_session_timeout": "0",  # a quiet night is no reason to hang up
    # So that the server, too, notices when our machine has vanished, and lets go of our lock.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}
READER_SESSION: Final = SESSION | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""Checking a ledger of years takes its time."""
DURABLE: Final = ("on", "remote_apply")
"""Values of synchronous_commit under which a commit is on the disk, of the standby too if one is asked for."""
SHOWN: Final = ("service", "host", "hostaddr", "port", "dbname", "user")
"""What may be printed of a connection string: never its password, nor what could lead to it."""


SECRET: Final = ("password", "sslpassword", "oauth_client_secret")
"""Values in a connection string that let somebody in."""


PLACES: Final = ("host", "hostaddr", "port", "dbname")
"""Where the rest of a password ends up that was written into a URI as it is."""


class Address:
    """A connection string (URI or key=value), and what may be said of it."""

    def __init__(self, dsn: str) -> None:
        try:
            given = conninfo.conninfo_to_dict(dsn)
        except psycopg.Error:  # its text repeats parts of the string, which may be the password
            raise StoreRefused(
                "[ledger] postgres: expected a connection string like postgresql://fanka@db.example/fanka,"
                " got one that cannot be read (it is not repeated here, for it may hold a password)"
            ) from None
        _check_shown(given)
        self._parameters: dict[str, Any] = {
            "application_name": "fanka",
            "connect_timeout": CONNECT_TIMEOUT_S,
            **KEEPALIVE,
            **given,
            "client_encoding": "UTF8",
        }
        self.without_password = conninfo.make_conninfo(
            **{name: str(value) for name, value in given.items() if name not in SECRET and value is not None}
        )
        """The same without what is secret, to be kept where others may see it."""
        shown = {name: str(value) for name, value in given.items() if name in SHOWN and value is not None}
        self.shown = f"PostgreSQL {conninfo.make_conninfo(**shown) or '(libpq defaults)'}"

    def __str__(self) -> str:
        return self.shown

    def connect(self, *, readonly: bool) -> Connection[Any]:
        """A connection fit for a ledger. Raises StoreAway if there is none now, StoreRefused if it is unfit."""
        try:
            connection = Connection.connect(**self._parameters, autocommit=True, cursor_factory=psycopg.RawCursor)
        except psycopg.Error as error:
            hint = "; a backup has no password: add it to fanka.toml, or to ~/.pgpass" if _lacks_password(error) else ""
            raise StoreAway(f"{self}: expected a connection, got none: {first_line(error)}{hint}") from error
        try:
            connection.server_cursor_factory = psycopg.RawServerCursor
            adapt(connection)
            settings = READER_SESSION if readonly else SESSION
            connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()), prepare=False)
            self._check(connection, readonly=readonly)
        except psycopg.Error as error:
            connection.close()
            raise StoreAway(f"{self}: the connection could not be set up: {first_line(error)}") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: Connection[Any], *, readonly: bool) -> None:
        version = connection.info.server_version // 10_000
        if version < MIN_VERSION:
            raise StoreRefused(f"{self}: expected PostgreSQL {MIN_VERSION} or newer, got {version}; upgrade the server")
        names = ("fsync", "full_page_writes", "synchronous_commit", "server_encoding", "standard_conforming_strings")
        columns = ", ".join(f"current_setting('{name}')" for name in names)
        row = connection.execute(f"SELECT pg_backend_pid(), pg_is_in_recovery(), {columns}", prepare=False).fetchone()
        assert row is not None
        process, standby, fsync, full_page_writes, synchronous_commit, encoding, conforming = row
        self._expect("fsync", "on", fsync)
        self._expect("full_page_writes", "on", full_page_writes)
        self._expect("standard_conforming_strings", "on", conforming)
        self._expect("encoding of the database", "UTF8", encoding)
        if readonly:
            return
        if process != connection.info.backend_pid:
            raise StoreRefused(
                f"{self}: expected a server, got a connection pooler: the session's lock is what keeps a second host"
                " out; name the server itself"
            )
        if standby:
            raise StoreRefused(f"{self}: expected the primary, got a standby, which cannot be written to")
        if synchronous_commit not in DURABLE:
            connection.execute("SET synchronous_commit = on")

    def _expect(self, what: str, expected: str, got: str) -> None:
        if got != expected:
            raise StoreRefused(
                f"{self}: {what}: expected {expected}, got {got}: a sale could be lost after it was confirmed;"
                " mend the server's configuration"
            )


def _check_shown(given: dict[str, Any]) -> None:
    """Refuse values that may be the rest of a password: they would be printed, by libpq's errors too."""
    wrong = [name for name in PLACES if "@" in str(given.get(name) or "")]
    ports = str(given.get("port") or "").split(",")
    if not wrong and all(re.fullmatch("[0-9]*", port) for port in ports):
        return
    raise StoreRefused(
        f"[ledger] postgres: expected a connection string like postgresql://fanka@db.example/fanka, got one whose"
        f" {wrong[0] if wrong else 'port'} is none (it is not repeated here, for it may be part of a password): in a"
        " URI, a password with @ is written %40, and / is written %2F"
    )


def _lacks_password(error: psycopg.Error) -> bool:
    return "no password supplied" in str(error)


def is_dead(connection: Connection[Any]) -> bool:
    """Whether nothing more can be asked over it."""
    return connection.closed or connection.info.transaction_status == TransactionStatus.UNKNOWN


def explain(error: psycopg.Error, where: object) -> StoreError | StoreConflict | None:
    """What an error of a living connection means, or None for a bug of ours. The transaction is rolled back by it."""
    text = f"{where}: {type(error).__name__}: {first_line(error)}"
    state = error.sqlstate or ""
    if isinstance(error, errors.IntegrityError | errors.NumericValueOutOfRange):
        return StoreConflict(text)
    if isinstance(error, errors.DiskFull):
        return StoreFull(f"{text}: free some space on the server, the host goes on by itself")
    if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return StoreRefused(f"{text}: expected the ledger's schema; a backup has the ledger as it was")
    if state[:2] in _TRY_AGAIN:
        return StoreAway(f"{text}: nothing happened")
    if state[:2] in _DAMAGED:
        return StoreBroken(f"{text}: the server cannot read or write its own files: look at its log")
    return None


_TRY_AGAIN: Final = ("08", "40", "53", "55", "57")
"""Connection trouble, serialization and deadlock, resources,
locks, cancelled by an operator or a time limit."""
_DAMAGED: Final = ("58", "XX")
"""Errors of the operating system below the server, and what it calls internal: corruption, mostly."""


def first_line(error: BaseException) -> str:
    """Of its text; the rest of a server's message repeats the statement."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
