"""Which records go with a settlement, and which of them are kept for a restored host."""

from terminal_emulator.archive import KEPT_BATCHES, clear
from terminal_emulator.record import Record, RecordState


def records(*known):
    return {
        (batch, stan): Record(batch=batch, stan=stan, amount_fen=5, payer=b"card", claimed_at_s=1, state=state)
        for batch, stan, state in known
    }


def test_of_the_batch_goes_what_is_final_and_kept_is_what_the_host_has_confirmed():
    before = records(
        (2, 1, RecordState.APPROVED),
        (2, 2, RecordState.REVERSED),
        (2, 3, RecordState.DECLINED),
        (2, 4, RecordState.REFUSED),
        (2, 5, RecordState.OFFLINE),
        (2, 6, RecordState.REVERSING),
    )
    stay, kept = clear(before, {}, 2)
    assert [*stay] == [(2, 5), (2, 6)]
    assert [*kept] == [(2, 1), (2, 2)]
    assert len(before) == 6  # nothing is changed in place


def test_other_batches_stay_but_for_what_came_to_nothing_before():
    before = records(
        (1, 1, RecordState.APPROVED),
        (1, 2, RecordState.DECLINED),
        (3, 1, RecordState.APPROVED),
        (3, 2, RecordState.DECLINED),
    )
    stay, kept = clear(before, {}, 2)
    assert ([*stay], kept) == ([(1, 1), (3, 1), (3, 2)], {})


def test_only_the_newest_batches_are_kept():
    kept: dict = {}
    for batch in range(1, KEPT_BATCHES + 3):
        _, kept = clear(records((batch, 1, RecordState.APPROVED)), kept, batch)
    assert [batch for batch, _ in kept] == [KEPT_BATCHES + 1, KEPT_BATCHES + 2]


def test_settling_a_kept_batch_again_changes_nothing():
    _, kept = clear(records((1, 1, RecordState.APPROVED)), {}, 1)
    assert clear({}, kept, 1) == ({}, kept)
