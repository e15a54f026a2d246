"""After a restore the host gets every approved sale and every reversal again, and whoever sells goes first."""

import pytest

from protocol.messages import ReversalAnswer, ReversalRequest, UploadAnswer, UploadRequest, UploadVerdict
from protocol.messages.money import TransactionKind
from terminal_emulator.effects import Note
from terminal_emulator.flows.upload import PAUSE_SHARE, UNDECIDED_WAIT_MAX_S
from terminal_emulator.record import Record, RecordState
from terminal_emulator.view import UploadProgress
from tests.terminal_emulator.till import CARD, NUMBER, UPLOAD_CODES, Till, ToyHost, changed, ready_of, reject_of

APPROVED, DECLINED, REVERSED = RecordState.APPROVED, RecordState.DECLINED, RecordState.REVERSED
RESTORED = {"history": 2, "restored_at_s": 1_790_000_000, "last": (0, 0)}


def kept(stan, state=APPROVED, batch=1):
    return Record(
        batch=batch,
        stan=stan,
        amount_fen=100 * stan,
        payer=CARD,
        claimed_at_s=5,
        operator=7,
        state=state,
        response_code="00",
        rrn=900 + stan,
        balance_fen=10_000 - stan,
        posted_at_ms=1_000 * stan,
    )


def till_with(*records):
    till = Till()
    for record in records:
        till.storage.save(record)
    return till


@pytest.fixture
def till():
    """Two approved sales, a reversed one between them, and what no host needs to hear of."""
    return till_with(kept(3, DECLINED), kept(4), kept(2, REVERSED), kept(1))


@pytest.fixture
def host():
    return ToyHost()


def answer(till, host):
    return till.answer(host.answer(NUMBER, till.request))


def all_of(till, host):
    """Let the upload run to its end; what was said."""
    said = []
    while till.brain.view.upload or not till.brain.is_line_free:
        said += till.wait(0.5) if till.brain.is_line_free else answer(till, host)
    return said


def notes(till):
    return [effect.detail for effect in till.effects if isinstance(effect, Note)]


def test_every_acknowledged_record_goes_once_oldest_first(till, host):
    before = dict(till.storage.records)
    assert till.online(**RESTORED) == ["note host_restored", "Upload 1"]
    request = till.request
    assert isinstance(request, UploadRequest)
    assert (request.batch, request.amount_fen, request.payer, request.operator) == (1, 100, CARD, 7)
    assert (request.claimed_at_s, request.rrn, request.balance_fen, request.posted_at_ms) == (5, 901, 9_999, 1_000)
    assert till.brain.view.upload == UploadProgress(0, 3)
    assert answer(till, host) == ["Reversal 2"]
    assert till.brain.view.upload == UploadProgress(1, 3)
    assert isinstance(till.request, ReversalRequest)
    assert answer(till, host) == ["Upload 4"]
    assert till.storage.history == (1, 0), "nothing is kept before all of it is done"
    assert answer(till, host) == ["note upload_done"]
    assert till.storage.history == (2, 1_790_000_000)
    assert till.brain.view.upload is None
    assert (till.outcomes, till.storage.records) == ([], before), "what the customer was told stands"
    assert [host.charged((NUMBER, 1, stan)) for stan in (1, 2, 3, 4)] == [1, 0, 0, 1]
    assert not till.brain.view.host_rolled_back


def test_what_has_been_uploaded_is_not_uploaded_again(till, host):
    till.online(**RESTORED)
    all_of(till, host)
    for _ in range(2):
        till.offline()
        assert till.online(**RESTORED | {"last": (1, 4)}) == []
        till.power_on()


@pytest.mark.parametrize("change", [{"history": 3}, {"restored_at_s": 1_790_000_001}, {"history": 3, "last": (1, 4)}])
def test_the_next_restore_gets_all_of_it_again(till, host, change):
    """Also one with the same number: the host was restored from the same backup a second time."""
    till.online(**RESTORED)
    all_of(till, host)
    till.offline()
    assert till.online(**RESTORED | change) == ["note host_restored", "Upload 1"]
    assert all_of(till, host)[-1] == "note upload_done"


def test_a_host_that_was_never_restored_gets_nothing(till):
    assert till.online() == []
    assert till.storage.history == (1, 0)


def test_a_terminal_with_nothing_to_tell_takes_the_history_over_at_once():
    till = till_with(kept(1, DECLINED))
    assert till.online(**RESTORED) == ["note host_restored", "note upload_done"]
    assert (till.storage.history, till.brain.view.upload) == ((2, 1_790_000_000), None)


