"""Reversals (冲正): what people were told has not happened. Each is repeated until confirmed, and never expires.

The queue is what the memory holds in state REVERSING, and what is never reversed and has no answer yet: REPEATING,
whose own request is sent in place of a reversal. One that stays unanswered steps back for a while, so that it holds up
neither the others nor new sales.
"""

from __future__ import annotations

from math import inf
from typing import Final

from msgspec.structs import replace

from protocol.messages import Message, MoneyAnswer, Reject, ReversalAnswer, ReversalRequest
from terminal_emulator.backoff import Backoff, Jitter
from terminal_emulator.flows import APPROVED, NON_FINAL
from terminal_emulator.flows.requests import request_of
from terminal_emulator.record import Record, RecordState

REVERSAL_RETRY_MIN_S: Final = 1.0
REVERSAL_RETRY_MAX_S: Final = 60.0
"""Between two sendings of one reversal: soon at first, then once a minute for as long as it takes."""


def reversal_request(record: Record) -> ReversalRequest:
    """The transaction of this record shall not have happened."""
    return ReversalRequest(**record.told())


class Pending:
    """One reversal to be confirmed, or request to be answered, and when to send it next."""

    __slots__ = ("backoff", "due_s", "record")

    def __init__(self, record: Record, now_s: float, jitter: Jitter) -> None:
        assert record.state in (RecordState.REVERSING, RecordState.REPEATING)
        self.record = record
        self.due_s = now_s
        self.backoff = Backoff(REVERSAL_RETRY_MIN_S, REVERSAL_RETRY_MAX_S, jitter)


class ReversalFlow:
    """The queue, oldest first. `len()` is how many are not confirmed."""

    __slots__ = ("_asked", "_jitter", "_queue")

    def __init__(self, jitter: Jitter) -> None:
        self._queue: list[Pending] = []
        self._asked: Pending | None = None
        self._jitter = jitter

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def repeated(self) -> int:
        """How many of them are no reversals, but requests repeated until they are answered."""
        return sum(pending.record.state is RecordState.REPEATING for pending in self._queue)

    @property
    def refused(self) -> list[Record]:
        """What stays open until somebody finds out why the host refuses it."""
        return [pending.record for pending in self._queue if pending.record.is_refused]

    def add(self, record: Record, now_s: float) -> None:
        """Take a record that is stored as REVERSING or REPEATING; due at once."""
        self._queue.append(Pending(record, now_s, self._jitter))

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        for pending in self._queue:
            if pending.due_s <= now_s:
                self._asked = pending
                repeats = pending.record.state is RecordState.REPEATING
                return request_of(pending.record) if repeats else reversal_request(pending.record)
        return None

    def fits(self, message: Message) -> bool:
        """See Flow."""
        assert self._asked is not None
        record = self._asked.record
        if record.state is RecordState.REPEATING:
            if isinstance(message, MoneyAnswer):
                return (message.batch, message.stan, message.amount_fen) == (*record.identity, record.amount_fen)
        elif isinstance(message, ReversalAnswer):
            return (message.batch, message.stan) == record.identity
        return isinstance(message, Reject)

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow. Only 00 ends a reversal: any other word leaves it open, where people see it, which is noted once.
        Any word that decides ends a request that is repeated; that the host cannot read it says nothing of copies.
        """
        assert self._asked is not None
        state = self._decided(message)
        if state is None:
            return self._left_open(self._asked, message, now_s)
        assert isinstance(message, ReversalAnswer | MoneyAnswer)
        pending, self._asked = self._asked, None
        self._queue.remove(pending)
        record = replace(
            pending.record,
            state=state,
            is_refused=False,
            rrn=message.rrn,
            balance_fen=message.balance_fen,
            posted_at_ms=message.posted_at_ms,
        )
        if isinstance(message, ReversalAnswer):
            return record
        return replace(
            record,
            response_code=message.response_code,
            charged_fen=message.charged_fen,
            points=message.points,
            points_balance=message.points_balance,
        )

    def _left_open(self, pending: Pending, message: Message, now_s: float) -> Record | None:
        self.unanswered(now_s)
        if pending.record.is_refused or getattr(message, "response_code", "") in NON_FINAL:
            return None
        pending.record = replace(pending.record, is_refused=True)
        return pending.record

    @staticmethod
    def _decided(message: Message) -> RecordState | None:
        if isinstance(message, ReversalAnswer):
            return RecordState.REVERSED if message.response_code == APPROVED else None
        if isinstance(message, MoneyAnswer) and message.response_code not in NON_FINAL:
            return RecordState.APPROVED if message.response_code == APPROVED else RecordState.DECLINED
        return None

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        if self._asked is not None:
            self._asked.due_s = now_s + self._asked.backoff.next_s()
            self._asked = None
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return min([pending.due_s for pending in self._queue]) if self._queue else inf
