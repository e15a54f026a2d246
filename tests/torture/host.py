"""The host's ledger as one process on a disk: what it commits and answers is witnessed, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

import apsw

from server.admin import Admin
from server.keys import KeyRing
from server.ledger.ledger import NO_DAY, Ledger
from server.ledger.model import (
    Adjustment,
    Command,
    ExpireHolds,
    Identity,
    Outcome,
    Query,
    Reversal,
    Sale,
    SaleLimits,
    Upload,
)
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.sqlite_log import Start
from server.ledger.store import Store, StoreFull
from server.ledger.verify import verify
from tests.server.ledger.contract import answer
from tests.torture.disk import Disk
from tests.torture.witness import Violated, Witness

T = TypeVar("T")

LEDGER: Final = "ledger.db"
NOW_MS: Final = 1_789_000_000_000  # 2026-09-10
CLAIMED_AT_S: Final = NOW_MS // 1000
DAY: Final = 20260910
KEK: Final = bytes(range(32))
LIMITS: Final = SaleLimits(0, 0)
TILL: Final = 0x0003_0001
"""Terminal 3-1, which every scenario sells at; 3-2, its merchant and card are for the sale after recovery alone."""
LAST_TILL: Final = 0x0003_0002
ANN: Final = bytes.fromhex("04a1b2c3")
BEN: Final = bytes.fromhex("04d4e5f6")
LAST: Final = bytes.fromhex("04ffffff")
START_FEN: Final = 10_000


def sale(stan: int, amount_fen: int = 100, token: bytes = ANN, *, terminal_id: int = TILL, batch: int = 1) -> Sale:
    content = sha256(f"sale {amount_fen} {token.hex()}".encode()).digest()[:16]
    return Sale(Identity(terminal_id, batch, stan), content, token, amount_fen, 7, CLAIMED_AT_S)


def reversal(stan: int, amount_fen: int = 100, token: bytes = ANN) -> Reversal:
    content = sha256(f"reversal {amount_fen} {token.hex()}".encode()).digest()[:16]
    return Reversal(Identity(TILL, 1, stan), content, token, amount_fen, 7, CLAIMED_AT_S)


def upload(stan: int, amount_fen: int = 100, token: bytes = ANN) -> Upload:
    """What a terminal says of `sale` when the host has lost it."""
    lost = sale(stan, amount_fen, token)
    return Upload(lost.identity, lost.request_hash, token, amount_fen, lost.operator, lost.claimed_at_s, 77)


def state_of(store: Store) -> str:
    """A fingerprint of every row there is, but for what means nothing."""
    digest = sha256()
    for (table,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
        rows = store.execute(f"SELECT * FROM {table}")
        digest.update(repr((table, sorted(map(repr, rows)) if table != "meta" else _metas(rows))).encode())
    return digest.hexdigest()[:16]


def _metas(rows: Collection[Any]) -> list[Any]:
    return sorted(row for row in rows if row[0] != "probe")


class WatchedStore(SqliteStore):
    """The product's store; after each commit that changed something, the witness is told."""

    on_commit: Callable[[], None] | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Store`."""
        with super().transaction():
            yield
        if self.on_commit is not None:
            self.on_commit()


class HostLife:
    """The ledger's host on one disk. Every method that returns has promised what it did; retries a full disk as the
    product's callers do."""

    def __init__(self, folder: Path, disk: Disk, witness: Witness, *, create: bool = False) -> None:
        self.folder = folder
        self.disk = disk
        self.witness = witness
        self.create = create
        self.copy_log: Start | None = None
        """As for `SqliteStore`, from the next `open` on."""
        self.full = 0
        """How often there was no space."""
        self.store: WatchedStore
        self.ledger: Ledger
        self.admin: Admin

    def open(self) -> None:
        """A start of the host, as far as its ledger goes: afterwards it answers from what it found."""
        self.store = WatchedStore(self.folder / LEDGER, vfs=self.disk.vfs, create=self.create, copy_log=self.copy_log)
        self.disk.sync_folder()  # what serve_folder does next: the write-ahead log's name, too, must last
        self.store.on_commit = self._committed
        self.ledger = Ledger(self.store, LIMITS)
        self.witness.found(len(self.disk.trace), state_of(self.store))
        self._employ()

    def _employ(self) -> None:
        """An administrator needs the key's fingerprint in the ledger, which is there but in a new one."""
        if self.ledger.business_day != NO_DAY:
            self.admin = self._do(
                lambda: Admin(
                    self.ledger,
                    Registry(self.store),
                    KeyRing(KEK),
                    now_ms=lambda: NOW_MS,
                    random_bytes=Random(5).randbytes,
                    on_revoked=lambda _terminal_id: None,
                )
            )

    def _committed(self) -> None:
        if (state := state_of(self.store)) != self.witness.promised:
            self.witness.promise(len(self.disk.trace), state)

    def _do(self, work: Callable[[], T]) -> T:
        """Work that meets a full disk has done nothing, and can be done when there is space again, without restart."""
        try:
            return work()
        except StoreFull:
            self.full += 1
            if (state := state_of(self.store)) != self.witness.promised:
                raise Violated(f"a full disk left {state}, expected {self.witness.promised}") from None
            self.disk.heal()
            return work()

    def apply(self, *commands: Command, now_ms: int = NOW_MS) -> list[Outcome]:
        """One batch, answered."""
        outcomes = self._do(lambda: self.ledger.apply(commands, now_ms))
        for command, outcome in zip(commands, outcomes, strict=True):
            if not isinstance(command, Query | Upload | ExpireHolds):  # those are told how it stands now
                self.witness.answered(len(self.disk.trace), command, answer(outcome))
        return outcomes

    def perform(self, operation: str, **arguments: Any) -> Any:
        """An administrator's operation, confirmed."""
        return self._do(lambda: self.admin.perform(operation, arguments))

    def open_day(self, day: int) -> None:
        self._do(lambda: self.ledger.open_day(day, NOW_MS))

    def next_epoch(self) -> None:
        self._do(self.ledger.next_epoch)

    def probe(self) -> None:
        self._do(self.ledger.probe)

    def maintain(self) -> None:
        self._do(self.store.maintain)

    def call(self, work: Callable[[], T]) -> T:
        """Anything else that runs in the ledger's thread."""
        return self._do(work)

    def close(self) -> None:
        """An orderly end."""
        self.store.close()

    def vanish(self) -> None:
        """Let the files go as a killed process does: nothing is written any more."""
        with suppress(AttributeError, apsw.Error):
            self.store._broken = True
            self.store.close()


def set_up(life: HostLife) -> None:
    """A campus on a new ledger: two terminals, three cards with money."""
    life.open_day(DAY)
    life._employ()
    for device, hall in ((1, "一食堂"), (2, "二食堂")):
        life.perform("merchant.add", name=hall)
        life.perform("terminal.enrol_many", first=f"3-{device}", count=1, merchant_id=device)
    for line, (card, number) in enumerate(((ANN, "S1"), (BEN, "S2"), (LAST, "S9")), 1):
        life.perform("card.issue", uid=card.hex(), student_number=number, name=f"Student {number}")
        life.perform("account.topup", who=number, amount_fen=START_FEN, batch=2, line=line)


def faults_in(folder: Path, witness: Witness, at: int) -> list[str]:
    """Open what a disk has kept, as the next start would, and say what is wrong with it."""
    try:
        store = SqliteStore(folder / LEDGER)
    except Exception as error:
        return [f"cannot be opened: {type(error).__name__}: {error}"]
    try:
        return [*_wrong(store, witness, at)]
    except Exception as error:
        return [f"cannot be used: {type(error).__name__}: {error}"]
    finally:
        store.close()


def _wrong(store: SqliteStore, witness: Witness, at: int) -> Iterator[str]:
    if (state := state_of(store)) not in (allowed := witness.allowed(at)):
        yield f"expected one of the states {sorted(allowed)}, found {state}"
    yield from (f"{check.name}: {check.detail}" for check in verify(store) if not check.ok)
    ledger = Ledger(store, LIMITS)
    if ledger.business_day == NO_DAY:
        ledger.open_day(DAY, NOW_MS)
        return
    given = witness.answers_by(at)
    for (question, before), outcome in zip(given, ledger.apply([one for one, _ in given], NOW_MS + 1), strict=True):
        if answer(outcome) != before or not outcome.replayed:
            yield f"{_name(question)}: answered {before}, now {answer(outcome)} (replayed: {outcome.replayed})"
    yield from _sell_on(ledger)


def _sell_on(ledger: Ledger) -> Iterator[str]:
    known = ledger.store.load_cards([LAST])
    if not known or not ledger.store.load_accounts([known[LAST].account_id])[known[LAST].account_id].balance_fen:
        return  # the campus was still being set up
    newest = ledger.newest_identity(LAST_TILL).stan
    [outcome] = ledger.apply([sale(newest + 1, 1, LAST, terminal_id=LAST_TILL)], NOW_MS + 1)
    if outcome.decision or outcome.rrn != ledger.head_seq:
        yield f"does not sell: {outcome}"


def _name(command: Command) -> str:
    fen = command.amount_fen if not isinstance(command, Adjustment) else 0
    return f"{type(command).__name__} {tuple(command.identity)} of {fen} fen"
