"""Connections that die: before the commit nothing has happened, in the commit its outcome is looked up; and whoever has
been replaced writes nothing more. Against real servers, through a line that is cut at a chosen statement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

import psycopg
import pytest

from server.ledger import postgres
from server.ledger.ledger import Ledger
from server.ledger.model import Decision
from server.ledger.postgres import PostgresStore
from server.ledger.postgres_link import Address
from server.ledger.store import StoreAway, StoreBroken, StoreRefused
from tests.postgres import PostgresServer, shared_server
from tests.postgres_proxy import CuttingProxy
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    NO_LIMITS,
    NOW_MS,
    START_FEN,
    apply,
    balance,
    contents,
    decide,
    open_campus,
    sale,
)
from tests.server.ledger.lines import COMMIT, STANDBY, Clock, cancelling, check_goes_on, seen, start_waiting


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


def session_shows(server: PostgresServer, ledger: Ledger, state: str) -> Callable[[], object]:
    """Whether the server says this of the session that the ledger has now."""
    session = ledger.store._process
    return lambda: server.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {session} AND {state}")


def end_session(ledger) -> None:
    """The server ends the ledger's session, as at its shutdown or by an administrator's word."""
    process = ledger.store._db.info.backend_pid
    shared_server().sql(f"SELECT pg_terminate_backend({process}, 5000)")


# ------------------------------------------------------------------------------------------ before the commit


def test_a_session_that_ended_while_nobody_used_it_costs_nothing(ledger):
    end_session(ledger)
    check_goes_on(ledger, 100)


def test_reading_outlives_a_session_too(ledger):
    end_session(ledger)
    assert balance(ledger) == START_FEN - 100
    end_session(ledger)
    assert list(ledger.store.rows("SELECT count(*) FROM transfers")) == [(3,)]


def test_a_server_that_has_gone_is_noticed_by_asking_and_so_is_its_return(ledger, proxy, clock):
    end_session(ledger)
    ledger.store.ping()
    end_session(ledger)
    proxy.refusals = 10**6
    with pytest.raises(StoreAway):
        ledger.store.ping()
    proxy.refusals = 0
    clock.now_s += postgres.BACKOFF_MAX_S
    ledger.store.ping()
    check_goes_on(ledger, 100)


@pytest.mark.parametrize(
    "statement",
    [b"JOIN transfers", b"JOIN merchants", b"FROM cards", b"FOR UPDATE", b"INSERT INTO transfers", b"UPDATE writer"],
)
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_line_cut_before_the_commit_leaves_nothing(ledger, dsn, proxy, statement, answer_lost):
    before = seen(dsn)
    proxy.cut_at, proxy.answer_lost = statement, answer_lost
    with pytest.raises(StoreAway, match="nothing happened"):
        decide(ledger, sale(2, 250))
    assert proxy.cuts == 1
    assert seen(dsn) == before
    check_goes_on(ledger, 100)


def test_a_line_cut_before_anything_was_asked_costs_nothing(ledger, proxy):
    proxy.cut_at = b"BEGIN"
    assert decide(ledger, sale(2, 250)).decision == Decision.APPROVED
    assert proxy.cuts == 1
    check_goes_on(ledger, 350)


def test_after_a_cut_the_same_request_is_decided_once(ledger, proxy):
    proxy.cut_at = b"INSERT INTO transfers"
    with pytest.raises(StoreAway):
        decide(ledger, sale(2, 250))
    outcomes = apply(ledger, sale(2, 250), sale(2, 250))
    assert [outcome.replayed for outcome in outcomes] == [False, True]
    check_goes_on(ledger, 350)


# ---------------------------------------------------------------------------------------------- in the commit


def test_a_commit_that_never_arrived_is_looked_up_and_has_not_happened(ledger, dsn, proxy):
    before = seen(dsn)
    proxy.cut_at = COMMIT
    with pytest.raises(StoreAway, match="died in a commit, which is not in the ledger"):
        decide(ledger, sale(2, 250))
    assert proxy.cuts == 1
    assert seen(dsn) == before
    check_goes_on(ledger, 100)


def test_a_commit_whose_answer_was_lost_is_looked_up_and_has_happened(ledger, dsn, proxy):
    proxy.cut_at, proxy.answer_lost = COMMIT, True
    outcome = decide(ledger, sale(2, 250))
    assert proxy.cuts == 1
    assert (outcome.decision, outcome.balance_fen) == (Decision.APPROVED, START_FEN - 350)
    assert decide(ledger, sale(2, 250)).replayed
    check_goes_on(ledger, 350)


def test_what_is_no_sale_is_looked_up_as_well(ledger, proxy):
    """A registry's change has no transfer to be found by; the count of commits knows it."""
    proxy.cut_at, proxy.answer_lost = COMMIT, True
    with ledger.store.transaction():
        ledger.store.execute("UPDATE cards SET sale_limit_fen = ? WHERE account_id = ?", (7, ANN))
    assert proxy.cuts == 1
    proxy.cut_at, proxy.answer_lost = COMMIT, False
    with pytest.raises(StoreAway), ledger.store.transaction():
        ledger.store.execute("UPDATE cards SET sale_limit_fen = ? WHERE account_id = ?", (8, ANN))
    assert ledger.store.execute("SELECT sale_limit_fen FROM cards WHERE account_id = ?", (ANN,)) == [(7,)]


