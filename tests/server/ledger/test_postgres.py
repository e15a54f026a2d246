"""The PostgreSQL store: the contract of all stores, and what is PostgreSQL's own: settings, schema, snapshots."""

from __future__ import annotations

import re
import subprocess
import sys

import psycopg
import pytest
from psycopg import errors

from server import stores
from server.folder import DataFolder
from server.ledger import checks, migrate, postgres_link, postgres_sets
from server.ledger import verify as ledger_verify
from server.ledger.ledger import Ledger
from server.ledger.model import Account, AccountKind, Decision
from server.ledger.postgres import PostgresStore, translated
from server.ledger.postgres_arrays import Numbers
from server.ledger.postgres_link import Address, explain
from server.ledger.store import StoreAway, StoreBroken, StoreConflict, StoreFull, StoreRefused
from server.ledger.verify import verify
from server.stores import open_postgres
from tests.postgres import PostgresServer, shared_server
from tests.postgres_proxy import CuttingProxy
from tests.server.ledger.campus import ANN, NO_LIMITS, apply, contents, decide, open_campus, reversal, sale
from tests.server.ledger.contract import DurableStoreContract


@pytest.fixture
def dsn():
    dsn = shared_server().new_database()
    yield dsn
    shared_server().drop(dsn)


@pytest.fixture
def store(dsn):
    store = open_postgres(dsn)
    yield store
    store.close()


