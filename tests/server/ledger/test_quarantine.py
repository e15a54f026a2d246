"""The quarantine, and the whole of an offline sale, on both stores."""

import contextlib

import pytest

from server.ledger import quarantine
from server.ledger.model import OFFLINE_DEBT_ACCOUNT, Decision, Status
from server.ledger.quarantine import Reason
from server.ledger.registry import Registry
from tests.server.ledger.campus import ANN, BEN, CARDS, NOW_MS, START_FEN, TILL, balance, open_campus, sale
from tests.server.ledger.records import Recorder
from tests.server.ledger.stores import BOTH, new_store


@pytest.fixture(params=BOTH)
def ledger(request):
    with contextlib.closing(new_store(request.param)) as store:
        yield open_campus(store)


def test_records_are_numbered_and_given_back_whole_in_pieces(ledger):
    till, store = Recorder(), ledger.store
    ledger.apply([till.sold(stan, 100 * stan, is_authentic=False) for stan in (1, 2, 3)], NOW_MS)
    first, second = quarantine.after(store, 0, 2)
    assert [kept.number for kept in (first, second, *quarantine.after(store, 2, 2))] == [1, 2, 3]
    assert (second.previous_tag, second.token, second.amount_fen) == (first.tag, CARDS[ANN], 200)
    assert {kept.reason for kept in quarantine.after(store, 0, 9)} == {Reason.TAMPERED}
    assert (quarantine.count(store), quarantine.after(store, 3, 9)) == (3, [])


def test_what_is_kept_and_what_is_answered_is_one_commit(ledger, monkeypatch):
    """If the answer cannot be committed, nothing is kept and the chain has not moved: the terminal sends it again."""
    till, store = Recorder(), ledger.store
    forged = till.sold(1, 100, is_authentic=False)
    with monkeypatch.context() as patch:
        patch.setattr(quarantine, "keep", None)  # the last thing before the commit fails
        with pytest.raises(TypeError):
            ledger.apply([forged], NOW_MS)
    assert (quarantine.count(store), store.load_terminals([TILL])[TILL].saf_sequence) == (0, 0)
    assert [outcome.replayed for outcome in ledger.apply([forged], NOW_MS)] == [False]
    assert quarantine.count(store) == 1


def test_all_verdicts_in_one_commit(ledger):
    till, store = Recorder(), ledger.store
    with store.transaction():
        Registry(store).set_card_status(CARDS[BEN], Status.LOST)
    ledger.apply([sale(3, 50)], NOW_MS)
    records = [
        till.sold(1, START_FEN + 9),
        till.sold(2, 100, BEN, stop_list_version=1),
        till.sold(3, 100),
        till.sold(4, 100, is_authentic=False),
        till.sold(5, 100, BEN),
    ]
    outcomes = ledger.apply(records, NOW_MS)
    assert [outcome.decision for outcome in outcomes] == [
        Decision.APPROVED,
        Decision.STOPPED,
        Decision.ID_CONFLICT,
        Decision.OFFLINE_TAMPERED,
        Decision.APPROVED,
    ]
    assert [outcome.saf_sequence for outcome in outcomes] == [1, 2, 3, 4, 5]
    terminal = store.load_terminals([TILL])[TILL]
    assert (terminal.saf_sequence, terminal.saf_tag) == (5, till.tag)
    assert [kept.reason for kept in quarantine.after(store, 0, 9)] == [Reason.CONFLICT, Reason.TAMPERED]
    assert (balance(ledger), balance(ledger, OFFLINE_DEBT_ACCOUNT)) == (0, -59)
    assert [outcome.replayed for outcome in ledger.apply(records, NOW_MS)] == [True, True, False, True, True]
    assert quarantine.count(store) == 2
