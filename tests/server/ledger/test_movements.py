"""What `verify` says of follow-ups that should not be there, though every sum of them is right."""

from __future__ import annotations

import contextlib

import msgspec
import pytest

from server.ledger.batch import chain_digest
from server.ledger.checks import ENTRIES_MATCH, FOLLOW_UPS, REFERENCES
from server.ledger.model import Entry, Kind, PreAuth
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import Tariff
from server.ledger.verify import verify
from tests.server.ledger.campus import apply, asked, completion, open_campus, refund, sale, void


def forge(store, seq, **changes):
    """Row `seq` of the journal once more at its end, under another identity, with entries and balances that fit."""
    [row] = [one for one in store.load_family([seq]) if one.seq == seq]
    head, digest = store.head()
    legs = store.load_entries([seq])
    accounts = store.load_accounts([leg.account_id for leg in legs])
    entries = []
    for leg in legs:
        account = accounts[leg.account_id]
        account.balance_fen += leg.amount_fen
        entries.append(Entry(head + 1, leg.account_id, leg.amount_fen, account.balance_fen, account.last_seq))
        account.last_seq = head + 1
    copy = msgspec.structs.replace(row, seq=head + 1, stan=9_999, **changes)
    payer = accounts.get(row.account_id)
    copy.balance_fen = payer.balance_fen if payer is not None else row.balance_fen
    copy.digest = chain_digest(digest, copy, entries)
    with store.transaction():
        store.save([copy], entries, accounts.values())


@pytest.fixture
def store():
    with contextlib.closing(SqliteStore(":memory:")) as store:
        yield store


def found(store):
    return {check.name: check.detail for check in verify(store) if not check.ok and check.name != REFERENCES}


def seq_of(store, kind):
    return store.execute("SELECT min(seq) FROM transfers WHERE kind = ? AND decision = 0", (int(kind),))[0][0]


def test_a_second_void(store):
    ledger = open_campus(store)
    eaten, other = sale(1, 300), sale(2, 5_000)
    apply(ledger, eaten, other, void(3, eaten))
    assert found(store) == {}
    forge(store, seq_of(store, Kind.VOID))
    assert "was undone before" in found(store)[FOLLOW_UPS]


def test_refunds_of_more_than_was_paid(store):
    ledger = open_campus(store)
    eaten, other = sale(1, 300), sale(2, 5_000)
    apply(ledger, eaten, other, refund(3, eaten, 200))
    forge(store, seq_of(store, Kind.REFUND))
    assert "expected 300 fen at the most, got 400" in found(store)[FOLLOW_UPS]


def test_a_second_completion(store):
    ledger = open_campus(store)
    desk = asked(PreAuth, 1, 300)
    apply(ledger, desk, asked(PreAuth, 2, 900), completion(3, desk, 300))
    forge(store, seq_of(store, Kind.COMPLETION))
    assert "has transfer 5 about it already" in found(store)[FOLLOW_UPS]


def test_a_completion_that_says_it_took_points(store):
    """A completion earns: one that says that it took points is named, whatever its entries say."""
    ledger = open_campus(store)
    ledger.tariff = Tariff(points_rates={0: 100})
    desk, hall = asked(PreAuth, 1, 300), asked(PreAuth, 2, 900)
    apply(ledger, desk, hall, completion(3, desk, 300))
    assert found(store) == {}
    forge(store, seq_of(store, Kind.COMPLETION), points=-3)
    assert "expected to earn points, got -3 points" in found(store)[FOLLOW_UPS]
    assert ENTRIES_MATCH in found(store)


def test_a_refund_of_something_else(store):
    ledger = open_campus(store)
    eaten, desk = sale(1, 300), asked(PreAuth, 2, 300)
    apply(ledger, eaten, desk, refund(3, eaten, 100))
    forge(store, seq_of(store, Kind.REFUND), original_seq=seq_of(store, Kind.PREAUTH))
    assert f"of kind {int(Kind.PREAUTH)}" in found(store)[FOLLOW_UPS]


def test_a_refund_about_nothing(store):
    ledger = open_campus(store)
    eaten = sale(1, 300)
    apply(ledger, eaten, refund(2, eaten, 100))
    forge(store, seq_of(store, Kind.REFUND), original_seq=0)
    assert "expected to be about a transfer before it, got 0" in found(store)[FOLLOW_UPS]


def test_the_forger_is_not_seen_by_the_sums(store):
    """So that the tests above are about follow-ups and nothing else: a true copy of a sale breaks nothing."""
    ledger = open_campus(store)
    apply(ledger, sale(1, 300))
    forge(store, seq_of(store, Kind.SALE))
    assert [name for name in found(store) if name != "spent_today"] == []


def test_refunds_that_gave_back_more_than_was_charged(store):
    """Their amounts fit: what they gave beyond them stands in `adjust_fen`."""
    ledger = open_campus(store)
    eaten = sale(1, 500)
    apply(ledger, eaten, refund(2, eaten, 300))
    forge(store, seq_of(store, Kind.REFUND), amount_fen=200, adjust_fen=100)
    assert "expected 500 fen to be given back at the most, got 600" in found(store)[FOLLOW_UPS]


def test_refunds_that_took_back_more_points_than_were_earned(store):
    ledger = open_campus(store)
    ledger.tariff = Tariff(points_rates={0: 100})
    eaten = sale(1, 500)
    apply(ledger, eaten, refund(2, eaten, 300))
    forge(store, seq_of(store, Kind.REFUND), amount_fen=200, adjust_fen=-100, points=-3)
    assert "expected 5 points to be taken back at the most, got 6" in found(store)[FOLLOW_UPS]
