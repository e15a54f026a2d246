"""The stop list is fetched change by change, kept, and fetched anew from a host that has begun a new history."""

import pytest

from protocol.messages import StopAction, StopListAnswer, StopRow
from protocol.messages.stop_list import STOP_ROWS_MAX
from server.handlers.stop_list import undecided
from terminal_emulator.backoff import middle
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.flows.stop_list import REFRESH_MAX_S, REFRESH_MIN_S, StopListFlow
from terminal_emulator.keepsakes import StopListHeld
from terminal_emulator.storage import MemoryStorage
from tests.terminal_emulator.till import reject_of

STOPPED, ALLOWED = StopAction.STOPPED, StopAction.ALLOWED


def name(number):
    return number.to_bytes(8, "big")


class Registry:
    """What the host knows: the newest change of each card, numbered."""

    def __init__(self):
        self.rows = {}
        self.newest = 0

    def change(self, number, action=STOPPED):
        self.newest += 1
        self.rows.pop(name(number), None)
        self.rows[name(number)] = (self.newest, action)

    def answer(self, request):
        later = [(version, hashed, action) for hashed, (version, action) in self.rows.items()]
        later = sorted(row for row in later if row[0] > request.version)[:STOP_ROWS_MAX]
        return StopListAnswer(
            version=later[-1][0] if later else min(request.version, self.newest),
            newest=self.newest,
            changes=tuple(StopRow(hashed, action) for _, hashed, action in later),
        )


def opened(storage, is_wanted=True):
    flow = StopListFlow(storage, middle, lambda: is_wanted)
    flow.begin(0.0)
    return flow


def fetch(flow, registry, now_s=0.0):
    """Ask as long as there is something to ask at this moment; how often that was."""
    asked = 0
    while (request := flow.next_request(now_s)) is not None:
        answer = registry.answer(request)
        assert flow.fits(answer)
        flow.answered(answer, now_s)
        asked += 1
    return asked


@pytest.fixture
def registry():
    return Registry()


@pytest.mark.parametrize(("cards", "asked"), [(0, 1), (1, 1), (STOP_ROWS_MAX, 1), (STOP_ROWS_MAX + 1, 2), (1_000, 16)])
def test_all_of_it_is_there_after_a_few_requests(registry, cards, asked):
    for number in range(cards):
        registry.change(number)
    storage = MemoryStorage()
    flow = opened(storage)
    assert fetch(flow, registry) == asked
    assert (storage.stopped, storage.stop_version) == ({name(number) for number in range(cards)}, cards)
    assert REFRESH_MIN_S <= flow.deadline_s(0.0) <= REFRESH_MAX_S


def test_later_changes_come_alone_and_the_newest_word_about_a_card_counts(registry):
    storage = MemoryStorage()
    flow = opened(storage)
    for number, action in [(1, STOPPED), (2, STOPPED)]:
        registry.change(number, action)
    fetch(flow, registry)
    for number, action in [(1, ALLOWED), (3, STOPPED), (3, ALLOWED), (2, ALLOWED), (2, STOPPED)]:
        registry.change(number, action)
    assert fetch(flow, registry, flow.deadline_s(0.0)) == 1
    assert (storage.stopped, storage.stop_version) == ({name(2)}, 7)


def test_it_survives_a_power_cut_and_a_compaction(registry, tmp_path):
    for number in range(100):
        registry.change(number)
    storage = FileStorage(tmp_path)
    fetch(opened(storage), registry)
    registry.change(5, ALLOWED)
    fetch(opened(storage), registry)
    for _ in range(2):
        storage._compact()
        storage.close()
        storage = FileStorage(tmp_path)
        assert (len(storage.stopped), storage.stop_version, name(5) in storage.stopped) == (99, 101, False)
    storage.close()


def test_a_restored_host_with_older_numbers_is_asked_for_everything(registry):
    storage = MemoryStorage()
    for number in range(70):
        registry.change(number)
    fetch(opened(storage), registry)
    restored = Registry()
    restored.change(500)
    flow = opened(storage)
    assert fetch(flow, restored) == 2
    assert (storage.stopped, storage.stop_version) == ({name(500)}, 1)
    flow.forget()
    assert (storage.stopped, storage.stop_version) == ({name(500)}, 0), "until the new list is there"
    fetch(opened(storage), Registry())
    assert (storage.stopped, storage.stop_version) == (set(), 0)


def test_the_old_list_holds_until_all_of_the_new_one_is_there(registry, tmp_path):
    for number in range(2 * STOP_ROWS_MAX):
        registry.change(number)
    storage = FileStorage(tmp_path)
    fetch(opened(storage), registry)
    restored = Registry()
    for number in range(STOP_ROWS_MAX, 3 * STOP_ROWS_MAX):
        restored.change(number)
    flow = opened(storage)
    flow.forget()
    for cut in ("line", "power", ""):
        flow.answered(restored.answer(flow.next_request(0.0)), 0.0)
        assert (len(storage.stopped), storage.stop_version) == (2 * STOP_ROWS_MAX, 0)
        if cut == "power":
            storage._compact()
            storage.close()
            storage = FileStorage(tmp_path)
            flow = opened(storage)
        elif cut == "line":
            flow.begin(0.0)
            assert flow.next_request(0.0).version == STOP_ROWS_MAX, "the first part need not come again"
            flow.forget()
            assert flow.next_request(0.0).version == 0, "one more history"
    fetch(flow, restored)
    assert storage.stopped == {name(number) for number in range(STOP_ROWS_MAX, 3 * STOP_ROWS_MAX)}
    assert storage.stop_version == restored.newest
    storage.close()


def test_a_host_that_has_none_is_asked_seldom_and_one_that_does_not_know_it_too(registry):
    flow = opened(MemoryStorage())
    request = flow.next_request(0.0)
    assert flow.fits(reject_of(request))
    flow.answered(reject_of(request), 0.0)
    assert flow.deadline_s(0.0) == REFRESH_MIN_S
    flow = opened(MemoryStorage(), is_wanted=False)
    assert (flow.next_request(9e9), flow.deadline_s(9e9)) == (None, float("inf"))


def test_a_host_that_could_not_say_has_not_said_that_nobody_is_stopped(registry):
    """It was busy: with its word for an empty list the terminal would sell to cards that are stopped."""
    registry.change(7)
    storage = MemoryStorage()
    flow = opened(storage)
    request = flow.next_request(0.0)
    flow.answered(undecided(request, "96"), 0.0)
    assert not storage.kept(StopListHeld).is_held
    wait_s = flow.deadline_s(0.0)
    assert REFRESH_MIN_S <= wait_s <= REFRESH_MAX_S
    assert fetch(flow, registry, wait_s) == 1
    assert storage.kept(StopListHeld).is_held
    request = flow.next_request(flow.deadline_s(wait_s))
    flow.answered(undecided(request, "96"), flow.deadline_s(wait_s))
    assert (storage.stop_version, storage.stopped) == (1, {name(7)}), "and what is held stays"
    flow.forget()  # the host was restored, and is busy
    flow.begin(0.0)
    flow.answered(undecided(flow.next_request(0.0), "96"), 0.0)
    assert storage.stopped == {name(7)}
