"""The ledger's invariants, recomputed from the rows alone. Of what it checks it uses only the recipe of the digest."""

from __future__ import annotations

import msgspec

from server.ledger.batch import GENESIS, chain_digest
from server.ledger.model import (
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    AccountKind,
    Decision,
    Entry,
    Kind,
    Side,
    Transfer,
)
from server.ledger.store import Store

IN_POINTS = (AccountKind.POINTS, AccountKind.POINTS_ISSUED)
SPENDING = (Kind.SALE, Kind.UPLOAD, Kind.PREAUTH, Kind.OFFLINE_SALE)
COLUMNS = ", ".join(field.name for field in msgspec.structs.fields(Transfer))


def check(store: Store) -> None:
    """Assert conservation, history, no overdraft, at most once, reversal pairs and the chain. For small ledgers."""
    transfers = [Transfer(*row) for row in store.execute(f"SELECT {COLUMNS} FROM transfers ORDER BY seq")]
    entries = [Entry(*row) for row in store.execute("SELECT * FROM entries ORDER BY seq, account_id")]
    accounts = {row[0]: row[1:] for row in store.execute("SELECT * FROM accounts")}
    _check_money(entries, accounts)
    _check_journal(transfers, entries)
    _check_reversals(transfers, entries)
    opened_ms = dict(store.execute("SELECT day, opened_at_ms FROM business_days"))
    _check_spending(transfers, entries, accounts, opened_ms)
    _check_holds(entries, transfers, dict(store.execute("SELECT seq, amount_fen FROM holds")))


def _check_money(entries: list[Entry], accounts: dict[int, tuple]) -> None:
    balances = dict.fromkeys(accounts, 0)
    newest = dict.fromkeys(accounts, 0)
    for entry in entries:
        balances[entry.account_id] += entry.amount_fen
        assert (entry.balance_fen, entry.previous_seq) == (balances[entry.account_id], newest[entry.account_id])
        newest[entry.account_id] = entry.seq
    stored = {account_id: (row[1], row[4]) for account_id, row in accounts.items()}
    assert stored == {account_id: (balances[account_id], newest[account_id]) for account_id in accounts}
    points = {account_id for account_id, row in accounts.items() if row[0] in IN_POINTS}
    assert sum(balances[account_id] for account_id in points) == 0
    assert sum(balances.values()) == 0
    assert accounts[HOLDS_ACCOUNT][1] >= 0
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
    """A reversal leaves nothing of its original and all that came of it; a tombstone's original was declined."""
    by_seq = {transfer.seq: transfer for transfer in transfers}
    originals = {(t.terminal_id, t.batch, t.stan): t for t in transfers if t.side == Side.ORIGINAL}
    reversed_ = {t.original_seq: t.seq for t in transfers if t.kind == Kind.REVERSAL and t.original_seq}
    for reversal in (transfer for transfer in transfers if transfer.kind == Kind.REVERSAL):
        assert reversal.decision == Decision.APPROVED
        identity = (reversal.terminal_id, reversal.batch, reversal.stan)
        if reversal.original_seq == 0:
            assert not [entry for entry in entries if entry.seq == reversal.seq]
            late = originals.get(identity)
            assert late is None or (late.decision == Decision.REVERSED_BEFORE and late.seq > reversal.seq)
            continue
        original = by_seq[reversal.original_seq]
        assert original.seq < reversal.seq
        assert (original.terminal_id, original.batch, original.stan) == identity
        if any(reversed_.get(seq, reversal.seq) < reversal.seq for seq in _above(original, by_seq)):
            assert not [entry for entry in entries if entry.seq == reversal.seq]
            continue
        below = {seq for seq in by_seq if seq <= reversal.seq and original.seq in (seq, *_above(by_seq[seq], by_seq))}
        left: dict[int, int] = {}
        for entry in entries:
            if entry.seq in below and entry.account_id not in (HOLDS_ACCOUNT, OFFLINE_DEBT_ACCOUNT):
                left[entry.account_id] = left.get(entry.account_id, 0) + entry.amount_fen
        assert all(left.get(account_id, 0) == 0 for account_id in left if account_id != original.account_id), left
        assert left.get(original.account_id, 0) <= 0 or OFFLINE_DEBT_ACCOUNT in {entry.account_id for entry in entries}


def _above(transfer: Transfer, by_seq: dict[int, Transfer]) -> list[int]:
    """Numbers of all that a transfer is about, directly or not."""
    above = []
    while transfer.original_seq and transfer.kind != Kind.UPLOAD:
        above.append(transfer.original_seq)
        transfer = by_seq[transfer.original_seq]
    return above


def _check_spending(
    transfers: list[Transfer], entries: list[Entry], accounts: dict[int, tuple], opened_ms: dict[int, int]
) -> None:
    """`spent_fen` is what the account's payments of `spent_day` come to, with all that came of them, but for those that
    came late and were made an hour or more before that day was opened."""
    by_seq = {transfer.seq: transfer for transfer in transfers}
    for account_id, (kind, _balance, spent_day, spent_fen, *_) in accounts.items():
        spent = 0
        for entry in entries:
            transfer = by_seq[entry.seq]
            root = by_seq[[transfer.seq, *_above(transfer, by_seq)][-1]]
            is_late = root.kind in (Kind.UPLOAD, Kind.OFFLINE_SALE) or root.lost_rrn
            if is_late and 1_577_836_800_000 <= root.claimed_at_s * 1000 < opened_ms[root.business_day] - 3_600_000:
                continue
            if (transfer.account_id, root.business_day) == (account_id, spent_day) and root.kind in SPENDING:
                spent -= entry.amount_fen if entry.account_id in (account_id, OFFLINE_DEBT_ACCOUNT) else 0
        assert kind == AccountKind.CUSTOMER or spent_day == 0
        assert spent_fen == spent


def _check_holds(entries: list[Entry], transfers: list[Transfer], holds: dict[int, int]) -> None:
    """What is held is what pre-authorizations and all that came of them leave."""
    by_seq = {transfer.seq: transfer for transfer in transfers}
    left: dict[int, int] = {}
    for entry in entries:
        if entry.account_id == HOLDS_ACCOUNT:
            root = [entry.seq, *_above(by_seq[entry.seq], by_seq)][-1]
            left[root] = left.get(root, 0) + entry.amount_fen
    assert holds == {seq: amount for seq, amount in left.items() if amount}