def as_superuser(dsn: str, *statements: str) -> None:
    for statement in statements:
        shared_server().sql(statement, psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


class TestPostgres(DurableStoreContract):
    @pytest.fixture
    def open_store(self, dsn):
        return lambda: open_postgres(dsn)

    @pytest.fixture
    def open_reader(self, dsn):
        return lambda: open_postgres(dsn, readonly=True)


# --------------------------------------------------------------------------------- what durability rests on


def test_a_server_that_may_lose_commits_is_refused():
    with PostgresServer() as server:
        dsn = server.new_database()
        open_postgres(dsn).close()
        for setting in ("full_page_writes", "fsync"):
            server.sql(f"ALTER SYSTEM SET {setting} = off")
            server.stop()
            server.start()
            for readonly in (False, True):
                with pytest.raises(StoreRefused, match=rf"{setting}: expected on, got off: a sale could be lost"):
                    open_postgres(dsn, readonly=readonly)


@pytest.mark.parametrize(("found", "wanted"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
def test_every_commit_waits_for_the_disk_whatever_the_role_has_set(dsn, found, wanted):
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    shared_server().sql(f"ALTER DATABASE {name} SET synchronous_commit = {found}")
    store = open_postgres(dsn)
    assert store.execute("SELECT current_setting('synchronous_commit')") == [(wanted,)]
    store.close()


LIMITS_IN_FORCE = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "on",
}


def test_nothing_is_waited_for_without_end_also_on_a_new_connection(store):
    for _ in range(2):
        assert {name: store.execute(f"SHOW {name}")[0][0] for name in LIMITS_IN_FORCE} == LIMITS_IN_FORCE
        shared_server().sql(f"SELECT pg_terminate_backend({store._process}, 5000)")


def test_an_old_server_is_refused(dsn, monkeypatch):
    monkeypatch.setattr(postgres_link, "MIN_VERSION", 99)
    with pytest.raises(StoreRefused, match=r"expected PostgreSQL 99 or newer, got \d+; upgrade the server"):
        open_postgres(dsn)


def test_a_database_that_cannot_hold_every_name_is_refused():
    shared_server().sql("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'")
    with pytest.raises(StoreRefused, match="encoding of the database: expected UTF8, got SQL_ASCII"):
        open_postgres(shared_server().dsn("ascii"))


def test_a_standby_is_only_read():
    with PostgresServer() as server:
        dsn = server.new_database()
        store = open_postgres(dsn)
        open_campus(store)
        store.close()
        server.stop()
        (server.data / "standby.signal").touch()
        server.start()
        with pytest.raises(StoreRefused, match="expected the primary, got a standby"):
            open_postgres(dsn)
        reader = open_postgres(dsn, readonly=True)
        assert reader.head()[0] == 2
        assert all(check.ok for check in verify(reader) if check.name != checks.REFERENCES)
        reader.close()


def test_a_pooler_in_between_is_refused(dsn):
    """Its sessions are shared: the lock that keeps a second host out would be anybody's."""
    with CuttingProxy(shared_server()) as proxy:
        proxy.other_process = True
        with pytest.raises(StoreRefused, match="expected a server, got a connection pooler"):
            open_postgres(proxy.dsn(dsn))
        proxy.other_process = False
        open_postgres(proxy.dsn(dsn)).close()


# --------------------------------------------------------------------------------------------- which database


def test_an_empty_database_is_refused_unless_a_ledger_is_to_be_made(dsn):
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(
            StoreRefused, match="expected the ledger, found an empty database; restore it from a backup"
        ):
            open_postgres(dsn, **options)
    store = open_postgres(dsn)
    assert store.is_new
    store.close()
    store = open_postgres(dsn, create=False)
    assert not store.is_new
    store.close()


def test_a_new_folder_takes_an_unused_ledger_and_no_other(dsn, tmp_path):
    """An `init` that was interrupted has left an unused one: the next may go on with it."""
    folder = DataFolder(tmp_path)
    stores.create_store(folder, dsn)
    stores.create_store(folder, dsn)
    store = open_postgres(dsn, create=False)
    Ledger(store, NO_LIMITS).next_epoch()  # the first start of a host
    store.close()
    with pytest.raises(StoreRefused, match="expected an empty database, found a ledger with 0 transfers"):
        stores.create_store(folder, dsn)
    assert list(tmp_path.iterdir()) == []


def test_another_programs_database_is_refused_untouched(dsn):
    as_superuser(dsn, "CREATE TABLE recipes (name text)")
    for options in ({}, {"create": False}, {"readonly": True}):
        with pytest.raises(StoreRefused, match="expected the ledger, found a database with recipes"):
            open_postgres(dsn, **options)
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    assert shared_server().sql("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'", name) == [
        ("recipes",)
    ]


def test_no_server_is_one_clear_line():
    with pytest.raises(StoreAway, match=r"expected a connection, got none: .*No such file or directory") as refused:
        open_postgres("host=/nowhere dbname=fanka password=hunter2")
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_password_that_was_left_out_of_a_backup(monkeypatch):
    def refuse(**_: object) -> None:
        raise psycopg.OperationalError("connection failed: fe_sendauth: no password supplied")

    monkeypatch.setattr(psycopg.Connection, "connect", refuse)
    with pytest.raises(StoreAway, match=r"a backup has no password: add it to fanka.toml, or to ~/.pgpass"):
        open_postgres("host=/nowhere dbname=fanka")


def test_a_half_made_ledger_is_completed(dsn, monkeypatch):
    """The connection died after the first transaction of its making."""
    with monkeypatch.context() as patched:
        patched.setattr(PostgresStore, "_migrate", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            open_postgres(dsn)
    store = open_postgres(dsn, create=False)
    open_campus(store)
    store.close()


# ----------------------------------------------------------------------------------------------- its password


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://fanka:hunter2@db.example:6432/canteen?sslmode=require&sslpassword=hunter2",
        "host=db.example port=6432 user=fanka dbname=canteen password='hunter2' passfile=/etc/hunter2",
    ],
)
def test_a_password_is_never_shown(dsn):
    shown = str(Address(dsn))
    assert "hunter2" not in shown
    assert all(part in shown for part in ("db.example", "6432", "user=fanka", "canteen"))


@pytest.mark.parametrize(
    "dsn", ["hunter2", "postgresql://a:hunter2@[::1/x", "password=hunter2 nonsense=1", "host=x 'hunter2"]
)
def test_what_cannot_be_read_is_not_repeated(dsn):
    with pytest.raises(StoreRefused, match=r"\[ledger\] postgres: expected a connection string") as refused:
        Address(dsn)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://fanka:Sup3r@hunter2@127.0.0.1:55x44/fanka",
        "postgresql://fanka:hunter2@hunter2@127.0.0.1/fanka",
        "postgresql://fanka:hunter2/hunter2@127.0.0.1/fanka",
        "postgresql://fanka:hunter2",
        "host=fanka:hunter2@db.example",
    ],
)
def test_a_password_that_was_read_as_something_else_is_not_repeated(dsn):
    """What is not written as %40 ends the password for libpq: then the rest of it is a host, a port or a database."""
    with pytest.raises(StoreRefused, match=r"\[ledger\] postgres: .*@ is written %40") as refused:
        Address(dsn)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://fanka:Sup3r%40hunter2@127.0.0.1:5432/fanka",
        "postgresql://fanka:hunter2@one.example:5432,two.example:/fanka",
        "host=/run/postgresql password=hunter2@x",
    ],
)
def test_a_password_with_an_at_sign_is_written_like_this(dsn):
    assert "hunter2" not in str(Address(dsn))


