"""Every check of `verify`: silent on a true ledger of every kind of transfer, naming the row that was tampered with."""

from __future__ import annotations

import pytest

from server.ledger.checks import (
    ACCOUNT_CHAINS,
    BUSINESS_DAYS,
    CHECKS,
    CONSERVATION,
    DECLINED_EMPTY,
    ENTRIES_MATCH,
    HASH_CHAIN,
    IDENTITIES,
    INTEGRITY,
    JOURNAL_DENSE,
    NAMED_MAX,
    NO_OVERDRAFT,
    REFERENCES,
    REVERSALS,
    SPENT,
    STORED_BALANCES,
)
from server.ledger.ledger import Ledger
from server.ledger.model import Decision
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store, StoreBroken
from server.ledger.verify import verify
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    DAY,
    NOW_MS,
    OTHER_MERCHANT,
    adjustment,
    apply,
    open_campus,
    reversal,
    sale,
)

# What `busy_ledger` journals, by seq.
OPENING, SALE, REVERSED, REVERSAL, DECLINED, TOMBSTONE, LATE, CORRECTION, NEXT_DAY = 1, 3, 4, 5, 6, 7, 8, 9, 10


@pytest.fixture
def store():
    """A ledger with every kind of transfer on two business days, told by `SELECT * FROM transfers`."""
    store = SqliteStore(":memory:")
    busy_ledger(store)
    with store.transaction():
        for account_id in (ANN, BEN, COY):
            store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
    yield store
    store.close()


def busy_ledger(store: Store) -> Ledger:
    ledger = open_campus(store)
    outcomes = apply(
        ledger,
        sale(1, 1200),
        sale(2, 300),
        reversal(2, 300),
        sale(3, 1, COY),
        reversal(4, 500),
        sale(4, 500),
        adjustment(3, -700, BEN),
    )
    assert outcomes[3].decision == Decision.INSUFFICIENT_FUNDS
    assert outcomes[5].decision == Decision.REVERSED_BEFORE
    ledger.open_day(DAY + 1, NOW_MS + 1)
    apply(ledger, sale(5, 50))
    return ledger


def broken(store: Store) -> dict[str, str]:
    """The checks that fail, with what they say."""
    checks = verify(store)
    assert [check.name for check in checks] == [*CHECKS]
    assert all(check.detail for check in checks)
    return {check.name: check.detail for check in checks if not check.ok}


def tamper(store: Store, *statements: str) -> None:
    """As somebody with a database shell would: no constraint stands in the way."""
    store.execute("PRAGMA ignore_check_constraints = 1")
    for statement in statements:
        store.execute(statement)


def test_a_true_ledger_holds(store):
    assert broken(store) == {}


def test_an_empty_ledger_holds():
    store = SqliteStore(":memory:")
    assert broken(store) == {}
    store.close()


def test_a_clock_set_back_between_two_days_breaks_nothing():
    """Found by the campus simulator: the second day was opened by hand after the host's clock had been corrected."""
    store = SqliteStore(":memory:")
    ledger = open_campus(store)
    ledger.open_day(DAY + 1, NOW_MS - 3_600_000)
    apply(ledger, sale(1, 50))
    [days] = [check for check in verify(store) if check.name == BUSINESS_DAYS]
    assert days.ok, days.detail
    store.close()


def test_nothing_is_written_and_no_transaction_is_left_open(store):
    before = store.execute("SELECT total_changes()")
    verify(store)
    assert store.execute("SELECT total_changes()") == before
    with store.transaction():
        pass


