"""Upload (补传): after the host was restored from a backup, it gets every approval and every reversal again.

READY names the host's history; a terminal that has not completed an upload for it begins one. What was approved, of
whatever kind, goes as an upload, confirmed reversals as reversals, oldest first, one at a time, whenever the line has
nothing better to do. One that waits for something the host does not have yet, a sale of another terminal or a card,
goes behind the others: it must not hold up what waits for nothing. Copies do no harm, so nothing is kept of how far it
has come: after a power cut it starts over. A session that ends costs nothing, it goes on in the next. Sales made
meanwhile the restored host has decided itself.
"""

from __future__ import annotations

from math import inf
from typing import Final

from protocol.messages import Message, Ready, Reject, ReversalAnswer, UploadAnswer, UploadRequest, UploadVerdict
from terminal_emulator.backoff import Backoff, Jitter
from terminal_emulator.effects import Note, NoteKind
from terminal_emulator.flows import APPROVED, NON_FINAL
from terminal_emulator.flows.reversal import reversal_request
from terminal_emulator.record import Record, RecordState
from terminal_emulator.storage import Storage
from terminal_emulator.view import UploadProgress

UNDECIDED_WAIT_MIN_S: Final = 1.0
UNDECIDED_WAIT_MAX_S: Final = 30.0
"""After an answer that decides nothing, or none: the host is busy, and this is the last thing it has to do."""
PAUSE_SHARE: Final = 4
"""After each answer, a pause this many times as long as it took. Five thousand terminals upload at once, then: this
keeps the host's queue short for those who sell, and costs a host that is quick next to nothing."""

WAITS: Final = frozenset({"14", "25"})
"""Codes of an undecided upload that waits: for its card, or for what it is about. Another terminal or the office may
bring that; any other undecided answer is about the host, and holds for all the records.
"""

AGREES: Final = frozenset({UploadVerdict.RESTORED, UploadVerdict.KNOWN})


