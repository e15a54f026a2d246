"""Stop list (黑名单): what changed is fetched when a session opens, and now and then while it lasts."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from protocol.messages import Message, Reject, StopAction, StopListAnswer, StopListRequest
from terminal_emulator.backoff import Jitter
from terminal_emulator.record import Record
from terminal_emulator.storage import Storage

REFRESH_MIN_S: Final = 300.0
REFRESH_MAX_S: Final = 600.0
"""How old a list may be when the line goes: a card reported lost is refused online at once, and offline as soon as the
terminal has heard of it. Spread, so that a thousand terminals that came back together do not ask together."""


class StopListFlow:
    """See the module's docstring. `is_wanted`: whether this terminal may sell offline; otherwise it needs no list."""

    __slots__ = ("_due_s", "_is_wanted", "_jitter", "_storage")

    def __init__(self, storage: Storage, jitter: Jitter, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._storage = storage
        self._jitter = jitter
        self._due_s = 0.0

    def begin(self, now_s: float) -> None:
        """A session is open."""
        self._due_s = now_s

    def forget(self) -> None:
        """The host has begun a new history: what its versions were called before means nothing any more."""
        if self._storage.stop_version:
            self._storage.save_stop_changes(0, (), ())

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if now_s < self._due_s or not self._is_wanted():
            return None
        return StopListRequest(version=self._storage.stop_version)

    def fits(self, message: Message) -> bool:
        """See Flow."""
        return isinstance(message, StopListAnswer | Reject)

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow. Stores what came; asks again at once until there is no more."""
        if not isinstance(message, StopListAnswer):
            return self.unanswered(now_s)
        self._due_s = now_s
        if message.newest < self._storage.stop_version:
            self.forget()  # the host was restored: its numbers mean something else now
            return None
        if message.changes:
            stopped = {row.token_hash: row.action is StopAction.STOPPED for row in message.changes}
            self._storage.save_stop_changes(
                message.version,
                [hashed for hashed, is_stopped in stopped.items() if is_stopped],
                [hashed for hashed, is_stopped in stopped.items() if not is_stopped],
            )
        if self._storage.stop_version >= message.newest or not message.changes:
            self._due_s += REFRESH_MIN_S + (REFRESH_MAX_S - REFRESH_MIN_S) * self._jitter()
        return None

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self._due_s = now_s + REFRESH_MIN_S
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return self._due_s if self._is_wanted() else inf
