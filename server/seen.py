"""When each terminal was seen last, and with which firmware: gathered, and written down many at a time.

A commit for every handshake would be felt when a whole site comes back after a cut. What a kill takes of it, the next
sessions bring again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from server.gate import Gate
from server.ledger.devices import Devices, StateRecord
from server.ledger.store import Store, StorePaused

WRITE_EVERY_S: Final = 5.0
BATCH_MAX: Final = 256
"""Terminals in one commit: sales wait for it, a few milliseconds."""


class Seen:
    """See the module's docstring. `note` and `run` in the trio thread."""

    def __init__(self, gate: Gate, devices: Devices, store: Store, now_ms: Callable[[], int]) -> None:
        self._gate = gate
        self._devices = devices
        self._store = store
        self._now_ms = now_ms
        self._waiting: dict[int, StateRecord] = {}

    def note(self, terminal_id: int, firmware: str) -> None:
        """This terminal has opened a session. At most one record a terminal waits."""
        self._waiting[terminal_id] = StateRecord(terminal_id, self._now_ms(), firmware)

    async def run(self) -> None:
        """Write down, for ever. What cannot be written waits."""
        while True:
            await trio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """All that waits, in commits of BATCH_MAX."""
        while self._waiting:
            batch = [self._waiting[terminal_id] for terminal_id in [*self._waiting][:BATCH_MAX]]
            try:
                await self._gate.call(self._save, batch)
            except StorePaused:  # said in the log by the gate
                return
            for state in batch:
                if self._waiting.get(state.terminal_id) is state:
                    del self._waiting[state.terminal_id]

    def _save(self, batch: list[StateRecord]) -> None:
        with self._store.transaction():
            self._devices.note_seen(batch)
