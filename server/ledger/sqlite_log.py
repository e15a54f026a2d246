"""Copies SQLite's write-ahead log into the database beside the writer, so that no customer waits for the copying.

A checkpoint of 32 MiB copies some 16,000 pages and syncs them: with a large ledger 60 ms in which nothing could be
committed. Here another connection does that while commits go on. SQLite allows it, but begins the log anew only when
all of it is copied, and syncs the database only then: a writer that never rests would always be ahead. So the last of
it, a few pages, is the writer's to copy (`SqliteStore.maintain`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import apsw

Wait = Callable[[], object]
Start = Callable[[Callable[[], None]], Wait]
"""Begins to run a function that never raises, in a thread of its own, and gives back what waits for its end."""

PASSES: Final = 3
"""The first copies nearly everything; the next, what was committed meanwhile, so quickly that most likely nothing comes
in between, and then SQLite syncs it all. A third for when something did. Measured with a commit every 10 ms: what is
left to the writer is about a tenth of the whole."""


class LogCopier:
    """A second connection to the ledger that copies and nothing else. Belongs to one thread, which starts and takes."""

    def __init__(self, path: str, vfs: str | None, busy_timeout_ms: int, start: Start) -> None:
        self._db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        self._db.set_busy_timeout(busy_timeout_ms)
        # One that has not read anything does not know of the log, and copies nothing without a word.
        self._db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        self._start = start
        self._wait: Wait | None = None
        self._fault: apsw.Error | None = None
        self.is_started = False
        """Whether there is a copying whose end nobody has taken note of."""
        self.is_running = False
        """Whether that is still under way; turned off by the thread that copies."""

    def begin(self) -> None:
        """Start copying what is in the log by now."""
        assert not self.is_started
        self.is_started = self.is_running = True
        try:
            self._wait = self._start(self._copy)
        except RuntimeError:  # the system gives out no more threads: the writer does it all, the next time it looks
            self.is_running = False

    def take(self) -> None:
        """Its end: nothing, or the fault it has met, which is an apsw.Error."""
        assert self.is_started
        assert not self.is_running
        self.is_started = False
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def close(self) -> bool:
        """Wait for what is under way, then let go of the database. Whether all is well: with a fault that nobody has
        taken, pages may be copied that are on no disk, and the log must stay."""
        if self._wait is not None:
            self._wait()
        self._db.close()
        return self._fault is None or isinstance(self._fault, apsw.BusyError)

    def _copy(self) -> None:
        try:
            for _ in range(PASSES):
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            self._fault = error
        finally:
            self.is_running = False
