"""Stop list (黑名单): what changed is fetched when a session opens, and now and then while it lasts.

A list from the beginning, the first one or that of a host with a new history, takes the old one's place when all of it
is there, in one entry: wherever the line goes before, the cards that were stopped stay stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from protocol.messages import Message, Reject, StopAction, StopListAnswer, StopListRequest
from terminal_emulator.backoff import Jitter
from terminal_emulator.keepsakes import Blocked, StopListHeld
from terminal_emulator.record import Record
from terminal_emulator.storage import Storage

REFRESH_MIN_S: Final = 300.0
REFRESH_MAX_S: Final = 600.0
"""How old a list may be when the line goes: a card reported lost is refused online at once, and offline as soon as the
terminal has heard of it. Spread, so that a thousand terminals that came back together do not ask together."""


class StopListFlow:
    """See the module's docstring. `is_wanted`: whether this terminal may sell offline; otherwise it needs no list."""

    __slots__ = ("_due_s", "_gathered", "_gathered_version", "_is_wanted", "_jitter", "_storage")

    def __init__(self, storage: Storage, jitter: Jitter, is_wanted: Callable[[], bool]) -> None:
        self._is_wanted = is_wanted
        self._storage = storage
        self._jitter = jitter
        self._due_s = 0.0
        self._gathered: dict[bytes, bool] = {}
        """Of a list from the beginning, as long as it is not whole: whether a card is stopped."""
        self._gathered_version = 0

    @property
    def _version(self) -> int:
        """What is known already of the list that is being fetched."""
        return self._storage.stop_version or self._gathered_version

    def begin(self, now_s: float) -> None:
        """A session is open."""
        self._due_s = now_s

    def forget(self) -> None:
        """The host has begun a new history: what its versions were called before means nothing any more. The cards
        stay stopped until the new list is there."""
        self._gathered, self._gathered_version = {}, 0
        if self._storage.stop_version:
            self._storage.save_stop_changes(0, tuple(self._storage.stopped), ())

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if now_s < self._due_s or not self._is_wanted():
            return None
        return StopListRequest(version=self._version)

    def fits(self, message: Message) -> bool:
        """See Flow."""
        return isinstance(message, StopListAnswer | Reject)

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow. Stores what came; asks again at once until there is no more."""
        if not isinstance(message, StopListAnswer):
            return self.unanswered(now_s)
        self._due_s = now_s
        if message.newest < self._version:
            self.forget()  # the host was restored: its numbers mean something else now
            return None
        stopped = {row.token_hash: row.action is StopAction.STOPPED for row in message.changes}
        if self._storage.stop_version:
            self._save(message.version, stopped)
        else:
            self._gather(message, stopped)
        if self._version >= message.newest or not message.changes:
            self._due_s += REFRESH_MIN_S + (REFRESH_MAX_S - REFRESH_MIN_S) * self._jitter()
        return None

    def _gather(self, message: StopListAnswer, stopped: dict[bytes, bool]) -> None:
        """A part of a list from the beginning. With the last one it takes the place of what is held."""
        self._gathered.update(stopped)
        self._gathered_version = max(self._gathered_version, message.version)
        if self._gathered_version < message.newest:
            return
        old = dict.fromkeys(self._storage.stopped, False)
        self._save(self._gathered_version, old | self._gathered)
        self._gathered, self._gathered_version = {}, 0
        if not self._storage.kept(StopListHeld).is_held:
            self._storage.keep(StopListHeld(is_held=True))

    def _save(self, version: int, stopped: dict[bytes, bool]) -> None:
        if not stopped:
            return
        allowed = [hashed for hashed, is_stopped in stopped.items() if not is_stopped]
        self._storage.save_stop_changes(
            version, [hashed for hashed, is_stopped in stopped.items() if is_stopped], allowed
        )
        blocked = self._storage.kept(Blocked).cards
        if not set(blocked).isdisjoint(allowed):  # good again, says the host
            self._storage.keep(Blocked(tuple(card for card in blocked if card not in allowed)))

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self._due_s = now_s + REFRESH_MIN_S
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return self._due_s if self._is_wanted() else inf
