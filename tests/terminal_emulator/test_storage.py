"""What a terminal keeps, without a disk below it; with one: test_file_storage."""

import msgspec

from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import Settlement, Stage
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.till import CARD

DONE = Settlement(batch=1, operator=3, claimed_at_s=9, stage=Stage.DONE, settlement=4, is_balanced=True, closed_at_ms=5)


def record(stan, state=RecordState.PENDING, batch=1):
    return Record(batch=batch, stan=stan, amount_fen=1250, payer=CARD, claimed_at_s=1, state=state)


def test_open_is_whatever_has_no_final_state():
    storage = MemoryStorage()
    for stan, state in enumerate(RecordState, 1):
        storage.save(record(stan, state))
    found = [kept.state for kept in storage.open_records()]
    assert found == [RecordState.PENDING, RecordState.REVERSING, RecordState.REPEATING]


def test_what_is_open_stays_when_its_batch_is_cleared():
    storage = MemoryStorage()
    storage.save(record(1, RecordState.APPROVED))
    storage.save(record(2, RecordState.REVERSING))
    storage.save_settlement(DONE)
    assert [*storage.records] == [(1, 2)]


def test_what_waits_for_its_upload_stays_and_what_came_to_nothing_before_goes():
    storage = MemoryStorage()
    storage.save(record(1, RecordState.DECLINED))
    storage.save(record(2, RecordState.REFUSED))
    storage.save(record(3, RecordState.APPROVED))
    storage.save(record(1, RecordState.REFUSED, batch=2))
    storage.save(record(2, RecordState.OFFLINE, batch=2))
    storage.save(record(1, RecordState.DECLINED, batch=3))
    storage.save_settlement(msgspec.structs.replace(DONE, batch=2))
    assert [*storage.records] == [(1, 3), (2, 2), (3, 1)]


def test_the_host_is_expected_to_know_of_the_closed_batch():
    storage = MemoryStorage()
    storage.save_settlement(DONE)
    assert (storage.newest_approved, storage.used) == ((2, 0), (2, 0))
