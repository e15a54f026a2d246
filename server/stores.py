"""Which store a data folder has: the embedded SQLite file, or the PostgreSQL database that its configuration names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from server.config import Config, load_config
from server.ledger.copy import is_unfinished
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_copy import is_backup
from server.ledger.sqlite_log import Wait
from server.ledger.store import Store, StoreRefused

if TYPE_CHECKING:
    from server.folder import DataFolder
    from server.ledger.postgres import PostgresStore

EXTRA: Final = "pip install 'fanka[postgres]'"


def in_a_thread(function: Callable[[], None]) -> Wait:
    """How a host's store copies its log: in a thread that ends by itself. Gives back what waits for its end."""
    thread = threading.Thread(target=function, name="log-copier", daemon=True)
    thread.start()
    return thread.join


def open_store(folder: DataFolder, config: Config, *, readonly: bool = False) -> Store:
    """The folder's ledger, which must be there. Raises StoreError: StoreAway if its server cannot be reached now."""
    if config.ledger.postgres:
        return open_postgres(config.ledger.postgres, readonly=readonly, create=False)
    if not readonly and is_backup(folder.ledger_path):
        # Its history is that of the host that is lost: terminals would bring nothing back of what was sold since.
        raise StoreRefused(
            f"{folder.ledger_path}: expected a ledger, found a backup; move it elsewhere, then `fanka restore` it from"
            " there"
        )
    return SqliteStore(folder.ledger_path, readonly=readonly, create=False, copy_log=None if readonly else in_a_thread)


def open_ledger(ledger: Path | DataFolder) -> Store:
    """For reading: a data folder's ledger, or a ledger file by itself. Raises ConfigError or StoreError."""
    if isinstance(ledger, Path):
        return SqliteStore(ledger, readonly=True)
    return open_store(ledger, load_config(ledger.config_path), readonly=True)


def place_of(ledger: Path | DataFolder) -> str:
    """Where a ledger is, for people: a file, or a server and database without their password. Raises ConfigError."""
    if isinstance(ledger, Path):
        return str(ledger)
    dsn = load_config(ledger.config_path).ledger.postgres
    return shown(dsn) if dsn else str(ledger.ledger_path)


def shown(dsn: str) -> str:
    """A connection string without what is secret in it. StoreRefused if it is none, or its driver is not installed."""
    _check_driver()
    from server.ledger.postgres_link import Address  # noqa: PLC0415 - the driver is optional

    return str(Address(dsn))


def is_embedded(folder: DataFolder) -> bool:
    """Whether the folder's ledger is a file in it."""
    return not load_config(folder.config_path).ledger.postgres


def without_password(dsn: str) -> str:
    """A connection string that leads to the same database for whoever knows the password. StoreRefused as `shown`."""
    _check_driver()
    from server.ledger.postgres_link import Address  # noqa: PLC0415 - the driver is optional

    return Address(dsn).without_password


def create_store(folder: DataFolder, postgres: str = "") -> None:
    """A new, empty ledger for a new folder. StoreRefused if there is one in that database already."""
    if not postgres:
        folder.ledger_path.touch(0o600, exist_ok=False)  # its owner's alone before there is anything in it
        SqliteStore(folder.ledger_path).close()
        return
    store = open_postgres(postgres)
    try:
        # One that was never used may be taken: an `init` that was interrupted has left it.
        if not store.is_new and store.execute("SELECT count(*) FROM meta")[0][0]:
            raise StoreRefused(
                f"{store.address}: expected an empty database, found a ledger with {store.head()[0]} transfers;"
                " choose another database: a ledger belongs to one folder, whose kek.key its keys need"
            )
    finally:
        store.close()


def open_postgres(dsn: str, *, readonly: bool = False, create: bool = True) -> PostgresStore:
    """The store in a database. StoreRefused, too, if its driver is not installed, or without `create` if a restore has
    left it half made."""
    _check_driver()
    from server.ledger.postgres import PostgresStore, Timing  # noqa: PLC0415 - the driver is optional

    store = PostgresStore(dsn, Timing(time.monotonic, time.sleep), readonly=readonly, create=create)
    if not create and is_unfinished(store):
        store.close()
        raise StoreRefused(f"{store.address}: expected a ledger, found a restore that was interrupted; do it again")
    return store


def _check_driver() -> None:
    try:
        import_module("psycopg")
    except ImportError as error:
        first = str(error).strip().splitlines()[0]
        raise StoreRefused(f"[ledger] postgres: expected psycopg to be installed, got: {first}; {EXTRA}") from None
