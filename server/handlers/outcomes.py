"""The one table from what the ledger decided to what a terminal is told (ISO 8583 field 39)."""

from __future__ import annotations

from typing import Final

from protocol.messages import TransactionState
from server.ledger.model import Decision, TransferState

RESPONSE_CODES: Final[dict[Decision, str]] = {
    Decision.APPROVED: "00",
    Decision.TERMINAL_UNKNOWN: "97",
    Decision.TERMINAL_REVOKED: "58",
    Decision.MERCHANT_CLOSED: "03",
    Decision.CARD_UNKNOWN: "14",
    Decision.CARD_LOST: "41",
    Decision.CARD_FROZEN: "62",
    Decision.CARD_CLOSED: "54",
    Decision.OVER_SALE_LIMIT: "61",
    Decision.OVER_DAY_LIMIT: "65",
    Decision.INSUFFICIENT_FUNDS: "51",
    Decision.NOT_BOUND: "57",
    Decision.OVER_MEAL_LIMIT: "65",
    Decision.PIN_REQUIRED: "1A",
    Decision.PIN_WRONG: "55",
    Decision.PIN_LOCKED: "75",
    Decision.TERMINAL_PIN_LOCKED: "38",
    Decision.CODE_INVALID: "F2",
    Decision.CODE_USED: "F3",
    Decision.BATCH_CLOSED: "77",
    Decision.REVERSED_BEFORE: "68",
    Decision.ORIGINAL_MISMATCH: "64",
    Decision.ACCOUNT_UNKNOWN: "14",
    Decision.ORIGINAL_UNKNOWN: "25",
    Decision.WRONG_DAY: "12",
    Decision.WRONG_KIND: "12",
    Decision.WRONG_PAYER: "F6",
    Decision.WRONG_AMOUNT: "64",
    Decision.ALREADY_UNDONE: "21",
    Decision.OVER_REMAINDER: "61",
    Decision.REFUND_TOO_LATE: "F1",
    Decision.HOLD_EXPIRED: "F4",
    Decision.WRONG_TERMINAL: "12",
    Decision.TOO_MANY_REFUNDS: "61",
    Decision.PASSWORD_MISSING: "F7",
    Decision.OFFLINE_TAMPERED: "A0",
    Decision.STOPPED: "41",
    Decision.OVER_OFFLINE_LIMIT: "61",
    Decision.ID_CONFLICT: "94",
    Decision.BUSY: "09",
    Decision.FAULT: "96",
    Decision.NEVER_SEEN: "25",
    Decision.RECOVERY_CLOSED: "58",
    Decision.OFFLINE_GAP: "79",
}

STATES: Final[dict[TransferState, TransactionState]] = {
    TransferState.APPROVED: TransactionState.APPROVED,
    TransferState.DECLINED: TransactionState.DECLINED,
    TransferState.REVERSED: TransactionState.REVERSED,
    TransferState.IN_PROGRESS: TransactionState.IN_PROGRESS,
    TransferState.NEVER_SEEN: TransactionState.NEVER_SEEN,
}
