"""The host's disk: a real SQLite store with seams, at which the host can be killed and the disk can fail.

Two kinds. `MemoryDisk` keeps one SQLite database in memory through all lives of the host: a commit is durable when it
returns, whatever was not committed is gone with the process, and nothing costs a system call. `CrashDisk` is the exact
one: files behind a file layer that, at a power cut, forgets or tears what was never synced (tests/torture/disk).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import apsw

from server.ledger.copy import copy_ledger
from server.ledger.ledger import Ledger
from server.ledger.model import (
    NO_CHANGES,
    Account,
    Card,
    Changes,
    Entry,
    Identity,
    SaleLimits,
    Side,
    Terminal,
    Transfer,
)
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Row, StoreBroken, StoreFull
from tests.torture.disk import Disk

SEAMS: Final = ("begin", "save", "commit", "committed", "read", "maintain")
"""Where the store can be stopped: before BEGIN, before the rows are written, before COMMIT, after it, at a look-up, and
at housekeeping."""


class Killed(BaseException):
    """The host's process is gone. No handler of the product may catch it, as none could catch a real kill."""


class Trouble:
    """What is wrong with the disk at the moment; changed by faults, asked at every seam."""

    def __init__(self) -> None:
        self.full = False
        self.fail_sync: str | None = None
        """The next commit fails: "before" or "after" the bytes had reached the disk all the same."""
        self.kill_at: str | None = None
        """The next passage of this seam kills the host."""
        self.kill: Callable[[], None] = lambda: None
        self.on_broken: Callable[[], None] = lambda: None

    def heal(self) -> None:
        """All works again."""
        self.full, self.fail_sync, self.kill_at = False, None, None


