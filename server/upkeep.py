"""What the host does by itself, without anybody asking: frees holds whose time is over."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from server.gate import Gate
from server.ledger.model import Decision, ExpireHolds

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
