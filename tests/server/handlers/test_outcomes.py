"""The one table from decisions to response codes is total, and only what is undecided is answered as not final."""

from server.handlers.outcomes import RESPONSE_CODES, STATES
from server.ledger.model import Decision, TransferState


def decisions_of(code):
    return [decision for decision in Decision if RESPONSE_CODES[decision] == code]


def test_every_decision_has_a_response_code():
    assert set(RESPONSE_CODES) == set(Decision)
    assert all(len(code) == 2 and code.isalnum() and code == code.upper() for code in RESPONSE_CODES.values())


def test_only_an_approval_is_answered_00():
    assert decisions_of("00") == [Decision.APPROVED]


def test_only_a_busy_or_faulty_host_answers_what_is_not_final():
    assert decisions_of("09") == [Decision.BUSY]
    assert decisions_of("96") == [Decision.FAULT]
    assert decisions_of("79") == [Decision.OFFLINE_GAP]


def test_every_state_has_its_word_on_the_wire():
    assert {state.name: word.name for state, word in STATES.items()} == {s.name: s.name for s in TransferState}


def test_another_payer_and_another_amount_are_told_apart():
    """A cashier who holds the wrong card is not to look for a wrong amount."""
    assert RESPONSE_CODES[Decision.WRONG_PAYER] == "F6"
    assert RESPONSE_CODES[Decision.WRONG_AMOUNT] == "64"