TAMPERED = [
    # (what was done by hand, the check that must fail, what it must name)
    (f"UPDATE transfers SET operator = 99 WHERE seq = {SALE}", HASH_CHAIN, f"transfer {SALE}:"),
    (f"UPDATE transfers SET digest = zeroblob(32) WHERE seq = {SALE}", HASH_CHAIN, f"transfer {SALE}:"),
    (f"UPDATE transfers SET posted_at_ms = 1 WHERE seq = {NEXT_DAY}", HASH_CHAIN, f"transfer {NEXT_DAY}:"),
    (f"DELETE FROM transfers WHERE seq = {DECLINED}", JOURNAL_DENSE, f"transfer {TOMBSTONE}: expected {DECLINED}"),
    (f"UPDATE transfers SET amount_fen = 1 WHERE seq = {SALE}", ENTRIES_MATCH, f"transfer {SALE}:"),
    (
        f"UPDATE entries SET amount_fen = amount_fen + 1 WHERE seq = {SALE} AND account_id = {ANN}",
        ENTRIES_MATCH,
        "sum 1 fen",
    ),
    (
        f"UPDATE transfers SET kind = 77 WHERE seq = {SALE}",
        ENTRIES_MATCH,
        f"transfer {SALE}: expected a known kind, got 77",
    ),
    (f"UPDATE transfers SET decision = 0 WHERE seq = {DECLINED}", ENTRIES_MATCH, f"transfer {DECLINED}:"),
    (f"UPDATE transfers SET decision = 10 WHERE seq = {SALE}", DECLINED_EMPTY, f"transfer {SALE} (INSUFFICIENT_FUNDS)"),
    (
        f"UPDATE entries SET previous_seq = 0 WHERE seq = {REVERSED} AND account_id = {ANN}",
        ACCOUNT_CHAINS,
        f"entry (seq {REVERSED}, account {ANN}): expected previous_seq {SALE}, got 0",
    ),
    (
        f"UPDATE entries SET balance_fen = 0 WHERE seq = {REVERSED} AND account_id = {ANN}",
        ACCOUNT_CHAINS,
        f"entry (seq {REVERSED}, account {ANN}): expected balance 8500 fen, got 0",
    ),
    (f"UPDATE transfers SET balance_fen = 5 WHERE seq = {DECLINED}", ACCOUNT_CHAINS, f"transfer {DECLINED}: expected"),
    (
        f"UPDATE accounts SET balance_fen = 999 WHERE account_id = {BEN}",
        STORED_BALANCES,
        f"account {BEN}: expected 9300",
    ),
    (f"UPDATE accounts SET last_seq = 1 WHERE account_id = {BEN}", STORED_BALANCES, f"account {BEN}:"),
    (
        f"UPDATE accounts SET balance_fen = balance_fen + 5 WHERE account_id = {BEN}",
        CONSERVATION,
        "expected 0 fen, got 5",
    ),
    (f"UPDATE accounts SET balance_fen = -1 WHERE account_id = {COY}", NO_OVERDRAFT, f"account {COY}: balance -1 fen"),
    (
        f"UPDATE entries SET balance_fen = -3 WHERE seq = {SALE} AND account_id = {ANN}",
        NO_OVERDRAFT,
        f"entry (seq {SALE}, account {ANN}): balance -3 fen",
    ),
    (f"UPDATE accounts SET kind = 1 WHERE account_id = {BEN}", NO_OVERDRAFT, f"account {BEN}: kind 1"),
    (
        f"UPDATE transfers SET amount_fen = 299 WHERE seq = {REVERSAL}",
        REVERSALS,
        f"transfer {REVERSAL} (reversal): expected 300 fen",
    ),
    (
        f"UPDATE transfers SET original_seq = {SALE} WHERE seq = {REVERSAL}",
        REVERSALS,
        f"expected to name transfer {REVERSED}",
    ),
    (f"UPDATE transfers SET decision = 10 WHERE seq = {REVERSAL}", REVERSALS, f"transfer {REVERSAL} (reversal)"),
    (f"UPDATE transfers SET amount_fen = 500 WHERE seq = {TOMBSTONE}", REVERSALS, f"transfer {TOMBSTONE} (reversal)"),
    (f"UPDATE transfers SET decision = 0 WHERE seq = {LATE}", REVERSALS, f"transfer {LATE}: approved, though"),
    (
        f"UPDATE transfers SET decision = 20 WHERE seq = {DECLINED}",
        REVERSALS,
        f"transfer {DECLINED}: declined as reversed",
    ),
    (f"UPDATE transfers SET kind = 1 WHERE seq = {REVERSAL}", REVERSALS, f"transfer {REVERSAL}: side 1 but kind 1"),
    (f"UPDATE transfers SET business_day = {DAY + 1} WHERE seq = {SALE}", BUSINESS_DAYS, f"transfer {SALE}:"),
    (f"UPDATE transfers SET business_day = {DAY} WHERE seq = {NEXT_DAY}", BUSINESS_DAYS, f"transfer {NEXT_DAY}:"),
    (f"UPDATE transfers SET business_day = 19990101 WHERE seq = {SALE}", BUSINESS_DAYS, "no such day"),
    (f"UPDATE business_days SET first_seq = 1 WHERE day = {DAY + 1}", BUSINESS_DAYS, f"transfer {OPENING}:"),
    (
        f"UPDATE business_days SET first_seq = 0 WHERE day = {DAY + 1}",
        BUSINESS_DAYS,
        f"day {DAY + 1}: opened before",
    ),
    (
        f"UPDATE accounts SET spent_fen = 0 WHERE account_id = {ANN}",
        SPENT,
        f"account {ANN}: expected 50 fen on day {DAY + 1}",
    ),
    (f"UPDATE accounts SET spent_day = {DAY} WHERE account_id = {ANN}", SPENT, f"account {ANN}:"),
    (f"DELETE FROM accounts WHERE account_id = {BEN}", REFERENCES, f"account {BEN}: has entries"),
    ("INSERT INTO entries VALUES (77, 1, 5, 5, 0)", REFERENCES, "entry (seq 77, account 1): there is no transfer 77"),
    (f"DELETE FROM transfers WHERE seq = {SALE}", REFERENCES, f"there is no transfer {SALE}"),
    ("UPDATE cards SET account_id = 5 WHERE token = x'04A100FF'", REFERENCES, "card 04A100FF: belongs to no customer"),
    (f"UPDATE customers SET account_id = 5 WHERE account_id = {COY}", REFERENCES, f"customer S{COY}: has no customer"),
    (f"DELETE FROM customers WHERE account_id = {COY}", REFERENCES, f"account {COY}: a customer's, but nobody's"),
    (
        "UPDATE merchants SET account_id = 1001001 WHERE merchant_id = 2",
        REFERENCES,
        "merchant 2: has no merchant account",
    ),
    ("DELETE FROM merchants WHERE merchant_id = 2", REFERENCES, "terminal 3-59: belongs to no merchant"),
    (
        f"UPDATE transfers SET merchant_account_id = 77 WHERE seq = {DECLINED}",
        REFERENCES,
        f"transfer {DECLINED}: its merchant account is no merchant's",
    ),
    (
        f"UPDATE transfers SET merchant_account_id = {BEN} WHERE seq = {SALE}",
        REFERENCES,
        f"transfer {SALE}: its merchant account is no merchant's",
    ),
    (
        f"UPDATE transfers SET account_id = 77 WHERE seq = {SALE}",
        REFERENCES,
        f"transfer {SALE}: approved, but its payer is no customer",
    ),
    (
        f"UPDATE transfers SET merchant_account_id = {OTHER_MERCHANT} WHERE seq = {REVERSAL}",
        REVERSALS,
        f"as transfer {REVERSED} has, got {ANN} and {OTHER_MERCHANT}",
    ),
    ("INSERT INTO accounts (account_id, kind) VALUES (77, 9)", REFERENCES, "account 77: of no known kind"),
]


