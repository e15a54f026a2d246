"""The ladder: send, send again, ask, reverse. Every path ends in exactly one outcome."""

import pytest

from protocol.messages import TransactionState
from terminal_emulator.record import RecordState
from terminal_emulator.view import Link
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed, reject_of


@pytest.fixture
def host():
    return ToyHost()


@pytest.fixture
def till():
    till = Till()
    till.online()
    return till


def approve(till, host):
    """The host answers the request sent last."""
    return till.answer(host.answer(NUMBER, till.request))


def test_the_whole_ladder_of_a_host_that_is_never_heard(till):
    assert till.sell() == ["beep key", "Sale 1"]
    said = []
    while till.brain.busy:
        said += till.wait(0.5)
        if not till.brain.online:
            said += till.online()
    assert said == ["hang up", "Sale 1", "hang up", "Sale 1", "hang up", "Query 1", "beep error", "slip"]
    assert till.time_s == 110
    view = till.brain.view
    assert (view.screen, view.amount_fen, view.pending_reversals) == ("uncharged", 1250, 1)
    assert till.storage.records[1, 1].state is RecordState.REVERSING
    assert till.outcomes == []
    # The query is still out; the reversal must wait for its end.
    assert till.wait(2) == ["hang up"]
    assert till.online() == ["Reversal 1"]
    assert approve(till, ToyHost()) == ["outcome reversed 1"]
    assert till.brain.view.pending_reversals == 0
    assert till.brain.unresolved == 0
    assert [record.state for record in till.storage.records.values()] == [RecordState.REVERSED]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_an_answer_to_any_rung_ends_the_sale(till, host, lost):
    till.sell()
    host.answer(NUMBER, till.request)  # it is booked, the answer gets lost
    for _ in range(lost):
        till.wait(3)
        till.online()
    assert type(till.request).__name__ == ("SaleRequest" if lost < 3 else "QueryRequest")
    assert till.screen == ("resending" if lost < 3 else "asking")
    assert approve(till, host) == ["beep ok", "slip", "outcome approved 1"]
    assert host.sales_posted == 1
    assert till.brain.view.balance_fen == host.balances[till.outcomes[0].payer]


def test_the_same_request_is_sent_again_byte_for_byte(till):
    till.sell()
    first = till.request
    till.wait(3)
    till.online()
    assert till.request is not None
    assert till.request == first
    assert till.brain.view.attempt == 2


def test_a_link_lost_in_the_middle_goes_on_where_it_was(till, host):
    till.sell()
    assert till.offline() == []
    assert till.screen == "sending"
    assert till.wait(2) == []
    assert till.online() == ["Sale 1"]
    till.offline()
    assert till.online() == ["Sale 1"]
    till.offline()
    assert till.online() == ["Query 1"]
    # Never seen: reverse, in case a copy is still on its way.
    assert approve(till, host) == ["beep error", "slip", "Reversal 1"]
    assert till.screen == "uncharged"


def test_a_link_that_stays_away_ends_at_ten_seconds(till, host):
    till.sell()
    host.answer(NUMBER, till.request)
    till.offline()
    assert till.wait(9.999) == []
    assert till.wait(0.001) == ["beep error", "slip"]
    assert till.screen == "uncharged"
    assert till.wait(3600) == []
    assert till.online() == ["Reversal 1"]
    assert approve(till, host) == ["outcome reversed 1"]
    assert host.charged((NUMBER, 1, 1)) == 0


def test_a_late_answer_does_not_change_what_the_customer_was_told(till, host):
    till.sell()
    late = host.answer(NUMBER, till.request)
    till.wait(2.9)
    till.offline()
    till.wait(7)
    till.online()  # 9.9 s: sent again, and the answer needs 0.2 s
    assert till.wait(0.2) == ["beep error", "slip"]
    assert till.screen == "uncharged"
    assert till.answer(late) == ["Reversal 1"]
    assert approve(till, host) == ["outcome reversed 1"]
    assert host.charged((NUMBER, 1, 1)) == 0


