"""What the host does by itself, without anybody asking: frees holds whose time is over, counts unresolved money."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
import trio

from server.gate import Gate
from server.ledger.ledger import Ledger
from server.ledger.model import Decision, ExpireHolds
from server.ledger.store import StorePaused
from server.ledger.unresolved import KINDS, unresolved
from server.metrics import Metrics

log = structlog.get_logger("upkeep")

EXPIRE_EVERY_S: Final = 60.0
"""Holds last for days; a minute more is nothing to anybody."""


async def expire_holds(gate: Gate) -> None:
    """For ever: free what is due, a few hundred holds in a commit, behind all that terminals ask."""
    while True:
        await trio.sleep(EXPIRE_EVERY_S)
        await expire_due_holds(gate)


async def expire_due_holds(gate: Gate) -> int:
    """Free all that is due now; the fen freed. What cannot be written waits for the next time."""
    total_fen = 0
    while True:
        outcome = await gate.submit(ExpireHolds(), in_background=True)
        if outcome.decision != Decision.APPROVED or outcome.amount_fen == 0:
            break
        total_fen += outcome.amount_fen
    if total_fen:
        log.info("holds expired", freed_fen=total_fen)
    return total_fen


COUNT_EVERY_S: Final = 60.0
"""Also from the start to the first count: until then terminals come back, and there is no such metric yet."""


async def watch_unresolved(gate: Gate, ledger: Ledger, metrics: Metrics, now_ms: Callable[[], int]) -> None:
    """For ever: keep the metrics of unresolved money."""
    while True:
        await trio.sleep(COUNT_EVERY_S)
        with suppress(StorePaused):  # said in the log by the gate
            await count_unresolved(gate, ledger, metrics, now_ms())


async def count_unresolved(gate: Gate, ledger: Ledger, metrics: Metrics, now_ms: int) -> None:
    """How much there is of each kind, and how old the oldest is."""
    counts, oldest_ms = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, now_ms)
    for kind, since_ms in await gate.call(_kinds_and_times, ledger, now_ms):
        counts[kind] += 1
        oldest_ms[kind] = min(oldest_ms[kind], since_ms)
    for kind in KINDS:
        metrics.unresolved_entries.labels(kind=kind).set(counts[kind])
        metrics.unresolved_age_seconds.labels(kind=kind).set((now_ms - oldest_ms[kind]) / 1000)


def _kinds_and_times(ledger: Ledger, now_ms: int) -> list[tuple[str, int]]:
    found = unresolved(ledger.store, now_ms, ledger.business_day, with_amounts=False)
    return [(entry.kind, entry.since_ms) for entry in found]
