"""What a terminal keeps: every sale, before it is sent, and the numbers it has used.

`Storage` is what the brain asks for; every call is durable when it returns. `MemoryStorage` is for load tests and tests
of the brain; `file_storage` keeps a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any, Final, Protocol, TypeVar

from protocol import TerminalNumber
from protocol.messages.money import TransactionKind
from protocol.messages.offline import NO_TAG
from terminal_emulator import archive
from terminal_emulator.archive import ACKNOWLEDGED, Records
from terminal_emulator.keepsakes import Kept, OpeningFloat
from terminal_emulator.record import HAPPENED, Record, RecordState
from terminal_emulator.settled import Settlement

OPEN: Final = frozenset(state for state in RecordState if state.is_open)
SOLD: Final = HAPPENED | {RecordState.REFUSED}
"""States of a sale for which somebody has had a meal."""
SALES: Final = frozenset({TransactionKind.SALE, TransactionKind.OFFLINE_SALE})
RECENT_SALES: Final = 3
"""How many sales back a cashier may look with one press of the keys."""

K = TypeVar("K", bound=Kept)


class StorageError(Exception):
    """The terminal's memory cannot be used: damaged, or in use by another program. The text says what to do."""


class Storage(Protocol):
    """The terminal's memory. A call that returns has made its change durable; OSError means it has not."""

    @property
    def used(self) -> tuple[int, int]:
        """The newest (batch, stan) used; (1, 0) in a new terminal."""
        ...

    @property
    def newest_approved(self) -> tuple[int, int]:
        """(batch, stan) of the newest sale the host approved; (0, 0) if there is none."""
        ...

    @property
    def epoch(self) -> int:
        """The host's epoch seen last, 0 in a new terminal."""
        ...

    @property
    def history(self) -> tuple[int, int]:
        """The host's (history, restored_at_s) for which every record has been uploaded; (1, 0) in a new terminal."""
        ...

    owner: TerminalNumber | None
    """Whose memory this is: records name no terminal. None until somebody has claimed it."""
    settlement: Settlement | None
    """The settlement under way; None if there is none."""
    last_settlement: Settlement | None
    """The newest settlement that is done; None in a new terminal."""
    archived: Records
    """What is kept of the newest batches that were settled, by identity; to be read only."""

    @property
    def records(self) -> dict[tuple[int, int], Record]:
        """Everything kept, by identity; to be read only."""
        ...

    @property
    def recent_sales(self) -> tuple[Record, ...]:
        """The last RECENT_SALES sales that have happened, newest first, settled since or not."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether no further sale may be started before settlement."""
        ...

    def open_records(self) -> list[Record]:
        """Sales without a final state, oldest first."""
        ...

    def acknowledged(self) -> list[Record]:
        """What the host has approved, or confirmed to be reversed; of the newest batches settled, too, oldest first."""
        ...

    def save(self, record: Record) -> None:
        """Keep a new sale, or the new state of one."""
        ...

    def skip_to(self, batch: int, stan: int) -> None:
        """Never use (batch, stan) nor any number before it."""
        ...

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left here that could move money: then it may become the memory of another terminal."""
        ...

    def claim(self, terminal: TerminalNumber) -> None:
        """This terminal works with this memory from now on. What is settled of another one is forgotten; StorageError
        if anything of it is not: under another number it would be asked about, reversed and settled as what it is not.
        """
        ...

    def forget(self) -> None:
        """Be as new: from now on this is nobody's memory."""
        ...

    def save_epoch(self, epoch: int) -> None:
        """Remember the host's epoch."""
        ...

    def save_history(self, history: int, restored_at_s: int) -> None:
        """Everything has been uploaded for this history of the host."""
        ...

    @property
    def chain(self) -> tuple[int, bytes]:
        """Number and tag of the newest record made offline; (0, 16 zero bytes) in a new terminal."""
        ...

    @property
    def stop_version(self) -> int:
        """Version of the stop list, 0 if there is none."""
        ...

    @property
    def stopped(self) -> Set[bytes]:
        """The cards on it, as it names them."""
        ...

    @property
    def waiting(self) -> dict[tuple[int, int], Record]:
        """What was made offline and is not uploaded, by identity, oldest first; to be read only."""
        ...

    @property
    def unbooked(self) -> Set[tuple[int, int]]:
        """What was made offline and the host would not book, by identity, as long as it is kept; to be read only."""
        ...

    def offline_records(self) -> list[Record]:
        """What was made offline, uploaded or not, oldest first."""
        ...

    def save_stop_changes(self, version: int, stopped: Iterable[bytes], allowed: Iterable[bytes]) -> None:
        """Keep the changes that lead to a version of the stop list. Version 0: forget it."""
        ...

    def keep(self, value: Kept) -> None:
        """Remember this value in place of the one of its type before."""
        ...

    def kept(self, kind: type[K]) -> K:
        """The value of this type that was kept last, or its default."""
        ...

    def save_settlement(self, settlement: Settlement) -> None:
        """Keep how far a settlement has come; what is sold from now on belongs to a batch after it. With DONE, in the
        same stroke, the batch's records and its opening float go: the host has settled them (清机)."""


