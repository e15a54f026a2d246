"""The ledger: commands in, outcomes out, one durable commit per batch. Synchronous; one thread at a time.

`apply` loads all that its commands need with a handful of set-based queries, runs the pure rules in order of arrival,
writes everything and commits once. Its outcomes exist only after the commit is durable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Final

from server.ledger.batch import Batch
from server.ledger.model import (
    FUNDING_ACCOUNT,
    Adjustment,
    Command,
    Identity,
    Outcome,
    Reversal,
    Sale,
    SaleLimits,
    Side,
)
from server.ledger.rules import RULES
from server.ledger.store import Store, StoreBroken, StoreConflict

NO_DAY: Final = 0
PROBE_BYTES: Final = 65_536
"""What must fit before a full disk counts as mended: a page's slack must not be taken for space."""
MAX_DAY_STEP: Final = timedelta(days=400)
"""Days never go back, so a clock that is years ahead for a moment must not open one: no campus is closed for longer."""


class DayRefused(ValueError):
    """Not a day that can be opened. Nothing has changed."""


class Ledger:
    """See the module's docstring. It alone writes its store while it lives."""

    def __init__(self, store: Store, limits: SaleLimits) -> None:
        self.store = store
        self.limits = limits
        self._head_seq, self._head_digest = store.head()
        self.business_day = self._newest_day()

    def _newest_day(self) -> int:
        day = self.store.execute("SELECT max(day) FROM business_days")[0][0]
        return NO_DAY if day is None else int(day)

    @property
    def head_seq(self) -> int:
        """Sequence number of the newest transfer."""
        return self._head_seq

    def apply(self, commands: Sequence[Command], now_ms: int) -> list[Outcome]:
        """One outcome per command, in order, after one durable commit.

        Raises StoreFull (nothing happened, may be tried again) or StoreBroken (stop the process). Any other exception
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
        )
        try:
            with self.store.transaction():
                self._load(batch, commands)
                outcomes = [RULES[type(command)](batch, command) for command in commands]
                if batch.new_transfers:
                    self.store.save(batch.new_transfers, batch.new_entries, batch.dirty.values())
        except StoreConflict as error:
            if self.store.head() == (self._head_seq, self._head_digest):
                raise
            raise StoreBroken("the journal has grown behind the ledger: expected one writer, stop the other") from error
        self._head_seq, self._head_digest = batch.head_seq, batch.head_digest
        return outcomes

    def _load(self, batch: Batch, commands: Sequence[Command]) -> None:
        """Everything the rules will ask for, and nothing per command."""
        batch.transfers = self.store.load_transfers({command.identity for command in commands})
        sales = [command for command in commands if isinstance(command, Sale)]
        account_ids: set[int] = set()
        if sales:
            batch.terminals = self.store.load_terminals({sale.identity.terminal_id for sale in sales})
            batch.cards = self.store.load_cards({sale.token for sale in sales})
            account_ids.update(card.account_id for card in batch.cards.values())
            account_ids.update(terminal.merchant_account_id for terminal in batch.terminals.values())
        for command in commands:
            if isinstance(command, Reversal):
                account_ids.update(self._reversed_accounts(batch, command))
            elif isinstance(command, Adjustment):
                account_ids.update((command.account_id, FUNDING_ACCOUNT))
        batch.accounts = self.store.load_accounts(account_ids)

    def _reversed_accounts(self, batch: Batch, reversal: Reversal) -> Collection[int]:
        original = batch.transfers.get((reversal.identity, Side.ORIGINAL))
        return (original.account_id, original.merchant_account_id) if original is not None else ()

    def newest_identity(self, terminal_id: int) -> Identity:
        """Batch and STAN of the newest request the ledger has of a terminal, zeros if none.

        A reversal of something unseen counts: its identity is taken for ever as well.
        """
        rows = self.store.execute(
            "SELECT batch, stan FROM transfers WHERE terminal_id = ? ORDER BY batch DESC, stan DESC LIMIT 1",
            (terminal_id,),
        )
        return Identity(terminal_id, *rows[0]) if rows else Identity(terminal_id, 0, 0)

    def open_day(self, day: int, now_ms: int) -> bool:
        """Open business day YYYYMMDD. Days never go back: an older or the same day changes nothing and gives False.

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
            self.store.execute("INSERT INTO business_days VALUES (?, ?, ?)", (day, now_ms, self._head_seq + 1))
        self.business_day = day
        return True

    def next_epoch(self) -> int:
        """Count one more start of the host on this ledger: terminals that have seen a later one know of a rollback."""
        with self.store.transaction():
            row = self.store.execute("SELECT value FROM meta WHERE name = 'epoch'")
            epoch = int(row[0][0]) + 1 if row else 1
            self.store.execute(
                "INSERT INTO meta VALUES ('epoch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(epoch),),
            )
        return epoch

    def probe(self) -> None:
        """Write and commit PROBE_BYTES that mean nothing; StoreFull if there is still no space for them."""
        with self.store.transaction():
            self.store.execute(
                "INSERT INTO meta VALUES ('probe', hex(randomblob(?)))"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (PROBE_BYTES // 2,),
            )


def _date(day: int) -> date:
    try:
        return date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError as error:
        raise DayRefused(f"business day {day}: expected a date as YYYYMMDD: {error}") from error
