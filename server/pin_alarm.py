"""Somebody tries out PINs or payment codes: counted, said in the log, and written into the terminal's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
import trio

from protocol import TerminalNumber
from server.gate import Gate
from server.ledger.devices import Devices, EventKind
from server.ledger.model import Decision
from server.ledger.store import Store, StorePaused
from server.metrics import Metrics

log = structlog.get_logger("pin_alarm")

LOCKS: Final = {Decision.PIN_LOCKED: "card", Decision.TERMINAL_PIN_LOCKED: "terminal"}
"""What is locked."""
QUIET_S: Final = 60.0
"""Least time between two alarms about one terminal; the counter has them all."""


class PinAlarm:
    """See the module's docstring."""

    def __init__(self, gate: Gate, store: Store, metrics: Metrics, now_ms: Callable[[], int]) -> None:
        self._gate = gate
        self._store = store
        self._now_ms = now_ms
        self._counters = {what: metrics.pin_locks.labels(what=what) for what in LOCKS.values()}
        self._quiet_until_s: dict[tuple[TerminalNumber, str], float] = {}

    async def note(self, terminal: TerminalNumber, decision: Decision) -> None:
        """A request of this terminal was refused because something is locked. Returns when it is written down."""
        what = LOCKS[decision]
        self._counters[what].inc()
        if trio.current_time() < self._quiet_until_s.get((terminal, what), 0.0):
            return
        self._quiet_until_s[(terminal, what)] = trio.current_time() + QUIET_S
        log.error("too many wrong PINs or payment codes", terminal=str(terminal), locked=what)
        with suppress(StorePaused):  # the metric and the log have it
            await self._gate.call(self._save, terminal.to_int(), what)

    def _save(self, terminal_id: int, what: str) -> None:
        with self._store.transaction():
            Devices(self._store).note(terminal_id, self._now_ms(), EventKind.PIN_LOCKED, what)
