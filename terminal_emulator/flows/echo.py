"""Echo test: a terminal that has said nothing for a heartbeat asks whether the host is still there."""

from __future__ import annotations

from protocol.limits import HEARTBEAT_S
from protocol.messages import EchoRequest, Message
from terminal_emulator.record import Record

CLOCK_MAX_S = 0xFFFFFFFF


def claimed_time_s(wall_s: float) -> int:
    """The terminal's clock as the wire carries it; a clock that was never set must not stop a sale."""
    return min(max(int(wall_s), 0), CLOCK_MAX_S)


class EchoFlow:
    """`touch` whenever anything is sent; `wall_s` is the clock to claim in the next echo."""

    __slots__ = ("_quiet_since_s", "wall_s")

    def __init__(self) -> None:
        self._quiet_since_s = 0.0
        self.wall_s = 0.0

    def touch(self, now_s: float) -> None:
        """Something was sent: the silence starts anew."""
        self._quiet_since_s = now_s

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if now_s < self._quiet_since_s + HEARTBEAT_S:
            return None
        return EchoRequest(claimed_at_s=claimed_time_s(self.wall_s))

    def fits(self, message: Message) -> bool:
        """See Flow."""
        return True

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow."""
        return None

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return self._quiet_since_s + HEARTBEAT_S
