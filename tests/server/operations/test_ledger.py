"""The ledger as a whole: where it stands, a recovery opened by hand, the note that an old backup is in its place."""

from __future__ import annotations

import pytest

from protocol import TerminalNumber
from server.ledger import rollback
from server.ledger.recovery import RECOVERY_WINDOW_MS
from server.ledger.rollback import Rollback
from server.ledger.store import StoreFull

SEEN = Rollback(TerminalNumber(3, 58).to_int(), 9, 4, 1_789_000_000_000)


def test_where_a_ledger_stands(office):
    office.call("card.issue", uid="04A1", student_number="S1", name="Ann")
    office.call("account.topup", who="S1", amount_fen=500, batch=2, line=1)
    found = office.call("ledger.show")
    seq, digest = office.store.head()
    assert (found["newest_seq"], found["newest_digest"]) == (seq, digest.hex()) == (1, digest.hex())
    assert (found["history"], found["epoch"], found["business_day"]) == (1, 0, office.ledger.business_day)
    assert (found["restored_at_ms"], found["uploads_until_ms"], found["offline_debt_fen"]) == (0, 0, 0)
    assert found["rollback"] is None


def test_a_recovery_opened_by_hand(office):
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol_many", first="3-1", count=3, merchant_id=1)
    rollback.note(office.store, SEEN)
    assert office.call("ledger.show")["rollback"] == {
        "terminal": "3-58",
        "seen_epoch": 9,
        "own_epoch": 4,
        "noted_at_ms": SEEN.noted_at_ms,
    }
    office.revoked.clear()
    found = office.call("ledger.recover")
    assert (found["history"], found["terminals"], found["rollback"]) == (2, 3, None)
    assert office.revoked == [TerminalNumber(3, device).to_int() for device in (1, 2, 3)], "all of them connect again"
    assert found["restored_at_ms"] == office.now_ms
    assert found["uploads_until_ms"] == office.now_ms + RECOVERY_WINDOW_MS
    assert found["epoch"] == office.ledger.epoch > SEEN.seen_epoch
    office.now_ms += RECOVERY_WINDOW_MS
    assert office.call("ledger.show")["uploads_until_ms"] == 0


def test_a_recovery_opened_by_hand_is_one_commit(office, monkeypatch):
    """Half of it would be a new history that no terminal is told of, and an answer that says "nothing was changed"."""
    office.call("merchant.add", name="一食堂")
    office.call("terminal.enrol_many", first="3-1", count=3, merchant_id=1)
    rollback.note(office.store, SEEN)
    before = office.call("ledger.show")

    def full(_store):
        raise StoreFull("database or disk is full")

    monkeypatch.setattr(rollback, "forget", full)
    with pytest.raises(StoreFull):
        office.call("ledger.recover")
    assert office.call("ledger.show") == before


def test_a_recovery_is_closed_once(office):
    assert "expected an open one, got none" in office.refused("ledger.close")
    office.call("ledger.recover")
    found = office.call("ledger.close")
    assert (found["uploads_until_ms"], found["restored_at_ms"]) == (0, office.now_ms)
    assert "expected an open one, got none" in office.refused("ledger.close")


def test_only_the_first_rollback_seen_is_written_down(office):
    rollback.note(office.store, SEEN)
    rollback.note(office.store, Rollback(1, 99, 5, 1))
    assert rollback.noted(office.store) == SEEN
