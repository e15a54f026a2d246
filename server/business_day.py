"""Which business day a moment belongs to, and the task that opens it. The ledger's record decides, never the clock
alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
import trio

from server.config import Day
from server.gate import Gate
from server.ledger.ledger import DayRefused, Ledger
from server.ledger.store import StoreFull

CHECK_EVERY_S: Final = 30.0

log = structlog.get_logger("business_day")


def business_day_at(now_ms: int, day: Day) -> int:
    """YYYYMMDD of the business day at a moment: local date, where local time before `starts_at` is still the day
    before."""
    hours, minutes = day.starts_at.split(":")
    shift = timedelta(minutes=day.utc_offset_minutes) - timedelta(hours=int(hours), minutes=int(minutes))
    local = datetime.fromtimestamp(now_ms / 1000, UTC) + shift
    return local.year * 10_000 + local.month * 100 + local.day


async def keep_open(gate: Gate, ledger: Ledger, day: Day, now_ms: Callable[[], int]) -> None:
    """Open each business day when its time has come.

    A full disk or a clock far ahead only delays it: until then sales belong to the day that is open.
    """
    while True:
        await trio.sleep(CHECK_EVERY_S)
        now = now_ms()
        wanted = business_day_at(now, day)
        if wanted <= ledger.business_day:
            continue
        try:
            opened = await gate.call(ledger.open_day, wanted, now)
        except (DayRefused, StoreFull) as error:
            log.error("business day not opened, trying again", day=wanted, again_s=CHECK_EVERY_S, error=str(error))
            continue
        if opened:
            log.info("business day opened", day=wanted)
