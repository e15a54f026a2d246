"""What terminals are told of cards that are lost, by real operations on a real ledger."""

import pytest

from protocol.codec import encode
from protocol.messages import StopAction, StopListRequest
from protocol.messages.stop_list import STOP_ROWS_MAX, token_hash
from server.handlers import CALLS
from server.handlers.stop_list import run, undecided
from server.ledger.model import Status
from tests.server.office import Office

TILL = 0x0003_003A


@pytest.fixture
def office():
    office = Office()
    yield office
    office.audit()
    office.store.close()


def card(number):
    return number.to_bytes(4, "big")


def with_cards(office, count):
    account_id = office.registry.add_customer("S1", "Ann")
    for number in range(count):
        office.registry.put_card(card(number), account_id, sale_limit_fen=0, day_limit_fen=0)


def asked(office, version):
    return run(office.admin.desk, TILL, StopListRequest(version=version))


def stopped_by(office, version=0):
    """The list of a terminal that asks until it has all, from a version on."""
    found = {}
    while True:
        answer = asked(office, version)
        assert encode(answer)
        assert len(answer.changes) <= STOP_ROWS_MAX
        for row in answer.changes:
            found[row.token_hash] = row.action
        version = answer.version
        if version >= answer.newest:
            return {hashed for hashed, action in found.items() if action is StopAction.STOPPED}, version


def set_status(office, number, status):
    with office.store.transaction():
        office.registry.set_card_status(card(number), status)


def test_nobody_is_stopped_at_the_start(office):
    assert asked(office, 0).changes == ()
    assert stopped_by(office) == (set(), 0)


def test_lost_and_found_cards_are_told_in_order_and_once(office):
    with office.store.transaction():
        with_cards(office, 3)
    for number, status in [(0, Status.LOST), (1, Status.FROZEN), (0, Status.ACTIVE), (2, Status.CLOSED)]:
        set_status(office, number, status)
    stopped, version = stopped_by(office)
    assert stopped == {token_hash(card(1)), token_hash(card(2))}
    assert asked(office, version).changes == ()
    set_status(office, 1, Status.ACTIVE)
    assert [(row.token_hash, row.action) for row in asked(office, version).changes] == [
        (token_hash(card(1)), StopAction.ALLOWED)
    ]


def test_a_long_list_comes_in_pieces(office):
    count = 2 * STOP_ROWS_MAX + 3
    with office.store.transaction():
        with_cards(office, count)
    for number in range(count):
        set_status(office, number, Status.LOST)
    assert len(stopped_by(office)[0]) == count
    assert len(asked(office, 0).changes) == STOP_ROWS_MAX


def test_a_terminal_that_knows_more_than_this_host_sees_it(office):
    answer = asked(office, 99)
    assert (answer.newest, answer.version, answer.changes) == (0, 0, ())


def test_while_the_ledger_cannot_be_asked_the_list_stays_as_it_is():
    answer = undecided(StopListRequest(version=7), "96")
    assert (answer.version, answer.newest, answer.changes) == (7, 8, ()), "7 would say that there is nothing new"
    assert encode(answer)
    assert encode(undecided(StopListRequest(version=2**32 - 1), "96"))
    assert CALLS[StopListRequest].run is run
