"""Business days: which is open, and opening the next one by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from server.ledger.ledger import DayRefused
from server.operations.desk import AdminError, Desk, Fields, check_page

DAYS_AHEAD_MAX: Final = 1
"""A day can never be taken back, so a mistyped year must not be opened. One day covers every time zone."""


class Days:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("show", "open")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def show(self, limit: int = 7) -> list[Fields]:
        """The newest business days, newest first; the first one is open."""
        return [
            {"day": record.day, "opened_at_ms": record.opened_at_ms, "first_rrn": record.first_seq}
            for record in self._desk.registry.days(check_page(limit))
        ]

    def open(self, day: int) -> Fields:
        """Open business day YYYYMMDD. The open day again changes nothing; an older or a far one is refused."""
        now_ms = self._desk.now_ms()
        _check_day(day, now_ms)
        current = self._desk.ledger.business_day
        if day < current:
            raise AdminError(f"business day: expected {current} or later, got {day}: days never go back")
        try:
            return {"day": day, "opened": self._desk.ledger.open_day(day, now_ms)}
        except DayRefused as error:
            raise AdminError(str(error)) from None


def _check_day(day: int, now_ms: int) -> None:
    try:
        date = datetime.strptime(f"{day:08d}", "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise AdminError(f"business day: expected a date as YYYYMMDD, got {day}") from None
    latest = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(days=DAYS_AHEAD_MAX)
    if date > latest:
        raise AdminError(
            f"business day: expected {latest:%Y%m%d} at the latest, got {day}: a day cannot be taken back"
            " (is the host's clock right?)"
        )
