"""What a checked password allows: one void, refund or top-up of its terminal, within PERMIT_LIFETIME_S.

A terminal asks for the password first and sends the request later, perhaps more than once. So a permit is kept for its
terminal and not for a session, the first request takes it for its identity, and copies of that one may use it however
late they come. An approval uses it up; a refusal, as for a wrong PIN, lets the next request have it.

Kept in the host's memory alone. After a restart the password has to be given again, unless the request was decided
before: copies of what is in the journal get their answer from there, and no permit is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from protocol.messages import PasswordPurpose

PERMIT_LIFETIME_S: Final = 15 * 60.0
"""Longer than anybody looks for a voucher and a card. One that lies unused so long was for something else."""
TAKEN_MAX: Final = 8
"""Undecided requests of one terminal and password that keep their permits: a terminal repeats one or two at a time."""

Number = tuple[int, int]
"""Batch and STAN of a request."""


class Permit(msgspec.Struct):
    """One checked password. `user` is the request that has taken it, `uses` how many copies of that there were."""

    until_s: float
    user: Number | None = None
    uses: int = 0


class Permits:
    """See the module's docstring. A few for each terminal and password at most: one that is free, and those taken."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._permits: dict[tuple[int, PasswordPurpose], list[Permit]] = {}
        self._approved: dict[int, deque[Number]] = {}
        """Of each terminal, the newest requests that were approved: their copies need no permit, and take nobody's."""

    def grant(self, terminal_id: int, purpose: PasswordPurpose) -> None:
        """The password is right: it allows one request now, whatever it allowed before and nobody has taken."""
        taken = [permit for permit in self._permits.get((terminal_id, purpose), ()) if permit.user is not None]
        self._permits[terminal_id, purpose] = [*taken[1 - TAKEN_MAX :], Permit(self._now_s() + PERMIT_LIFETIME_S)]

    def take(self, terminal_id: int, number: Number, purposes: Collection[PasswordPurpose]) -> bool:
        """Whether all these passwords were checked for this request; they are its own from now on."""
        if number in self._approved.get(terminal_id, ()):
            return False
        found = [self._good_for(terminal_id, purpose, number) for purpose in purposes]
        permits = [permit for permit in found if permit is not None]
        if len(permits) < len(purposes):
            return False
        for permit in permits:
            permit.uses = permit.uses + 1 if permit.user == number else 1
            permit.user = number
        return True

    def _good_for(self, terminal_id: int, purpose: PasswordPurpose, number: Number) -> Permit | None:
        """The one this request has taken before, else one that is free."""
        permits = self._permits.get((terminal_id, purpose), ())
        free = (permit for permit in permits if permit.user is None and self._now_s() < permit.until_s)
        return next((permit for permit in permits if permit.user == number), next(free, None))

    def decided(self, terminal_id: int, number: Number, *, is_approved: bool, is_copy: bool) -> None:
        """The request has its final answer. `is_copy`: it had one before, and needed no permit unless an earlier copy
        had taken it, and was cut off before it was decided."""
        if is_approved:
            self._approved.setdefault(terminal_id, deque(maxlen=TAKEN_MAX)).append(number)
        for purpose in PasswordPurpose:
            permits = self._permits.get((terminal_id, purpose), [])
            for permit in [permit for permit in permits if permit.user == number]:
                is_used_up = is_approved and not (is_copy and permit.uses == 1)
                if is_used_up or any(other.user is None for other in permits):
                    permits.remove(permit)
                else:
                    permit.user = None
