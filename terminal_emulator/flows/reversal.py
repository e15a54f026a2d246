"""Reversals (冲正): sales the customer was told are not charged. Each is repeated until confirmed, and never expires.

The queue is what the memory holds in state REVERSING. One that stays unanswered steps back for a while, so that it
holds up neither the others nor new sales.
"""

from __future__ import annotations

from math import inf
from typing import Final

from msgspec.structs import replace

from protocol.messages import Message, Reject, ReversalAnswer, ReversalRequest
from terminal_emulator.backoff import Backoff, Jitter
from terminal_emulator.flows import APPROVED
from terminal_emulator.record import RecordState, SaleRecord

REVERSAL_RETRY_MIN_S: Final = 1.0
REVERSAL_RETRY_MAX_S: Final = 60.0
"""Between two sendings of one reversal: soon at first, then once a minute for as long as it takes."""


def reversal_request(record: SaleRecord) -> ReversalRequest:
    """The sale of this record shall not have happened."""
    return ReversalRequest(
        stan=record.stan,
        batch=record.batch,
        amount_fen=record.amount_fen,
        operator=record.operator,
        entry_mode=record.entry_mode,
        payer=record.payer,
        claimed_at_s=record.claimed_at_s,
    )


class Pending:
    """One reversal to be confirmed, and when to send it next."""

    __slots__ = ("backoff", "due_s", "record")

    def __init__(self, record: SaleRecord, now_s: float, jitter: Jitter) -> None:
        assert record.state is RecordState.REVERSING
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

    def add(self, record: SaleRecord, now_s: float) -> None:
        """Take a record that is stored as REVERSING; due at once."""
        self._queue.append(Pending(record, now_s, self._jitter))

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        for pending in self._queue:
            if pending.due_s <= now_s:
                self._asked = pending
                return reversal_request(pending.record)
        return None

    def fits(self, message: Message) -> bool:
        """See Flow."""
        assert self._asked is not None
        if isinstance(message, ReversalAnswer):
            return (message.batch, message.stan) == self._asked.record.identity
        return isinstance(message, Reject)

    def answered(self, message: Message, now_s: float) -> SaleRecord | None:
        """See Flow. Only 00 ends a reversal: any other word leaves it open, where people see it."""
        assert self._asked is not None
        if not isinstance(message, ReversalAnswer) or message.response_code != APPROVED:
            return self.unanswered(now_s)
        pending, self._asked = self._asked, None
        self._queue.remove(pending)
        return replace(
            pending.record,
            state=RecordState.REVERSED,
            rrn=message.rrn,
            balance_fen=message.balance_fen,
            posted_at_ms=message.posted_at_ms,
        )

    def unanswered(self, now_s: float) -> SaleRecord | None:
        """See Flow."""
        if self._asked is not None:
            self._asked.due_s = now_s + self._asked.backoff.next_s()
            self._asked = None
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return min([pending.due_s for pending in self._queue]) if self._queue else inf