class SimStore:
    """A store as one life of the host sees it. Implements `server.ledger.store.Store`."""

    def __init__(self, inner: SqliteStore, trouble: Trouble) -> None:
        self.inner = inner
        self.dead = False
        self._trouble = trouble
        self._broken = False
        self._dirty = False

    def _pass(self, seam: str) -> None:
        if self.dead:
            raise Killed
        if self._broken:
            raise StoreBroken("an earlier fault left it unknown what is durable")
        if self._trouble.kill_at == seam:
            self._trouble.kill_at = None
            self._trouble.kill()
            raise Killed

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store`."""
        self._pass("begin")
        self._dirty = False
        with self.inner.transaction():
            yield
            self._pass("commit")
            if self._dirty:
                self._before_commit()
        if self._dirty and self._trouble.fail_sync == "after":
            self._fail_sync()
        self._pass("committed")

    def _before_commit(self) -> None:
        if self._trouble.full:
            raise StoreFull("no space left: free some, the host goes on by itself")
        if self._trouble.fail_sync == "before":
            self._fail_sync()

    def _fail_sync(self) -> None:
        self._trouble.fail_sync = None
        self._broken = True
        self._trouble.on_broken()
        raise StoreBroken("a sync failed: restart to recover")

    def load_transfers(self, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
        """See `Store`."""
        self._pass("read")
        return self.inner.load_transfers(identities)

    def load_terminals(self, terminal_ids: Collection[int]) -> dict[int, Terminal]:
        """See `Store`."""
        return self.inner.load_terminals(terminal_ids)

    def load_cards(self, tokens: Collection[bytes]) -> dict[bytes, Card]:
        """See `Store`."""
        return self.inner.load_cards(tokens)

    def load_accounts(self, account_ids: Collection[int]) -> dict[int, Account]:
        """See `Store`."""
        return self.inner.load_accounts(account_ids)

    def save(
        self,
        transfers: Sequence[Transfer],
        entries: Sequence[Entry],
        accounts: Iterable[Account],
        changes: Changes = NO_CHANGES,
    ) -> None:
        """See `Store`."""
        self._pass("save")
        self._dirty = True
        self.inner.save(transfers, entries, accounts, changes)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See `Store`."""
        self._pass("read")
        if not sql.startswith("SELECT"):
            self._dirty = True
        return self.inner.execute(sql, values)

    def ping(self) -> None:
        """See `Store`."""
        self.inner.ping()

    def maintain(self) -> None:
        """See `Store`."""
        self._pass("maintain")
        self.inner.maintain()

    def __getattr__(self, name: str) -> Any:
        """Whatever else the store can do."""
        return getattr(self.inner, name)


class SimDisk(Protocol):
    """What a host's life begins on."""

    trouble: Trouble

    def open(self) -> SimStore:
        """The store as it survived; a life ends before the next one begins."""

    def lose_power(self) -> None:
        """Forget what was not durable; else everything the process before has written is there."""

    def copy(self) -> SqliteStore:
        """A backup, of what is committed now."""

    def restore(self, backup: SqliteStore, now_ms: int) -> int:
        """The disk is lost: the next life begins on a backup, with a history of its own. Its newest transfer."""

    def close(self) -> None:
        """The run is over."""


def copy_into(target: SqliteStore, source: SqliteStore) -> SqliteStore:
    """The same ledger again."""
    copy_ledger(source, target)
    return target


def begin_history(store: SqliteStore, now_ms: int) -> int:
    """What `fanka restore` does to a ledger before a host may serve it; the number of its newest transfer."""
    with store.transaction():
        store.execute("DELETE FROM meta WHERE name IN ('probe', 'rollback_seen')")
    ledger = Ledger(store, SaleLimits(0, 0))
    ledger.open_history(now_ms)
    return ledger.head_seq


class MemoryDisk:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.trouble = Trouble()
        self._inner = SqliteStore(":memory:")
        self._newest: SimStore | None = None

    def open(self) -> SimStore:
        """See `SimDisk`."""
        if self._newest is not None:
            self._newest.dead = True
        self._newest = SimStore(self._inner, self.trouble)
        return self._newest

    def lose_power(self) -> None:
        """See `SimDisk`: what is committed is durable, and what was not has been rolled back already."""

    def copy(self) -> SqliteStore:
        """See `SimDisk`."""
        return copy_into(SqliteStore(":memory:"), self._inner)

    def restore(self, backup: SqliteStore, now_ms: int) -> int:
        """See `SimDisk`."""
        self._inner.close()
        self._inner = copy_into(SqliteStore(":memory:"), backup)
        return begin_history(self._inner, now_ms)

    def close(self) -> None:
        """See `SimDisk`."""
        self._inner.close()


class CrashDisk:
    """See the module's docstring. Each life has a folder: what the life before has left of it."""

    def __init__(self, rng: Random) -> None:
        self.trouble = Trouble()
        self._rng = rng
        self._root = Path(tempfile.mkdtemp(prefix="fanka-simulation-"))
        self._lives = 0
        self._folder = self._root / "0"
        self._folder.mkdir()
        self._disk = Disk(self._folder)
        self._newest: SimStore | None = None
        self._damage = 1.0

    def open(self) -> SimStore:
        """See `SimDisk`."""
        if self._newest is not None:
            self._begin_anew(self._newest)
        self._newest = SimStore(SqliteStore(self._folder / "ledger.db", vfs=self._disk.vfs), self.trouble)
        return self._newest

    def _begin_anew(self, newest: SimStore) -> None:
        """A killed process's files are whole; after a power cut each unsynced sector is there or not."""
        newest.dead = True
        self._lives += 1
        folder = self._root / str(self._lives)
        self._disk.cut_power(folder, self._rng, self._damage)
        self._damage = 1.0
        with suppress(apsw.Error):
            newest.inner.close()
        self._disk.close()
        shutil.rmtree(self._folder)
        self._folder = folder
        self._disk = Disk(folder)

    def copy(self) -> SqliteStore:
        """See `SimDisk`."""
        assert self._newest is not None
        return copy_into(SqliteStore(":memory:"), self._newest.inner)

    def restore(self, backup: SqliteStore, now_ms: int) -> int:
        """See `SimDisk`."""
        if self._newest is not None:
            self._begin_anew(self._newest)
        for file in self._folder.iterdir():
            file.unlink()
        self._disk.close()
        self._disk = Disk(self._folder)
        inner = copy_into(SqliteStore(self._folder / "ledger.db", vfs=self._disk.vfs), backup)
        head = begin_history(inner, now_ms)
        inner.close()
        self._newest = None
        return head

    def lose_power(self) -> None:
        """See `SimDisk`."""
        self._damage = self._rng.choice((0.0, 0.0, 0.3, 0.7))

    def close(self) -> None:
        """See `SimDisk`."""
        if self._newest is not None:
            with suppress(apsw.Error):
                self._newest.inner.close()
        self._disk.close()
        shutil.rmtree(self._root, ignore_errors=True)