# ------------------------------------------------------------------------------------------------- its driver


def test_without_its_driver_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreRefused, match=re.escape("pip install 'fanka[postgres]'")):
        open_postgres("dbname=fanka")
    with pytest.raises(StoreRefused, match=re.escape("pip install 'fanka[postgres]'")):
        stores.shown("dbname=fanka")


def test_the_driver_is_loaded_only_where_it_is_needed():
    program = (
        "import sys, server.app, tools.admin_client, tools.doctor, tools.verify; sys.exit('psycopg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------- its schema


def schema(store: PostgresStore) -> list[tuple]:
    return [
        *store.execute(
            "SELECT table_name::text, column_name::text, ordinal_position, data_type::text, collation_name::text,"
            " is_nullable::text, column_default::text FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY 1, 3"
        ),
        *store.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"),
        *store.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' ORDER BY 1"),
    ]


def test_a_migrated_ledger_is_like_a_fresh_one(dsn, store, monkeypatch):
    known = migrate.available()
    other = shared_server().new_database()
    for count in range(1, len(known) + 1):
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "available", lambda count=count: known[:count])
            migrated = open_postgres(other)
            assert migrated.is_new == (count == 1)
            migrated.close()
    migrated = open_postgres(other)
    assert schema(migrated) == schema(store)
    assert contents(migrated) == contents(store)
    assert migrated.execute("SELECT * FROM migrations ORDER BY 1") == store.execute(
        "SELECT * FROM migrations ORDER BY 1"
    )
    migrated.close()


def test_numbers_texts_and_bytes_are_the_same_everywhere(store):
    types = {(row[3], row[4]) for row in schema(store) if len(row) == 7 and row[0] != "writer"}
    assert types == {("bigint", None), ("bytea", None), ("text", "C")}


def test_a_migration_that_fails_leaves_nothing_of_itself(dsn, store, monkeypatch):
    store.close()
    before = [*migrate.available()]
    broken = migrate.Migration(
        before[-1].number + 1, "9999_broken.sql", "CREATE TABLE later (x INTEGER); INSERT INTO nowhere VALUES (1);"
    )
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "available", lambda: [*before, broken])
        with pytest.raises(StoreRefused, match="UndefinedTable"):
            open_postgres(dsn)
    again = open_postgres(dsn)
    assert again.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'later'") == [(0,)]
    assert again.execute("SELECT count(*) FROM migrations") == [(len(before),)]
    again.close()


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("INSERT INTO migrations VALUES (9000, '9000_later.sql', '')", "got 9000: this program is too old for it"),
        (
            "UPDATE migrations SET checksum = 'else' WHERE number = 1",
            r"0001_initial\.sql was applied with other content",
        ),
    ],
)
def test_another_programs_schema_is_refused(dsn, store, readonly, change, match):
    store.close()
    as_superuser(dsn, change)
    with pytest.raises(StoreRefused, match=match):
        open_postgres(dsn, readonly=readonly)