@pytest.mark.parametrize("answer_lost", [False, True])
def test_the_outcome_is_looked_for_until_the_server_is_back(ledger, proxy, clock, answer_lost):
    proxy.cut_at, proxy.answer_lost, proxy.refusals = COMMIT, answer_lost, 6
    if answer_lost:
        assert decide(ledger, sale(2, 250)).decision == Decision.APPROVED
    else:
        with pytest.raises(StoreAway):
            decide(ledger, sale(2, 250))
    assert proxy.refusals == 0
    assert len(clock.slept) == 6
    assert max(clock.slept) <= postgres.BACKOFF_MAX_S
    check_goes_on(ledger, 350 if answer_lost else 100)


@pytest.mark.parametrize("answer_lost", [False, True])
def test_an_outcome_that_cannot_be_found_out_ends_the_process(ledger, dsn, proxy, clock, answer_lost):
    before = seen(dsn)
    proxy.cut_at, proxy.answer_lost, proxy.refusals = COMMIT, answer_lost, 10**6
    with pytest.raises(StoreBroken, match=r"died in a commit .* could not be looked up for 20 s"):
        decide(ledger, sale(2, 250))
    assert clock.now_s >= postgres.OUTCOME_PATIENCE_S
    proxy.refusals = 0
    for what in (lambda: decide(ledger, sale(3, 1)), ledger.store.head, ledger.probe):
        with pytest.raises(StoreBroken, match="could not be looked up"):
            what()
    assert (seen(dsn) == before) is not answer_lost
    # The restart finds out, and a copy of the request is answered with the truth.
    again = PostgresStore(dsn, clock.timing())
    restarted = Ledger(again, NO_LIMITS)
    assert decide(restarted, sale(2, 250)).replayed is answer_lost
    check_goes_on(restarted, 350)
    again.close()


@pytest.fixture
def waiting_server():
    """A server whose commits will wait for a standby that does not exist, until somebody cancels their waiting."""
    with PostgresServer() as server:
        yield server


def test_a_commit_that_no_standby_has_is_not_answered(waiting_server, clock):
    ledger = open_campus(PostgresStore(waiting_server.new_database(), clock.timing()))
    start_waiting(waiting_server, ledger.store)
    with cancelling(waiting_server):
        for _ in range(2):
            with pytest.raises(StoreBroken, match="the commit is not on the standby: canceling"):
                decide(ledger, sale(1, 100))
    ledger.store.close()


def test_a_commit_still_under_way_is_not_taken_for_one_that_failed(waiting_server, clock):
    """The server waits for its standby and does not see that the line is dead. Asked now, it would not show the
    commit; shortly after, it is there. Only when the old session is over is the outcome known."""
    with CuttingProxy(waiting_server) as proxy:
        dsn = waiting_server.new_database()
        ledger = open_campus(PostgresStore(proxy.dsn(dsn), clock.timing()))
        start_waiting(waiting_server, ledger.store)
        proxy.cut_at, proxy.server_unaware = COMMIT, True
        # A session that is ended before the server has read its COMMIT has not committed.
        proxy.server_is_there = session_shows(waiting_server, ledger, f"wait_event = '{STANDBY}'")
        with (
            cancelling(waiting_server, but_not=ledger.store._process),
            pytest.raises(StoreBroken, match="the commit is not on the standby: canceling"),
        ):
            decide(ledger, sale(1, 100))
        assert seen(dsn)["transfers"][-1][:4] == (3, *sale(1, 100).identity)
        ledger.store.close()


