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
        "REVERSED_BEFORE": 20,
        "ORIGINAL_MISMATCH": 21,
        "ACCOUNT_UNKNOWN": 22,
        "ID_CONFLICT": 90,
        "BUSY": 91,
        "FAULT": 92,
        "NEVER_SEEN": 93,
        "RECOVERY_CLOSED": 94,
    }
    kinds = {"SALE": 1, "REVERSAL": 2, "ADJUSTMENT": 3, "UPLOAD": 4}
    assert {member.name: int(member) for member in model.Kind} == kinds
    assert {member.name: int(member) for member in model.Side} == {"ORIGINAL": 0, "REVERSAL": 1}
    owners = {"FUNDING": 1, "CUSTOMER": 2, "MERCHANT": 3, "OFFLINE_DEBT": 4}
    assert {member.name: int(member) for member in model.AccountKind} == owners
    assert {member.name: int(member) for member in model.Status} == {"ACTIVE": 0, "FROZEN": 1, "LOST": 2, "CLOSED": 3}


def test_accounts_of_different_owners_never_share_numbers():
    assert (
        0
        < model.FUNDING_ACCOUNT
        < model.OFFLINE_DEBT_ACCOUNT
        < model.FIRST_MERCHANT_ACCOUNT
        < model.FIRST_CUSTOMER_ACCOUNT
    )
