"""A query on the host's floor: only what the ledger has looked up is ever called final."""

import pytest

from protocol.messages import QueryRequest, TransactionState
from server.handlers.outcomes import STATES
from server.handlers.query import to_answer, to_command
from server.ledger.model import Decision, Identity, Outcome, Query, TransferState
from tests.server.callers import caller_of

QUERY = QueryRequest(stan=123, batch=17, amount_fen=1250, payer=b"\x04\xa1", claimed_at_s=99)


def test_a_terminal_asks_for_its_own_and_says_which():
    assert to_command(caller_of(5), QUERY) == Query(Identity(5, 17, 123), 1250, b"\x04\xa1", 99)


@pytest.mark.parametrize("state", list(TransferState))
def test_the_answer_says_what_became_of_it(state):
    answer = to_answer(QUERY, Outcome(Decision.APPROVED, 1250, 8750, 17, 99, state))
    assert answer.state == STATES[state]
    assert (answer.amount_fen, answer.balance_fen, answer.rrn, answer.posted_at_ms) == (1250, 8750, 17, 99)


def test_what_was_never_seen_is_called_so():
    answer = to_answer(QUERY, Outcome(Decision.NEVER_SEEN))
    assert (answer.state, answer.response_code) == (TransactionState.NEVER_SEEN, "25")


def test_a_number_that_is_another_sales_is_a_refusal_of_this_one():
    answer = to_answer(QUERY, Outcome(Decision.ID_CONFLICT, state=TransferState.DECLINED))
    assert (answer.state, answer.response_code) == (TransactionState.DECLINED, "94")
    assert (answer.rrn, answer.balance_fen, answer.posted_at_ms) == (0, 0, 0)


@pytest.mark.parametrize("decision", list(Decision))
def test_the_amount_is_always_the_one_asked_about(decision):
    """Also where nothing is known of it: the terminal compares stan, batch and amount, whatever the state."""
    assert to_answer(QUERY, Outcome(decision)).amount_fen == 1250
    assert to_answer(QUERY, Outcome(decision, amount_fen=1)).amount_fen == 1250


@pytest.mark.parametrize(("decision", "code"), [(Decision.BUSY, "09"), (Decision.FAULT, "96")])
def test_a_host_that_could_not_look_says_ask_again(decision, code):
    answer = to_answer(QUERY, Outcome(decision))
    assert (answer.state, answer.response_code) == (TransactionState.IN_PROGRESS, code)
