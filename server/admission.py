"""Who may begin a handshake. Strangers share a few places, and nobody can keep the others out of them for long.

Three rules, from the gentle to the hard:

- A source may have a quarter of the places that are left. One that takes all it can get leaves four fifths of them to
  the next, four of them leave two fifths: whoever comes once, as a terminal does, finds a place.
- While all places are taken, nobody is accepted: a whole site that reconnects waits in the backlog, and loses nothing.
- Only if a peer keeps the host waiting meanwhile does the longest silent one have to go. An honest terminal answers at
  once; the time the host itself takes does not count against it. The older half of all handshakes is safe from this:
  if a whole site is slow, those still get through. Without it, 5,000 terminals on a starved machine, each answering
  after half a second, sent each other away for ever: 155 of them were READY after two minutes.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

import trio

from server.session import Session

PEER_PATIENCE_S: Final = 0.5
"""How long a peer may leave its turn unused while all places are taken: a round trip of the slowest line (a modem's,
some 400 ms), and a hundred of a canteen's."""

SHARE: Final = 4
"""A source may have this part of the places that are left: 51 of 256, and after sixteen greedy ones the seventeenth
still finds eight."""


class Admission:
    """The places for handshakes under way: `places` in all, at most `places_per_source` for one address."""

    def __init__(self, places: int, places_per_source: int) -> None:
        self._places = places
        self._places_per_source = places_per_source
        self._by_source: Counter[str] = Counter()
        self._inside: dict[Session, str] = {}
        """The source of each, in the order of their coming."""
        self._silent: dict[Session, float] = {}
        """Since when it is whose turn; who has had it longest comes first."""
        self._freed = trio.Event()

    @property
    def under_way(self) -> int:
        """Handshakes that have begun and not ended."""
        return len(self._inside)

    async def wait_for_place(self) -> None:
        """Return once one more handshake may begin. Ends one that is stuck, if there is no other way."""
        while len(self._inside) >= self._places:
            now_s = trio.current_time()
            longest = self._longest_silent()
            since_s = now_s if longest is None else self._silent[longest]
            if longest is not None and now_s >= since_s + PEER_PATIENCE_S:
                self.leave(longest)
                longest.end("crowded")
                return
            self._freed = trio.Event()
            with trio.move_on_at(since_s + PEER_PATIENCE_S):
                await self._freed.wait()

    def _longest_silent(self) -> Session | None:
        """Of the younger half, who has kept the host waiting longest."""
        safe = set(islice(self._inside, self._places // 2))
        return next((session for session in self._silent if session not in safe), None)

    def is_open_to(self, source: str) -> bool:
        """Whether this source may begin one more handshake now."""
        left = self._places - len(self._inside)
        return self._by_source[source] < min(self._places_per_source, max(1, left // SHARE))

    def enter(self, session: Session, source: str) -> None:
        """A handshake begins; `leave` must follow."""
        self._inside[session] = source
        self._by_source[source] += 1

    def ask(self, session: Session) -> None:
        """It is the peer's turn."""
        self._silent[session] = trio.current_time()

    def heard(self, session: Session) -> None:
        """It is the host's turn."""
        self._silent.pop(session, None)

    def leave(self, session: Session) -> None:
        """The handshake has ended, however. Once more is nothing."""
        self._silent.pop(session, None)
        source = self._inside.pop(session, None)
        if source is None:
            return
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]
        self._freed.set()
