"""The ledger's invariants, recomputed from the rows alone. Of what it checks it uses only the recipe of the digest."""

from __future__ import annotations

import msgspec

from server.ledger.batch import GENESIS, chain_digest
from server.ledger.model import OFFLINE_DEBT_ACCOUNT, AccountKind, Decision, Entry, Kind, Side, Transfer
from server.ledger.store import Store

COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(Transfer))


def check(store: Store) -> None:
    """Assert conservation, history, no overdraft, at most once, reversal pairs and the chain. For small ledgers."""
    transfers = [Transfer(*row) for row in store.execute(f"SELECT {COLUMNS} FROM transfers ORDER BY seq")]
    entries = [Entry(*row) for row in store.execute("SELECT * FROM entries ORDER BY seq, account_id")]
    accounts = {row[0]: row[1:] for row in store.execute("SELECT * FROM accounts")}
    _check_money(entries, accounts)
    _check_journal(transfers, entries)
    _check_reversals(transfers, entries)
    _check_spending(transfers, accounts)


def _check_money(entries: list[Entry], accounts: dict[int, tuple]) -> None:
    balances = dict.fromkeys(accounts, 0)
    newest = dict.fromkeys(accounts, 0)
    for entry in entries:
        balances[entry.account_id] += entry.amount_fen
        assert (entry.balance_fen, entry.previous_seq) == (balances[entry.account_id], newest[entry.account_id])
        newest[entry.account_id] = entry.seq
    stored = {account_id: (row[1], row[4]) for account_id, row in accounts.items()}
    assert stored == {account_id: (balances[account_id], newest[account_id]) for account_id in accounts}
    assert sum(balances.values()) == 0
    assert all(row[1] >= 0 for row in accounts.values() if row[0] == AccountKind.CUSTOMER)
    assert accounts[OFFLINE_DEBT_ACCOUNT][1] <= 0, "the campus owes nobody"


def _check_journal(transfers: list[Transfer], entries: list[Entry]) -> None:
    assert [transfer.seq for transfer in transfers] == list(range(1, len(transfers) + 1))
    identities = {(transfer.terminal_id, transfer.batch, transfer.stan, transfer.side) for transfer in transfers}
    assert len(identities) == len(transfers)
    days = [transfer.business_day for transfer in transfers]
    assert days == sorted(days)
    legs: dict[int, list[Entry]] = {transfer.seq: [] for transfer in transfers}
    for entry in entries:
        legs[entry.seq].append(entry)
    digest = GENESIS
    for transfer in transfers:
        assert sum(entry.amount_fen for entry in legs[transfer.seq]) == 0
        if transfer.decision != Decision.APPROVED:
            assert legs[transfer.seq] == []
        digest = chain_digest(digest, transfer, legs[transfer.seq])
        assert transfer.digest == digest


def _check_reversals(transfers: list[Transfer], entries: list[Entry]) -> None:
    """A reversal undoes exactly its original; a tombstone's original, if it ever came, was declined."""
    by_seq = {transfer.seq: transfer for transfer in transfers}
    moved = {(entry.seq, entry.account_id): entry.amount_fen for entry in entries}
    originals = {(t.terminal_id, t.batch, t.stan): t for t in transfers if t.side == Side.ORIGINAL}
    for reversal in (transfer for transfer in transfers if transfer.kind == Kind.REVERSAL):
        assert reversal.decision == Decision.APPROVED
        legs = {account_id: fen for (seq, account_id), fen in moved.items() if seq == reversal.seq}
        if reversal.original_seq == 0:
            assert legs == {}
            late = originals.get((reversal.terminal_id, reversal.batch, reversal.stan))
            assert late is None or (late.decision == Decision.REVERSED_BEFORE and late.seq > reversal.seq)
            continue
        original = by_seq[reversal.original_seq]
        assert original.seq < reversal.seq
        assert (original.terminal_id, original.batch, original.stan) == (
            reversal.terminal_id,
            reversal.batch,
            reversal.stan,
        )
        assert legs == {account_id: -fen for (seq, account_id), fen in moved.items() if seq == original.seq}


def _check_spending(transfers: list[Transfer], accounts: dict[int, tuple]) -> None:
    """`spent_fen` is what the account's sales of `spent_day` come to that have not been reversed."""
    reversed_ = {transfer.original_seq for transfer in transfers if transfer.kind == Kind.REVERSAL}
    for account_id, (kind, _balance, spent_day, spent_fen, *_) in accounts.items():
        sales = [
            transfer.amount_fen
            for transfer in transfers
            if transfer.kind in (Kind.SALE, Kind.UPLOAD, Kind.OFFLINE_SALE)
            and (transfer.decision, transfer.account_id) == (Decision.APPROVED, account_id)
            and transfer.business_day == spent_day
            and transfer.seq not in reversed_
        ]
        assert kind == AccountKind.CUSTOMER or spent_day == 0
        assert spent_fen == sum(sales)
