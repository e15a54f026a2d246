"""The power goes at every single step of every function: what happened is then on the LCD, on the slip and at the host,
the same in all three.

A step is a key, a tap, a request that arrives, an answer that arrives. It is cut twice: after it was done, and when it
was remembered but nothing of it was seen or heard yet.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from protocol.messages import TransactionState
from terminal_emulator.effects import PrintReport, PrintSlip
from terminal_emulator.record import Record, RecordState
from terminal_emulator.slip_day import Reprint
from terminal_emulator.storage import MemoryStorage
from terminal_emulator.view import Screen
from tests.terminal_emulator.till import NUMBER, Till, ToyHost

SOLD = "2 0 enter tap enter"
FUNCTIONS = {
    "sale": ("", "12.5 enter tap"),
    "void": (SOLD, "f1 5 1 123456 enter 1 enter enter tap"),
    "refund": (SOLD, "f1 5 4 enter 1 enter enter enter 5 enter 123456 enter tap"),
    "top-up": ("", "f1 2 111111 enter tap 3 0 enter enter"),
    "top-up void": (
        "f1 2 111111 enter tap 3 0 enter enter enter",
        "f1 5 3 123456 enter 111111 enter 1 enter enter tap",
    ),
    "pre-authorization": ("", "f1 3 1 2 0 enter tap"),
    "completion": ("f1 3 1 2 0 enter tap enter", "f1 3 2 enter 1 enter enter enter 1 5 enter tap"),
    "points sale": ("", "f1 4 1 0 0 enter tap"),
}
LAST_SLIP = "enter f1 0 4 1"
STATES = {
    TransactionState.APPROVED: RecordState.APPROVED,
    TransactionState.DECLINED: RecordState.DECLINED,
    TransactionState.REVERSED: RecordState.REVERSED,
    TransactionState.NEVER_SEEN: RecordState.REVERSED,
}
SCREENS = {
    RecordState.APPROVED: {Screen.LAST_APPROVED},
    RecordState.REVERSED: {Screen.LAST_UNCHARGED, Screen.LAST_REVERSED},
}


class Life:
    """A till and a host; `steps` does the function step by step and can be left anywhere."""

    def __init__(self, name: str) -> None:
        before, self.words = FUNCTIONS[name]
        self.host = ToyHost()
        self.till = Till(MemoryStorage())
        self.till.online()
        self.till.do(before, self.host)
        self.first = len(self.till.storage.records) + 1
        self.seen_before = len(self.till.effects)

    def steps(self) -> Iterator[None]:
        """One `next` is one step."""
        till = self.till
        for word in self.words.split():
            till.tap() if word == "tap" else till.keys(word)
            yield
            while till.brain.online and not till.brain.is_line_free:
                answer = self.host.answer(NUMBER, till.request)
                yield
                till.answer(answer)
                yield

    def restart(self) -> None:
        """Power on, the line comes back, and all the time that anything takes."""
        till = self.till
        till.power_on()
        till.online(last=self.host.newest.get(NUMBER, (0, 0)))
        for _ in range(50):
            while not till.brain.is_line_free:
                till.answer(self.host.answer(NUMBER, till.request))
            till.wait(2)

    @property
    def record(self) -> Record | None:
        """The transaction that the function is about, if it came to one."""
        return self.till.storage.records.get((1, self.first))

    def slips(self) -> list[Record]:
        return [effect.record for effect in self.till.effects[self.seen_before :] if isinstance(effect, PrintSlip)]


def count_of(name: str) -> int:
    return sum(1 for _ in Life(name).steps())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_a_cut_it_is_approved(name):
    life = Life(name)
    for _ in life.steps():
        pass
    assert life.record is not None
    assert life.record.state is RecordState.APPROVED
    assert [slip.stan for slip in life.slips()] == [life.first]


@pytest.mark.parametrize("is_seen", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_screen_slip_and_host_agree_after_a_cut_at_any_step(name, is_seen):
    outcomes = set()
    for cut in range(1, count_of(name) + 1):
        life = Life(name)
        steps = life.steps()
        for _ in range(cut):
            next(steps)
        if not is_seen and life.till.last and life.till.effects[-len(life.till.last) :] == life.till.last:
            del life.till.effects[-len(life.till.last) :]
        life.restart()
        record, where = life.record, f"{name}, cut at step {cut}"
        if record is None:
            assert (NUMBER, 1, life.first) not in life.host.decided, where
            continue
        outcomes.add(record.state)
        state = life.host.states.get((NUMBER, 1, life.first), TransactionState.NEVER_SEEN)
        assert record.state is STATES[state], where
        view = life.till.brain.view
        assert (view.screen in SCREENS[record.state], view.stan, view.kind) == (True, record.stan, record.kind), where
        slips = life.slips()
        if record.state is not RecordState.APPROVED:
            assert slips == [], where
        elif slips == []:
            # The one moment: remembered, not printed. The LCD tells it, and the slip can be had again.
            assert not is_seen, where
            life.till.do(LAST_SLIP, life.host)
            [reprint] = [effect.report for effect in life.till.effects if isinstance(effect, PrintReport)]
            assert reprint == Reprint(record, life.till.brain.till.merchant), where
        else:
            assert [slip.stan for slip in slips] == [record.stan], where
    assert RecordState.APPROVED in outcomes
    assert outcomes <= {RecordState.APPROVED, RecordState.REVERSED}
