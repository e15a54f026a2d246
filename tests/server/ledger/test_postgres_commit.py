"""What may become of a commit besides done and not done: refused by a living server, interrupted in this process, or
followed by a new connection to something unexpected. In doubt the store stops, and its next start finds the truth."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

import psycopg
import pytest

from server.ledger import postgres_link
from server.ledger.ledger import Ledger
from server.ledger.model import Decision
from server.ledger.postgres import PostgresStore
from server.ledger.store import StoreAway, StoreBroken, StoreConflict, StoreFull
from tests.postgres import PostgresServer, shared_server
from tests.postgres_proxy import CuttingProxy
from tests.server.ledger.campus import NO_LIMITS, START_FEN, decide, open_campus, sale
from tests.server.ledger.lines import (
    COMMIT,
    STANDBY,
    Clock,
    cancelling,
    check_goes_on,
    meanwhile,
    seen,
    start_waiting,
)

CONFIRM = b"SET commits = commits\0"
"""The statement whose commit confirms one that was cut off; every other commit ends with `commits + 1`."""
SLEEP = "PgSleep"
SLOW = "PERFORM pg_sleep(60);"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def dsn():
    dsn = shared_server().new_database()
    yield dsn
    shared_server().drop(dsn)


@pytest.fixture
def proxy():
    with CuttingProxy(shared_server()) as proxy:
        yield proxy


@pytest.fixture
def ledger(dsn, proxy, clock):
    """A ledger over the line that can be cut, with one sale in it."""
    store = PostgresStore(proxy.dsn(dsn), clock.timing())
    ledger = open_campus(store)
    assert decide(ledger, sale(1, 100)).decision == Decision.APPROVED
    yield ledger
    store.close()


def as_superuser(dsn: str, statement: str) -> list[tuple]:
    return shared_server().sql(statement, psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


def check_stopped(ledger: Ledger, why: str) -> None:
    """Nothing is done or told any more."""
    for what in (lambda: decide(ledger, sale(3, 70)), lambda: decide(ledger, sale(2, 250)), ledger.store.head):
        with pytest.raises(StoreBroken, match=why):
            what()


def check_restart(dsn: str, clock: Clock, *, replayed: bool) -> None:
    """A new process on the same ledger answers a copy of the sale in question with the truth, and goes on."""
    store = PostgresStore(dsn, clock.timing())
    restarted = Ledger(store, NO_LIMITS)
    outcome = decide(restarted, sale(2, 250))
    assert (outcome.decision, outcome.replayed, outcome.balance_fen) == (Decision.APPROVED, replayed, START_FEN - 350)
    check_goes_on(restarted, 350)
    store.close()


# ------------------------------------------------------------------------- refused over a living connection


@contextmanager
def at_commit(dsn, body: str):
    """What the server does with each transfer when its transaction commits, and not before."""
    as_superuser(
        dsn,
        f"CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER late AFTER INSERT ON transfers DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION late()",
    )
    yield
    as_superuser(dsn, "DROP FUNCTION late CASCADE")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("check_violation", StoreConflict), ("disk_full", StoreFull), ("serialization_failure", StoreAway)],
)
def test_a_commit_the_server_refuses_has_not_happened_and_needs_no_looking_up(ledger, dsn, clock, condition, expected):
    before, session = seen(dsn), ledger.store._process
    with at_commit(dsn, f"RAISE EXCEPTION 'not this one' USING ERRCODE = '{condition}';"):
        for _ in range(2):
            with pytest.raises(expected, match="not this one"):
                decide(ledger, sale(2, 250))
    assert seen(dsn) == before
    assert decide(ledger, sale(2, 250)).replayed is False
    check_goes_on(ledger, 350)
    assert (ledger.store._process, clock.slept) == (session, []), "on the connection it had"


def test_a_commit_an_administrator_cancels_has_not_happened(ledger, dsn):
    before = seen(dsn)
    with (
        at_commit(dsn, SLOW),
        cancelling(shared_server(), wait_event=SLEEP),
        pytest.raises(StoreAway, match=r"QueryCanceled: .* nothing happened"),
    ):
        decide(ledger, sale(2, 250))
    assert seen(dsn) == before
    check_goes_on(ledger, 100)


def test_damage_met_by_a_commit_ends_the_process(ledger, dsn, clock):
    before = seen(dsn)
    with (
        at_commit(dsn, "RAISE EXCEPTION 'invalid page' USING ERRCODE = 'data_corrupted';"),
        pytest.raises(StoreBroken, match="invalid page"),
    ):
        decide(ledger, sale(2, 250))
    check_stopped(ledger, "invalid page")
    assert seen(dsn) == before
    ledger.store.close()
    check_restart(dsn, clock, replayed=False)


# --------------------------------------------------------------------------------- interrupted in this process


@contextmanager
def ctrl_c(server: PostgresServer, wait_event: str):
    """Somebody presses Ctrl-C while a commit waits for this: once, in the main thread."""
    main = threading.main_thread().ident
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressed = threading.Event()

    def press() -> None:
        waits = server.sql(f"SELECT 1 FROM pg_stat_activity WHERE wait_event = '{wait_event}'")
        if waits and not pressed.is_set():
            pressed.set()
            signal.pthread_kill(main, signal.SIGINT)

    try:
        with meanwhile(press):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_commit_that_happened_is_not_taken_for_one_that_did_not(clock):
    """It is in the ledger, and only its standby has not got it yet."""
    with PostgresServer() as server:
        dsn = server.new_database()
        ledger = open_campus(PostgresStore(dsn, clock.timing()))
        decide(ledger, sale(1, 100))
        start_waiting(server, ledger.store)
        with ctrl_c(server, STANDBY), pytest.raises(KeyboardInterrupt):
            decide(ledger, sale(2, 250))
        assert seen(dsn)["transfers"][-1][:4] == (4, *sale(2, 250).identity)
        check_stopped(ledger, "interrupted in the middle of a commit: stop this process")
        ledger.store.close()
        server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        server.sql("SELECT pg_reload_conf()")
        check_restart(dsn, clock, replayed=True)


def test_an_interrupted_commit_that_did_not_happen_is_not_taken_for_one_that_did(ledger, dsn, clock):
    before = seen(dsn)
    with at_commit(dsn, SLOW), ctrl_c(shared_server(), SLEEP), pytest.raises(KeyboardInterrupt):
        decide(ledger, sale(2, 250))
    assert seen(dsn) == before
    check_stopped(ledger, "interrupted in the middle of a commit: stop this process")
    ledger.store.close()
    check_restart(dsn, clock, replayed=False)


# ------------------------------------------------------------------------------- the line died, and afterwards


@pytest.mark.parametrize("answer_lost", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE writer SET commits = commits - 1; DELETE FROM transfers WHERE seq >= 3",
        "UPDATE writer SET commits = commits + 6",
        "UPDATE transfers SET digest = sha256(digest) WHERE seq >= 3",
    ],
    ids=["behind", "ahead", "another history"],
)
def test_a_database_that_stands_neither_before_nor_after_the_commit_stops_the_store(
    ledger, dsn, proxy, clock, answer_lost, change
):
    """A standby took over that had not got everything, say, or a backup was put in place."""
    counted = ledger.store._position.commits
    found = []

    def replace() -> None:
        as_superuser(dsn, change)
        found.append(seen(dsn))

    clock.on_sleep = replace
    proxy.cut_at, proxy.answer_lost, proxy.refusals = COMMIT, answer_lost, 1
    with pytest.raises(StoreBroken, match=f"expected commit {counted + 1} and transfer 4, got") as stopped:
        decide(ledger, sale(2, 250))
    assert (proxy.cuts, len(found)) == (1, 1)
    [(commits, newest)] = as_superuser(dsn, "SELECT commits, (SELECT max(seq) FROM transfers) FROM writer")
    assert f"got {commits} and {newest}:" in str(stopped.value)
    check_stopped(ledger, "on a new connection expected commit")
    assert [seen(dsn)] == found


@pytest.mark.parametrize("cut_at", [CONFIRM, COMMIT], ids=["statement", "commit"])
@pytest.mark.parametrize("confirmed", [False, True])
def test_a_commit_that_cannot_be_confirmed_is_not_answered(ledger, dsn, proxy, clock, cut_at, confirmed):
    """It is in the database, but perhaps on no standby: the next start waits for that, this process must not guess."""

    def cut_again() -> None:
        proxy.cut_at, proxy.answer_lost = cut_at, confirmed

    clock.on_sleep = cut_again
    proxy.cut_at, proxy.answer_lost, proxy.refusals = COMMIT, True, 1
    with pytest.raises(StoreBroken, match="a commit that was cut off could not be confirmed"):
        decide(ledger, sale(2, 250))
    assert proxy.cuts == 2
    assert seen(dsn)["transfers"][-1][:4] == (4, *sale(2, 250).identity)
    check_stopped(ledger, "could not be confirmed")
    check_restart(dsn, clock, replayed=True)


# ------------------------------------------------------------------------------- a connection that is not made


@pytest.mark.parametrize("statement", [b"default_transaction_read_only", b"pg_is_in_recovery"])
@pytest.mark.parametrize("readonly", [False, True])
def test_a_line_cut_while_a_connection_is_set_up_is_a_server_that_is_away(ledger, dsn, proxy, statement, readonly):
    ledger.store.close()
    before = seen(dsn)
    proxy.cut_at = statement
    with pytest.raises(StoreAway, match="the connection could not be set up: "):
        PostgresStore(proxy.dsn(dsn), Clock().timing(), readonly=readonly)
    assert proxy.cuts == 1
    assert seen(dsn) == before
    again = PostgresStore(proxy.dsn(dsn), Clock().timing(), readonly=readonly)
    assert again.head()[0] == 3
    again.close()


def test_a_connection_that_cannot_be_set_up_is_not_left_open(monkeypatch):
    """A host that tries again all night must not use up the server's connections."""
    dsn = shared_server().new_database()
    monkeypatch.setitem(postgres_link.SESSION, "lock_timeout", "for ever")
    with pytest.raises(StoreAway, match="could not be set up: invalid value for parameter") as refused:
        PostgresStore(dsn, Clock().timing())
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    shared_server().sql(f"DROP DATABASE {name}")  # refused by the server while anybody is connected
    assert refused.value.__traceback__ is not None, "kept until here, with whatever connection its frames hold"