@pytest.mark.parametrize(("statement", "check", "named"), TAMPERED)
def test_what_was_tampered_with_is_named(store, statement, check, named):
    tamper(store, statement)
    found = broken(store)
    assert named in found[check]


@pytest.mark.parametrize("statement", [statement for statement, check, _ in TAMPERED if "transfers SET" in statement])
def test_no_change_of_the_journal_passes_the_hash_chain(store, statement):
    tamper(store, statement)
    assert HASH_CHAIN in broken(store)


def test_only_the_changed_row_breaks_the_chain(store):
    tamper(store, f"UPDATE transfers SET operator = 99 WHERE seq = {SALE}")
    assert broken(store) == {
        HASH_CHAIN: f"transfer {SALE}: its digest does not follow from its content and the one before"
    }


COLUMNS = (
    "terminal_id, batch, stan, side, kind, request_hash, decision, amount_fen, account_id, merchant_account_id,"
    "balance_fen, operator, business_day, claimed_at_s, posted_at_ms, original_seq, token_hash, digest"
)
COPY_OF_A_SALE = f"INSERT INTO transfers (seq, {COLUMNS}) SELECT 11, {COLUMNS} FROM transfers WHERE seq = {SALE}"


def lose_index_rows(store: Store) -> None:
    """A corrupt identity index: it misses every row written so far, and goes on as if nothing was."""
    [[sql]] = store.execute("SELECT sql FROM sqlite_schema WHERE name = 'transfers_identity'")
    store.execute("DROP INDEX transfers_identity")
    store.execute(f"{sql} WHERE seq > 1000000")
    store.execute("PRAGMA writable_schema = ON")
    store.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'transfers_identity'", (sql,))
    store.execute("PRAGMA writable_schema = RESET")


def test_an_index_that_has_lost_rows_is_found(store):
    lose_index_rows(store)
    assert "missing from index transfers_identity" in broken(store)[INTEGRITY]