# ------------------------------------------------------------------------------------------------ its language


def test_placeholders_are_translated():
    assert translated("SELECT ? WHERE a = ? AND b = ?") == b"SELECT $1 WHERE a = $2 AND b = $3"
    assert translated("VALUES (?1, ?2) ON CONFLICT DO UPDATE SET a = ?2, b = ?11") == (
        b"VALUES ($1, $2) ON CONFLICT DO UPDATE SET a = $2, b = $11"
    )
    assert translated("SELECT 5 % 3") == b"SELECT 5 % 3"


def test_sums_are_whole_numbers(store):
    assert store.execute("SELECT sum(balance_fen), count(*) FROM accounts") == [
        (0, len(store.execute("SELECT * FROM accounts")))
    ]
    [(total, _)] = store.execute("SELECT sum(account_id), 1 FROM accounts")
    assert type(total) is int


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.UniqueViolation, StoreConflict),
        (errors.CheckViolation, StoreConflict),
        (errors.NumericValueOutOfRange, StoreConflict),
        (errors.DiskFull, StoreFull),
        (errors.SerializationFailure, StoreAway),
        (errors.DeadlockDetected, StoreAway),
        (errors.LockNotAvailable, StoreAway),
        (errors.QueryCanceled, StoreAway),
        (errors.OutOfMemory, StoreAway),
        (errors.TooManyConnections, StoreAway),
        (errors.IoError, StoreBroken),
        (errors.DataCorrupted, StoreBroken),
        (errors.IndexCorrupted, StoreBroken),
        (errors.UndefinedColumn, StoreRefused),
        (errors.UndefinedTable, StoreRefused),
        (errors.SyntaxError, type(None)),
        (errors.ReadOnlySqlTransaction, type(None)),
    ],
)
def test_what_an_error_of_the_server_means(error, expected):
    assert type(explain(error("text\nmore"), "here")) is expected


def test_nothing_is_written_outside_of_a_transaction(store):
    before = contents(store)
    with pytest.raises(errors.ReadOnlySqlTransaction):
        store.execute("UPDATE accounts SET balance_fen = 1")
    assert contents(store) == before


def test_damage_ends_the_process(store, monkeypatch):
    def damaged(*_: object, lock: bool) -> None:
        raise errors.DataCorrupted("invalid page in block 7")

    ledger = open_campus(store)
    monkeypatch.setattr(postgres_sets, "load_accounts", damaged)
    for _ in range(2):
        with pytest.raises(StoreBroken, match="invalid page in block 7"):
            decide(ledger, sale(1, 100))


# ------------------------------------------------------------------------------------------ readers, snapshots


def test_a_reader_works_beside_the_host_and_writes_nothing(dsn, store):
    ledger = open_campus(store)
    reader = open_postgres(dsn, readonly=True)
    decide(ledger, sale(1, 100))
    assert reader.head() == store.head()
    with pytest.raises(StoreBroken, match="opened for reading only"), reader.transaction():
        pass
    with pytest.raises(errors.ReadOnlySqlTransaction):
        reader.execute("DELETE FROM transfers")
    reader.close()
    assert decide(ledger, sale(2, 100)).decision == Decision.APPROVED


def test_a_reader_whose_connection_dies_says_so(dsn, store):
    open_campus(store)
    reader = open_postgres(dsn, readonly=True)
    shared_server().sql(f"SELECT pg_terminate_backend({reader._db.info.backend_pid}, 5000)")
    for _ in range(2):
        with pytest.raises(StoreAway, match="the connection died"):
            reader.head()
    reader.close()


