"""Which business day a moment belongs to, and the task that opens it. The ledger's record decides, never the clock
alone.

A day can never be taken back. So the clock is believed for AUTOMATIC_DAYS_MAX past the open day; a larger step, after
long holidays or by a clock that is wrong, is for a person to make.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog
import trio

from server.config import Day
from server.gate import Gate
from server.ledger.ledger import NO_DAY, DayRefused, Ledger
from server.ledger.store import StorePaused

CHECK_EVERY_S: Final = 30.0
AUTOMATIC_DAYS_MAX: Final = 7
"""How far past the open day the host opens one by itself: a week of public holidays. A clock that is months ahead must
not make one business day of them."""
DAY_NOT_OPENED: Final = "business day not opened, the last one stays open"

log = structlog.get_logger("business_day")


def business_day_at(now_ms: int, day: Day) -> int:
    """YYYYMMDD of the business day at a moment: local date, where local time before `starts_at` is still the day
    before."""
    hours, minutes = day.starts_at.split(":")
    shift = timedelta(minutes=day.utc_offset_minutes) - timedelta(hours=int(hours), minutes=int(minutes))
    local = datetime.fromtimestamp(now_ms / 1000, UTC) + shift
    return local.year * 10_000 + local.month * 100 + local.day


def began_ms(wanted: int, now_ms: int, day: Day) -> int:
    """Since when what terminals make is of a business day that is opened now: since its start by the calendar, for a
    host that was off in the morning opens it late; since now, if it is opened ahead of that."""
    hours, minutes = map(int, day.starts_at.split(":"))
    start = datetime(wanted // 10_000, wanted // 100 % 100, wanted % 100, hours, minutes, tzinfo=UTC)
    return min(now_ms, int((start - timedelta(minutes=day.utc_offset_minutes)).timestamp() * 1000))


def days_between(earlier: int, later: int) -> int:
    """From one business day (YYYYMMDD) to another; negative if that is the earlier one."""
    dates = [date(day // 10_000, day // 100 % 100, day % 100) for day in (earlier, later)]
    return (dates[1] - dates[0]).days


def open_by_clock(ledger: Ledger, now_ms: int, day: Day) -> bool:
    """Open the day of now because the clock says so; whether it was opened. DayRefused if a person has to say so."""
    wanted, current = business_day_at(now_ms, day), ledger.business_day
    if current != NO_DAY and (step := days_between(current, wanted)) > AUTOMATIC_DAYS_MAX:
        raise DayRefused(
            f"business day {wanted}: expected at most {AUTOMATIC_DAYS_MAX} days after {current}, the open one, got"
            f" {step}: is the clock right? Then open it by hand: fanka admin day open {wanted}"
        )
    return ledger.open_day(wanted, began_ms(wanted, now_ms, day))


async def keep_open(gate: Gate, ledger: Ledger, day: Day, now_ms: Callable[[], int]) -> None:
    """Open each business day when its time has come.

    A full disk or a clock far ahead only delays it: until then sales belong to the day that is open. What a person has
    to do about it is said once a day.
    """
    said = ""
    while True:
        await trio.sleep(CHECK_EVERY_S)
        now = now_ms()
        wanted = business_day_at(now, day)
        if wanted <= ledger.business_day:
            continue
        try:
            opened = await gate.call(open_by_clock, ledger, now, day)
        except DayRefused as error:
            if str(error) != said:
                said = str(error)
                log.error(DAY_NOT_OPENED, open_day=ledger.business_day, error=said)
            continue
        except StorePaused as error:
            log.error("business day not opened, trying again", day=wanted, again_s=CHECK_EVERY_S, error=str(error))
            continue
        if opened:
            log.info("business day opened", day=wanted)
