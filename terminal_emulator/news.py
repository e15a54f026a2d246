"""What is seen and heard when a transaction has a new state, once: never again after a restart.

What is undone whatever the host has booked leaves a paper with the cashier: the customer may come back with a balance
that went down for a while.
"""

from __future__ import annotations

from typing import Final

from terminal_emulator.effects import Beep, BeepKind, Effect, Outcome, PrintReport, PrintSlip
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.slip_day import ReversalNotice

OK_BEEP: Final = Beep(BeepKind.OK)
ERROR_BEEP: Final = Beep(BeepKind.ERROR)


def news_of(record: Record, merchant: Merchant | None) -> tuple[Effect, ...]:
    """The record is stored as it is here, and was in another state before."""
    if record.state is RecordState.APPROVED:
        return OK_BEEP, PrintSlip(record, merchant), Outcome(record)
    if record.state is RecordState.REVERSING:
        return ERROR_BEEP, PrintReport(ReversalNotice(record, merchant))
    return (ERROR_BEEP,) if record.state.is_open else (ERROR_BEEP, Outcome(record))