def test_without_a_restore_a_host_that_lost_sales_is_only_noticed(till):
    """Somebody put an old file back: the host would take nothing."""
    assert till.online(last=(0, 0)) == ["note host_rolled_back"]
    assert till.brain.view.host_rolled_back


def test_the_mark_of_a_host_that_lost_sales_goes_when_it_has_them_back(till, host):
    till.online(last=(0, 0))
    till.offline()
    till.online(**RESTORED)
    assert till.brain.view.host_rolled_back
    all_of(till, host)
    assert not till.brain.view.host_rolled_back


def test_with_a_new_history_the_epoch_may_begin_anew(till, host):
    """Two restores of one backup, and the host's clock set back between: that is no reason to complain for ever."""
    till.online(epoch=9_000, last=(1, 4))
    till.offline()
    assert till.online(epoch=8_000, **RESTORED) == ["note host_restored", "Upload 1"]
    all_of(till, host)
    till.offline()
    assert till.online(epoch=8_000, **RESTORED | {"last": (1, 4)}) == []
    till.offline()
    assert till.online(epoch=7_999, **RESTORED | {"last": (1, 4)}) == ["note host_rolled_back"]


# -------------------------------------------------------------------------------------------- whose turn it is


def test_a_sale_waits_for_one_answer_and_is_no_part_of_it(till, host):
    till.online(**RESTORED)
    assert till.sell() == ["beep key"]
    assert answer(till, host) == ["Sale 5"]
    assert answer(till, host) == ["beep ok", "slip", "outcome approved 5", "Reversal 2"]
    assert all_of(till, host) == ["Upload 4", "note upload_done"]
    assert till.brain.view.upload is None


def test_pending_reversals_and_open_sales_go_first(host):
    till = till_with(kept(1), kept(2, RecordState.PENDING), kept(3, RecordState.REVERSING))
    till.power_on()
    assert till.online(**RESTORED)[-1] == "Reversal 3"
    assert answer(till, host)[-1] == "Query 2"
    said = answer(till, host)
    assert said[-1] == "Reversal 2"  # never seen: the customer was not charged
    assert all_of(till, host)[-3:] == ["outcome reversed 2", "Upload 1", "note upload_done"]


def test_it_goes_on_where_a_lost_session_left_it(till, host):
    till.online(**RESTORED)
    answer(till, host)
    assert till.offline() == []
    assert till.brain.view.upload == UploadProgress(1, 3)
    assert till.brain.deadline_s == float("inf")
    till.online(**RESTORED)
    assert till.wait(2) == ["Reversal 2"], "unanswered: after a moment, the same again"
    assert all_of(till, host) == ["Upload 4", "note upload_done"]


def test_without_an_answer_it_hangs_up_and_sends_the_same_again(till, host):
    till.online(**RESTORED)
    assert till.wait(3) == ["hang up"]
    till.online(**RESTORED)
    assert till.wait(2) == ["Upload 1"]
    assert all_of(till, host) == ["Reversal 2", "Upload 4", "note upload_done"]


def test_after_a_power_cut_it_starts_over(till, host):
    till.online(**RESTORED)
    answer(till, host)
    answer(till, host)
    till.power_on()
    assert till.online(**RESTORED) == ["note host_restored", "Upload 1"]
    assert all_of(till, host) == ["Reversal 2", "Upload 4", "note upload_done"]
    assert notes(till)[-1] == "3 records, 0 differ", "copies are known, and that is as good"


def test_another_restore_in_between_starts_over(till, host):
    till.online(**RESTORED)
    answer(till, host)
    till.offline()
    assert till.online(**RESTORED | {"history": 3}) == ["note host_restored", "Upload 1"]
    all_of(till, host)
    assert till.storage.history == (3, 1_790_000_000)


def test_a_host_that_is_back_from_before_its_restore_ends_it(till, host):
    till.online(**RESTORED)
    answer(till, host)
    till.offline()
    assert till.online(last=(0, 0)) == ["note host_rolled_back"]
    assert (till.brain.view.upload, till.storage.history) == (None, (1, 0))
    assert till.wait(20) == []


def test_a_slow_host_is_given_time_for_others(till, host):
    till.online(**RESTORED)
    till.wait(0.5)
    assert answer(till, host) == []
    assert till.wait(0.5 * PAUSE_SHARE - 0.125) == []
    assert till.wait(0.125) == ["Reversal 2"]
    assert answer(till, host) == ["Upload 4"], "a quick one none"


