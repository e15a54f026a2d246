"""What the line is for when nobody waits at the till: a few flows in their order, and when next to look at them.

A terminal that sells asks for its next request twice a sale. Nothing here is due then, nearly always, and it would be
five flows to ask: so the time is remembered before which there is nothing. `stir` forgets it, whenever something may
have changed what the flows want.
"""

from __future__ import annotations

from protocol.messages import Message
from terminal_emulator.flows import Flow


class Background:
    """See the module's docstring. The first flow goes first."""

    __slots__ = ("_due_s", "_flows")

    def __init__(self, *flows: Flow) -> None:
        self._flows = flows
        self._due_s = 0.0

    def stir(self) -> None:
        """Something has happened that was no plain sale."""
        self._due_s = 0.0

    def next_request(self, now_s: float) -> tuple[Flow, Message] | None:
        """The flow that has something to say now, and what."""
        if now_s < self._due_s:
            return None
        for flow in self._flows:
            if (message := flow.next_request(now_s)) is not None:
                self._due_s = 0.0
                return flow, message
        self._due_s = min([flow.deadline_s(now_s) for flow in self._flows])
        return None

    def deadline_s(self, now_s: float) -> float:
        """When to look again. The line was found idle just now."""
        return self._due_s if self._due_s > now_s else min([flow.deadline_s(now_s) for flow in self._flows])
