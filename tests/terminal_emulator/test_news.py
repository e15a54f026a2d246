"""What a transaction's new state is told by: the reversal notice comes out once, by itself, and never again."""

import pytest

from terminal_emulator.effects import Outcome, PrintReport, PrintSlip
from terminal_emulator.news import ERROR_BEEP, OK_BEEP, news_of
from terminal_emulator.record import Merchant, RecordState
from terminal_emulator.slip_day import ReversalNotice
from tests.terminal_emulator.slips import MERCHANT, RECORD
from tests.terminal_emulator.till import NUMBER, Till, ToyHost, changed


@pytest.mark.parametrize("state", sorted(set(RecordState) - {RecordState.PENDING, RecordState.OFFLINE}))
def test_each_state_has_its_sound_and_its_paper(state):
    record = changed(RECORD, state=state)
    expected = {
        RecordState.APPROVED: (OK_BEEP, PrintSlip(record, MERCHANT), Outcome(record)),
        RecordState.REVERSING: (ERROR_BEEP, PrintReport(ReversalNotice(record, MERCHANT))),
        RecordState.REPEATING: (ERROR_BEEP,),
    }
    assert news_of(record, MERCHANT) == expected.get(state, (ERROR_BEEP, Outcome(record)))


def notices(till):
    return [
        effect.report
        for effect in till.effects
        if isinstance(effect, PrintReport) and isinstance(effect.report, ReversalNotice)
    ]


def give_up(till):
    """Nobody answers until the terminal says that it did not happen."""
    while till.storage.records[1, 1].state is RecordState.PENDING:
        till.wait(0.5)
        if not till.brain.online:
            till.online()


@pytest.mark.parametrize("is_cut_before", [False, True])
def test_a_sale_given_up_leaves_one_notice_however_often_the_power_is_cut(is_cut_before):
    till, host = Till(), ToyHost()
    till.online()
    till.sell()
    host.answer(NUMBER, till.request)
    if is_cut_before:
        till.power_on()
        till.online()
    give_up(till)
    given_up = till.storage.records[1, 1]
    assert notices(till) == [ReversalNotice(given_up, Merchant(12, "一食堂"))]
    for _ in range(2):
        till.power_on()
        till.wait(30)
    till.online()
    assert till.answer(host.answer(NUMBER, till.request)) == ["outcome reversed 1"]
    till.power_on()
    assert len(notices(till)) == 1
