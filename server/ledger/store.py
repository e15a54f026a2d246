"""What the ledger needs of a database: one transaction per batch, a handful of set-based loads and one save.

Stores only load and save sets; every rule is in `rules/`. `server.ledger.sqlite` is the store of a single host,
`server.ledger.postgres` the one on a database server. Which of them a data folder has: `server.stores`.

SQL given to `execute` and `rows` is what both understand: `?` for the next value or `?2` for the second, never inside a
text; sums and comparisons of numbers only (a comparison is no number), no functions of one database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from server.ledger.model import NO_CHANGES, Account, Card, Changes, Entry, Hold, Identity, Side, Terminal, Transfer


class StoreError(Exception):
    """The database could not do its work. Nothing of the transaction is in it."""


class StorePaused(StoreError):
    """It cannot be done now. Rolled back, nothing happened; the same work may be tried again later."""


class StoreFull(StorePaused):
    """No space left: tried again when there is space."""


class StoreAway(StorePaused):
    """The database server cannot be reached, or gave up on this transaction: tried again when it is back."""


class StoreBroken(StoreError):
    """An I/O error at or after a write: whether the last commit is durable is unknown. Stop the process and recover.

    Never retry: after a failed fsync the page cache may lie (Rebello et al., USENIX ATC 2020).
    """


class StoreConflict(Exception):
    """A constraint of the schema refused a row (an identity twice, a customer below zero): a bug of ours. Rolled back.

    No StoreError: the database is well, and only the work that tried this is wrong.
    """


class StoreRefused(StoreError):
    """The database is not fit to be opened: wrong file, unsafe setting, unknown schema."""


Row = tuple[Any, ...]


class Store(Protocol):
    """See the module's docstring. All calls from one thread, all writes inside `transaction()`."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit durably on exit, roll back on any error. Raises StorePaused, StoreConflict or StoreBroken; once
        broken it stays so, whatever is tried."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything read inside is of one moment, whoever writes meanwhile. Nothing is written inside."""

    def load_transfers(self, identities: Collection[Identity]) -> dict[tuple[Identity, Side], Transfer]:
        """Originals and reversals recorded under these identities."""

    def load_family(self, seqs: Collection[int]) -> list[Transfer]:
        """These rows, all that they are about (`original_seq`), and all that is about any of these, by number."""

    def load_entries(self, seqs: Collection[int]) -> list[Entry]:
        """The entries of these transfers, by number and account."""

    def load_bindings(self, tokens: Collection[bytes]) -> set[tuple[bytes, int]]:
        """(token, merchant) for every merchant these cards are bound to."""

    def load_held(self, account_ids: Collection[int]) -> dict[int, int]:
        """What is held of these accounts, in fen; those without holds are missing."""

    def load_due(self, now_ms: int, limit: int) -> list[Hold]:
        """Holds whose time is over, the oldest first, up to `limit`."""

    def load_terminals(self, terminal_ids: Collection[int]) -> dict[int, Terminal]:
        """Terminals with their merchants; unknown ones are missing."""

    def load_cards(self, tokens: Collection[bytes]) -> dict[bytes, Card]:
        """Cards by token; unknown ones are missing."""

    def load_accounts(self, account_ids: Collection[int]) -> dict[int, Account]:
        """Accounts by number; unknown ones are missing."""

    def save(
        self,
        transfers: Sequence[Transfer],
        entries: Sequence[Entry],
        accounts: Iterable[Account],
        changes: Changes = NO_CHANGES,
    ) -> None:
        """Append journal rows and entries, rewrite accounts (points accounts are made if new), and what else changes.

        Each identity and side can be appended once, for ever.
        """

    def head(self) -> tuple[int, bytes]:
        """Sequence number and digest of the newest journal row; (0, 32 zero bytes) when there is none."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """One statement of the registry (terminals, merchants, cards, days), its rows as a list."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Rows one by one: for reading tables too large to hold. Inside a snapshot they cost no copy."""

    def integrity(self) -> Iterator[str]:
        """What is wrong with the database's own structure, line by line; nothing if all is well. Inside a snapshot."""

    def repeated_identities(self, limit: int) -> list[tuple[Identity, int, str]]:
        """Identity, side and sequence numbers of transfers that share both, found without the index that forbids it."""

    def describe(self) -> str:
        """Size and kind of the database, for people."""

    def ping(self) -> None:
        """Ask the database server whether it is there: StoreAway if not. Nothing to do for a store without one."""

    def maintain(self) -> None:
        """Housekeeping between batches (checkpoints). Bounded; raises StorePaused (nothing is lost) or StoreBroken."""

    def close(self) -> None:
        """Leave the database clean, and open for the next."""
