"""How commands reach the ledger: through the control socket of the running host, or directly when none runs.

Directly means under the folder's lock, so that a host cannot start meanwhile, and with the host's own `Admin`.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any, Final, Protocol

from server.admin import Admin, AdminError
from server.business_day import open_by_clock
from server.config import load_config
from server.control import short_address
from server.folder import DataFolder, FolderBusy
from server.keys import KekFiles, KeyRing
from server.ledger.ledger import NO_DAY, Ledger
from server.ledger.model import SaleLimits
from server.ledger.registry import Registry
from server.ledger.store import StoreBroken
from server.ledger.tariff import Tariff
from server.stores import open_store

ANSWER_TIMEOUT_S: Final = 60.0
"""Longest wait for the host's answer to one operation: many times what the slowest takes, even on a full queue."""
START_PATIENCE_S: Final = 5.0
"""How long to wait for a host that has the lock but does not answer yet: it is starting, or just stopping."""
RETRY_EVERY_S: Final = 0.1
ACCEPT_TIMEOUT_S: Final = 2.0
"""A host accepts within milliseconds; one that does not is as good as none."""
ANSWER_BYTES_MAX: Final = 16 << 20
"""Longest answer taken from a host: several times the largest page of a listing."""


class AnswerLost(AdminError):
    """No answer came, or none that counts: whether the operation was done is not known."""


class AdminChannel(Protocol):
    """Somebody who performs operations of `server.admin`."""

    def call(self, operation: str, **arguments: Any) -> Any:
        """The operation's result; AdminError if it was refused, AnswerLost if nobody knows."""


def _who() -> str:
    """Whose command this is, for the history; a user without a name by number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


class _Direct:
    """This very process, holding the lock."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def call(self, operation: str, **arguments: Any) -> Any:
        """See AdminChannel."""
        try:
            return self._admin.perform(operation, arguments, _who())
        except StoreBroken as error:
            raise AnswerLost(f"{operation}: it may or may not be done: {error}") from error


class _Remote:
    """A running host, over its control socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")

    def call(self, operation: str, **arguments: Any) -> Any:
        """See AdminChannel."""
        try:
            self._connection.sendall(json.dumps({"op": operation, "args": arguments, "who": _who()}).encode() + b"\n")
            line = self._answers.readline(ANSWER_BYTES_MAX)
        except OSError as error:
            line, reason = b"", str(error)
        else:
            reason = "it closed the connection"
        if not line.endswith(b"\n"):
            raise AnswerLost(f"{operation}: expected the host's answer, got none ({reason}); it may or may not be done")
        answer = json.loads(line)
        if "error" in answer:
            raise AdminError(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._connection.close()


@contextlib.contextmanager
def open_admin(folder: DataFolder, *, patience_s: float = START_PATIENCE_S) -> Iterator[AdminChannel]:
    """A channel to the folder's ledger. Raises FolderError, ConfigError, KeyFault or StoreError if there is none."""
    folder.check()
    give_up_at_s = time.monotonic() + patience_s
    while True:
        remote = _connect(folder)
        if remote is not None:
            with contextlib.closing(remote):
                yield remote
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(folder.locked("fanka admin"))
            except FolderBusy as error:
                if time.monotonic() < give_up_at_s:
                    time.sleep(RETRY_EVERY_S)
                    continue
                raise FolderBusy(f"{error}; it does not answer on {folder.control_path.name} either") from None
            yield _Direct(stack.enter_context(open_directly(folder)))
            return


def host_answers(folder: DataFolder) -> bool:
    """Whether a host runs on the folder, by its control socket.

    Leaves the lock alone: a host that starts just now must not find it taken.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control, short_address(folder.control_path) as address:
        control.settimeout(ACCEPT_TIMEOUT_S)
        return control.connect_ex(address) == 0


def _connect(folder: DataFolder) -> _Remote | None:
    """The running host, or None if nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(ANSWER_TIMEOUT_S)
        with short_address(folder.control_path) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return _Remote(connection)


@contextlib.contextmanager
def open_directly(folder: DataFolder) -> Iterator[Admin]:
    """The host's own operations on the folder's ledger, for whoever holds its lock. Opens the first business day."""
    config = load_config(folder.config_path)
    keys = KeyRing.of(KekFiles(folder.kek_path))
    store = open_store(folder, config)
    try:
        ledger = Ledger(
            store,
            SaleLimits(config.rules.sale_limit_fen, config.rules.day_limit_fen),
            Tariff(utc_offset_min=config.day.utc_offset_minutes),
        )
        if ledger.business_day == NO_DAY:
            open_by_clock(ledger, _now_ms(), config.day)
        yield Admin(
            ledger,
            Registry(store),
            keys,
            now_ms=_now_ms,
            random_bytes=secrets.token_bytes,
            on_revoked=lambda _: None,  # no host runs, so no session does
        )
    finally:
        store.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
