"""Numbers that are stored for ever: a change of one would give every old row another meaning."""

from __future__ import annotations

from server.ledger import model


def test_stored_numbers_keep_their_meaning():
    assert {member.name: int(member) for member in model.Decision} == {
        "APPROVED": 0,
        "TERMINAL_UNKNOWN": 1,
        "TERMINAL_REVOKED": 2,
        "MERCHANT_CLOSED": 3,
        "CARD_UNKNOWN": 4,
        "CARD_LOST": 5,
        "CARD_FROZEN": 6,
        "CARD_CLOSED": 7,
        "OVER_SALE_LIMIT": 8,
        "OVER_DAY_LIMIT": 9,
        "INSUFFICIENT_FUNDS": 10,
        "NOT_BOUND": 11,
        "OVER_MEAL_LIMIT": 12,
        "PIN_REQUIRED": 13,
        "PIN_WRONG": 14,
        "PIN_LOCKED": 15,
        "TERMINAL_PIN_LOCKED": 16,
        "CODE_INVALID": 17,
        "CODE_USED": 18,
        "BATCH_CLOSED": 19,
        "REVERSED_BEFORE": 20,
        "ORIGINAL_MISMATCH": 21,
        "ACCOUNT_UNKNOWN": 22,
        "ORIGINAL_UNKNOWN": 23,
        "WRONG_DAY": 24,
        "WRONG_KIND": 25,
        "WRONG_PAYER": 26,
        "WRONG_AMOUNT": 27,
        "ALREADY_UNDONE": 28,
        "OVER_REMAINDER": 29,
        "REFUND_TOO_LATE": 30,
        "HOLD_EXPIRED": 31,
        "WRONG_TERMINAL": 32,
        "TOO_MANY_REFUNDS": 33,
        "PASSWORD_MISSING": 34,
        "OFFLINE_TAMPERED": 40,
        "STOPPED": 41,
        "OVER_OFFLINE_LIMIT": 42,
        "ID_CONFLICT": 90,
        "BUSY": 91,
        "FAULT": 92,
        "NEVER_SEEN": 93,
        "RECOVERY_CLOSED": 94,
        "OFFLINE_GAP": 95,
    }
    kinds = {
        "SALE": 1,
        "REVERSAL": 2,
        "ADJUSTMENT": 3,
        "UPLOAD": 4,
        "VOID": 5,
        "REFUND": 6,
        "PREAUTH": 7,
        "PREAUTH_VOID": 8,
        "COMPLETION": 9,
        "COMPLETION_VOID": 10,
        "TOPUP": 11,
        "TOPUP_VOID": 12,
        "POINTS_SALE": 13,
        "POINTS_VOID": 14,
        "OFFLINE_SALE": 15,
        "HOLD_EXPIRY": 16,
        "CLEARING": 17,
    }
    assert {member.name: int(member) for member in model.Kind} == kinds
    assert {member.name: int(member) for member in model.Side} == {"ORIGINAL": 0, "REVERSAL": 1}
    owners = {
        "FUNDING": 1,
        "CUSTOMER": 2,
        "MERCHANT": 3,
        "OFFLINE_DEBT": 4,
        "HOLDS": 5,
        "POINTS": 6,
        "POINTS_ISSUED": 7,
        "BONUS": 8,
    }
    assert {member.name: int(member) for member in model.AccountKind} == owners
    assert {member.name: int(member) for member in model.Status} == {"ACTIVE": 0, "FROZEN": 1, "LOST": 2, "CLOSED": 3}


def test_accounts_of_different_owners_never_share_numbers():
    assert (
        0
        < model.FUNDING_ACCOUNT
        < model.OFFLINE_DEBT_ACCOUNT
        < model.HOLDS_ACCOUNT
        < model.BONUS_ACCOUNT
        < model.POINTS_ISSUED_ACCOUNT
        < model.FIRST_MERCHANT_ACCOUNT
        < model.FIRST_CUSTOMER_ACCOUNT
        < model.POINTS_ACCOUNT_OFFSET
    )
