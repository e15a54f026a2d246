"""Part of a load: terminals that come back from an outage together, each with many sales made offline.

They sell, offline and through real brains, before anything is measured; then customers come to other terminals for a
while, alone; then all of these upload at once, beside them; then customers come alone for as long again. What it costs
those who stand at a till is the ratio of the two latencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec.structs import replace

from terminal_emulator.functions.offline_mode import offline_mode
from terminal_emulator.keepsakes import OfflineMode, StopListHeld
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import RecordState

if TYPE_CHECKING:
    from terminal_emulator.load import LoadTerminal

TIMEOUT_S: Final = 1_200.0
"""For all of it to go up; what has not by then is counted as left."""
RECORDS_MAX: Final = 10_000
NO_LIMIT_FEN: Final = 999_999_999
WIDE: Final = Parameters(
    offline_sale_limit_fen=NO_LIMIT_FEN,
    offline_card_limit_fen=NO_LIMIT_FEN,
    offline_total_limit_fen=NO_LIMIT_FEN * RECORDS_MAX,
    offline_count_limit=RECORDS_MAX,
)


class OutageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What came out. Latencies in milliseconds, from the customer's coming."""

    terminals: int
    records: int
    accepted: int
    refused: int
    left: int
    seconds: float
    rate_per_s: float
    p50_alone_ms: float
    p99_alone_ms: float
    p50_beside_ms: float
    p99_beside_ms: float

    @property
    def p99_ratio(self) -> float:
        """What the upload costs those who stand at a till; 0 if nobody came."""
        return self.p99_beside_ms / self.p99_alone_ms if self.p99_alone_ms else 0.0

    def to_json(self) -> dict[str, Any]:
        """The figures scripts rely on."""
        return {name: _short(getattr(self, name)) for name in (*self.__struct_fields__, "p99_ratio")}


def _short(value: float) -> float:
    return value if isinstance(value, int) else round(value, 3)


class Outage:
    """See the module's docstring. `terminals` must be connected before they sell: then their numbers are free."""

    def __init__(self, terminals: Sequence[LoadTerminal], records: int, rng: Random) -> None:
        self._terminals = terminals
        self._records = records
        self._rng = rng
        self._began_s = self._ended_s = 0.0
        for terminal in terminals:
            terminal.brain.till.keep(OfflineMode(True))

    @property
    def waiting(self) -> int:
        """How many records have no verdict yet."""
        return sum(terminal.brain.offline_waiting for terminal in self._terminals)

    @property
    def is_over(self) -> bool:
        """Whether all of it is up, or it is time to give up."""
        return not self.waiting or trio.current_time() > self._began_s + TIMEOUT_S

    async def sell(self, cards: Sequence[bytes], amounts_fen: tuple[int, int]) -> None:
        """Make the records; others get their turn after each terminal."""
        for terminal in self._terminals:
            till = terminal.brain.till
            # Now: the host may have told it its own limits. Under their version, so that it does not ask again.
            till.keep(StopListHeld(is_held=True))  # nobody's card is stopped here
            till.keep(replace(WIDE, config_version=till.parameters.config_version))
            for _ in range(self._records):
                card, amount_fen = self._rng.choice(cards), self._rng.randint(*amounts_fen)
                await terminal.perform(terminal.sell_once(card, amount_fen, terminal.now()))
            await trio.lowlevel.checkpoint()

    async def release(self) -> None:
        """All at once: the line is good again. By the key's function: a mode changed behind the brain's back is not
        seen before the next heartbeat."""
        self._began_s = trio.current_time()
        for terminal in self._terminals:
            brain = terminal.brain
            await terminal.perform(terminal.after(brain.begin(offline_mode(brain.till), terminal.now())))
            await trio.lowlevel.checkpoint()  # customers go on

    def end(self) -> None:
        """Note that it is over."""
        self._ended_s = trio.current_time()

    def figures(self, alone_s: Sequence[float], beside_s: Sequence[float]) -> OutageFigures:
        """`alone_s`, `beside_s`: what customers waited before and after the upload, and during it."""
        states = [record.state for terminal in self._terminals for record in terminal.finals]
        seconds = self._ended_s - self._began_s
        accepted, refused = states.count(RecordState.APPROVED), states.count(RecordState.REFUSED)
        return OutageFigures(
            terminals=len(self._terminals),
            records=self._records,
            accepted=accepted,
            refused=refused,
            left=self.waiting,
            seconds=seconds,
            rate_per_s=(accepted + refused) / seconds if seconds > 0 else 0.0,
            p50_alone_ms=_percentile_ms(alone_s, 50),
            p99_alone_ms=_percentile_ms(alone_s, 99),
            p50_beside_ms=_percentile_ms(beside_s, 50),
            p99_beside_ms=_percentile_ms(beside_s, 99),
        )


def _percentile_ms(latencies_s: Sequence[float], percent: int) -> float:
    ordered = sorted(latencies_s)
    return ordered[len(ordered) * percent // 100] * 1000 if ordered else 0.0
