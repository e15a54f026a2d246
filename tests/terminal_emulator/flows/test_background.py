"""The quiet flows are asked when they may have something, and not before."""

from math import inf
from typing import Any

from protocol.messages import EchoRequest
from terminal_emulator.flows.background import Background

MESSAGE = EchoRequest(claimed_at_s=1)


class Late:
    """A flow that has something to say from `due_s` on."""

    def __init__(self, due_s):
        self.due_s = due_s
        self.asked = 0

    def next_request(self, now_s):
        self.asked += 1
        return MESSAGE if now_s >= self.due_s else None

    def deadline_s(self, now_s):
        return self.due_s


def flow_of(due_s) -> Any:
    return Late(due_s)


def test_the_first_that_has_something_speaks():
    first, second, third = flow_of(inf), flow_of(5.0), flow_of(0.0)
    background = Background(first, second, third)
    assert background.next_request(1.0) == (third, MESSAGE)
    assert background.next_request(5.0) == (second, MESSAGE)


def test_nobody_is_asked_before_somebody_is_due():
    flows = flow_of(inf), flow_of(30.0)
    background = Background(*flows)
    assert background.next_request(1.0) is None
    assert background.deadline_s(1.0) == 30.0
    for now_s in (2.0, 29.9):
        assert background.next_request(now_s) is None
    assert [flow.asked for flow in flows] == [1, 1]
    assert background.next_request(30.0) == (flows[1], MESSAGE)


def test_whatever_happens_they_are_asked_again():
    early, late = flow_of(inf), flow_of(30.0)
    background = Background(early, late)
    background.next_request(1.0)
    early.due_s = 2.0
    assert background.next_request(2.0) is None
    background.stir()
    assert background.next_request(2.0) == (early, MESSAGE)


def test_one_that_waits_longer_than_it_said_is_looked_at_again_then():
    flow = flow_of(10.0)
    background = Background(flow)
    background.next_request(1.0)
    flow.due_s = 20.0  # an echo is put off by every request
    assert background.next_request(10.0) is None
    assert background.deadline_s(10.0) == 20.0