@pytest.mark.parametrize("code", ["09", "96"])
def test_busy_waits_and_tries_again_in_the_same_session(till, host, code):
    till.sell()
    busy = changed(host.answer(NUMBER, till.request), response_code=code, rrn=0)
    assert till.answer(busy) == []
    assert till.wait(0.74) == []
    assert till.wait(0.02) == ["Sale 1"]
    assert till.answer(busy) == []
    assert till.wait(1) == ["Sale 1"]
    assert till.answer(busy) == []
    assert till.wait(1) == ["Query 1"]
    assert till.answer(changed(host.answer(NUMBER, till.request), response_code=code)) == []
    assert till.wait(1) == ["Query 1"]
    assert approve(till, host) == ["beep ok", "slip", "outcome approved 1"]


def test_the_wait_of_a_busy_host_is_jittered():
    waits = []
    for jitter in (0.0, 0.999):
        till = Till(jitter=lambda jitter=jitter: jitter)
        till.online()
        till.sell()
        till.answer(changed(ToyHost().answer(NUMBER, till.request), response_code="09"))
        waits.append(till.brain.deadline_s - till.time_s)
    assert waits == pytest.approx([0.3, 1.1991])


def test_in_progress_is_asked_again_until_ten_seconds(till, host):
    till.sell()
    for _ in range(3):
        till.offline()
        till.online()
    said = []
    while till.brain.busy:
        answer = changed(
            host.answer(NUMBER, till.request), state=TransactionState.IN_PROGRESS, amount_fen=1250, response_code="00"
        )
        said += till.answer(answer) + till.wait(1)
    assert said.count("Query 1") > 5
    assert till.time_s == pytest.approx(110, abs=1)
    assert till.screen == "uncharged"


@pytest.mark.parametrize("wrong", [{"stan": 2}, {"batch": 2}, {"amount_fen": 1}], ids=["stan", "batch", "amount"])
def test_an_answer_that_does_not_fit_is_no_answer(till, host, wrong):
    till.sell()
    assert till.answer(changed(host.answer(NUMBER, till.request), **wrong)) == ["note not_ours", "hang up"]
    assert till.brain.view.link is Link.GARBLED
    assert till.online() == ["Sale 1"]
    assert approve(till, host) == ["beep ok", "slip", "outcome approved 1"]


def test_a_query_answer_with_another_amount_is_not_ours(till, host):
    till.sell()
    for _ in range(3):
        till.offline()
        till.online()
    answer = changed(
        host.answer(NUMBER, till.request), state=TransactionState.APPROVED, response_code="00", amount_fen=1
    )
    assert till.answer(answer) == ["note not_ours", "hang up"]
    assert till.online() == ["Query 1"]


@pytest.mark.parametrize("older", [{"amount_fen": 800}, {"payer": CARD[::-1]}], ids=["amount", "payer"])
@pytest.mark.parametrize("power_cut", [False, True])
def test_the_approval_of_an_older_sale_under_this_number_buys_nothing(till, host, older, power_cut):
    """A memory that was rolled back makes a number twice. The answer to the sale, 94, gets lost."""
    till.sell()
    host.answer(NUMBER, changed(till.request, **older))
    assert host.answer(NUMBER, till.request).response_code == "94"
    if power_cut:
        till.power_on()
        till.online()
    else:
        for _ in range(3):
            till.offline()
            till.online()
    assert (till.request.amount_fen, till.request.payer) == (1250, CARD)
    # No reversal: it would name a sale that is not this one.
    assert approve(till, host) == ["beep error", "outcome declined 1"]
    view = till.brain.view
    assert (view.screen, view.response_code) == ("last_uncharged" if power_cut else "declined", "94")
    assert (view.balance_fen, view.amount_fen, till.brain.unresolved) == (None, 1250, 0)
    assert host.charged((NUMBER, 1, 1)) == host.sales_posted == 1  # the older customer, still
    assert till.wait(20) == []


