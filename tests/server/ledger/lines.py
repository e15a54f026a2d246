"""For tests of the PostgreSQL store's connections: its clock, what others see, commits that wait for a standby."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from server.ledger.ledger import Ledger
from server.ledger.model import Decision
from server.ledger.postgres import PostgresStore, Timing
from tests.postgres import PostgresServer
from tests.server.ledger import audit
from tests.server.ledger.campus import START_FEN, balance, contents, decide, sale

COMMIT: Final = b"COMMIT\0"
STANDBY: Final = "SyncRep"
"""What the server says a commit waits for while no standby has it."""


class Clock:
    """Time that passes only when somebody sleeps; `on_sleep` is what happens meanwhile."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        self.on_sleep()

    def timing(self) -> Timing:
        return Timing(lambda: self.now_s, self.sleep)


def seen(dsn: str) -> dict[str, list[tuple]]:
    """What somebody else sees in the ledger."""
    store = PostgresStore(dsn, Clock().timing(), readonly=True)
    try:
        return contents(store)
    finally:
        store.close()


def check_goes_on(ledger: Ledger, spent_fen: int) -> None:
    """The next sale is posted, and all there is makes sense."""
    assert balance(ledger) == START_FEN - spent_fen
    outcome = decide(ledger, sale(9, 10))
    assert (outcome.decision, outcome.balance_fen, outcome.replayed) == (
        Decision.APPROVED,
        START_FEN - spent_fen - 10,
        False,
    )
    assert ledger.store.head()[0] == ledger.head_seq == outcome.rrn
    audit.check(ledger.store)


def start_waiting(server: PostgresServer, store: PostgresStore) -> None:
    """From now on commits wait for a standby that does not exist."""
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.sql("SELECT pg_reload_conf()")
    while store.execute("SELECT current_setting('synchronous_standby_names')") != [("nobody",)]:
        pass


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """`act` in a thread beside the test, over and over to the end of the block."""
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def cancelling(server: PostgresServer, *, wait_event: str = STANDBY, but_not: int = 0) -> AbstractContextManager[None]:
    """An administrator who cancels every commit that waits for this, but for that of one session."""
    waiting = f"FROM pg_stat_activity WHERE wait_event = '{wait_event}' AND pid <> {but_not}"
    return meanwhile(lambda: server.sql(f"SELECT pg_cancel_backend(pid) {waiting}"))
