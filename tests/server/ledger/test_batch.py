"""The working set of a batch: movements that cancel out, and a chain that every field and every row is part of."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest

from server.ledger.batch import GENESIS, Batch, chain_digest, outcome_of, token_hash
from server.ledger.model import (
    Account,
    AccountKind,
    Decision,
    Entry,
    Identity,
    Kind,
    Side,
    Transfer,
    TransferState,
)
from tests.server.ledger.campus import ANN, DAY, MERCHANT, NO_LIMITS, NOW_MS

TRANSFER = Transfer(
    5, 2, 3, 4, 0, 1, b"\x01" * 16, 0, 500, ANN, MERCHANT, 9_500, 7, DAY, 1_788_200_000, NOW_MS, 0, b"\x02" * 8
)
ENTRIES = [Entry(5, MERCHANT, 500, 500, 0), Entry(5, ANN, -500, 9_500, 1)]


def test_the_digest_is_what_it_has_always_been():
    """Written down once: a library that encoded numbers or bytes in another way would break every journal."""
    row = (
        b'5,2,3,4,0,1,"AQEBAQEBAQEBAQEBAQEBAQ==",0,500,1000000,1000,9500,7,'
        b'20260910,1788200000,1788200000000,0,"AgICAgICAgI="'
    )
    legs = b"[5,1000,500,500,0],[5,1000000,-500,9500,1]"
    assert chain_digest(GENESIS, TRANSFER, ENTRIES) == sha256(bytes(32) + b"[[" + row + b"],[" + legs + b"]]").digest()


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Transfer) if field.name != "digest"])
def test_the_digest_covers_every_field_of_a_transfer(name):
    value = getattr(TRANSFER, name)
    changed = msgspec.structs.replace(TRANSFER, **{name: value + (1 if isinstance(value, int) else b"\0")})
    assert chain_digest(GENESIS, changed, ENTRIES) != chain_digest(GENESIS, TRANSFER, ENTRIES)


@pytest.mark.parametrize("name", Entry._fields)
def test_the_digest_covers_every_field_of_an_entry(name):
    changed = [ENTRIES[0], ENTRIES[1]._replace(**{name: getattr(ENTRIES[1], name) + 1})]
    assert chain_digest(GENESIS, TRANSFER, changed) != chain_digest(GENESIS, TRANSFER, ENTRIES)


def test_the_digest_covers_what_came_before_and_which_entries_there_are():
    digests = {
        chain_digest(GENESIS, TRANSFER, ENTRIES),
        chain_digest(b"\x01" + GENESIS[1:], TRANSFER, ENTRIES),
        chain_digest(GENESIS, TRANSFER, ENTRIES[:1]),
        chain_digest(GENESIS, TRANSFER, ENTRIES[::-1]),
        chain_digest(GENESIS, TRANSFER, []),
    }
    assert len(digests) == 5


def new_batch() -> Batch:
    batch = Batch(now_ms=NOW_MS, today=DAY, limits=NO_LIMITS, head_seq=9, head_digest=b"\x09" * 32)
    batch.accounts = {
        ANN: Account(ANN, AccountKind.CUSTOMER, 1_000, 0, 0, 3),
        MERCHANT: Account(MERCHANT, AccountKind.MERCHANT, 50, 0, 0, 8),
    }
    return batch


def test_a_movement_is_two_entries_that_cancel_out_each_in_its_accounts_chain():
    batch = new_batch()
    payer, merchant = batch.accounts[ANN], batch.accounts[MERCHANT]
    for stan in (1, 2):
        batch.record(
            Identity(1, 1, stan),
            Side.ORIGINAL,
            Kind.SALE,
            b"h",
            Decision.APPROVED,
            amount_fen=300,
            token_hash=b"t",
            payer=payer,
            movement=((payer, -300), (merchant, 300)),
        )
    assert batch.new_entries == [
        Entry(10, MERCHANT, 300, 350, 8),
        Entry(10, ANN, -300, 700, 3),
        Entry(11, MERCHANT, 300, 650, 10),
        Entry(11, ANN, -300, 400, 10),
    ]
    assert [(transfer.seq, transfer.balance_fen) for transfer in batch.new_transfers] == [(10, 700), (11, 400)]
    assert (payer.balance_fen, payer.last_seq, merchant.balance_fen, merchant.last_seq) == (400, 11, 650, 11)
    assert batch.dirty == batch.accounts
    first, second = batch.new_transfers
    assert first.digest == chain_digest(b"\x09" * 32, first, batch.new_entries[:2])
    assert second.digest == chain_digest(first.digest, second, batch.new_entries[2:])
    assert (batch.head_seq, batch.head_digest) == (11, second.digest)


@pytest.mark.parametrize("decision", [decision for decision in Decision if decision < Decision.ID_CONFLICT])
def test_an_answer_follows_from_the_row_alone(decision):
    row = msgspec.structs.replace(TRANSFER, decision=int(decision))
    outcome = outcome_of(row)
    assert (outcome.decision, outcome.amount_fen, outcome.balance_fen) == (decision, 500, 9_500)
    assert (outcome.rrn, outcome.posted_at_ms, outcome.replayed) == (5, NOW_MS, False)
    approved = decision == Decision.APPROVED
    assert outcome.state == (TransferState.APPROVED if approved else TransferState.DECLINED)
    assert outcome_of(row, replayed=True) == msgspec.structs.replace(outcome, replayed=True)


def test_tokens_are_told_apart_by_their_hash():
    assert len({token_hash(token) for token in (b"", b"\0", b"\0\0", b"a", b"b")}) == 5
    assert len(token_hash(b"x" * 64)) == 8