# --------------------------------------------------------------------------------------------- what it hears


@pytest.mark.parametrize("verdict", [UploadVerdict.RESTORED, UploadVerdict.KNOWN])
def test_what_the_host_has_is_done_with(till, host, verdict):
    till.online(**RESTORED)
    said = till.answer(changed(host.answer(NUMBER, till.request), verdict=verdict))
    assert said == ["Reversal 2"]
    assert till.brain.view.records_differ == 0


@pytest.mark.parametrize("verdict", [UploadVerdict.REVERSED, UploadVerdict.CONFLICT])
def test_what_the_host_contradicts_is_for_a_person(till, host, verdict):
    till.online(**RESTORED)
    message = changed(host.answer(NUMBER, till.request), verdict=verdict, response_code=UPLOAD_CODES[verdict])
    assert till.answer(message) == ["note record_differs", "Reversal 2"]
    word = verdict.name.lower()
    assert notes(till)[-1] == f"batch 1, STAN 1: approved here, there verdict {word}, code {UPLOAD_CODES[verdict]}"
    assert CARD.hex() not in str(till.effects)
    assert till.brain.view.records_differ == 1
    assert all_of(till, host)[-1] == "note upload_done", "the others go on"
    assert (till.brain.view.records_differ, till.storage.history) == (1, (2, 1_790_000_000))
    till.offline()
    assert till.online(**RESTORED | {"last": (1, 4)}) == []
    assert till.brain.view.records_differ == 1, "until somebody switches it off"


def test_a_reversal_that_is_refused_is_for_a_person(till, host):
    till.online(**RESTORED)
    answer(till, host)
    refused = changed(host.answer(NUMBER, till.request), response_code="64")
    assert till.answer(refused) == ["note reversal_refused", "note record_differs", "Upload 4"]
    assert notes(till)[-1] == "batch 1, STAN 2: reversed here, there code 64"


@pytest.mark.parametrize("done", [0, 1])
def test_a_host_that_cannot_read_it_is_not_asked_again(till, host, done):
    till.online(**RESTORED)
    for _ in range(done):
        answer(till, host)
    said = till.answer(reject_of(till.request, "40"))
    assert said == ["note rejected", "note record_differs", ["Reversal 2", "Upload 4"][done]]


@pytest.mark.parametrize(("done", "code"), [(0, "09"), (0, "96"), (0, "58"), (1, "09"), (1, "96")])
def test_what_decides_nothing_is_asked_again_later_and_later(till, host, done, code):
    till.online(**RESTORED)
    for _ in range(done):
        answer(till, host)
    wanted = ["Upload 1", "Reversal 2"][done]
    waits = []
    for _ in range(9):
        undecided = {"verdict": UploadVerdict.UNDECIDED} if done == 0 else {}
        assert till.answer(changed(host.answer(NUMBER, till.request), response_code=code, **undecided)) == []
        before_s = till.time_s
        while wanted not in till.wait(0.25):
            if not till.brain.is_line_free:
                answer(till, host)  # an echo between
        waits.append(till.time_s - before_s)
    assert waits == sorted(waits)
    assert 1 <= waits[0] <= 2.25
    assert UNDECIDED_WAIT_MAX_S / 2 <= waits[-1] <= UNDECIDED_WAIT_MAX_S
    assert till.brain.view.upload == UploadProgress(done, 3)
    assert all_of(till, host)[-1] == "note upload_done"


def waits(till, host, code="25"):
    """The host answers that the record waits for something."""
    undecided = changed(host.answer(NUMBER, till.request), verdict=UploadVerdict.UNDECIDED, response_code=code)
    return till.answer(undecided)


@pytest.mark.parametrize("code", ["14", "25"])
def test_what_waits_for_something_does_not_hold_up_what_does_not(host, code):
    """Another terminal's sale may never come back: the sales behind its refund do."""
    till = till_with(kept(1), kept(2), kept(3, REVERSED))
    till.online(**RESTORED)
    assert waits(till, host, code) == ["note record_waits", "Upload 2"]
    assert notes(till)[-1] == "batch 1, STAN 1: the host does not have yet what it needs"
    assert answer(till, host) == ["Reversal 3"]
    assert not till.brain.till.is_quiet
    assert answer(till, host) == ["Upload 1"]
    assert (till.brain.view.upload, till.storage.history) == (UploadProgress(2, 3), (1, 0))
    assert till.brain.till.is_quiet, "it can be settled meanwhile"
    assert waits(till, host, code) == [], "said once"
    assert "Upload 1" not in till.wait(0.5)
    assert all_of(till, host)[-2:] == ["Upload 1", "note upload_done"]
    assert till.storage.history == (2, 1_790_000_000)