def test_a_session_the_server_does_not_know_to_be_dead_is_ended_first(ledger, dsn, proxy):
    """It has the writer's lock, and would have it for as long as TCP keeps a silent line open."""
    proxy.cut_at, proxy.server_unaware = b"INSERT INTO transfers", True
    with pytest.raises(StoreAway):
        decide(ledger, sale(2, 250))
    check_goes_on(ledger, 100)
    proxy.cut_at = COMMIT
    proxy.server_is_there = session_shows(shared_server(), ledger, "state = 'idle' AND query = 'COMMIT'")
    with ledger.store.transaction():
        ledger.store.execute("UPDATE cards SET sale_limit_fen = 7")
    assert proxy.cuts == 2
    assert decide(ledger, sale(10, 1)).decision == Decision.APPROVED


# --------------------------------------------------------------------------------------------------- back-off


def test_what_is_committed_is_known_to_the_ledger_though_the_server_is_away_at_once(ledger, monkeypatch):
    """Otherwise the host would go on in the history before, and could open no other until its next start."""
    transaction = ledger.store.transaction

    @contextmanager
    def then_away():
        with transaction():
            yield
        end_session(ledger)
        monkeypatch.setattr(Address, "connect", no_answer)

    def no_answer(_address, *, readonly):
        raise StoreAway("no answer")

    monkeypatch.setattr(ledger.store, "transaction", then_away)
    assert ledger.open_history(NOW_MS) == ledger.history == 2
    assert ledger.recovery_open(NOW_MS)


def test_a_server_that_is_away_is_not_besieged(ledger, dsn, proxy, clock):
    """Each batch asks; connections are tried ever more rarely, and the first one after it is back goes through."""
    before = seen(dsn)
    proxy.cut_at, proxy.refusals = b"INSERT INTO transfers", 10**6
    tries = []
    for _ in range(1_000):
        with pytest.raises(StoreAway):
            decide(ledger, sale(2, 250))
        tries.append(10**6 - proxy.refusals)
        clock.now_s += 0.01
    assert 4 <= tries[-1] <= 10
    proxy.refusals = 0
    with pytest.raises(StoreAway, match="trying again soon"):
        decide(ledger, sale(2, 250))
    clock.now_s += postgres.BACKOFF_MAX_S
    assert seen(dsn) == before
    check_goes_on(ledger, 100)


def test_a_server_that_swallows_every_attempt_is_tried_no_more_often(ledger, clock, monkeypatch):
    """An attempt that runs into its own time limit takes longer than the back-off: the pause begins when it ends.

    Otherwise each of many waiting look-ups would try again, one after the other, and whoever sells behind them.
    """
    tries = []

    def time_out(_address, *, readonly):
        tries.append(clock.now_s)
        clock.now_s += 2 * postgres.BACKOFF_MAX_S
        raise StoreAway("no answer")

    end_session(ledger)
    monkeypatch.setattr(Address, "connect", time_out)
    for _ in range(64):
        with pytest.raises(StoreAway):
            ledger.store.execute("SELECT 1")
    assert len(tries) == 1


def test_a_server_that_crashes_and_recovers(clock):
    with PostgresServer() as server:
        store = PostgresStore(server.new_database(), clock.timing())
        ledger = open_campus(store)
        decide(ledger, sale(1, 100))
        server.kill()
        for _ in range(3):
            with pytest.raises(StoreAway):
                decide(ledger, sale(2, 250))
            clock.now_s += postgres.BACKOFF_MAX_S
        server.start()
        check_goes_on(ledger, 100)
        store.close()


def test_a_standby_met_in_the_middle_of_a_fail_over_is_waited_for(clock):
    """It is about to become the primary. A host that ended here would end again at each start until then."""
    with PostgresServer() as server:
        ledger = open_campus(PostgresStore(server.new_database(), clock.timing()))
        decide(ledger, sale(1, 100))
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        with pytest.raises(StoreAway, match="expected the primary, got a standby"):
            decide(ledger, sale(2, 250))
        server.sql("SELECT pg_promote()")
        clock.now_s += postgres.BACKOFF_MAX_S
        check_goes_on(ledger, 100)
        ledger.store.close()


# ---------------------------------------------------------------------------------------------------- fencing


def test_a_second_host_is_refused_and_told_who_is_in_the_way(ledger, dsn, clock):
    before = seen(dsn)
    process = ledger.store._db.info.backend_pid
    with pytest.raises(
        StoreRefused, match=rf"in use by fanka, server process {process}, from its own machine, since 20"
    ):
        PostgresStore(dsn, clock.timing(), patience_s=0.05)
    assert seen(dsn) == before
    check_goes_on(ledger, 100)


