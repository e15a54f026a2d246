"""Merchant clearing (清算): pay out, or claim, what merchants' accounts held at the end of a business day."""

from __future__ import annotations

from typing import ClassVar

from server.ledger import clearing
from server.operations.desk import PAGE_MAX, AdminError, Desk, Fields, check_approved, show_fen


class ClearingDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("run", "show")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def run(self, day: int, amounts: list[tuple[int, int]]) -> list[Fields]:
        """Clear (merchant, fen) for a day that is over, up to 500 merchants a call; what was cleared for each.

        A merchant that is cleared for this day keeps its first amount, whatever is asked: running it again is safe.
        """
        ledger = self._desk.ledger
        if not 0 < day < ledger.business_day:
            raise AdminError(f"business day: expected one that is over, before {ledger.business_day}, got {day}")
        newest = clearing.newest_cleared(ledger.store)
        if day < newest:
            raise AdminError(
                f"business day: expected {newest} or later, got {day}: {newest} is cleared, and with it all before it"
            )
        if len(amounts) > PAGE_MAX:
            raise AdminError(f"amounts: expected at most {PAGE_MAX} merchants, got {len(amounts)}; send them in parts")
        now_ms = self._desk.now_ms()
        commands = [
            clearing.command(day, merchant_id, self._desk.merchant(merchant_id).account_id, fen, now_ms // 1000)
            for merchant_id, fen in amounts
            if fen
        ]
        outcomes = ledger.apply(commands, now_ms) if commands else []
        for command, outcome in zip(commands, outcomes, strict=True):
            check_approved(outcome, f"merchant {command.identity.stan}: {show_fen(command.amount_fen)}")
        asked = {command.identity.stan for command in commands}
        return [row for row in self.show(day) if row["merchant_id"] in asked]

    def show(self, day: int = 0) -> list[Fields]:
        """What was cleared for a day, by merchant; 0: for the newest day that was cleared."""
        store = self._desk.ledger.store
        wanted = day or clearing.newest_cleared(store)
        return [row._asdict() | {"day": wanted, "rrn": row.seq} for row in clearing.cleared(store, wanted)]
