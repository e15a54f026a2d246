"""A transaction, from the moment it is stored until somebody knows what became of it.

    send -> send again (MAX_RESENDS) -> ask -> give up: reverse

One rung up the ladder for every ANSWER_TIMEOUT_S without an answer, every lost session and every answer that decides
nothing. UNKNOWN_AFTER_S after the first sending people must be told something: "it did not happen", and the reversal
makes it true whatever the host has booked. What is never reversed, a refund, is said to be still open then, and is
repeated until the host decides.

A transaction found in the memory after a power cut starts at "ask": the customer may be gone, so it is never sent
again; UNKNOWN_AFTER_S counts from the first query then.
"""

from __future__ import annotations

from math import inf
from typing import Final

from msgspec.structs import replace

from protocol.limits import MAX_RESENDS, UNKNOWN_AFTER_S
from protocol.messages import Message, MoneyAnswer, QueryAnswer, Reject, TransactionState
from terminal_emulator.backoff import Jitter
from terminal_emulator.flows import APPROVED, NON_FINAL
from terminal_emulator.flows.requests import MESSAGES, NEVER_REVERSED, query_of, request_of
from terminal_emulator.record import Record, RecordState

BUSY_WAIT_MIN_S: Final = 0.3
BUSY_WAIT_MAX_S: Final = 1.2
"""The wait after "host busy" before the same request again: three tries and a query fit into UNKNOWN_AFTER_S."""

DECIDED: Final = {
    TransactionState.APPROVED: RecordState.APPROVED,
    TransactionState.DECLINED: RecordState.DECLINED,
    TransactionState.REVERSED: RecordState.REVERSED,
}


class TransactionFlow:
    """One transaction. `record` is PENDING until a method returns it with another state; then it is `done`.

    `recovered`: it was found open after a power cut. `sends` counts its requests, `asking` says that queries began.
    `pin` is what the payer keyed, if anything: it lives here alone, and goes with every copy of the request.
    """

    __slots__ = (
        "_answers",
        "_give_up_s",
        "_jitter",
        "_request",
        "_wait_until_s",
        "asking",
        "done",
        "pin",
        "record",
        "sends",
    )

    def __init__(self, record: Record, now_s: float, jitter: Jitter, *, pin: str = "", recovered: bool = False) -> None:
        assert record.state is RecordState.PENDING
        self.pin = pin
        self.record = record
        self.asking = recovered
        self.done = False
        self.sends = 0
        self._jitter = jitter
        self._wait_until_s = now_s
        self._give_up_s = inf if recovered else now_s + UNKNOWN_AFTER_S
        self._request = request_of(record)
        self._answers = (MESSAGES[record.kind][1], QueryAnswer)

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if self.done or now_s < self._wait_until_s:
            return None
        if not self.asking:
            self.sends += 1
            return self._request
        if self._give_up_s == inf:
            self._give_up_s = now_s + UNKNOWN_AFTER_S
        return query_of(self.record)

    def fits(self, message: Message) -> bool:
        """See Flow."""
        record = self.record
        if isinstance(message, self._answers):
            return (message.stan, message.batch, message.amount_fen) == (record.stan, record.batch, record.amount_fen)
        return isinstance(message, Reject)

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow."""
        if self.done:
            return None
        if isinstance(message, MoneyAnswer):
            if message.response_code in NON_FINAL:
                self._wait(now_s)
                return None
            approved = message.response_code == APPROVED
            return self._decide(RecordState.APPROVED if approved else RecordState.DECLINED, message)
        if isinstance(message, QueryAnswer):
            if message.response_code in NON_FINAL or message.state is TransactionState.IN_PROGRESS:
                self._wait(now_s)
                return None
            if message.state is TransactionState.NEVER_SEEN:
                return self._give_up()
            return self._decide(DECIDED[message.state], message)
        assert isinstance(message, Reject)
        if self.asking or self.sends > 1:
            return self._give_up()  # this frame posted nothing, but an earlier copy may have
        self.done = True
        return replace(self.record, state=RecordState.DECLINED, response_code=message.response_code)

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self.asking = self.asking or self.sends > MAX_RESENDS
        self._wait_until_s = now_s
        return None

    def expired(self, now_s: float) -> Record | None:
        """The record to be reversed, or repeated, if UNKNOWN_AFTER_S has passed without a final word."""
        return None if self.done or now_s < self._give_up_s else self._give_up()

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        if self.done:
            return inf
        return self._wait_until_s if now_s < self._wait_until_s < self._give_up_s else self._give_up_s

    def _wait(self, now_s: float) -> None:
        self.asking = self.asking or self.sends > MAX_RESENDS
        self._wait_until_s = now_s + BUSY_WAIT_MIN_S + (BUSY_WAIT_MAX_S - BUSY_WAIT_MIN_S) * self._jitter()

    def _give_up(self) -> Record:
        self.done = True
        repeated = self.record.kind in NEVER_REVERSED
        return replace(self.record, state=RecordState.REPEATING if repeated else RecordState.REVERSING)

    def _decide(self, state: RecordState, answer: MoneyAnswer | QueryAnswer) -> Record:
        self.done = True
        return replace(
            self.record,
            state=state,
            response_code=answer.response_code,
            charged_fen=answer.charged_fen,
            points=answer.points,
            points_balance=answer.points_balance,
            rrn=answer.rrn,
            balance_fen=answer.balance_fen,
            posted_at_ms=answer.posted_at_ms,
        )