def test_a_snapshot_sees_one_moment(dsn, store):
    ledger = open_campus(store)
    reader = open_postgres(dsn, readonly=True)
    with reader.snapshot():
        before = reader.head(), contents(reader), reader.load_accounts([ANN])
        decide(ledger, sale(1, 100))
        assert (reader.head(), contents(reader), reader.load_accounts([ANN])) == before
        assert len(list(reader.rows("SELECT * FROM transfers"))) == 2
    assert reader.head()[0] == 3
    reader.close()


def test_two_tables_are_read_side_by_side(store):
    """As `fanka verify` does: transfers and their entries, more of them than come at once."""
    open_campus(store)
    with store.transaction():
        store.execute("INSERT INTO customers SELECT n, 'S' || n, 'name' FROM generate_series(1, 4500) AS n")
    with store.snapshot():
        first = store.rows("SELECT account_id FROM customers ORDER BY 1")
        second = store.rows("SELECT account_id FROM customers ORDER BY 1 DESC")
        assert [next(first) for _ in range(2_100)][-1] == (2_100,)
        assert [next(second) for _ in range(2_100)][-1] == (2_401,)
        assert len(list(first)) == 2_400
    second.close()  # what is left behind in a snapshot disturbs nobody afterwards
    with store.transaction():
        store.execute("UPDATE customers SET name = 'other' WHERE account_id = 1")


def test_accounts_stay_locked_while_they_are_changed(dsn, store):
    """In the order of their numbers, and only inside a transaction."""
    open_campus(store)
    with psycopg.connect(dsn, autocommit=True) as other:
        held = "SELECT account_id FROM accounts WHERE account_id = %s FOR UPDATE NOWAIT"
        with store.transaction():
            assert store.load_accounts([ANN + 1, ANN]).keys() == {ANN, ANN + 1}
            with pytest.raises(errors.LockNotAvailable):
                other.execute(held, (ANN,))
            assert other.execute(held, (ANN + 2,)).fetchall() == [(ANN + 2,)]
        assert other.execute(held, (ANN,)).fetchall() == [(ANN,)]


def test_a_batch_of_questions_costs_no_commit(store):
    ledger = open_campus(store)
    decide(ledger, sale(1, 100))
    before = store.execute("SELECT commits FROM writer")
    assert decide(ledger, sale(1, 100)).replayed
    assert store.execute("SELECT commits FROM writer") == before


# -------------------------------------------------------------------------------------------------- verifying


def busy(store: PostgresStore) -> Ledger:
    ledger = open_campus(store)
    with store.transaction():
        for account_id in (ANN, ANN + 1, ANN + 2):
            store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
    apply(ledger, sale(1, 100), sale(2, 250), reversal(2, 250), sale(3, 99_999), reversal(7, 5))
    return ledger


def test_a_true_ledger_holds(store):
    busy(store)
    assert [check for check in verify(store) if not check.ok] == []


@pytest.mark.parametrize(
    ("statement", "check", "named"),
    [
        ("UPDATE transfers SET amount_fen = 1 WHERE seq = 3", checks.HASH_CHAIN, "transfer 3"),
        ("DELETE FROM entries WHERE seq = 3", checks.ENTRIES_MATCH, "transfer 3"),
        ("DELETE FROM transfers WHERE seq = 4", checks.JOURNAL_DENSE, "transfer 5: expected 4"),
        (f"UPDATE accounts SET balance_fen = 1 WHERE account_id = {ANN}", checks.STORED_BALANCES, f"account {ANN}"),
        ("UPDATE accounts SET balance_fen = balance_fen + 1 WHERE kind = 3", checks.CONSERVATION, "expected 0 fen"),
        (f"DELETE FROM customers WHERE account_id = {ANN}", checks.REFERENCES, "card 04A100FF: belongs to no customer"),
        ("UPDATE terminals SET merchant_id = 77", checks.REFERENCES, "terminal 3-58: belongs to no merchant"),
        (
            "DROP INDEX transfers_identity; UPDATE transfers SET stan = 1 WHERE seq = 4",
            checks.IDENTITIES,
            "terminal 3-58, batch 1, STAN 1, side 0: expected one transfer, got 3,4",
        ),
        ("ALTER TABLE accounts SET UNLOGGED", checks.INTEGRITY, "table accounts"),
    ],
)
def test_tampering_is_named(dsn, store, statement, check, named):
    busy(store)
    as_superuser(dsn, statement)
    broken = {found.name: found.detail for found in verify(store) if not found.ok}
    assert named in broken[check]


