"""What a terminal has to say to its host, one conversation a module.

A flow knows nothing of the line. The brain asks each in turn for its next request whenever the session is free, and
brings the answer, or the news that there will be none, to the flow that asked:

    request = flow.next_request(now_s)          None: nothing to say now
    record = flow.answered(message, now_s)      a record: the sale got a new state, to be stored and shown
    record = flow.unanswered(now_s)             no answer in time, or the session ended while waiting
    flow.deadline_s(now_s)                      when it will want to speak next; inf: it waits for something else

A new kind of transaction is a line in `requests`. A new conversation is a module here, and a place in the order of
`Brain._next_request`; a question that a dialog asks is an `AskJob`, and needs no place.
"""

from __future__ import annotations

from typing import Final, Protocol

from protocol.messages import Message
from terminal_emulator.record import Record

APPROVED: Final = "00"
NON_FINAL: Final = frozenset({"09", "79", "96"})
"""Host busy, ledger fault: nothing is decided by such an answer. It counts as none, only sooner."""


class Flow(Protocol):
    """See the package's docstring."""

    def next_request(self, now_s: float) -> Message | None:
        """What to send now."""
        ...

    def fits(self, message: Message) -> bool:
        """Whether this answer belongs to the request sent last: same batch, STAN and amount."""
        ...

    def answered(self, message: Message, now_s: float) -> Record | None:
        """Take a fitting answer."""
        ...

    def unanswered(self, now_s: float) -> Record | None:
        """The request sent last will get no answer."""
        ...

    def deadline_s(self, now_s: float) -> float:
        """When `next_request` may have something new, on the monotonic clock."""
        ...