def test_a_rejected_request_posted_nothing(till):
    till.sell()
    assert till.answer(reject_of(till.request)) == ["note rejected", "beep error", "outcome declined 1"]
    assert till.brain.view.response_code == "30"
    assert till.wait(20) == []


def test_a_rejected_copy_says_nothing_of_the_first(till):
    till.sell()
    till.offline()
    till.online()
    assert till.answer(reject_of(till.request)) == ["note rejected", "beep error", "slip", "Reversal 1"]
    assert till.screen == "uncharged"


@pytest.mark.parametrize(
    ("before_the_cut", "said", "screen"),
    [
        ("approved", ["beep ok", "slip", "outcome approved 1"], "last_approved"),
        ("declined", ["beep error", "outcome declined 1"], "last_uncharged"),
        ("reversed", ["beep error", "outcome reversed 1"], "last_uncharged"),
        ("never seen", ["beep error", "slip", "Reversal 1"], "last_uncharged"),
    ],
)
def test_after_a_power_cut_the_last_sale_is_found_out(till, before_the_cut, said, screen):
    host = ToyHost(balance_fen=100 if before_the_cut == "declined" else 9_000)
    till.sell("12.5")
    if before_the_cut != "never seen":
        host.answer(NUMBER, till.request)
    if before_the_cut == "reversed":
        host.states[NUMBER, 1, 1] = TransactionState.REVERSED
    till.power_on()
    assert till.screen == "last_asking"
    assert till.brain.view.amount_fen == 1250
    assert till.wait(3600) == []  # without a session nothing can be found out, and nothing is given up
    assert till.online() == ["Query 1"]
    assert approve(till, host) == said
    view = till.brain.view
    assert (view.screen, view.amount_fen) == (screen, 1250)
    assert till.keys("3") == ["beep key"]
    assert (till.screen, till.brain.view.amount_text) == ("amount", "3")
    assert till.keys("clear") == ["beep key"]
    assert till.screen == "idle"


def test_after_a_power_cut_no_answer_for_ten_seconds_reverses(till, host):
    till.sell()
    host.answer(NUMBER, till.request)
    till.power_on()
    till.wait(60)
    said = till.online()
    while till.screen == "last_asking":
        said += till.wait(1)
        if not till.brain.online:
            said += till.online()
    assert said == ["Query 1", "hang up", "Query 1", "hang up", "Query 1", "hang up", "Query 1", "beep error", "slip"]
    assert till.screen == "last_uncharged"
    assert till.wait(3) == ["hang up"]
    assert till.online() == ["Reversal 1"]
    assert approve(till, host) == ["outcome reversed 1"]
    assert host.charged((NUMBER, 1, 1)) == 0


def test_a_cashier_who_is_quicker_than_the_query_sees_its_result_later(till, host):
    till.sell()
    host.answer(NUMBER, till.request)
    till.power_on()
    till.online()
    assert till.keys("8 enter") == ["beep key", "beep key"]
    assert till.tap() == ["beep key"]  # the new sale is stored and waits for the query
    assert approve(till, host) == ["beep ok", "slip", "outcome approved 1", "Sale 2"]
    assert till.screen == "sending"
    assert approve(till, host)[-1] == "outcome approved 2"
    assert till.screen == "approved"
    assert till.keys("clear") == ["beep key"]
    assert (till.screen, till.brain.view.stan) == ("last_approved", 1)
    assert till.keys("enter") == ["beep key"]
    assert till.screen == "idle"


def test_a_power_cut_in_the_middle_of_a_reversal_does_not_lose_it(till, host):
    till.sell()
    host.answer(NUMBER, till.request)
    till.offline()
    till.wait(10)
    till.power_on()
    assert (till.screen, till.brain.view.pending_reversals) == ("last_uncharged", 1)
    assert till.online() == ["Reversal 1"]
    assert approve(till, host) == ["outcome reversed 1"]
    till.power_on()
    assert till.online() == []
    assert len(till.outcomes) == 1
