"""Reversals are repeated until confirmed, never expire, and hold nobody up."""

import itertools

import pytest

from protocol.messages import ReversalAnswer
from terminal_emulator.record import RecordState, SaleRecord
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed, reject_of


def reversing(stan):
    return SaleRecord(
        batch=1, stan=stan, amount_fen=100 * stan, payer=CARD, claimed_at_s=5, state=RecordState.REVERSING
    )


@pytest.fixture
def till():
    till = Till()
    for stan in (1, 2, 3):
        till.storage.save(reversing(stan))
    till.power_on()
    return till


def test_all_are_sent_one_after_the_other_oldest_first(till):
    host = ToyHost()
    assert till.brain.view.pending_reversals == 3
    assert till.online() == ["Reversal 1"]
    request = till.request
    assert (request.amount_fen, request.payer, request.claimed_at_s, request.reason) == (100, CARD, 5, "98")
    assert till.answer(host.answer(NUMBER, request)) == ["outcome reversed 1", "Reversal 2"]
    assert till.answer(host.answer(NUMBER, till.request)) == ["outcome reversed 2", "Reversal 3"]
    assert till.answer(host.answer(NUMBER, till.request)) == ["outcome reversed 3"]
    assert till.brain.unresolved == 0
    assert till.screen == "idle"


def test_they_go_before_a_new_sale(till):
    host = ToyHost()
    till.online()
    assert till.sell() == ["beep key"]
    said = []
    for _ in range(4):
        said += till.answer(host.answer(NUMBER, till.request))
    sent = [word for word in said if word.startswith(("Reversal", "Sale"))]
    assert sent == ["Reversal 2", "Reversal 3", "Sale 4"]
    assert said[-1] == "outcome approved 4"


@pytest.mark.parametrize("code", ["09", "96", "94"])
def test_one_that_is_not_confirmed_steps_back_and_is_repeated_for_ever(till, code):
    host = ToyHost()
    till.online()

    def answer():
        message = host.answer(NUMBER, till.request)
        if isinstance(message, ReversalAnswer) and message.stan == 1:
            message = changed(message, response_code=code)
        return till.answer(message)

    said = answer() + answer() + answer()
    noted = ["note reversal_refused"] if code == "94" else []
    assert said == [*noted, "Reversal 2", "outcome reversed 2", "Reversal 3", "outcome reversed 3"]
    assert till.sell()[-1] == "Sale 4"  # not held up
    answer()
    sent_s: list[float] = []
    while len(sent_s) < 12:
        if "Reversal 1" in till.wait(0.25):
            sent_s.append(till.time_s)
        if not till.brain.is_line_free:
            answer()  # the reversal, or an echo between
    waits = [after - before for before, after in itertools.pairwise(sent_s)]
    assert waits == sorted(waits)
    assert 1 <= waits[0] < 4
    assert 25 <= waits[-1] <= 60.5
    assert till.brain.view.pending_reversals == 1
    assert till.storage.records[1, 1].state is RecordState.REVERSING


def test_a_host_that_never_answers_reversals_still_gets_sales(till):
    till.online()
    assert till.wait(3) == ["hang up"]
    assert till.online() == ["Reversal 2"]
    assert till.wait(3) == ["hang up"]
    assert till.online() in (["Reversal 1"], ["Reversal 3"])
    assert till.wait(3) == ["hang up"]


def test_a_rejected_reversal_stays_open(till):
    till.online()
    assert till.answer(reject_of(till.request)) == ["note rejected", "Reversal 2"]
    assert till.brain.view.pending_reversals == 3


def test_an_answer_about_another_one_is_not_ours(till):
    till.online()
    assert till.answer(changed(ToyHost().answer(NUMBER, till.request), stan=2)) == ["note not_ours", "hang up"]
    assert till.brain.view.pending_reversals == 3
