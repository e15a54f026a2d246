"""The ledger: commands in, outcomes out, one durable commit per batch. Synchronous; one thread at a time.

`apply` loads all that its commands need with a handful of set-based queries, runs the pure rules in order of arrival,
writes everything and commits once. Its outcomes exist only after the commit is durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from typing import Final

import msgspec

from server.ledger import late, loading, quarantine, recovery, rollback
from server.ledger.batch import Batch
from server.ledger.model import NO_CHANGES, Command, Identity, Outcome, SaleLimits
from server.ledger.recovery import FIRST_HISTORY, Recovery
from server.ledger.rules import RULES
from server.ledger.store import Store, StoreBroken, StoreConflict
from server.ledger.tariff import NO_TARIFF, Tariff

NO_DAY: Final = 0
PROBE_BYTES: Final = 65_536
"""What must fit before a full disk counts as mended: a page's slack must not be taken for space."""
MAX_DAY_STEP: Final = timedelta(days=400)
"""Days never go back, so a clock that is years ahead for a moment must not open one: no campus is closed for longer."""


class DayRefused(ValueError):
    """Not a day that can be opened. Nothing has changed."""


class Ledger:
    """See the module's docstring. It alone writes its store while it lives."""

    def __init__(self, store: Store, limits: SaleLimits, tariff: Tariff = NO_TARIFF) -> None:
        self.store = store
        self.limits = limits
        self.tariff = tariff
        """Set anew, in the ledger's thread, when the configuration has changed."""
        self._head_seq, self._head_digest = store.head()
        self._opened_ms: dict[int, int] = dict(store.execute("SELECT day, opened_at_ms FROM business_days"))
        """When each business day was opened: some hundred a year."""
        self.business_day = max(self._opened_ms, default=NO_DAY)
        self.recovery: Recovery | None = next(reversed(recovery.recoveries(store)), None)
        """The newest restore of this ledger from a backup; None if it never was."""
        self.epoch = self._newest_epoch()
        """Counts starts of the host on this ledger, and jumps with a restore; 0 before the first."""

    def _newest_epoch(self) -> int:
        rows = self.store.execute("SELECT value FROM meta WHERE name = 'epoch'")
        return int(rows[0][0]) if rows else 0

    @property
    def history(self) -> int:
        """Counts how often this ledger was restored from a backup; 1 in one that never was."""
        return self.recovery.history if self.recovery is not None else FIRST_HISTORY

    @property
    def restored_at_s(self) -> int:
        """When it was restored last, seconds since 1970 UTC as the wire holds them; 0 if never."""
        return min(self.recovery.opened_at_ms // 1_000, 0xFFFF_FFFF) if self.recovery is not None else 0

    @property
    def head_seq(self) -> int:
        """Sequence number of the newest transfer."""
        return self._head_seq

    def apply(self, commands: Sequence[Command], now_ms: int) -> list[Outcome]:
        """One outcome per command, in order, after one durable commit.

        Raises StorePaused (nothing happened, may be tried again) or StoreBroken (stop the process). Any other exception
        is a bug that one of the commands met; nothing happened. A batch of queries and repeats only writes nothing.
        """
        if self.business_day == NO_DAY:
            raise RuntimeError("no business day is open: expected open_day before the first command")
        batch = Batch(
            now_ms=now_ms,
            today=self.business_day,
            limits=self.limits,
            head_seq=self._head_seq,
            head_digest=self._head_digest,
            is_recovery_open=self.recovery_open(now_ms),
            tariff=self.tariff,
            opened_ms=self._opened_ms,
        )
        try:
            with self.store.transaction():
                loading.load(self.store, batch, commands)
                outcomes = [RULES[type(command)](batch, command) for command in commands]
                changes = batch.changes()
                if batch.new_transfers or changes is not NO_CHANGES:
                    self.store.save(batch.new_transfers, batch.new_entries, batch.dirty.values(), changes)
                quarantine.keep(self.store, batch.quarantined)
                late.keep(self.store, late.found(batch))
        except StoreConflict as error:
            if self.store.head() == (self._head_seq, self._head_digest):
                raise
            raise StoreBroken("the journal has grown behind the ledger: expected one writer, stop the other") from error
        self._head_seq, self._head_digest = batch.head_seq, batch.head_digest
        return outcomes

    def newest_identity(self, terminal_id: int) -> Identity:
        """Batch and STAN of the newest request the ledger has of a terminal, zeros if none.

        A reversal of something unseen counts: its identity is taken for ever as well. So does a batch that is closed:
        nothing new is taken under its number, so the terminal has to go on with the one after it.
        """
        rows = self.store.execute(
            "SELECT batch, stan FROM transfers WHERE terminal_id = ? ORDER BY batch DESC, stan DESC LIMIT 1",
            (terminal_id,),
        )
        closed = self.store.execute("SELECT closed_batch FROM terminals WHERE terminal_id = ?", (terminal_id,))
        after = (closed[0][0] + 1, 0) if closed and closed[0][0] else (0, 0)
        return Identity(terminal_id, *max(after, rows[0] if rows else (0, 0)))

    def open_day(self, day: int, since_ms: int) -> bool:
        """Open business day YYYYMMDD. Days never go back: an older or the same day changes nothing and gives False.

        `since_ms`: what terminals bring later is of this day if they have made it since then: now, or the day's start.
        Raises DayRefused for what is no date, or lies further ahead than a wrong clock may be believed.
        """
        wanted = _date(day)
        if day <= self.business_day:
            return False
        if self.business_day != NO_DAY and wanted - _date(self.business_day) > MAX_DAY_STEP:
            raise DayRefused(
                f"business day {day}: expected at most {MAX_DAY_STEP.days} days after {self.business_day};"
                " is the clock right?"
            )
        with self.store.transaction():
            self.store.execute("INSERT INTO business_days VALUES (?, ?, ?)", (day, since_ms, self._head_seq + 1))
        self._opened_ms[day] = since_ms
        self.business_day = day
        return True

    def next_epoch(self) -> int:
        """Count one more start of the host on this ledger: terminals that have seen a later one know of a rollback."""
        epoch = self.epoch + 1
        with self.store.transaction():
            self.store.execute(
                "INSERT INTO meta VALUES ('epoch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(epoch),),
            )
        self.epoch = epoch
        return epoch

    def open_history(self, now_ms: int) -> int:
        """Begin a new history, in which terminals upload what is missing; its number. For a ledger just restored.

        One commit. Also for one restored before whose recovery is over: terminals then upload once more.
        """
        opened = Recovery(self.history + 1, now_ms, self._head_seq + 1, 0)
        with self.store.transaction():
            epoch = recovery.begin(self.store, opened)
            rollback.forget(self.store)
        self.recovery, self.epoch = opened, epoch
        return opened.history

    def recovery_open(self, now_ms: int) -> bool:
        """Whether uploads of sales that are missing here are taken."""
        return self.recovery is not None and self.recovery.is_open(now_ms)

    def close_recovery(self, now_ms: int) -> bool:
        """Take no more uploads in this history. False if none were taken anyhow."""
        if self.recovery is None or not self.recovery.is_open(now_ms):
            return False
        with self.store.transaction():
            recovery.end(self.store, self.recovery.history, now_ms)
        self.recovery = msgspec.structs.replace(self.recovery, closed_at_ms=now_ms)
        return True

    def probe(self) -> None:
        """Write and commit PROBE_BYTES that mean nothing; StorePaused if that is still not possible.

        Other bytes every time: what is there already need not be written.
        """
        with self.store.transaction():
            before = self.store.execute("SELECT value FROM meta WHERE name = 'probe'")
            text = sha256(str(before).encode()).hexdigest()
            self.store.execute(
                "INSERT INTO meta VALUES ('probe', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (text * (PROBE_BYTES // len(text)),),
            )


def _date(day: int) -> date:
    try:
        return date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError as error:
        raise DayRefused(f"business day {day}: expected a date as YYYYMMDD: {error}") from error
