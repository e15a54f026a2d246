"""What is on the screen when several things want to be: what people wait for first."""

import pytest

from terminal_emulator.keepsakes import SignOn
from terminal_emulator.record import Record, RecordState
from terminal_emulator.view import Screen
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost, changed, settings_of

SOLD = Record(batch=1, stan=1, amount_fen=1250, payer=CARD, claimed_at_s=1)


@pytest.fixture
def till():
    """A sale was open when the power went, and nobody has signed on yet."""
    till = Till(settings=settings_of(sign_on_required=True))
    till.storage.save(SOLD)
    till.power_on()
    return till


def test_what_was_open_comes_before_signing_on_and_its_outcome_too(till):
    assert till.screen == "last_asking"
    till.online()
    till.answer(ToyHost().answer(NUMBER, till.request))
    view = till.brain.view
    assert (view.screen, view.amount_fen, view.stan) == ("last_uncharged", 1250, 1)
    till.keys("enter clear")
    assert (till.screen, till.brain.view.shut) == ("shut", "signed_off")


def test_what_is_being_done_comes_before_what_was_open(till):
    till.brain.till.keep(SignOn(operator=1, is_on=True))
    till.online()
    till.sell("3")
    assert (till.screen, till.brain.view.amount_fen) == ("sending", 300), "its turn comes after the query"
    till.brain.link_down("lost", till.now)
    assert till.screen == "sending"


@pytest.mark.parametrize(
    ("state", "changes", "shown"),
    [
        (RecordState.APPROVED, {"response_code": "00", "balance_fen": 8750}, (8750, None)),
        (RecordState.APPROVED, {"response_code": "00", "balance_fen": 8750, "charged_fen": 1000}, (8750, 1000)),
        (RecordState.DECLINED, {"response_code": "51", "balance_fen": 7}, (7, None)),
        (RecordState.DECLINED, {"response_code": "41", "balance_fen": 7}, (None, None)),
        (RecordState.REVERSING, {"balance_fen": 7}, (None, None)),
    ],
)
def test_a_balance_is_shown_where_it_means_something_and_a_sum_where_it_is_another(state, changes, shown):
    till = Till()
    till.brain._desk.last, till.brain._desk.last_screen = changed(SOLD, state=state, **changes), Screen.LAST_APPROVED
    view = till.brain.view
    assert (view.balance_fen, view.charged_fen) == shown
