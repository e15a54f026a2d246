"""Offline sales go up in order, one at a time, until each has its verdict; whatever is lost on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.messages import OfflineSaleRequest, OfflineVerdict
from protocol.messages.offline import NO_TAG
from terminal_emulator.backoff import middle
from terminal_emulator.effects import NoteKind
from terminal_emulator.flows.offline import PAUSE_SHARE, UNDECIDED_WAIT_MAX_S, OfflineFlow
from terminal_emulator.offline import Chain, request_of
from terminal_emulator.record import RecordState
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.offline_host import KEY, NEXT_KEY, OTHER_CARD, ChainHost, chained, sold
from tests.terminal_emulator.till import reject_of

APPROVED, REFUSED, OFFLINE = RecordState.APPROVED, RecordState.REFUSED, RecordState.OFFLINE


def switched_on(storage, key=KEY, known=(), is_held=bool):
    flow = OfflineFlow(storage, middle, is_held)
    flow.power_on()
    flow.begin(key, known, 0.0)
    return flow


def memory_of(*records):
    storage = MemoryStorage()
    for record in records:
        storage.save(record)
    return storage


def upload(flow, storage, host, *, answers=1_000):
    """Let the host answer so many times, then stop; what was sent."""
    sent, now_s = [], 0.0
    while answers and (now_s := flow.deadline_s(now_s)) < float("inf"):
        request = flow.next_request(now_s)
        assert isinstance(request, OfflineSaleRequest)
        sent.append(request.stan)
        answer = host.answer(request)
        assert flow.fits(answer)
        if (record := flow.answered(answer, now_s + 0.01)) is not None:
            storage.save(record)
        answers -= 1
    return sent


def states(storage):
    return [record.state for record in storage.offline_records()]


def kinds(flow):
    return [note.kind for note in flow.take_notes()]


def test_each_goes_once_in_order_and_has_its_verdict_kept():
    storage, host = memory_of(*chained(sold(2), sold(3, payer=OTHER_CARD), sold(9), sold(1, batch=2))), ChainHost()
    host.stopped.add(OTHER_CARD)
    flow = switched_on(storage)
    assert upload(flow, storage, host) == [2, 3, 9, 1]
    assert states(storage) == [APPROVED, REFUSED, APPROVED, APPROVED]
    refused = storage.records[1, 3]
    assert (refused.response_code, refused.charged_fen, refused.rrn, refused.moved_fen) == ("41", 0, 903, 0)
    assert [record.points for record in storage.offline_records()] == [1, 0, 1, 1], "its verdict says what it earned"
    assert (len(storage.unbooked), kinds(flow), flow.is_running) == (1, [NoteKind.OFFLINE_REFUSED], False)
    assert flow.deadline_s(9.0) == float("inf")


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("arrived", [False, True])
def test_a_power_cut_before_or_after_any_verdict_costs_and_doubles_nothing(cut, arrived):
    """`arrived`: the host has judged one more, whose answer was not stored."""
    storage, host = memory_of(*chained(sold(1), sold(2), sold(3))), ChainHost()
    flow = switched_on(storage)
    upload(flow, storage, host, answers=cut)
    if arrived and (request := flow.next_request(100.0)) is not None:
        host.answer(request)
    upload(switched_on(storage), storage, host)
    assert (host.booked, states(storage)) == ([(1, 1), (1, 2), (1, 3)], [APPROVED] * 3)


def test_nothing_is_sent_while_the_cashier_wants_to_be_offline():
    held = [True]
    flow = switched_on(memory_of(*chained(sold(1))), is_held=lambda: held[0])
    assert (flow.next_request(5.0), flow.deadline_s(5.0)) == (None, float("inf"))
    held[0] = False
    assert flow.next_request(5.0) is not None


def test_after_each_answer_it_makes_room_for_those_who_sell():
    storage, host = memory_of(*chained(sold(1), sold(2))), ChainHost()
    flow = switched_on(storage)
    request = flow.next_request(10.0)
    flow.answered(host.answer(request), 10.5)
    assert flow.deadline_s(10.5) == 10.5 + PAUSE_SHARE * 0.5
    assert flow.next_request(12.4) is None
    assert flow.next_request(12.5).stan == 2


@pytest.mark.parametrize("what", ["silence", "busy", "reject"])
def test_what_decides_nothing_is_waited_for_without_end(what):
    storage, host = memory_of(*chained(sold(1))), ChainHost()
    flow, now_s = switched_on(storage), 0.0
    for _ in range(50):
        request = flow.next_request(now_s)
        assert request.stan == 1
        if what == "silence":
            flow.unanswered(now_s)
        elif what == "reject":
            assert flow.answered(reject_of(request), now_s) is None
        else:
            busy = replace(host._say(request, OfflineVerdict.UNDECIDED, "09"), next_saf_sequence=0, last_tag=NO_TAG)
            assert flow.answered(busy, now_s) is None
        assert now_s < flow.deadline_s(now_s) <= now_s + UNDECIDED_WAIT_MAX_S
        now_s = flow.deadline_s(now_s)
    assert states(storage) == [OFFLINE]
    upload(flow, storage, host)
    assert states(storage) == [APPROVED]


def test_answers_to_another_record_do_not_fit():
    flow, host = switched_on(memory_of(*chained(sold(1), sold(2)))), ChainHost()
    answer = host.answer(flow.next_request(0.0))
    assert flow.fits(answer)
    for changes in ({"stan": 2}, {"batch": 2}, {"amount_fen": 101}):
        assert not flow.fits(replace(answer, **changes))


# --------------------------------------------------------------------------------- when the chains differ


@given(st.integers(1, 6), st.integers(0, 6))
def test_a_restored_host_gets_back_what_it_lost(kept, lost):
    """It knows the first `kept`; `lost` more it had judged and forgotten; two wait."""
    records = chained(*map(sold, range(1, kept + lost + 3)))
    storage, host = memory_of(*records[: kept + lost]), ChainHost()
    upload(switched_on(storage), storage, host, answers=kept)
    backup = host.snapshot()
    upload(switched_on(storage), storage, host)
    host.go_back_to(backup)
    for record in records[kept + lost :]:
        storage.save(record)
    flow = switched_on(storage)
    upload(flow, storage, host)
    assert [stan for _, stan in host.booked] == list(range(1, kept + lost + 3))
    assert (states(storage), host.quarantine) == ([APPROVED] * (kept + lost + 2), [])
    assert kinds(flow) == ([NoteKind.CHAIN_RESENT] if lost else [])


def test_a_restored_host_may_judge_otherwise_and_the_record_says_so():
    storage, host = memory_of(*chained(sold(1), sold(2))), ChainHost()
    upload(switched_on(storage), storage, host)
    host.go_back_to(ChainHost().snapshot())
    host.stopped.add(storage.records[1, 1].payer)
    storage.save(chained(sold(3), chain=Chain(*storage.chain))[0])
    flow = switched_on(storage)
    upload(flow, storage, host)
    assert (states(storage), len(storage.unbooked)) == ([REFUSED] * 3, 3)


@pytest.mark.parametrize("at_host", [0, 1, 7, 500])
def test_a_memory_that_was_lost_or_cleared_goes_on_where_the_host_stands(at_host):
    """The host has `at_host` records of which this memory knows nothing, or lacks all that came before."""
    host = ChainHost()
    if at_host:
        host.sequence, host.tag = at_host, b"h" * 16
    storage = memory_of(*chained(sold(1), sold(2), chain=Chain(5, b"t" * 16)))
    flow = switched_on(storage)
    assert upload(flow, storage, host) == [1, 1, 2]
    assert (host.booked, host.sequence) == ([(1, 1), (1, 2)], at_host + 2)
    assert (states(storage), storage.chain) == ([APPROVED] * 2, (at_host + 2, host.tag))
    assert kinds(flow) == [NoteKind.CHAIN_RENUMBERED]


def test_a_changed_key_reseals_what_waits_and_a_changed_record_is_shown_to_the_host():
    first, second, third = chained(sold(1), sold(2), sold(3))
    storage, host = memory_of(first, replace(second, amount_fen=9_999), third), ChainHost(NEXT_KEY)
    flow = switched_on(storage, NEXT_KEY, [KEY])
    upload(flow, storage, host)
    assert states(storage) == [APPROVED, REFUSED, APPROVED]
    assert ([request.stan for request in host.quarantine], host.booked) == ([2], [(1, 1), (1, 3)])


def test_what_is_sold_while_others_go_up_goes_last():
    storage, host = memory_of(*chained(sold(1), sold(2))), ChainHost()
    flow = switched_on(storage)
    upload(flow, storage, host, answers=1)
    [newer] = chained(sold(3), chain=Chain(*storage.chain))
    storage.save(newer)
    flow.add(newer)
    assert upload(flow, storage, host) == [2, 3]
    assert request_of(newer).previous_tag == storage.records[1, 2].saf.tag
