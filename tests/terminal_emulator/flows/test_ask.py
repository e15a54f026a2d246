"""A question that moves no money: one request, one answer, or none."""

import pytest

from protocol.messages import PasswordAnswer, ProductRequest
from terminal_emulator.dialog import Ask, Show
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, reject_of

QUESTION = ProductRequest(code="123")


@pytest.fixture
def till():
    till = Till()
    till.online()
    return till


def asked(till):
    """Open a dialog that asks; the list its answer ends up in."""
    answers = []

    def dialog():
        answers.append((yield Ask(QUESTION, "Asking")))
        yield Show(("Done",))

    till.take(till.brain.begin(dialog(), till.now))
    return answers


def test_the_answer_is_the_reply(till):
    answers = asked(till)
    assert (till.request, till.panel[0]) == (QUESTION, "Asking")
    answer = PasswordAnswer(response_code="00")
    till.answer(answer)
    assert (answers, till.panel) == ([answer], ["Done"])


@pytest.mark.parametrize("how", ["reject", "silence", "line"])
def test_no_answer_is_an_answer(till, how):
    answers = asked(till)
    if how == "reject":
        till.answer(reject_of(QUESTION))
    elif how == "silence":
        till.wait(3)
    else:
        till.offline()
    assert (answers, till.panel) == ([None], ["Done"])


def test_without_a_line_there_is_no_answer_at_once(till):
    till.offline()
    assert asked(till) == [None]


def test_it_waits_for_its_turn_and_a_line_that_breaks_meanwhile_is_no_answer(till):
    till.sell("5")
    till.offline()
    till.wait(10)
    till.online()  # the reversal has the line
    answers = asked(till)
    assert type(till.request).__name__ == "ReversalRequest"
    till.offline()
    assert answers == [None]


def test_it_waits_for_its_turn_and_gets_it(till):
    till.sell("5")
    till.offline()
    till.wait(10)
    till.online()
    asked(till)
    till.answer(ToyHost().answer(NUMBER, till.request))
    assert till.request == QUESTION


def test_clear_while_it_waits_and_a_late_answer_changes_nothing(till):
    answers = asked(till)
    till.keys("clear")
    till.keys("5")
    assert till.answer(PasswordAnswer(response_code="00")) == []
    assert (answers, till.screen, till.brain.is_line_free) == ([], "amount", True)


def test_no_dialog_is_opened_while_a_sale_is_being_decided(till):
    till.sell("5")
    assert asked(till) == []
    assert till.brain.busy
    assert till.tap(CARD) == ["beep error"]
