"""What `verify` knows of uploaded sales: silent on a true recovery, naming the row that was tampered with."""

from __future__ import annotations

import pytest

from server.ledger.checks import CONSERVATION, ENTRIES_MATCH, HASH_CHAIN, NO_OVERDRAFT, REFERENCES, REVERSALS, SPENT
from server.ledger.ledger import Ledger
from server.ledger.model import OFFLINE_DEBT_ACCOUNT
from server.ledger.recovery import RECOVERY_WINDOW_MS
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from server.ledger.verify import verify
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    START_FEN,
    STRANGER,
    apply,
    open_campus,
    reversal,
    sale,
    upload,
)

# What is journalled below, by seq; 1 and 2 are the opening balances.
BEFORE, COVERED, PARTLY, NOT_AT_ALL, UNKNOWN, BACK, TOMBSTONE, DECLINED, UNDONE, UNDONE_BACK = range(3, 13)
DEBT = OFFLINE_DEBT_ACCOUNT


@pytest.fixture
def store():
    store = SqliteStore(":memory:")
    recovered(store)
    with store.transaction():
        for account_id in (ANN, BEN, COY):
            store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
    yield store
    store.close()


def recovered(store: Store) -> Ledger:
    """Every kind of upload, on two business days."""
    ledger = open_campus(store)
    apply(ledger, sale(1, 500))
    ledger.open_history(NOW_MS)
    apply(
        ledger,
        upload(1, 500),  # known: no row
        upload(2, 700),
        upload(3, START_FEN, lost_rrn=9),
        upload(4, 300, COY),
        upload(5, 80, token=STRANGER),
        reversal(3, START_FEN),
        reversal(6, 60),
        upload(6, 60),
    )
    ledger.open_day(DAY + 1, NOW_MS)
    apply(ledger, upload(7, 40, COY), now_ms=NOW_MS + 5)
    apply(ledger, reversal(7, 40, COY))
    assert ledger.close_recovery(NOW_MS + 5)
    assert ledger.head_seq == UNDONE_BACK
    return ledger


def broken(store: Store) -> dict[str, str]:
    return {check.name: check.detail for check in verify(store) if not check.ok}


def test_a_true_recovery_holds(store):
    audit.check(store)
    assert broken(store) == {}
    assert store.load_accounts([DEBT])[DEBT].balance_fen == -300 - 80


TAMPERED = [
    # (what was done by hand, the check that must fail, what it must name)
    (f"UPDATE transfers SET amount_fen = 701 WHERE seq = {COVERED}", ENTRIES_MATCH, f"transfer {COVERED}: expected"),
    (f"UPDATE transfers SET kind = 1 WHERE seq = {PARTLY}", ENTRIES_MATCH, f"transfer {PARTLY}: expected"),
    (f"UPDATE transfers SET kind = 4 WHERE seq = {BEFORE}", REFERENCES, f"transfer {BEFORE}: uploaded, but no"),
    (
        # The campus is made to pay what the payer had.
        f"UPDATE entries SET account_id = {DEBT} WHERE seq = {COVERED} AND account_id = {ANN}",
        ENTRIES_MATCH,
        f"transfer {COVERED}: expected 1000:+700 1000000:-700, got 2:-700 1000:+700",
    ),
    (
        # And the payer gets back what the campus has paid.
        f"UPDATE entries SET account_id = {COY} WHERE seq = {UNDONE_BACK} AND account_id = {DEBT}",
        ENTRIES_MATCH,
        f"transfer {UNDONE_BACK}: expected 2:+40 1000:-40, got 1000:-40 1000002:+40",
    ),
    (
        f"UPDATE entries SET balance_fen = 5 WHERE seq = {BACK} AND account_id = {DEBT}",
        NO_OVERDRAFT,
        f"entry (seq {BACK}, account {DEBT}): expected a claim, 0 fen or below, got 5",
    ),
    (f"UPDATE accounts SET balance_fen = 0 WHERE account_id = {DEBT}", CONSERVATION, "expected 0 fen, got 380"),
    (f"UPDATE accounts SET kind = 4 WHERE account_id = {MERCHANT}", NO_OVERDRAFT, f"account {MERCHANT}: kind 4"),
    (f"UPDATE accounts SET kind = 3 WHERE account_id = {DEBT}", NO_OVERDRAFT, f"account {DEBT}: kind 3"),
    (f"UPDATE accounts SET spent_fen = 0 WHERE account_id = {ANN}", SPENT, f"account {ANN}: expected 1200 fen"),
    (f"UPDATE accounts SET spent_fen = 40 WHERE account_id = {COY}", SPENT, f"account {COY}: expected 0 fen"),
    (f"UPDATE transfers SET original_seq = 0 WHERE seq = {BACK}", REVERSALS, f"expected to name transfer {PARTLY}"),
    (f"UPDATE transfers SET decision = 0 WHERE seq = {DECLINED}", REVERSALS, f"transfer {DECLINED}: approved, though"),
    (f"UPDATE transfers SET original_seq = 8 WHERE seq = {PARTLY}", HASH_CHAIN, f"transfer {PARTLY}:"),
    ("DELETE FROM histories", REFERENCES, f"transfer {COVERED}: uploaded, but no recovery was open"),
    (
        f"UPDATE histories SET first_seq = {PARTLY}",
        REFERENCES,
        f"transfer {COVERED}: uploaded, but no recovery was open",
    ),
    (
        f"UPDATE histories SET opened_at_ms = {NOW_MS - RECOVERY_WINDOW_MS}, closed_at_ms = 0",
        REFERENCES,
        f"transfer {DECLINED}: uploaded, but no recovery was open",
    ),
]


@pytest.mark.parametrize(("statement", "check", "named"), TAMPERED)
def test_what_was_tampered_with_is_named(store, statement, check, named):
    store.execute(statement)
    assert named in broken(store)[check]
