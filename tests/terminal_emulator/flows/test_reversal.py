"""Reversals are repeated until confirmed, never expire, and hold nobody up."""

import itertools

import pytest

from protocol.messages import ReversalAnswer
from protocol.messages.money import TransactionKind
from terminal_emulator.flows.requests import request_of
from terminal_emulator.i18n import translator
from terminal_emulator.lcd import render
from terminal_emulator.record import Record, RecordState
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed, reject_of


def reversing(stan):
    return Record(batch=1, stan=stan, amount_fen=100 * stan, payer=CARD, claimed_at_s=5, state=RecordState.REVERSING)


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
    assert till.screen == "last_uncharged"
    till.keys("enter")
    assert till.screen == "idle"


def test_that_the_reversal_of_a_void_is_confirmed_is_said_when_nobody_does_anything_else(till):
    host = ToyHost()
    void = changed(reversing(2), kind=TransactionKind.VOID, original_batch=1, original_stan=1)
    till.storage.save(void)
    till.power_on()
    till.online()
    for _ in range(3):
        till.keys("5")  # somebody keys the amount of a sale meanwhile
        till.answer(host.answer(NUMBER, till.request))
        assert till.screen == "amount"
    till.keys("clear")
    view = till.brain.view
    assert (view.screen, view.kind, view.stan) == ("last_reversed", TransactionKind.VOID, 2)
    assert till.keys("enter") == ["beep key"]
    assert till.screen == "idle", "of the reversal of a sale nobody has to be told"


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


def refund(stan, state):
    return Record(
        kind=TransactionKind.REFUND,
        batch=1,
        stan=stan,
        amount_fen=100,
        payer=CARD,
        claimed_at_s=5,
        original_batch=1,
        original_stan=1,
        state=state,
    )


@pytest.fixture
def refunding():
    """A refund was sent, and the power went."""
    till = Till()
    till.storage.save(refund(2, RecordState.PENDING))
    till.power_on()
    return till


def test_a_refund_is_never_reversed_but_repeated_until_the_host_decides(refunding):
    till, host = refunding, ToyHost()
    assert till.online(last=(1, 2)) == ["Query 2"]
    assert till.answer(host.answer(NUMBER, till.request)) == ["beep error", "Refund 2"]  # never seen
    assert till.storage.records[1, 2].state is RecordState.REPEATING
    assert (till.screen, till.brain.view.kind) == ("last_repeating", TransactionKind.REFUND)
    assert till.answer(reject_of(till.request)) == ["note rejected"]  # of an earlier copy it says nothing
    busy = changed(host.answer(NUMBER, refund_request(till)), response_code="09", rrn=0)
    for again in (lambda: till.answer(busy), lambda: till.offline() + till.online(last=(1, 2))):
        while till.brain.is_line_free:
            till.wait(1)
        assert till.request == refund_request(till)
        again()
    till.power_on()
    assert (till.brain.view.pending_repeats, till.brain.view.pending_reversals) == (1, 0)
    assert till.online(last=(1, 2)) == ["Refund 2"]
    assert till.answer(host.answer(NUMBER, till.request)) == ["beep ok", "slip", "outcome approved 2"]
    assert (till.screen, till.brain.unresolved) == ("last_approved", 0)
    record = till.storage.records[1, 2]
    assert (record.state, record.charged_fen, record.response_code) == (RecordState.APPROVED, 100, "00")
    assert host.sales_posted == 1


def refund_request(till):
    return request_of(till.storage.records[1, 2])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("61", "超过剩余金额"),
        ("F7", "密码未经验证"),
    ],  # F7: the first copy never came
)
def test_a_refund_that_is_refused_in_the_end_is_said(refunding, code, reason):
    refunding.online(last=(1, 2))
    refunding.answer(ToyHost().answer(NUMBER, refunding.request))
    refused = changed(ToyHost().answer(NUMBER, refunding.request), response_code=code, charged_fen=0)
    assert refunding.answer(refused) == ["beep error", "outcome declined 2"]
    assert (refunding.screen, refunding.brain.view.response_code) == ("last_uncharged", code)
    assert render(refunding.brain.view, translator("zh"))[2] == reason


@pytest.mark.parametrize("wrong", [{"stan": 3}, {"batch": 2}, {"amount_fen": 1}], ids=["stan", "batch", "amount"])
def test_an_answer_to_another_refund_is_no_answer(refunding, wrong):
    refunding.online(last=(1, 2))
    refunding.answer(ToyHost().answer(NUMBER, refunding.request))
    answer = changed(ToyHost().answer(NUMBER, refunding.request), **wrong)
    assert refunding.answer(answer) == ["note not_ours", "hang up"]
    assert refunding.storage.records[1, 2].state is RecordState.REPEATING


def test_what_is_repeated_is_counted_apart(till):
    till.storage.save(changed(reversing(4), kind=TransactionKind.REFUND, state=RecordState.REPEATING))
    till.power_on()
    assert (till.brain.view.pending_reversals, till.brain.view.pending_repeats) == (3, 1)
