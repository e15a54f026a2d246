"""The store on PostgreSQL through psycopg: one session that writes, fenced, and knows what became of its commits.

Only the holder of the session's advisory lock may write, and the table `writer` says who that is: `owner` is drawn
anew by every process that takes over, `commits` counts. Each writing transaction ends with `commits + 1` for its own
owner, so that a process that has been replaced cannot commit anything, and a commit whose answer never came can be
looked up: is the count the old one or the new one? It is looked up only with the lock in hand, for the old session
holds that until its commit has ended one way or the other.

READ COMMITTED is enough: all that a transaction reads can only have been changed by another owner, and then its last
statement finds that out and it is rolled back. (A snapshot as in REPEATABLE READ would be older than that statement's
row, and fail with an error that says less.) Readers take REPEATABLE READ: there one snapshot is the point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar

import psycopg
from psycopg import Connection, errors
from psycopg.pq import TransactionStatus

from server.ledger import migrate, postgres_checks, postgres_sets
from server.ledger.batch import GENESIS
from server.ledger.model import NO_CHANGES, Account, Changes, Entry, Identity, Transfer
from server.ledger.postgres_link import SESSION, Address, explain, first_line, is_dead
from server.ledger.postgres_loads import Loads
from server.ledger.store import Row, StoreAway, StoreBroken, StoreRefused

T = TypeVar("T")

LOCK: Final = (0x464B4C31, 1)  # "FKL1"
"""The advisory lock of whoever writes a ledger in this database."""
TAKEOVER_PATIENCE_S: Final = 5.0
"""How long to wait for that lock: the server takes a moment to end the session of a host that was killed."""
OUTCOME_PATIENCE_S: Final = 20.0
"""How long to look for the outcome of a commit: a server that crashed is back within seconds, as a rule. Then the
process gives up, and its next start finds out."""
BACKOFF_MIN_S: Final = 0.1
BACKOFF_MAX_S: Final = 2.0
"""Between two attempts to connect. Short, as terminals try again all the time: it only has to spare the server."""
ROWS_AT_ONCE: Final = 2_000
"""Rows fetched per round trip while a table is read."""

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS writer (one bigint PRIMARY KEY CHECK (one = 1), owner text NOT NULL,"
    " commits bigint NOT NULL) WITH (fillfactor = 50)"
)
_TAKE_OVER: Final = (
    "INSERT INTO writer VALUES (1, gen_random_uuid()::text, 0)"
    " ON CONFLICT (one) DO UPDATE SET owner = excluded.owner RETURNING owner, commits"
)
_COUNT_COMMIT: Final = "UPDATE writer SET commits = commits + 1 WHERE owner = $1 AND commits = $2"
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT owner, commits FROM writer"
_SNAPSHOT: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    " SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
)
_HEAD: Final = "SELECT seq, digest FROM transfers ORDER BY seq DESC LIMIT 1"
_ADVISORY: Final = (
    " FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE l.locktype = 'advisory' AND l.granted"
    " AND l.classid = $1::int::oid AND l.objid = $2::int::oid"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_END_SESSION: Final = f"SELECT pg_terminate_backend(a.pid){_ADVISORY} AND a.pid = $3"
_HOLDER: Final = (
    "SELECT a.application_name, a.pid, coalesce(host(a.client_addr), 'its own machine'),"
    f" to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'){_ADVISORY}"
)


class Timing(NamedTuple):
    """What the store takes from the world; tests pass their own."""

    clock_s: Callable[[], float]
    sleep: Callable[[float], None]


class _Position(NamedTuple):
    """Where the database stands: commits counted, newest transfer and its digest."""

    commits: int
    seq: int
    digest: bytes


class PostgresStore(Loads):
    """Store in one PostgreSQL database; see the module's docstring.

    `create=False` refuses an empty database: a lost ledger must not be replaced by a new one without a word. Raises
    StoreRefused (unfit, or somebody else writes it) or StoreAway (not reachable now).
    """

    def __init__(
        self,
        dsn: str,
        timing: Timing,
        *,
        readonly: bool = False,
        create: bool = True,
        patience_s: float = TAKEOVER_PATIENCE_S,
    ) -> None:
        self.address = Address(dsn)
        self.is_new = False
        """Whether this very call has made the ledger."""
        self._timing = timing
        self._readonly = readonly
        self._patience_s = patience_s
        self._broken: str | None = None
        self._in_transaction = self._in_snapshot = self._dirty = False
        self._pending: tuple[int, bytes] | None = None
        self._owner = ""
        self._position = _Position(0, 0, GENESIS)
        self._backoff_s = self._not_before_s = 0.0
        self._cursors = self._snapshots = 0
        self._warnings: list[str] = []
        self._use(self._connect())
        try:
            with self._faults():
                self._prepare(create and not readonly)
        except BaseException:
            self._db.close()
            raise

    # ------------------------------------------------------------------------------------------ taking over

    def _prepare(self, create: bool) -> None:
        tables = self._tables()
        if "migrations" not in tables and (tables or not create):
            found = f"a database with {', '.join(tables[:3])}" if tables else "an empty database"
            raise StoreRefused(
                f"{self.address}: expected the ledger, found {found}; restore it from a backup"
                " (`fanka init --postgres` makes a new one in an empty database)"
            )
        if not self._readonly:
            self._lock(self._db)
            self._create_tables()
        applied = self._db.execute("SELECT number, checksum FROM migrations").fetchall()
        for migration in migrate.pending(applied, str(self.address), readonly=self._readonly):
            self._migrate(migration)
            self.is_new |= migration.number == 1
        if not self._readonly:
            with self._raw_transaction():
                [(self._owner, _)] = self._db.execute(_TAKE_OVER).fetchall()
            self._position = self._where(self._db)

    def _tables(self) -> list[str]:
        sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        return [name for (name,) in self._db.execute(sql)]

    @contextmanager
    def _raw_transaction(self) -> Iterator[None]:
        """For what comes before there is an owner."""
        self._db.execute("BEGIN READ WRITE", prepare=False)
        try:
            yield
            self._db.execute("COMMIT", prepare=False)
        except BaseException:
            with suppress(psycopg.Error):
                self._db.execute("ROLLBACK", prepare=False)
            raise

    def _create_tables(self) -> None:
        with self._raw_transaction():
            self._db.execute(migrate.for_postgres(migrate.MIGRATIONS_TABLE))
            self._db.execute(_TABLES)

    def _migrate(self, migration: migrate.Migration) -> None:
        with self._raw_transaction():
            self._db.execute("SET LOCAL statement_timeout = 0")  # a large ledger takes as long as it takes
            self._db.execute(migrate.for_postgres(migration.sql), prepare=False)
            self._db.execute(
                "INSERT INTO migrations VALUES ($1, $2, $3)", (migration.number, migration.name, migration.checksum)
            )

    def _lock(self, db: Connection[Any]) -> None:
        """Become the session that may write. StoreRefused names who is it now, if that session does not end."""
        try:
            db.execute(f"SET lock_timeout = {max(1, int(self._patience_s * 1000))}", prepare=False)
            db.execute("SELECT pg_advisory_lock($1::int, $2::int)", LOCK)
            db.execute(f"SET lock_timeout = '{SESSION['lock_timeout']}'", prepare=False)
        except errors.LockNotAvailable:
            holder = db.execute(_HOLDER, LOCK).fetchone() or ("somebody", "unknown", "somewhere", "some time")
            who = "{}, server process {}, from {}, since {} UTC".format(*holder)
            raise StoreRefused(
                f"{self.address}: in use by {who}: two programs must not write one ledger; stop that one first"
            ) from None

    def _where(self, db: Connection[Any]) -> _Position:
        """Raises StoreBroken if another process has taken over."""
        [(owner, commits)] = db.execute("SELECT owner, commits FROM writer").fetchall() or [("", 0)]
        if owner != self._owner:
            raise self._break("another host has taken over this ledger meanwhile")
        rows = db.execute(_HEAD).fetchall()
        return _Position(commits, *(rows[0] if rows else (0, GENESIS)))

    # ------------------------------------------------------------------------------------------ its connection

    def _connect(self) -> Connection[Any]:
        return self.address.connect(readonly=self._readonly)

    def _use(self, db: Connection[Any]) -> None:
        self._db, self._process = db, db.info.backend_pid
        db.add_notice_handler(self._note)

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "a warning")

    def _break(self, why: str) -> StoreBroken:
        """From now on it refuses everything."""
        self._broken = f"{self.address}: {why}: stop this process; a restart finds out what is in the ledger"
        return StoreBroken(self._broken)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """psycopg's errors as those that callers know."""
        if self._broken is not None:
            raise StoreBroken(self._broken)
        try:
            yield
        except psycopg.Error as error:
            if is_dead(self._db):
                raise StoreAway(
                    f"{self.address}: the connection died, nothing happened: {first_line(error)}"
                ) from error
            known = explain(error, self.address)
            if isinstance(known, StoreBroken):
                self._broken = str(known)
            if known is None:
                raise
            raise known from error

    def _alive(self) -> Connection[Any]:
        """A connection with all that was known of the database still true. StoreAway if there is none now."""
        if is_dead(self._db):
            found = self._reconnect()
            if found != self._position:
                raise self._break(f"{_differs(self._position, found)}: was it restored, or is this an old standby?")
        return self._db

    def _reconnect(self) -> _Position:
        """A new session in place of the dead one; where the database stands. Not more often than the back-off says."""
        if self._readonly:
            raise StoreAway(f"{self.address}: the connection died; run the command again")
        if self._timing.clock_s() < self._not_before_s:
            raise StoreAway(f"{self.address}: not reachable a moment ago; trying again soon")
        self._backoff_s = min(max(2 * self._backoff_s, BACKOFF_MIN_S), BACKOFF_MAX_S)
        try:
            db = self._connect()
            try:
                self._where(db)  # before anything else: who has been replaced disturbs nobody any more
                # The server may not have noticed yet that the old session is over: that one has our lock, and may even
                # be in the middle of a commit. With the lock in hand it is certain that it is not.
                db.execute(_END_SESSION, (*LOCK, self._process))
                self._lock(db)
                position = self._where(db)
            except BaseException:
                db.close()
                raise
        except StoreRefused as error:
            # It was fit when this store was opened: a fail-over is under way, or the old session takes long to end.
            raise StoreAway(str(error)) from error
        finally:
            # From its end on: an attempt that nobody answers lasts longer than the pause.
            self._not_before_s = self._timing.clock_s() + self._backoff_s
        self._db.close()
        self._use(db)
        self._backoff_s = self._not_before_s = 0.0
        return position

    # -------------------------------------------------------------------------------------------- transactions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store`."""
        if self._readonly:
            raise StoreBroken(f"{self.address}: opened for reading only")
        assert not self._in_transaction, "a transaction inside another"
        with self._faults():
            try:
                self._begin()
                yield
                self._commit()
            except BaseException:
                self._rollback()
                raise
            finally:
                self._in_transaction = False

    def _begin(self) -> None:
        """A connection that died while nobody used it costs nothing: then a new one begins."""
        cursor = self._again(lambda db: db.execute(_BEGIN, prepare=False))
        self._in_transaction, self._dirty, self._pending = True, False, None
        cursor.nextset()
        if cursor.fetchone() != (self._owner, self._position.commits):
            raise self._break("another host has taken over this ledger meanwhile")

    def _commit(self) -> None:
        if not self._dirty:
            self._db.execute("COMMIT", prepare=False)
            return
        if self._db.execute(_COUNT_COMMIT, (self._owner, self._position.commits)).rowcount != 1:
            raise self._break("another host has taken over this ledger meanwhile")
        # What was not saved, but written by statements (a ledger copied row by row), may have moved the head as well.
        after = _Position(self._position.commits + 1, *(self._pending or self.head()))
        self._warnings.clear()
        try:
            self._db.execute("COMMIT", prepare=False)
        except psycopg.Error as error:
            if not is_dead(self._db):
                raise
            self._find_out(after, error)
        except BaseException:
            self._break("it was interrupted in the middle of a commit")
            raise
        self._check_replicated()
        self._position = after

    def _check_replicated(self) -> None:
        """When a commit stops waiting for its standby, PostgreSQL says "committed" with a warning, and means: here."""
        if self._warnings:
            raise self._break(f"the commit is not on the standby: {self._warnings[0]}")

    def _find_out(self, after: _Position, error: psycopg.Error) -> None:
        """The connection died in COMMIT. Return if the commit is in the database, raise StoreAway if it is not."""
        give_up_at_s = self._timing.clock_s() + OUTCOME_PATIENCE_S
        found = None
        while found is None:
            try:
                found = self._reconnect()
            except (StoreAway, psycopg.Error) as away:
                now_s = self._timing.clock_s()
                if now_s >= give_up_at_s:
                    raise self._break(
                        f"the connection died in a commit ({first_line(error)}), and its outcome could not be looked up"
                        f" for {OUTCOME_PATIENCE_S:g} s ({first_line(away)})"
                    ) from away
                self._timing.sleep(max(self._not_before_s - now_s, BACKOFF_MIN_S))
        if found == self._position:
            raise StoreAway(
                f"{self.address}: the connection died in a commit, which is not in the ledger: nothing happened"
            ) from error
        if found != after:
            raise self._break(_differs(after, found))
        self._warnings.clear()
        try:
            # Where a standby is to have each commit, this one may have been cut off before: the next waits for both.
            with self._raw_transaction():
                self._db.execute("UPDATE writer SET commits = commits")
        except psycopg.Error as again:
            raise self._break(f"a commit that was cut off could not be confirmed ({first_line(again)})") from again
        self._check_replicated()

    def _rollback(self) -> None:
        if not is_dead(self._db) and self._db.info.transaction_status != TransactionStatus.IDLE:
            with suppress(psycopg.Error):  # a connection that dies of it has rolled back as well
                self._db.execute("ROLLBACK", prepare=False)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Store`."""
        assert not self._in_transaction, "a snapshot inside a transaction"
        with self._faults():
            self._again(lambda db: db.execute(_SNAPSHOT, prepare=False))
            self._in_transaction = self._in_snapshot = True
            self._snapshots += 1
            try:
                yield
            finally:
                self._in_transaction = self._in_snapshot = False
                self._rollback()

    # ------------------------------------------------------------------------------------------------- reading

    def _again(self, work: Callable[[Connection[Any]], T]) -> T:
        """Work outside of a transaction, once more on a new connection if the one at hand turns out to be dead."""
        db = self._alive()
        try:
            return work(db)
        except psycopg.Error:
            if not is_dead(db):
                raise
        return work(self._alive())

    def _read(self, work: Callable[[Connection[Any]], T]) -> T:
        with self._faults():
            return work(self._db) if self._in_transaction else self._again(work)

    def load_accounts(self, account_ids: Collection[int]) -> dict[int, Account]:
        """See `Store`. Inside a transaction their rows stay locked to its end."""
        lock = self._in_transaction and not self._in_snapshot
        return self._read(lambda db: postgres_sets.load_accounts(db, account_ids, lock=lock))

    def save(
        self,
        transfers: Sequence[Transfer],
        entries: Sequence[Entry],
        accounts: Iterable[Account],
        changes: Changes = NO_CHANGES,
    ) -> None:
        """See `Store`."""
        self._dirty = True
        if transfers:
            self._pending = transfers[-1].seq, transfers[-1].digest
        postgres_sets.save(self._db, transfers, entries, accounts, changes)

    def head(self) -> tuple[int, bytes]:
        """See `Store`."""
        rows = self.execute(_HEAD)
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See `Store`. Writing is refused by the server outside of `transaction()`."""
        cursor = self._read(lambda db: db.execute(translated(sql), tuple(values)))
        if cursor.description is None:
            self._dirty = True
            return []
        return cursor.fetchall()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """See `Store`. Outside of a snapshot the server copies the result first."""
        self._cursors += 1
        name, withhold = f"rows_{self._cursors}", not self._in_transaction

        def start(db: Connection[Any]) -> psycopg.RawServerCursor[Any]:
            cursor = db.cursor(name, withhold=withhold)
            assert isinstance(cursor, psycopg.RawServerCursor)
            cursor.itersize = ROWS_AT_ONCE
            try:
                return cursor.execute(translated(sql), tuple(values))
            except BaseException:
                psycopg.Cursor.close(cursor)  # there is nothing to close on the server
                raise

        cursor, snapshot = self._read(start), self._snapshots
        try:
            with self._faults():
                yield from cursor
        finally:
            if withhold or (self._in_snapshot and self._snapshots == snapshot):
                with suppress(psycopg.Error):
                    cursor.close()
            else:
                psycopg.Cursor.close(cursor)  # it has ended with its snapshot

    # ---------------------------------------------------------------------------------------------- checking

    def integrity(self) -> Iterator[str]:
        """See `Store`. What the server knows; `pg_amcheck` looks deeper."""
        return self._read(postgres_checks.unsound)

    def repeated_identities(self, limit: int) -> list[tuple[Identity, int, str]]:
        """See `Store`."""
        return self._read(lambda db: postgres_checks.repeated_identities(db, limit))

    def describe(self) -> str:
        """See `Store`."""
        size_mib, version = self._read(postgres_checks.size_and_version)
        return f"{size_mib} MiB, {self.address} (version {version})"

    def ping(self) -> None:
        """See `Store`."""
        self.execute("SELECT 1")

    def maintain(self) -> None:
        """Nothing to do between batches: checkpoints and vacuum are the server's own."""

    def close(self) -> None:
        """See `Store`. The lock is given back before, so that whoever opens next need not wait for the server."""
        if not is_dead(self._db) and not self._readonly:
            with suppress(psycopg.Error):
                self._db.execute("SELECT pg_advisory_unlock($1::int, $2::int)", LOCK)
        self._db.close()


@cache
def translated(sql: str) -> bytes:
    """`?` and `?2` as PostgreSQL's `$1` and `$2`."""
    places = count(1)
    return re.sub(r"\?(\d*)", lambda found: f"${found[1] or next(places)}", sql).encode()


def _differs(expected: _Position, found: _Position) -> str:
    return (
        f"on a new connection expected commit {expected.commits} and transfer {expected.seq},"
        f" got {found.commits} and {found.seq}"
    )