class UploadFlow:
    """See the module's docstring. `notes` of what happened wait to be taken; `differs` counts records that the host
    contradicts, which a person has to look into."""

    __slots__ = (
        "_asked_s",
        "_backoff",
        "_due_s",
        "_history",
        "_is_open",
        "_next",
        "_notes",
        "_put_off",
        "_records",
        "_storage",
        "_waiting",
        "differs",
    )

    def __init__(self, storage: Storage, jitter: Jitter) -> None:
        self.differs = 0
        self._storage = storage
        self._backoff = Backoff(UNDECIDED_WAIT_MIN_S, UNDECIDED_WAIT_MAX_S, jitter)
        self._notes: list[Note] = []
        self._history = (0, 0)  # of the upload under way
        self._records: list[Record] = []  # of which those before `_next` are done
        self._next = 0
        self._waiting: set[tuple[int, int]] = set()  # the records that wait for something
        self._put_off = 0  # of those, how many in a row have been asked for again without any other news
        self._is_open = True  # whether the host takes what it does not have
        self._due_s = self._asked_s = 0.0

    @property
    def is_running(self) -> bool:
        """Whether something is left to be uploaded."""
        return self._next < len(self._records)

    @property
    def is_working(self) -> bool:
        """Whether something is left that this terminal can bring to an end. What only waits for others does not keep
        it from settling."""
        return len(self._waiting) < len(self._records) - self._next

    @property
    def progress(self) -> UploadProgress | None:
        """How far it has come; None when there is nothing to upload."""
        return UploadProgress(self._next, len(self._records)) if self.is_running else None

    @property
    def was_refused(self) -> bool:
        """Whether the host lacks a sale and would not take it."""
        return not self._is_open

    def begin(self, ready: Ready, now_s: float) -> bool:
        """A session is open. Whether its history is one that has to be uploaded to, or has been just now."""
        history = (ready.history, ready.restored_at_s)
        if ready.history == 1 or history == self._storage.history:
            self._stop()  # perhaps the host went back to before its restore
            return False
        if self.is_running and history == self._history:
            return True
        self._history = history
        self._records, self._next = self._storage.acknowledged(), 0
        self._is_open, self.differs = True, 0
        self._waiting, self._put_off = set(), 0
        self._due_s = now_s
        self._backoff.reset()
        self._note(NoteKind.HOST_RESTORED, f"history {ready.history}: {len(self._records)} records to upload")
        self._end_if_done()
        return True

    def take_notes(self) -> list[Note]:
        """What has happened since this was asked last."""
        notes, self._notes = self._notes, []
        return notes

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if not self.is_running or now_s < self._due_s:
            return None
        self._asked_s = now_s
        record = self._records[self._next]
        if record.state is RecordState.REVERSED:
            return reversal_request(record)
        return UploadRequest(
            **record.told(),
            kind=record.kind,
            original_terminal=record.original_terminal,
            original_batch=record.original_batch,
            original_stan=record.original_stan,
            charged_fen=record.moved_fen,
            points=record.points,
            rrn=record.rrn,
            balance_fen=record.balance_fen,
            posted_at_ms=record.posted_at_ms,
        )

    def fits(self, message: Message) -> bool:
        """See Flow."""
        record = self._records[self._next]
        if isinstance(message, Reject):
            return True
        if record.state is RecordState.REVERSED:
            return isinstance(message, ReversalAnswer) and (message.batch, message.stan) == record.identity
        return isinstance(message, UploadAnswer) and (message.batch, message.stan, message.amount_fen) == (
            *record.identity,
            record.amount_fen,
        )

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow. No record changes: what the customer was told stands."""
        if isinstance(message, UploadAnswer):
            if message.verdict is UploadVerdict.UNDECIDED:
                if message.response_code not in WAITS:
                    return self.unanswered(now_s)
                self._put_behind(now_s)
                return None
            self._judge(message)
        else:
            assert isinstance(message, ReversalAnswer | Reject)
            if message.response_code in NON_FINAL:
                return self.unanswered(now_s)
            if message.response_code != APPROVED:
                self._differ(f"code {message.response_code}")
        self._backoff.reset()
        self._due_s = now_s + PAUSE_SHARE * (now_s - self._asked_s)
        self._waiting.discard(self._records[self._next].identity)
        self._put_off = 0
        self._next += 1
        while not self._is_open and self.is_running and self._records[self._next].state is RecordState.APPROVED:
            self._next += 1  # reversals are taken for ever, and some may be left
        self._end_if_done()
        return None

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self._due_s = now_s + self._backoff.next_s()
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return self._due_s if self.is_running else inf

    def _put_behind(self, now_s: float) -> None:
        """The record asked for waits: the others first. Once a round has brought nothing but that, a pause."""
        record = self._records.pop(self._next)
        self._records.append(record)
        if record.identity not in self._waiting:
            self._waiting.add(record.identity)
            self._note(
                NoteKind.RECORD_WAITS,
                f"batch {record.batch}, STAN {record.stan}: the host does not have yet what it needs",
            )
        self._put_off += 1
        if self._put_off < len(self._records) - self._next:
            self._due_s = now_s + PAUSE_SHARE * (now_s - self._asked_s)
        else:
            self._put_off = 0
            self.unanswered(now_s)

    def _judge(self, answer: UploadAnswer) -> None:
        if answer.verdict is UploadVerdict.NOT_OPEN:
            self._is_open = False
            self._note(NoteKind.UPLOAD_REFUSED, f"STAN {answer.stan}: the host lacks it and takes no uploads any more")
        elif answer.verdict not in AGREES:
            self._differ(f"verdict {answer.verdict.name.lower()}, code {answer.response_code}")

    def _differ(self, why: str) -> None:
        record = self._records[self._next]
        self.differs += 1
        self._note(
            NoteKind.RECORD_DIFFERS, f"batch {record.batch}, STAN {record.stan}: {record.state} here, there {why}"
        )

    def _end_if_done(self) -> None:
        """Once every record has its verdict it is not asked for again, also where the host would not take some: only a
        new history can change that."""
        if self.is_running:
            return
        self._storage.save_history(*self._history)
        self._note(NoteKind.UPLOAD_DONE, f"{len(self._records)} records, {self.differs} differ")
        self._stop()

    def _stop(self) -> None:
        self._records, self._next = [], 0
        self._waiting, self._put_off = set(), 0

    def _note(self, kind: NoteKind, detail: str) -> None:
        self._notes.append(Note(kind, detail))
