"""Histories: what opens and closes a recovery, what is remembered of it, and an epoch that never goes back."""

from __future__ import annotations

import pytest

from server.ledger import recovery
from server.ledger.ledger import Ledger
from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Decision, Identity, Kind, OfflineSale, PreAuth, TopUp
from server.ledger.recovery import EPOCH_JUMP, EPOCH_TIME_MAX_S, RECOVERY_WINDOW_MS, Recovery, Restored
from server.ledger.sqlite import SqliteStore
from server.ledger.store import StoreConflict
from server.ledger.verify import verify
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    COY,
    NO_LIMITS,
    NOW_MS,
    STRANGER,
    TILL,
    apply,
    asked,
    balance,
    contents,
    open_campus,
    reversal,
    reversal_of,
    sale,
    upload,
    upload_of,
)


@pytest.fixture
def ledger():
    store = SqliteStore(":memory:")
    yield open_campus(store)
    store.close()


def reopened(ledger: Ledger) -> Ledger:
    return Ledger(ledger.store, NO_LIMITS)


def epoch(ledger: Ledger) -> int:
    return int(ledger.store.execute("SELECT value FROM meta WHERE name = 'epoch'")[0][0])


def test_a_new_ledger_has_one_history_and_nothing_to_recover(ledger):
    assert (ledger.history, ledger.restored_at_s, ledger.recovery) == (1, 0, None)
    assert not ledger.recovery_open(NOW_MS)
    assert not ledger.close_recovery(NOW_MS)
    assert recovery.recoveries(ledger.store) == []