def test_a_ledger_that_cannot_be_read_fails_its_checks(dsn, store):
    busy(store)
    as_superuser(dsn, "DROP TABLE entries")
    broken = {found.name for found in verify(store) if not found.ok}
    assert {checks.HASH_CHAIN, checks.STORED_BALANCES} <= broken
    assert store.head()[0] == 7  # and its connection is well


# ------------------------------------------------------------------------------------------------ growing large


def test_the_identity_index_is_used_however_young_the_statistics(dsn, store):
    """A plan that reads the whole journal for each batch would show only after months."""
    open_campus(store)
    as_superuser(
        dsn,
        "INSERT INTO transfers SELECT n, 9, 1, n, 0, 1, 'h', 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 't', 'd'"
        " FROM generate_series(1000, 60000) AS n",
    )
    plan = "\n".join(
        line
        for (line,) in store._db.execute(
            "EXPLAIN " + postgres_sets._LOAD_TRANSFERS, postgres_sets._columns([(9, 1, n) for n in range(64)], "abc")
        )
    )
    assert "Seq Scan on transfers" not in plan, plan
    assert "transfers_identity" in plan, plan


@pytest.mark.parametrize("share", [0, 50])
def test_families_are_found_by_index_however_young_the_statistics(dsn, store, share):
    """With no follow-ups at all, and with every second row about another."""
    open_campus(store)
    columns = (
        "seq, terminal_id, batch, stan, side, kind, request_hash, decision, amount_fen, account_id,"
        " merchant_account_id, balance_fen, operator, business_day, claimed_at_s, posted_at_ms, original_seq,"
        " token_hash, digest"
    )
    as_superuser(
        dsn,
        f"INSERT INTO transfers ({columns}) SELECT n, 9, 1, n, 0, 1, 'h', 0, 1, 1, 1, 1, 1, 1, 1, 1,"
        f" CASE WHEN n % 100 < {share} THEN n - 1 ELSE 0 END, 't', 'd' FROM generate_series(1000, 60000) AS n",
    )
    for table, sql in (
        ("transfers", postgres_sets._LOAD_ROWS),
        ("transfers", postgres_sets._LOAD_FOLLOWERS),
        ("entries", postgres_sets._LOAD_ENTRIES),
    ):
        rows = store._db.execute("EXPLAIN " + sql, [Numbers(range(2_000, 2_010))])
        plan = "\n".join(line for (line,) in rows)
        assert f"Seq Scan on {table}" not in plan, plan


@pytest.mark.parametrize("sql", [sql for _, sql in ledger_verify._BROKEN_REFERENCES])
def test_no_reference_is_looked_up_by_reading_a_table_for_every_row(store, sql):
    """What `NOT IN` does as soon as the other table does not fit into work_mem: 140,000 customers, by default."""
    store.execute("SET work_mem = '64kB'")
    assert "SubPlan" not in str(store.execute(f"EXPLAIN {sql}"))


def test_accounts_unknown_to_the_database_are_not_made_by_saving(store):
    with store.transaction():
        store.save([], [], [Account(10**9, AccountKind.MERCHANT, 1, 0, 0, 0)])
    assert store.load_accounts([10**9]) == {}
    assert Ledger(store, NO_LIMITS).head_seq == 0
