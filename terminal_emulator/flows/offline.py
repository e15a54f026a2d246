"""Upload of sales made offline (脱机上送): in the order they were made, one at a time, each with its verdict.

A record waits until the host has decided about it, however long that takes: no answer, "busy" and a reject decide
nothing. GAP says that the host's chain goes on elsewhere. If what it wants is still in the memory, which it is until
settlement, it is sent from there: a host restored from a backup then gets back what it lost. Otherwise the records that
wait are numbered anew, from where the host stands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf
from typing import Final

from msgspec.structs import replace

from protocol.messages import Message, OfflineSaleAnswer, OfflineVerdict, Reject
from terminal_emulator.backoff import Backoff, Jitter
from terminal_emulator.effects import Note, NoteKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.offline import Chain, mended, renumbered, request_of
from terminal_emulator.record import Record, RecordState
from terminal_emulator.storage import Storage

UNDECIDED_WAIT_MIN_S: Final = 1.0
UNDECIDED_WAIT_MAX_S: Final = 30.0
"""After no answer, one that decides nothing, or a gap: nobody stands at the till waiting for this."""
PAUSE_SHARE: Final = 4
"""After each answer, a pause this many times as long as it took: a thousand terminals come back at once, and this keeps
the host's queue short for those who sell."""


class OfflineFlow:
    """See the module's docstring. `is_held`: whether the cashier wants to be offline: then nothing goes up."""

    __slots__ = ("_asked_s", "_backoff", "_due_s", "_is_held", "_notes", "_queue", "_storage", "key")

    def __init__(self, storage: Storage, jitter: Jitter, is_held: Callable[[], bool]) -> None:
        self.key = b""
        """K_saf; empty before the first session."""
        self._is_held = is_held
        self._storage = storage
        self._backoff = Backoff(UNDECIDED_WAIT_MIN_S, UNDECIDED_WAIT_MAX_S, jitter)
        self._notes: list[Note] = []
        self._queue: list[Record] = []  # what is to be sent, oldest first; the newest ones wait for their first verdict
        self._due_s = self._asked_s = 0.0

    @property
    def is_running(self) -> bool:
        """Whether something is to be uploaded."""
        return bool(self._queue)

    def power_on(self) -> None:
        """Find what waits in the memory."""
        self._queue = [record for _, record in sorted(self._storage.waiting.items())]

    def add(self, record: Record) -> None:
        """One more sale has been made offline, and is stored."""
        self._queue.append(record)

    def begin(self, key: bytes, known_keys: Collection[bytes], now_s: float) -> None:
        """A session is about to open under the root key of this K_saf: what waits is made one chain under it."""
        self.key = key
        self._keep(mended(self._waiting(), key, known_keys))
        self._due_s = now_s
        self._backoff.reset()

    def take_notes(self) -> list[Note]:
        """What has happened since this was asked last."""
        notes, self._notes = self._notes, []
        return notes

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if not self._queue or now_s < self._due_s or self._is_held():
            return None
        self._asked_s = now_s
        return request_of(self._queue[0])

    def fits(self, message: Message) -> bool:
        """See Flow."""
        record = self._queue[0]
        if isinstance(message, OfflineSaleAnswer):
            return (message.stan, message.batch, message.amount_fen) == (record.stan, record.batch, record.amount_fen)
        return isinstance(message, Reject)

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow. A record with its verdict: APPROVED, or REFUSED if the merchant has to bear it."""
        if not isinstance(message, OfflineSaleAnswer) or message.verdict is OfflineVerdict.UNDECIDED:
            return self.unanswered(now_s)
        if message.verdict is OfflineVerdict.GAP:
            self._go_on_from(Chain(message.next_saf_sequence - 1, message.last_tag))
            return self.unanswered(now_s)
        self._backoff.reset()
        self._due_s = now_s + PAUSE_SHARE * (now_s - self._asked_s)
        before = self._queue.pop(0)
        is_booked = message.response_code == APPROVED
        if not is_booked:
            why = f"{message.verdict.name.lower()}, code {message.response_code}"
            self._note(NoteKind.OFFLINE_REFUSED, f"batch {before.batch}, STAN {before.stan}: {why}")
        return replace(
            before,
            state=RecordState.APPROVED if is_booked else RecordState.REFUSED,
            response_code=message.response_code,
            rrn=message.rrn,
            charged_fen=message.charged_fen,
            points=message.points,
            points_balance=message.points_balance,
        )

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self._due_s = now_s + self._backoff.next_s()
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return self._due_s if self._queue and not self._is_held() else inf

    def _waiting(self) -> list[Record]:
        return [record for record in self._queue if record.state is RecordState.OFFLINE]

    def _go_on_from(self, chain: Chain) -> None:
        """The host's chain ends at `chain`."""
        records = self._storage.offline_records()
        for index, record in enumerate(records):
            assert record.saf is not None
            if (record.saf.sequence - 1, record.saf.previous_tag) == chain:
                self._queue = records[index:]
                self._note(NoteKind.CHAIN_RESENT, f"from number {record.saf.sequence}: {len(self._queue)} records")
                return
        self._queue = waiting = self._waiting()
        self._keep(renumbered(waiting, chain, self.key))
        self._note(NoteKind.CHAIN_RENUMBERED, f"from number {chain.sequence + 1}: {len(waiting)} records")

    def _keep(self, changed: list[Record]) -> None:
        """Store records whose place in the chain has changed, oldest first: a power cut between two is mended later."""
        new = {record.identity: record for record in changed}
        for record in changed:
            self._storage.save(record)
        self._queue = [new.get(record.identity, record) for record in self._queue]

    def _note(self, kind: NoteKind, detail: str) -> None:
        self._notes.append(Note(kind, detail))
