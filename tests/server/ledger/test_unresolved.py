"""Unresolved money: what gets onto the list, when it leaves it, and that somebody's note is kept; on both stores."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger import unresolved
from server.ledger.checks import SETTLEMENTS
from server.ledger.model import Decision, Identity, Kind, PreAuth, TopUp, Void
from server.ledger.sqlite import SqliteStore
from server.ledger.unresolved import (
    BATCH,
    BATCH_BITS,
    HOLD,
    LATE,
    QUARANTINE,
    REVERSAL,
    REVERSAL_PATIENCE_MS,
    SETTLEMENT,
)
from server.ledger.verify import verify
from tests.server.ledger.campus import (
    ANN,
    CARDS,
    DAY,
    NOW_MS,
    OTHER_TILL,
    TILL,
    apply,
    asked,
    open_campus,
    refund,
    reversal,
    reversal_of,
    sale,
)
from tests.server.ledger.records import Recorder
from tests.server.ledger.stores import BOTH, new_store
from tests.server.settling import World, forged

LATER_MS = NOW_MS + REVERSAL_PATIENCE_MS + 1


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store:
        yield store


def listed(store, now_ms=LATER_MS, day=DAY, kind=""):
    found = unresolved.unresolved(store, now_ms, day)
    return [entry for entry in found if kind in ("", entry.kind)]


def settlements_check(store):
    [check] = [check for check in verify(store) if check.name == SETTLEMENTS]
    return check


def test_nothing_is_unresolved_at_first(store):
    ledger = open_campus(store)
    apply(ledger, sale(1, 100), reversal(1, 100))
    assert listed(store) == []


def test_a_hold_until_it_is_voided(store):
    ledger = open_campus(store)
    with store.transaction():
        store.execute("INSERT INTO customers VALUES (?, 'S1', 'Ann')", (ANN,))
    held = PreAuth(Identity(TILL, 1, 1), b"h" * 16, CARDS[ANN], 500, 7, 1)
    assert apply(ledger, held)[0].decision == Decision.APPROVED
    [entry] = listed(store)
    assert (entry.kind, entry.amount_fen, entry.since_ms, entry.terminal_id) == (HOLD, 500, NOW_MS, TILL)
    assert (entry.merchant_id, entry.merchant_name, entry.detail) == (1, "hall 1", f"RRN {entry.number} of S1")
    void = Void(Identity(TILL, 1, 2), b"v" * 16, CARDS[ANN], 500, 7, 1, kind=Kind.PREAUTH_VOID, original=held.identity)
    assert apply(ledger, void)[0].decision == Decision.APPROVED
    assert listed(store) == []


def test_a_reversal_without_its_original_after_an_hour(store):
    ledger = open_campus(store)
    apply(ledger, reversal(5, 700), reversal(6, 800))
    assert listed(store, NOW_MS + REVERSAL_PATIENCE_MS) == []
    assert [(entry.kind, entry.detail) for entry in listed(store)] == [
        (REVERSAL, "batch 1, voucher 5: nothing of it was seen here"),
        (REVERSAL, "batch 1, voucher 6: nothing of it was seen here"),
    ]
    assert apply(ledger, sale(5, 700))[0].decision == Decision.REVERSED_BEFORE
    assert [entry.detail for entry in listed(store)] == ["batch 1, voucher 6: nothing of it was seen here"]


def test_a_batch_of_an_earlier_day_until_it_is_settled(store):
    ledger = open_campus(store)
    apply(ledger, sale(1, 100, batch=3), sale(2, 250, batch=3), sale(3, 999_999, batch=3), sale(1, 30, batch=4))
    apply(ledger, sale(1, 999_999, batch=2), sale(1, 5, terminal_id=OTHER_TILL))
    assert listed(store) == []
    ledger.open_day(DAY + 1, NOW_MS)
    first, second = listed(store, day=DAY + 1)
    assert (first.kind, first.number, first.amount_fen) == (BATCH, TILL << BATCH_BITS | 3, 350)
    assert (first.merchant_name, first.detail) == ("hall 1", f"batch 3 since {DAY}, 2 booked")
    assert (second.terminal_id, second.amount_fen) == (OTHER_TILL, 5)
    [quick, _] = unresolved.unresolved(store, LATER_MS, DAY + 1, with_amounts=False)
    assert (quick.number, quick.amount_fen, quick.detail) == (first.number, 0, f"batch 3 since {DAY}")
    with store.transaction():
        store.execute("UPDATE terminals SET closed_batch = 3 WHERE terminal_id = ?", (TILL,))
    assert next(entry.detail for entry in listed(store, day=DAY + 1)).startswith("batch 4")


def test_a_settlement_closed_with_differences_until_somebody_has_looked(store):
    world = World(store)
    world.sell(1000)
    world.till.save(forged(9, batch=1))
    world.settle()
    world.accept()
    [entry] = listed(store, kind=SETTLEMENT)
    assert (entry.number, entry.terminal_id, entry.merchant_name) == (1, TILL, "hall 1")
    assert entry.detail == "batch 1: 1 records differ"
    assert unresolved.find(store, SETTLEMENT, 1)
    assert not unresolved.find(store, SETTLEMENT, 2)
    with store.transaction():
        unresolved.resolve(store, SETTLEMENT, 1, NOW_MS, "ann", "paid in cash")
    assert listed(store, kind=SETTLEMENT) == []


def test_what_is_at_stake_in_a_batch_is_what_its_merchant_got(store):
    """Refunded, reversed, or cash that the merchant has: none of it is added up as if it had been sold."""
    ledger = open_campus(store)
    eaten, gone = sale(1, 100), sale(2, 250)
    apply(ledger, eaten, gone, refund(3, eaten, 60), reversal_of(gone), asked(TopUp, 4, 30))
    apply(ledger, sale(1, 5, terminal_id=OTHER_TILL), reversal(1, 5, terminal_id=OTHER_TILL))
    [entry] = [one for one in listed(store, day=DAY + 1) if one.kind == BATCH]
    assert (entry.terminal_id, entry.amount_fen) == (TILL, 100 - 60 - 30)
    assert entry.detail == f"batch 1 since {DAY}, 3 booked", "of the other terminal nothing is left to settle"


def test_what_is_booked_under_a_closed_batch_until_somebody_has_looked(store):
    """In no settlement: the merchant's slip says 800, and the account has gone another way since."""
    world = World(store)
    world.sell(500, 300)
    world.settle()
    till = Recorder()
    said = apply(world.ledger, till.sold(9, 700), till.sold(10, 70), till.sold(11, 7, batch=2), reversal(1, 500))
    assert [outcome.decision for outcome in said] == [Decision.APPROVED] * 4
    assert [(entry.kind, entry.amount_fen, entry.merchant_name, entry.detail) for entry in listed(store)] == [
        (LATE, 700, "hall 1", "batch 1, voucher 9: offline sale after the close"),
        (LATE, 70, "hall 1", "batch 1, voucher 10: offline sale after the close"),
        (LATE, 500, "hall 1", "batch 1, voucher 1: reversal after the close"),
    ]
    apply(world.ledger, reversal(10, 70), till.sold(12, 1), reversal(12, 1))
    first, second = listed(store)
    assert (first.amount_fen, second.amount_fen) == (700, 500), "what came late and was reversed is nothing"
    assert settlements_check(store).ok
    with store.transaction():
        unresolved.resolve(store, LATE, first.number, NOW_MS, "ann", "on the next slip")
    assert listed(store) == [second]
    assert unresolved.find(store, LATE, second.number)
    assert not unresolved.find(store, LATE, second.number + 99)


