"""One question that moves no money: a password, a balance, a price. It is asked once; no answer is an answer."""

from __future__ import annotations

from math import inf

from protocol.messages import Message, Reject
from terminal_emulator.record import Record


class AskJob:
    """`answer` is the host's word, None if there is none: no answer in time, the line was lost, or a reject."""

    __slots__ = ("_is_asked", "answer", "is_done", "message", "pin")

    def __init__(self, message: Message, pin: str = "") -> None:
        self.message = message
        self.pin = pin
        self.answer: Message | None = None
        self.is_done = False
        self._is_asked = False

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if self._is_asked:
            return None
        self._is_asked = True
        return self.message

    def fits(self, message: Message) -> bool:
        """See Flow. The line checks that the answer is of the kind that was asked for; a batch must be the same."""
        batch = getattr(self.message, "batch", None)
        return isinstance(message, Reject) or batch is None or getattr(message, "batch", batch) == batch

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow."""
        self.is_done = True
        if not isinstance(message, Reject):
            self.answer = message
        return None

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self.is_done = True
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return inf
