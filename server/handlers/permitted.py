"""Whether a terminal may ask at all: the first step of every request in CALLS.

A session outlives a revocation by a moment. Requests that are commands of the ledger are judged by its rules.
"""

from __future__ import annotations

from typing import Final

from server.handlers.outcomes import RESPONSE_CODES
from server.ledger.model import Decision, Status
from server.ledger.registry import TerminalRecord
from server.operations.desk import Desk

APPROVED: Final = RESPONSE_CODES[Decision.APPROVED]
NOT_FOUND: Final = RESPONSE_CODES[Decision.ORIGINAL_UNKNOWN]


def permitted(desk: Desk, terminal_id: int) -> TerminalRecord | str:
    """The terminal, or the response code that says why it may not."""
    record = desk.registry.find_terminal(terminal_id)
    if record is None:
        return RESPONSE_CODES[Decision.TERMINAL_UNKNOWN]
    if record.status != Status.ACTIVE:
        return RESPONSE_CODES[Decision.TERMINAL_REVOKED]
    merchant = desk.registry.find_merchant(record.merchant_id)
    if merchant is None or merchant.status != Status.ACTIVE:
        return RESPONSE_CODES[Decision.MERCHANT_CLOSED]
    return record