def test_a_list_of_what_came_late_that_is_not_the_journals(store):
    world = World(store)
    world.sell(500)
    world.settle()
    apply(world.ledger, Recorder().sold(9, 700))
    assert settlements_check(store).ok
    with store.transaction():
        store.execute("INSERT INTO late_transfers VALUES (1)")
    assert "transfer 1: on the list of what came late" in settlements_check(store).detail
    with store.transaction():
        store.execute("DELETE FROM late_transfers")
    assert f"transfer {world.ledger.head_seq}: its batch was closed before" in settlements_check(store).detail


def test_a_quarantined_record_until_somebody_has_looked_and_the_first_note_stays(store):
    ledger = open_campus(store)
    apply(ledger, Recorder().sold(1, 100, is_authentic=False))
    [entry] = listed(store)
    assert (entry.kind, entry.number, entry.amount_fen, entry.since_ms) == (QUARANTINE, 1, 100, NOW_MS)
    assert entry.detail == "batch 1, voucher 1: tampered"
    assert unresolved.resolution(store, QUARANTINE, 1) is None
    for note in ("made up", "on second thought"):
        with store.transaction():
            unresolved.resolve(store, QUARANTINE, 1, NOW_MS, "ann", note)
    assert listed(store) == []
    assert unresolved.resolution(store, QUARANTINE, 1) == (NOW_MS, "ann", "made up")


def test_a_resolution_is_of_one_kind(store):
    ledger = open_campus(store)
    apply(ledger, Recorder().sold(1, 100, is_authentic=False))
    with store.transaction():
        unresolved.resolve(store, REVERSAL, 1, NOW_MS, "ann", "x")
    assert [entry.kind for entry in listed(store)] == [QUARANTINE]


def test_a_reason_of_a_later_program_is_shown_by_number(store):
    ledger = open_campus(store)
    apply(ledger, Recorder().sold(1, 100, is_authentic=False))
    with store.transaction():
        store.execute("UPDATE quarantine SET reason = 99")
    assert listed(store)[0].detail == "batch 1, voucher 1: 99"


def test_no_table_that_grows_with_the_business_is_read_through():
    """The host asks every minute, in the thread that books: what was settled years ago must cost nothing.

    Of the embedded store: the other's plans depend on how much is in it.
    """
    plans = []
    store = SqliteStore(":memory:")

    class Explained:
        def execute(self, sql, values=()):
            plans.extend(row[-1] for row in store.execute(f"EXPLAIN QUERY PLAN {sql}", values))
            return store.execute(sql, values)

    unresolved.unresolved(Explained(), LATER_MS, DAY, with_amounts=False)
    store.close()
    assert [plan for plan in plans if plan.startswith("SCAN")] == [
        "SCAN h",  # what is held now
        "SCAN t USING INDEX transfers_tombstones",
        "SCAN k",  # terminals
        "SCAN s USING INDEX settlements_differing",
        "SCAN l",  # what came late
        "SCAN q",  # the quarantine
    ]