def test_each_restore_opens_the_next_history_and_is_remembered(ledger):
    apply(ledger, sale(1, 100))
    assert ledger.open_history(NOW_MS) == 2
    apply(ledger, sale(2, 100))
    assert ledger.open_history(NOW_MS + 1_000) == 3
    for opened in (ledger, reopened(ledger)):
        assert (opened.history, opened.restored_at_s) == (3, NOW_MS // 1_000 + 1)
        assert opened.recovery_open(NOW_MS + 1_000)
    assert recovery.recoveries(ledger.store) == [Recovery(2, NOW_MS, 4, 0), Recovery(3, NOW_MS + 1_000, 5, 0)]
    assert ledger.store.execute("SELECT value FROM meta WHERE name = 'history'") == [("3",)]


def test_a_recovery_is_over_when_its_window_is_or_when_it_is_closed(ledger):
    ledger.open_history(NOW_MS)
    end_ms = NOW_MS + RECOVERY_WINDOW_MS
    assert [ledger.recovery_open(at_ms) for at_ms in (NOW_MS - 1, NOW_MS, end_ms - 1, end_ms)] == [
        True,
        True,
        True,
        False,
    ]
    assert not ledger.close_recovery(end_ms), "there is nothing to close"
    assert ledger.close_recovery(end_ms - 1)
    assert not ledger.close_recovery(end_ms - 1)
    for opened in (ledger, reopened(ledger)):
        assert not opened.recovery_open(NOW_MS)
        assert opened.recovery == Recovery(2, NOW_MS, 3, end_ms - 1)
        assert opened.history == 2


def test_a_closed_recovery_is_followed_by_an_open_one(ledger):
    ledger.open_history(NOW_MS)
    ledger.close_recovery(NOW_MS)
    assert ledger.open_history(NOW_MS) == 3
    assert ledger.recovery_open(NOW_MS)


def test_the_window_is_looked_at_with_every_batch(ledger):
    ledger.open_history(NOW_MS)
    late_ms = NOW_MS + RECOVERY_WINDOW_MS
    assert [apply(ledger, upload(1, 5), now_ms=at_ms)[0].decision.name for at_ms in (late_ms, late_ms - 1)] == [
        "RECOVERY_CLOSED",
        "APPROVED",
    ]


@pytest.mark.parametrize("starts", [0, 7])
def test_the_epoch_jumps_beyond_all_that_a_terminal_can_have_seen(ledger, starts):
    for _ in range(starts):
        ledger.next_epoch()
    ledger.open_history(NOW_MS)
    assert epoch(ledger) == max(starts + EPOCH_JUMP, NOW_MS // 1_000) > starts + EPOCH_JUMP
    assert ledger.next_epoch() == epoch(ledger) == NOW_MS // 1_000 + 1
    ledger.open_history(NOW_MS)
    assert epoch(ledger) == NOW_MS // 1_000 + 1 + EPOCH_JUMP, "also where the clock stands still"


def test_two_restores_of_one_backup_never_share_an_epoch(ledger):
    """The first restored host has been started some times when it is lost as well."""
    twin = SqliteStore(":memory:")
    other = open_campus(twin)
    assert other.open_history(NOW_MS) == ledger.open_history(NOW_MS + 60_000)
    assert max(other.next_epoch() for _ in range(50)) < ledger.next_epoch()
    assert other.restored_at_s != ledger.restored_at_s
    twin.close()


def test_a_restore_from_an_older_backup_than_the_one_before_never_goes_back(ledger):
    """Found by the campus simulator: restored, backed up, restored from that, and then from the first backup again."""
    first_backup = SqliteStore(":memory:")
    other = open_campus(first_backup)
    ledger.open_history(NOW_MS)
    ledger.next_epoch()
    ledger.open_history(NOW_MS + 60_000)
    seen = ledger.next_epoch()
    other.open_history(NOW_MS + 120_000)
    assert other.next_epoch() > seen
    first_backup.close()


@pytest.mark.parametrize("at_s", [0, 100_000_000, EPOCH_TIME_MAX_S + 1, 2**40])
def test_a_clock_that_is_centuries_off_does_not_use_the_epochs_up(ledger, at_s):
    ledger.open_history(1_000 * at_s)
    assert epoch(ledger) == EPOCH_JUMP
    assert 0 <= ledger.restored_at_s < 2**32


def test_a_history_that_could_not_be_stored_has_not_begun(ledger):
    ledger.store.execute("INSERT INTO histories VALUES (2, 0, 0, 0)")  # behind the ledger's back
    before = contents(ledger.store)
    with pytest.raises(StoreConflict):
        ledger.open_history(NOW_MS)
    assert (ledger.history, ledger.recovery_open(NOW_MS)) == (1, False)
    assert contents(ledger.store) == before


def test_a_clock_set_back_before_a_recovery_is_closed_is_no_finding(ledger):
    """The times are the host's claims; only its own journal is proof of an order."""
    with ledger.store.transaction():
        ledger.store.execute("DELETE FROM cards")
        ledger.store.execute("DELETE FROM accounts WHERE account_id = ?", (COY,))
        for account_id in (ANN, BEN):
            ledger.store.execute("INSERT INTO customers VALUES (?, ?, 'x')", (account_id, str(account_id)))
    ledger.open_history(NOW_MS)
    apply(ledger, upload(1, 5), now_ms=NOW_MS + 5_000)
    assert ledger.close_recovery(NOW_MS - 5_000)
    assert [check for check in verify(ledger.store) if not check.ok] == []


def test_what_has_come_back_can_be_told(ledger):
    apply(ledger, sale(1, 100))
    ledger.open_history(NOW_MS)
    assert recovery.restored(ledger.store, 4) == Restored(0, 0, 0, 0)
    apply(ledger, upload(1, 100), upload(2, 300), upload(3, 50, COY), upload(4, 7, token=STRANGER), sale(5, 9))
    apply(ledger, reversal(6, 80), upload(6, 80))
    assert recovery.restored(ledger.store, 4) == Restored(sales=3, amount_fen=357, debt_fen=57, declined=1)
    apply(ledger, reversal(3, 50, COY))
    assert recovery.restored(ledger.store, 4).debt_fen == 7
    assert balance(ledger, OFFLINE_DEBT_ACCOUNT) == -7
    assert balance(ledger, ANN) == 10_000 - 100 - 300 - 9


def test_what_came_back_of_other_kinds_is_counted_apart_and_debt_of_live_offline_sales_not_at_all(ledger):
    first_seq = ledger.head_seq + 1
    ledger.open_history(NOW_MS)
    desk = asked(PreAuth, 31, 40, COY)
    apply(ledger, upload_of(desk, Kind.PREAUTH), upload_of(asked(TopUp, 32, 500), Kind.TOPUP, 510))
    offline = OfflineSale(
        Identity(TILL, 1, 33),
        b"h",
        CARDS[COY],
        600,
        7,
        0,
        saf_sequence=1,
        previous_tag=bytes(16),
        tag=b"t" * 16,
        stop_list_version=0,
        is_authentic=True,
    )
    assert apply(ledger, offline)[0].decision == Decision.APPROVED
    assert recovery.restored(ledger.store, first_seq) == Restored(0, 0, 40, 0, 2)
    apply(ledger, reversal_of(desk))
    assert recovery.restored(ledger.store, first_seq).debt_fen == 0