def test_a_second_copy_that_the_index_does_not_know_of_is_named(store):
    """The very fault that would let a sale be booked twice: the check must not ask the index."""
    lose_index_rows(store)
    store.execute(COPY_OF_A_SALE)
    assert broken(store)[IDENTITIES] == f"terminal 3-58, batch 1, STAN 1, side 0: expected one transfer, got {SALE},11"


def test_a_second_copy_of_an_identity_is_named(store):
    tamper(store, "DROP INDEX transfers_identity", COPY_OF_A_SALE)
    assert broken(store)[IDENTITIES] == f"terminal 3-58, batch 1, STAN 1, side 0: expected one transfer, got {SALE},11"


def test_a_second_reversal_of_one_sale_is_named(store):
    tamper(
        store,
        "DROP INDEX transfers_identity",
        f"UPDATE transfers SET batch = 1, stan = 2, original_seq = {REVERSED} WHERE seq = {TOMBSTONE}",
    )
    assert f"transfer {TOMBSTONE} (reversal): transfer {REVERSED} was reversed before" in broken(store)[REVERSALS]


def test_cutting_off_the_newest_rows_shows_in_the_accounts(store):
    tamper(store, f"DELETE FROM transfers WHERE seq = {NEXT_DAY}", f"DELETE FROM entries WHERE seq = {NEXT_DAY}")
    found = broken(store)
    assert {STORED_BALANCES, SPENT} <= found.keys()
    assert HASH_CHAIN not in found  # a chain says nothing about its own end: the accounts do


def test_many_broken_rows_are_counted_and_the_first_few_named(store):
    tamper(store, "UPDATE transfers SET operator = operator + 1")
    detail = broken(store)[HASH_CHAIN]
    assert detail.count("transfer ") == NAMED_MAX
    assert detail.endswith(f"and {NEXT_DAY - NAMED_MAX} more")


def test_progress_is_reported_to_the_end(store):
    seen = []
    verify(store, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (NEXT_DAY, NEXT_DAY)


def test_a_missing_table_fails_what_needed_it_and_nothing_raises(store):
    tamper(store, "DROP TABLE entries")
    found = broken(store)
    assert "no such table: entries" in found[INTEGRITY]
    assert "not finished" in found[HASH_CHAIN]
    assert IDENTITIES not in found


def test_a_damaged_page_is_found(tmp_path):
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    busy_ledger(store)
    [[root_page]] = store.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'transfers'")
    store.close()
    data = bytearray(path.read_bytes())
    page_size = int.from_bytes(data[16:18], "big")
    data[(root_page - 1) * page_size : (root_page - 1) * page_size + 64] = bytes(range(64))
    path.write_bytes(data)
    damaged = SqliteStore(path, readonly=True)
    assert INTEGRITY in broken(damaged)
    damaged.close()


def test_it_reads_a_snapshot_beside_a_working_writer(tmp_path):
    path = tmp_path / "ledger.db"
    writer = SqliteStore(path)
    ledger = busy_ledger(writer)
    with writer.transaction():
        for account_id in (ANN, BEN, COY):
            writer.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
    reader = SqliteStore(path, readonly=True)
    stan = iter(range(100, 200))

    def sell_meanwhile(_done: int, _total: int) -> None:
        apply(ledger, sale(next(stan), 1))

    checks = verify(reader, sell_meanwhile)
    assert [check for check in checks if not check.ok] == []
    assert ledger.head_seq == NEXT_DAY + 1
    assert broken(reader) == {}  # and the next look sees it
    reader.close()
    writer.close()


def test_a_readonly_store_cannot_be_written(tmp_path):
    path = tmp_path / "ledger.db"
    SqliteStore(path).close()
    reader = SqliteStore(path, readonly=True)
    with pytest.raises(StoreBroken, match="readonly"):
        reader.execute("DELETE FROM accounts")
    reader.close()


def test_a_long_journal_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr("server.ledger.walk.PROGRESS_EVERY", 3)
    ledger = open_campus(SqliteStore(":memory:"))
    apply(ledger, *[sale(stan, 1) for stan in range(1, 6)])
    seen = []
    verify(ledger.store, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_digests_that_cannot_be_looked_up_are_a_failed_check():
    """Whatever happens while they are looked for, they are not found to be right."""
    ledger = open_campus(SqliteStore(":memory:"))
    [found] = [check for check in verify(ledger.store, expected=[(2**70, b"\0")]) if check.name == "expected_digests"]
    assert not found.ok
    assert found.detail.startswith("not finished: OverflowError")