class MemoryStorage:
    """A memory that lasts as long as the program. `records` is everything saved, by identity."""

    __slots__ = (
        "_chain_identity",
        "_kept",
        "archived",
        "chain",
        "epoch",
        "history",
        "last_settlement",
        "newest_approved",
        "owner",
        "recent_sales",
        "records",
        "settlement",
        "stop_version",
        "stopped",
        "unbooked",
        "used",
        "waiting",
    )

    def __init__(self) -> None:
        self._kept: dict[type, Any] = {}
        self.owner: TerminalNumber | None = None
        self.recent_sales: tuple[Record, ...] = ()
        self.records: Records = {}
        self.archived: Records = {}
        self.used = (1, 0)
        self.newest_approved = (0, 0)
        self.epoch = 0
        self.history = (1, 0)
        self.chain = (0, NO_TAG)
        self._chain_identity = (0, 0)  # whose place `chain` is: records get their verdicts in any order
        self.stop_version = 0
        self.stopped: set[bytes] = set()
        self.waiting: dict[tuple[int, int], Record] = {}
        self.unbooked: set[tuple[int, int]] = set()
        self.settlement: Settlement | None = None
        self.last_settlement: Settlement | None = None

    @property
    def is_full(self) -> bool:
        """See Storage. A load test may hold more than a terminal."""
        return False

    def open_records(self) -> list[Record]:
        """See Storage."""
        return self._in_order(OPEN)

    def acknowledged(self) -> list[Record]:
        """See Storage."""
        return [*self.archived.values(), *self._in_order(ACKNOWLEDGED)]

    def offline_records(self) -> list[Record]:
        """See Storage."""
        found = [identity for identity, record in self.records.items() if record.saf is not None]
        return [self.records[identity] for identity in sorted(found)]

    def _in_order(self, states: frozenset[RecordState]) -> list[Record]:
        found = [identity for identity, record in self.records.items() if record.state in states]
        return [self.records[identity] for identity in sorted(found)]

    def save(self, record: Record) -> None:
        """See Storage."""
        identity = (record.batch, record.stan)
        self.records[identity] = record
        if identity > self.used:
            self.used = identity
        if record.state is RecordState.APPROVED and identity > self.newest_approved:
            self.newest_approved = identity
        if record.state in SOLD and record.kind in SALES:
            self._note_sale(record)
        if record.saf is not None:
            self._note_offline(record)

    def _note_offline(self, record: Record) -> None:
        identity, saf = record.identity, record.saf
        if saf is not None and identity >= self._chain_identity:
            self.chain, self._chain_identity = (saf.sequence, saf.tag), identity
        if record.state is RecordState.OFFLINE:
            self.waiting[identity] = record
        else:
            self.waiting.pop(identity, None)
        if record.state is RecordState.REFUSED:
            self.unbooked.add(identity)
        else:
            self.unbooked.discard(identity)

    def _note_sale(self, record: Record) -> None:
        recent = self.recent_sales
        if not recent or record.identity > recent[0].identity:
            self.recent_sales = (record, *recent[: RECENT_SALES - 1])
            return
        others = [sale for sale in self.recent_sales if sale.identity != record.identity]
        others.append(record)  # found out later
        self.recent_sales = tuple(sorted(others, key=lambda sale: sale.identity, reverse=True)[:RECENT_SALES])

    @property
    def is_settled(self) -> bool:
        """See Storage."""
        has_records = any(record.state is not RecordState.DECLINED for record in self.records.values())
        return self.settlement is None and not has_records

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return "memory"

    def check_owner(self, terminal: TerminalNumber) -> None:
        """StorageError if this terminal cannot claim this memory."""
        if self.owner in (None, terminal) or self.is_settled:
            return
        raise StorageError(
            f"{self.place}: expected the memory of terminal {terminal}, got that of terminal {self.owner} with "
            f"transactions that are not settled: start it with the key file of {self.owner} and settle (F1 0 1), or "
            f"give {terminal} a place of its own"
        )

    def claim(self, terminal: TerminalNumber) -> None:
        """See Storage."""
        if self.owner == terminal:
            return
        self.check_owner(terminal)
        if self.owner is not None:
            self.forget()
        self._belong_to(terminal)

    def _belong_to(self, terminal: TerminalNumber) -> None:
        self.owner = terminal

    def forget(self) -> None:
        """See Storage."""
        MemoryStorage.__init__(self)

    def skip_to(self, batch: int, stan: int) -> None:
        """See Storage."""
        self.used = max(self.used, (batch, stan))

    def save_epoch(self, epoch: int) -> None:
        """See Storage."""
        self.epoch = epoch

    def save_history(self, history: int, restored_at_s: int) -> None:
        """See Storage."""
        self.history = (history, restored_at_s)

    def save_stop_changes(self, version: int, stopped: Iterable[bytes], allowed: Iterable[bytes]) -> None:
        """See Storage."""
        if version == 0:
            self.stopped.clear()
        self.stopped.difference_update(allowed)
        self.stopped.update(stopped)
        self.stop_version = version

    def save_settlement(self, settlement: Settlement) -> None:
        """See Storage."""
        batch = settlement.batch
        self.settlement = settlement if settlement.is_open else None
        self.used = max(self.used, (batch + 1, 0))
        if not settlement.is_open:
            self.last_settlement = settlement
            self.records, self.archived = archive.clear(self.records, self.archived, batch)
            self.unbooked = {identity for identity in self.unbooked if identity in self.records}
            if 0 < self.kept(OpeningFloat).batch <= batch:
                MemoryStorage.keep(self, OpeningFloat())
            # The host has closed the batch: one that knows nothing newer has lost that.
            self.newest_approved = max(self.newest_approved, (batch + 1, 0))

    def keep(self, value: Kept) -> None:
        """See Storage."""
        self._kept = {**self._kept, type(value): value}

    def kept(self, kind: type[K]) -> K:
        """See Storage."""
        found: K | None = self._kept.get(kind)
        return kind() if found is None else found