def test_of_several_that_wait_each_is_asked_for_once_a_round(host):
    till = till_with(kept(1), kept(2), kept(3))
    till.online(**RESTORED)
    said = [waits(till, host), waits(till, host), waits(till, host)]
    assert said == [["note record_waits", f"Upload {stan}"] for stan in (2, 3)] + [["note record_waits"]]
    assert till.wait(2) == ["Upload 1"]
    answer(till, host)
    assert any(till.wait(0.25) == ["Upload 2"] for _ in range(32)), "one of them has come: perhaps for the others"
    assert till.brain.view.upload == UploadProgress(1, 3)
    assert all_of(till, host)[-1] == "note upload_done"


def test_where_uploads_are_not_taken_any_more_only_reversals_go_on(host):
    till = till_with(kept(1), kept(2), kept(3, REVERSED), kept(4), kept(5, REVERSED), kept(6))
    host.takes_uploads = False
    till.online(**RESTORED)
    assert all_of(till, host) == ["note upload_refused", "Reversal 3", "Reversal 5", "note upload_done"]
    assert till.storage.history == (2, 1_790_000_000), "only a new history can change that"
    view = till.brain.view
    assert (view.host_rolled_back, view.records_differ, view.upload) == (True, 0, None)
    till.offline()
    assert till.online(**RESTORED | {"last": (1, 5)}) == ["note host_rolled_back"]
    host.takes_uploads = True
    till.offline()
    till.online(**RESTORED | {"history": 3})
    all_of(till, host)
    assert not till.brain.view.host_rolled_back
    assert [host.charged((NUMBER, 1, stan)) for stan in range(1, 7)] == [1, 1, 0, 1, 0, 1]


STRANGE = [
    (0, {"stan": 2}),
    (0, {"batch": 2}),
    (0, {"amount_fen": 101}),
    (1, {"stan": 4}),
    (1, {"batch": 2}),
]


@pytest.mark.parametrize(("done", "change"), STRANGE)
def test_an_answer_about_another_record_is_not_ours(till, host, done, change):
    till.online(**RESTORED)
    for _ in range(done):
        answer(till, host)
    assert till.answer(changed(host.answer(NUMBER, till.request), **change)) == ["note not_ours", "hang up"]
    assert till.brain.view.upload == UploadProgress(done, 3)


@pytest.mark.parametrize("done", [0, 1])
def test_nor_is_an_answer_to_something_else(till, host, done):
    till.online(**RESTORED)
    for _ in range(done):
        answer(till, host)
    stan = till.request.stan
    same = {"stan": stan, "batch": 1, "response_code": "00", "rrn": 1}
    upload = UploadAnswer(amount_fen=100 * stan, verdict=UploadVerdict.KNOWN, **same)
    reversal = ReversalAnswer(reversed_fen=0, balance_fen=0, posted_at_ms=0, **same)
    assert till.answer([reversal, upload][done]) == ["note not_ours", "hang up"]


@pytest.mark.slow
def test_a_hundred_thousand_records_are_no_hundred_thousand_messages(monkeypatch):
    till = till_with(*(kept(1 + n % 999_999, batch=1 + n // 999_999) for n in range(100_000)))
    made = []
    monkeypatch.setattr("terminal_emulator.flows.upload.UploadRequest", lambda **fields: made.append(fields))
    till.brain.link_up(ready_of(history=2), till.now)
    assert len(made) == 1


def test_an_upload_says_what_it_is_and_what_it_is_about():
    top_up = changed(kept(2), kind=TransactionKind.TOPUP, charged_fen=220, points=3)
    void = changed(kept(3), kind=TransactionKind.TOPUP_VOID, original_batch=1, original_stan=2)
    till = till_with(top_up, void)
    till.online(**RESTORED)
    sent = till.request
    assert (sent.kind, sent.charged_fen, sent.points, sent.original_batch) == (TransactionKind.TOPUP, 220, 3, 0)
    answer(till, ToyHost())
    till.wait(1)
    sent = till.request
    assert (sent.kind, sent.original_batch, sent.original_stan) == (TransactionKind.TOPUP_VOID, 1, 2)
    assert sent.charged_fen == sent.amount_fen  # a record of before the host told