def take_over(dsn, clock) -> Ledger:
    return Ledger(PostgresStore(dsn, clock.timing()), NO_LIMITS)


@pytest.mark.parametrize("other_has_ended", [False, True])
def test_whoever_was_replaced_while_away_writes_nothing(ledger, dsn, proxy, clock, other_has_ended):
    end_session(ledger)
    other = take_over(dsn, clock)
    decide(other, sale(2, 50))
    if other_has_ended:
        other.store.close()
    before = seen(dsn)
    for _ in range(2):
        with pytest.raises(StoreBroken, match="another host has taken over this ledger"):
            decide(ledger, sale(3, 70))
    assert seen(dsn) == before
    if not other_has_ended:
        assert decide(other, sale(3, 70)).decision == Decision.APPROVED  # and has not been disturbed
        other.store.close()


def test_whoever_was_replaced_in_the_middle_of_a_commit_does_not_guess(ledger, dsn, proxy, clock):
    proxy.cut_at, proxy.refusals = COMMIT, 1
    others = []
    clock.on_sleep = lambda: others.append(take_over(dsn, clock))
    with pytest.raises(StoreBroken, match="another host has taken over this ledger"):
        decide(ledger, sale(2, 250))
    [other] = others
    assert not decide(other, sale(2, 250)).replayed
    audit.check(other.store)
    other.store.close()


def test_a_host_whose_lock_was_lost_is_stopped_by_the_writers_row(ledger, dsn):
    """A pooler or an administrator may release a session's lock without ending the session."""
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    before = contents(ledger.store)
    shared_server().sql("UPDATE writer SET owner = 'another'", database)
    for _ in range(2):
        with pytest.raises(StoreBroken, match="another host has taken over this ledger"):
            decide(ledger, sale(2, 250))
    assert seen(dsn) == before


def test_a_host_that_is_replaced_in_the_middle_of_a_transaction_cannot_commit_it(ledger, dsn):
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    before = seen(dsn)

    def replaced() -> None:
        with ledger.store.transaction():
            ledger.store.execute("UPDATE cards SET status = 3")
            shared_server().sql("UPDATE writer SET owner = 'another'", database)

    with pytest.raises(StoreBroken, match="another host has taken over this ledger"):
        replaced()
    assert seen(dsn) == before


def test_a_ledger_written_row_by_row_is_known_again_on_a_new_connection(ledger):
    with ledger.store.transaction():
        ledger.store.execute("DELETE FROM transfers WHERE seq = 3")
    end_session(ledger)
    assert ledger.store.head()[0] == 2


def test_a_database_that_went_back_in_time_is_noticed(ledger, dsn, clock):
    """A standby took over that had not got everything: what terminals were told is not there any more."""
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    decide(ledger, sale(2, 250))
    end_session(ledger)
    shared_server().sql("UPDATE writer SET commits = commits - 1; DELETE FROM transfers WHERE seq = 4", database)
    with pytest.raises(StoreBroken, match=r"expected commit \d+ and transfer 4, got \d+ and 3: was it restored"):
        decide(ledger, sale(3, 70))


# ------------------------------------------------------------------------------- waiting for somebody else's lock


def test_a_lock_of_somebody_else_only_delays(ledger, dsn):
    before = seen(dsn)
    ledger.store.execute("SET lock_timeout = '20ms'")
    with psycopg.connect(dsn) as other:
        other.execute("SELECT * FROM accounts WHERE account_id = %s FOR UPDATE", (ANN,))
        with pytest.raises(StoreAway, match="LockNotAvailable"):
            decide(ledger, sale(2, 250))
    assert seen(dsn) == before
    check_goes_on(ledger, 100)


def test_a_statement_that_takes_too_long_only_delays(ledger, dsn):
    before = seen(dsn)
    ledger.store.execute("SET statement_timeout = '20ms'")

    def slow() -> None:
        with ledger.store.transaction():
            ledger.store.execute("UPDATE cards SET status = 3")
            ledger.store.execute("SELECT pg_sleep(10)")

    with pytest.raises(StoreAway, match="QueryCanceled"):
        slow()
    ledger.store.execute("RESET statement_timeout")
    assert seen(dsn) == before
    check_goes_on(ledger, 100)
