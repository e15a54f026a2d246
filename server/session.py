"""One connection as the rest of the host sees it, and how fast its terminal may ask."""

from __future__ import annotations

from typing import Final

import trio

from protocol import TerminalNumber

BURST_S: Final = 2.0
"""Requests of this time may come at once: a terminal that was cut off catches up."""


class Session:
    """One connection as others see it: to end it for a reason, and to know whether it is busy."""

    __slots__ = ("busy", "claimed", "end_reason", "handshake", "last_answer", "scope", "terminal")

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        self.claimed: TerminalNumber | None = None
        """Whom HELLO said it is."""
        self.terminal: TerminalNumber | None = None
        """Whom it has proved to be; None in a session opened by an enrolment code."""
        self.handshake: str | None = None
        """How the handshake ended, once it has been counted."""
        self.busy = False
        self.last_answer: str | None = None
        """Why the answer in hand is the last one, if it is."""
        self.end_reason: str | None = None

    def end_after_answer(self, reason: str, deadline_s: float) -> None:
        """Close as soon as the request in hand is answered: now if there is none, at `deadline_s` at the latest."""
        if not self.busy:
            self.end(reason)
            return
        self.last_answer = self.last_answer or reason
        self.end_reason = self.end_reason or reason
        self.scope.deadline = min(self.scope.deadline, deadline_s)

    def end(self, reason: str) -> None:
        """Close the connection now; what is already with the ledger is still decided."""
        if self.end_reason is None:
            self.end_reason = reason
        self.scope.cancel()


class Pace:
    """How fast one terminal may ask: `per_s` requests a second, and BURST_S seconds' worth at once (GCRA)."""

    __slots__ = ("_interval_s", "_paid_until_s")

    def __init__(self, per_s: float) -> None:
        self._interval_s = 1 / per_s
        self._paid_until_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Count one request; how long to wait before it is served, 0 or less if it is in its time."""
        paid_until_s = max(self._paid_until_s, now_s)
        self._paid_until_s = paid_until_s + self._interval_s
        return paid_until_s - now_s - BURST_S
