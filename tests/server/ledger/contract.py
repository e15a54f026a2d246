"""What every store has to do: subclass it, say how one is opened, and all of these tests hold.

A store is tested together with the ledger over it, for what counts is that the two keep their promises together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from server.ledger import recovery
from server.ledger.checks import REFERENCES
from server.ledger.ledger import Ledger
from server.ledger.model import (
    FUNDING_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    Account,
    AccountKind,
    Card,
    Changes,
    Decision,
    Entry,
    Hold,
    Identity,
    Kind,
    Side,
    Status,
    Terminal,
    Transfer,
    TransferState,
)
from server.ledger.recovery import Restored
from server.ledger.store import Store, StoreBroken, StoreConflict
from server.ledger.verify import verify
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    COY,
    DAY,
    MERCHANT,
    NO_LIMITS,
    NOW_MS,
    OTHER_MERCHANT,
    OTHER_TILL,
    START_FEN,
    TILL,
    adjustment,
    apply,
    balance,
    contents,
    decide,
    open_campus,
    people,
    query,
    reversal,
    sale,
    upload,
)
from tests.server.ledger.every_key import every_key

ZEROS = bytes(32)
INT64_MAX = 2**63 - 1


def transfer(seq: int, stan: int, side: Side = Side.ORIGINAL, **changes: object) -> Transfer:
    row = Transfer(
        seq,
        TILL,
        1,
        stan,
        int(side),
        int(Kind.SALE),
        b"hash",
        0,
        500,
        ANN,
        MERCHANT,
        9_500,
        7,
        DAY,
        1,
        NOW_MS,
        0,
        b"token",
    )
    row.digest = seq.to_bytes(32, "big")
    for name, value in changes.items():
        setattr(row, name, value)
    return row


class Odd(Exception):
    """Something no store knows of."""


class StoreContract:
    """Tests of one open store. Subclasses override the fixture `store`."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        raise NotImplementedError

    @pytest.fixture
    def ledger(self, store: Store) -> Ledger:
        return open_campus(store)

    # -------------------------------------------------------------------------------- loading and saving sets

    def test_a_new_store_has_its_own_accounts_and_an_empty_journal(self, store):
        assert store.head() == (0, ZEROS)
        assert store.load_accounts([FUNDING_ACCOUNT, OFFLINE_DEBT_ACCOUNT]) == {
            FUNDING_ACCOUNT: Account(FUNDING_ACCOUNT, AccountKind.FUNDING, 0, 0, 0, 0),
            OFFLINE_DEBT_ACCOUNT: Account(OFFLINE_DEBT_ACCOUNT, AccountKind.OFFLINE_DEBT, 0, 0, 0, 0),
        }
        assert store.load_transfers([Identity(TILL, 1, 1)]) == {}

    def test_a_store_that_is_there_says_so(self, store):
        before = contents(store)
        store.ping()
        assert contents(store) == before

    def test_empty_sets_are_sets(self, store):
        people(store)
        assert (
            store.load_transfers([])
            == store.load_terminals([])
            == store.load_cards([])
            == store.load_accounts([])
            == {}
        )
        before = contents(store)
        with store.transaction():
            store.save([], [], [])
        assert contents(store) == before

    def test_transfers_come_back_as_they_were_saved(self, store):
        plain = transfer(1, 1)
        extreme = transfer(
            2,
            2**32 - 1,
            terminal_id=2**32 - 1,
            batch=2**32 - 1,
            request_hash=bytes(range(256)),
            token_hash=b"",
            digest=b"\x00" * 32,
            amount_fen=-INT64_MAX - 1,
            balance_fen=INT64_MAX,
            account_id=INT64_MAX,
            posted_at_ms=INT64_MAX,
        )
        other_side = transfer(3, 1, Side.REVERSAL, kind=int(Kind.REVERSAL), original_seq=1)
        saved = [plain, extreme, other_side]
        with store.transaction():
            store.save(saved, [], [])
        asked = [Identity(TILL, 1, 1), Identity(2**32 - 1, 2**32 - 1, 2**32 - 1), Identity(TILL, 1, 3)]
        assert store.load_transfers(asked) == {
            (asked[0], Side.ORIGINAL): plain,
            (asked[0], Side.REVERSAL): other_side,
            (asked[1], Side.ORIGINAL): extreme,
        }
        assert store.head() == (3, other_side.digest)

    def test_no_part_of_an_identity_is_taken_for_another(self, store):
        """Terminal, batch and STAN are three numbers, not one text."""
        with store.transaction():
            store.save([transfer(1, 23, batch=1), transfer(2, 3, batch=12), transfer(3, 1, batch=23)], [], [])
        assert store.load_transfers([Identity(TILL, 1, 3), Identity(TILL, 12, 23), Identity(1, TILL, 23)]) == {}
        assert [row.seq for row in store.load_transfers([Identity(TILL, 12, 3)]).values()] == [2]

    def test_a_large_set_is_loaded_and_saved_whole(self, store):
        count = 3_000
        accounts = [Account(10**9 + n, AccountKind.MERCHANT, 0, 0, 0, 0) for n in range(count)]
        with store.transaction():
            for account in accounts:
                store.execute(
                    "INSERT INTO accounts (account_id, kind) VALUES (?, ?)", (account.account_id, account.kind)
                )
        for n, account in enumerate(accounts):
            account.balance_fen, account.spent_day, account.spent_fen, account.last_seq = n, DAY, n + 1, n + 2
        with store.transaction():
            transfers = [transfer(n, n) for n in range(1, count + 1)]
            entries = [Entry(n, 10**9 + n, n, n, 0) for n in range(1, count + 1)]
            store.save(transfers, entries, accounts)
        assert len(store.load_transfers([Identity(TILL, 1, n) for n in range(1, count + 1)])) == count
        assert store.load_accounts([account.account_id for account in accounts]) == {
            account.account_id: account for account in accounts
        }
        assert store.execute("SELECT count(*), sum(amount_fen) FROM entries")[0] == (count, count * (count + 1) // 2)

    def test_saving_touches_no_other_account(self, store):
        people(store)
        ann = store.load_accounts([ANN])[ANN]
        others = store.load_accounts([BEN, COY, MERCHANT])
        ann.balance_fen, ann.spent_day, ann.spent_fen, ann.last_seq = 1, 2, 3, 4
        with store.transaction():
            store.save([], [], [ann])
        assert store.load_accounts([ANN, BEN, COY, MERCHANT]) == {ANN: ann, **others}

    def test_terminals_come_with_their_merchants(self, store):
        people(store)
        with store.transaction():
            store.execute("UPDATE terminals SET status = ? WHERE terminal_id = ?", (int(Status.CLOSED), TILL))
            store.execute("UPDATE merchants SET status = ? WHERE merchant_id = 2", (int(Status.FROZEN),))
        assert store.load_terminals([TILL, OTHER_TILL, 99]) == {
            TILL: Terminal(TILL, Status.CLOSED, 1, Status.ACTIVE, MERCHANT),
            OTHER_TILL: Terminal(OTHER_TILL, Status.ACTIVE, 2, Status.FROZEN, OTHER_MERCHANT),
        }

    def test_cards_are_told_apart_by_every_byte(self, store):
        """Tokens that are prefixes of each other, end in zero bytes, or are empty are different tokens."""
        people(store)
        tokens = [b"", b"\x00", b"\x00\x00", b"'", b'"', b"\xff" * 64, "饭卡".encode()]
        with store.transaction():
            for number, token in enumerate(tokens):
                store.execute(
                    "INSERT INTO cards (token, account_id, status, sale_limit_fen, day_limit_fen)"
                    " VALUES (?, ?, 1, 2, 3)",
                    (token, number),
                )
        expected = {token: Card(token, number, 1, 2, 3) for number, token in enumerate(tokens)}
        assert store.load_cards([*tokens, b"\x00\x00\x00", b"\xff"]) == expected
        assert store.load_cards([CARDS[BEN]]) == {CARDS[BEN]: Card(CARDS[BEN], BEN, Status.ACTIVE, 0, 0)}

    def test_a_family_is_all_that_hangs_together_and_nothing_else(self, store):
        about = {1: 0, 2: 1, 3: 2, 4: 1, 5: 0, 6: 5, 7: 3}
        rows = {seq: transfer(seq, seq, original_seq=original) for seq, original in about.items()}
        rows[8] = transfer(8, 8, kind=int(Kind.UPLOAD), original_seq=1)  # a number of a lost host
        with store.transaction():
            store.save([*rows.values()], [], [])
        whole = [rows[seq] for seq in (1, 2, 3, 4, 7)]
        assert all(store.load_family([seq]) == whole for seq in (1, 2, 3, 4, 7))
        assert store.load_family([6, 99]) == [rows[5], rows[6]]
        assert store.load_family([8]) == [rows[8]]
        assert [row.seq for row in store.load_family([4, 6])] == [1, 2, 3, 4, 5, 6, 7]
        assert store.load_family([]) == []

    def test_entries_of_some_transfers_in_the_order_of_their_table(self, store):
        entries = [Entry(1, BEN, 1, 2, 0), Entry(2, ANN, 3, 4, 1), Entry(2, MERCHANT, 5, 6, 1), Entry(3, ANN, 7, 8, 2)]
        with store.transaction():
            store.save([transfer(seq, seq) for seq in (1, 2, 3)], entries, [])
        assert store.load_entries([3, 2, 9]) == [entries[2], entries[1], entries[3]]
        assert store.load_entries([]) == []

    def test_a_points_account_is_made_when_it_is_saved_first(self, store):
        people(store)
        number = ANN + POINTS_ACCOUNT_OFFSET
        ann = Account(number, AccountKind.POINTS, -5, 0, 0, 7)
        for balance_fen in (-5, 9):
            ann.balance_fen = balance_fen
            with store.transaction():
                store.save([], [], [ann])
            assert store.load_accounts([number]) == {number: ann}

    def test_what_limits_and_codes_keep_comes_back(self, store):
        people(store)
        ann = store.load_accounts([ANN])[ANN]
        ann.meal_key, ann.meal_fen, ann.day_count, ann.code_step = 1, 2, 3, INT64_MAX
        with store.transaction():
            store.save([], [], [ann])
        assert store.load_accounts([ANN]) == {ANN: ann}

    def test_of_cards_and_terminals_only_what_batches_change_is_saved(self, store):
        people(store)
        with store.transaction():
            store.execute("UPDATE cards SET pin_verifier = ?, class_id = 4 WHERE account_id = ?", (b"\0v", ANN))
        card, till = store.load_cards([CARDS[ANN]])[CARDS[ANN]], store.load_terminals([TILL])[TILL]
        assert (card.pin_verifier, card.class_id, till.saf_tag) == (b"\0v", 4, b"")
        tried = msgspec.structs.replace(card, pin_tries=3)
        used = msgspec.structs.replace(
            till, closed_batch=1, pin_wrong=2, code_wrong=3, pin_window_ms=4, saf_sequence=5, saf_tag=b"\0\xff"
        )
        others = store.load_cards([CARDS[BEN]]), store.load_terminals([OTHER_TILL])
        with store.transaction():
            store.save([], [], [], Changes([msgspec.structs.replace(tried, status=3)], [used]))
        assert store.load_cards([CARDS[ANN]]) == {CARDS[ANN]: tried}
        assert store.load_terminals([TILL]) == {TILL: used}
        assert (store.load_cards([CARDS[BEN]]), store.load_terminals([OTHER_TILL])) == others

    def test_bindings_are_of_every_byte_of_a_card(self, store):
        with store.transaction():
            for token, merchant_id in ((b"", 1), (b"\0", 2), (b"\0", 3), (b"\0\0", 4)):
                store.execute("INSERT INTO card_bindings VALUES (?, ?)", (token, merchant_id))
        assert store.load_bindings([b"\0", b"x"]) == {(b"\0", 2), (b"\0", 3)}
        assert store.load_bindings([]) == set()

    def test_holds_are_kept_changed_freed_and_summed(self, store):
        holds = [Hold(1, ANN, 100, 50), Hold(2, ANN, 30, 40), Hold(3, BEN, 7, 60)]
        with store.transaction():
            store.save([], [], [], Changes(holds=holds))
        assert store.load_held([ANN, BEN, COY]) == {ANN: 130, BEN: 7}
        assert [store.load_due(now_ms, 9) for now_ms in (39, 40, 60)] == [
            [],
            [holds[1]],
            [holds[1], holds[0], holds[2]],
        ]
        assert store.load_due(60, 1) == [holds[1]]
        changed = Hold(1, ANN, 60, 90)
        with store.transaction():
            store.save([], [], [], Changes(holds=[changed], freed=[2]))
        assert store.load_due(99, 9) == [holds[2], changed]
        assert store.load_held([]) == {}

    def test_every_key_does_the_same_everywhere(self, ledger):
        """One of each kind, in and out of money; the books hold, and copies write nothing."""
        ledger.open_history(NOW_MS)
        every_key(ledger)
        audit.check(ledger.store)
        assert [check for check in verify(ledger.store) if not check.ok and check.name != REFERENCES] == []

    def test_rows_come_one_by_one(self, store):
        people(store)
        rows = store.rows("SELECT account_id FROM accounts WHERE account_id > ? ORDER BY 1", (POINTS_ISSUED_ACCOUNT,))
        assert next(rows) == (MERCHANT,)
        assert list(rows) == [(OTHER_MERCHANT,), (ANN,), (BEN,), (COY,)]

    # ------------------------------------------------------------------------------------- all or nothing

    @pytest.mark.parametrize("error", [Odd, KeyboardInterrupt, AssertionError])
    def test_an_error_leaves_nothing_behind(self, store, error):
        people(store)
        before = contents(store), store.head()
        ann = store.load_accounts([ANN])[ANN]
        ann.balance_fen = 500

        def fail() -> None:
            with store.transaction():
                store.save([transfer(1, 1)], [Entry(1, ANN, 500, 500, 0)], [ann])
                store.execute("UPDATE cards SET status = 1")
                raise error

        with pytest.raises(error):
            fail()
        assert (contents(store), store.head()) == before
        with store.transaction():
            store.save([transfer(1, 1)], [], [])
        assert store.head()[0] == 1

    @pytest.mark.parametrize(
        ("transfers", "entries"),
        [
            ([transfer(2, 9), transfer(3, 1)], []),  # an identity that is there already
            ([transfer(2, 9), transfer(3, 9)], []),  # the same identity twice in one batch
            ([transfer(2, 9), transfer(1, 10)], []),  # a sequence number that is there already
            ([transfer(2, 9)], [Entry(2, ANN, 1, 1, 0), Entry(2, ANN, -1, 0, 2)]),  # an account that pays itself
            ([transfer(2, 9, amount_fen=2**63)], []),  # a number beyond 64 bits
            ([transfer(2, 9)], [Entry(2, ANN, -(2**63) - 1, 0, 0)]),
        ],
    )
    def test_the_database_itself_refuses_what_must_never_be(self, store, transfers, entries):
        people(store)
        with store.transaction():
            store.save([transfer(1, 1)], [], [])
        before = contents(store), store.head()
        with pytest.raises((StoreConflict, OverflowError)), store.transaction():
            store.save(transfers, entries, [])
        assert (contents(store), store.head()) == before
        with store.transaction():
            store.save([transfer(2, 9), transfer(3, 9, Side.REVERSAL)], [], [])
        assert store.head()[0] == 3

    @pytest.mark.parametrize(("account_id", "allowed"), [(ANN, False), (MERCHANT, True), (FUNDING_ACCOUNT, True)])
    def test_the_database_itself_keeps_customers_from_going_below_zero(self, store, account_id, allowed):
        people(store)
        account = store.load_accounts([account_id])[account_id]
        account.balance_fen = -1

        def save() -> None:
            with store.transaction():
                store.save([], [], [account])

        if allowed:
            save()
        else:
            with pytest.raises(StoreConflict):
                save()
        assert store.load_accounts([account_id])[account_id].balance_fen == (-1 if allowed else 0)

    def test_a_refused_statement_of_the_registry_is_a_conflict_and_rolls_back(self, store):
        people(store)
        before = contents(store)

        def change() -> None:
            with store.transaction():
                store.execute("UPDATE cards SET status = 3")
                store.execute("INSERT INTO merchants VALUES (9, 'again', 0, ?)", (MERCHANT,))

        with pytest.raises(StoreConflict):
            change()
        assert contents(store) == before

    # -------------------------------------------------------------------------------------- the ledger on it

    def test_a_sale_moves_money_once_however_often_it_is_asked(self, ledger):
        first = decide(ledger, sale(1, 1_250))
        assert (first.decision, first.amount_fen, first.balance_fen) == (Decision.APPROVED, 1_250, START_FEN - 1_250)
        before = contents(ledger.store)
        again = apply(ledger, *[sale(1, 1_250)] * 50, now_ms=NOW_MS + 10**12)
        assert {(o.decision, o.amount_fen, o.balance_fen, o.rrn, o.posted_at_ms, o.replayed) for o in again} == {
            (first.decision, first.amount_fen, first.balance_fen, first.rrn, first.posted_at_ms, True)
        }
        assert contents(ledger.store) == before
        assert balance(ledger, MERCHANT) == 1_250
        audit.check(ledger.store)

    def test_an_identity_with_other_content_is_refused_and_never_posted(self, ledger):
        decide(ledger, sale(1, 1_250))
        before = contents(ledger.store), ledger.head_seq
        others = [sale(1, 1_251), sale(1, 1_250, BEN), sale(1, 1_250, claimed_at_s=1)]
        assert [outcome.decision for outcome in apply(ledger, *others)] == [Decision.ID_CONFLICT] * 3
        assert (contents(ledger.store), ledger.head_seq) == before

    def test_a_reversal_gives_back_and_a_query_says_so(self, ledger):
        apply(ledger, sale(1, 700), reversal(1, 700))
        assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)
        assert decide(ledger, query(1)).state == TransferState.REVERSED
        audit.check(ledger.store)

    def test_a_batch_that_fails_leaves_the_ledger_as_it_was(self, ledger):
        """A command that only a bug makes takes its batch with it; nothing of it stays, in memory or in the store."""
        decide(ledger, sale(1, 100))
        before = contents(ledger.store), ledger.head_seq
        with pytest.raises(AssertionError):
            apply(ledger, sale(2, 100), reversal(1, 100), sale(3, -100))
        assert (contents(ledger.store), ledger.head_seq) == before
        outcomes = apply(ledger, sale(2, 100), reversal(1, 100), sale(3, 100))
        assert [outcome.rrn for outcome in outcomes] == [4, 5, 6]
        audit.check(ledger.store)

    def test_an_adjustment_beyond_64_bits_fails_alone(self, ledger):
        before = contents(ledger.store), ledger.head_seq
        for amount_fen in (2**63 - 1, 2**63, 2**64, 2**70):
            with pytest.raises((StoreConflict, OverflowError, AssertionError)):
                apply(ledger, sale(1, 100), adjustment(3, amount_fen))
        assert (contents(ledger.store), ledger.head_seq) == before
        assert decide(ledger, sale(1, 100)).decision == Decision.APPROVED
        audit.check(ledger.store)

    def test_a_second_writer_is_noticed_and_nothing_is_posted_twice(self, ledger):
        """Two ledgers on one database: the second to write finds that the journal has grown, and stops."""
        late = Ledger(ledger.store, NO_LIMITS)
        decide(ledger, sale(1, 100))
        before = contents(ledger.store)
        with pytest.raises(StoreBroken, match="one writer"):
            decide(late, sale(2, 100))
        assert contents(ledger.store) == before
        # It may still answer what is in the journal: that is true whoever wrote it.
        assert decide(late, sale(1, 100)).decision == Decision.APPROVED

    def test_questions_and_copies_write_nothing(self, ledger):
        apply(ledger, sale(1, 100), reversal(1, 100), sale(2, 99_999))
        before = contents(ledger.store), ledger.head_seq
        apply(ledger, query(1), query(2), query(3), sale(1, 100), reversal(1, 100), sale(2, 99_999), sale(2, 1))
        assert (contents(ledger.store), ledger.head_seq) == before

    def test_uploads_after_a_restore(self, ledger):
        apply(ledger, sale(1, 100), reversal(6, 70))
        assert [ledger.open_history(NOW_MS), ledger.open_history(NOW_MS + 1_000)] == [2, 3]
        wanted = [
            upload(1, 100),
            upload(2, 300),
            upload(3, START_FEN, BEN),
            upload(4, 50, COY),
            upload(5, 9, token=b"?"),
        ]
        outcomes = apply(ledger, *wanted, upload(6, 70), upload(2, 301), *wanted)
        assert [outcome.decision.name for outcome in outcomes] == [
            *["APPROVED"] * 5,
            "REVERSED_BEFORE",
            "ID_CONFLICT",
            *["APPROVED"] * 5,
        ]
        assert [outcome.replayed for outcome in outcomes[7:]] == [True] * 5
        assert recovery.restored(ledger.store, ledger.recovery.first_seq) == Restored(4, START_FEN + 359, 59, 1)
        assert (balance(ledger), balance(ledger, BEN), balance(ledger, OFFLINE_DEBT_ACCOUNT)) == (9_600, 0, -59)
        audit.check(ledger.store)
        # What is given back comes from the entries, in a later batch as in the same.
        apply(
            ledger,
            reversal(3, START_FEN, BEN),
            reversal(4, 50, COY),
            upload(7, START_FEN + 1),
            reversal(7, START_FEN + 1),
        )
        assert (balance(ledger), balance(ledger, BEN), balance(ledger, COY)) == (9_600, START_FEN, 0)
        assert balance(ledger, OFFLINE_DEBT_ACCOUNT) == -9
        again = Ledger(ledger.store, NO_LIMITS)
        assert (again.history, again.recovery) == (3, ledger.recovery)
        assert again.close_recovery(NOW_MS + 2_000)
        assert [found.closed_at_ms for found in recovery.recoveries(ledger.store)] == [0, NOW_MS + 2_000]
        assert decide(again, upload(8, 1)).decision == Decision.RECOVERY_CLOSED
        assert again.next_epoch() > NOW_MS // 1_000
        audit.check(ledger.store)

    def test_a_snapshot_reads_all_there_is_and_leaves_nothing_open(self, ledger):
        store = ledger.store
        decide(ledger, sale(1, 100))
        before = contents(store)
        with store.snapshot():
            assert contents(store) == before
            assert store.load_accounts([ANN])[ANN].balance_fen == START_FEN - 100
            assert len(list(store.rows("SELECT seq FROM transfers"))) == 3
            assert list(store.integrity()) == []
            assert store.repeated_identities(5) == []
        with pytest.raises(Odd), store.snapshot():
            raise Odd
        assert contents(store) == before
        assert decide(ledger, sale(2, 100)).rrn == 4

    def test_rows_left_unread_are_in_nobodys_way(self, ledger):
        store = ledger.store
        with store.snapshot():
            rows = store.rows("SELECT account_id FROM accounts ORDER BY 1")
            assert next(rows) == (FUNDING_ACCOUNT,)
            rows.close()
        rows = store.rows("SELECT account_id FROM accounts ORDER BY 1")
        assert next(rows) == (FUNDING_ACCOUNT,)
        rows.close()
        assert decide(ledger, sale(1, 100)).decision == Decision.APPROVED

    def test_it_says_what_it_is(self, store):
        assert "MiB" in store.describe()

    def test_housekeeping_changes_nothing(self, ledger):
        apply(ledger, *[sale(stan, 10) for stan in range(1, 50)])
        before = contents(ledger.store)
        ledger.store.maintain()
        assert contents(ledger.store) == before


class DurableStoreContract(StoreContract):
    """Besides, for stores that outlive their process. Subclasses override the fixture `open_store` as well."""

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        """Opens the same database again and again; the one opened before is closed by the test."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: Callable[[], Store]) -> Iterator[Store]:
        store = open_store()
        yield store
        store.close()

    @pytest.fixture
    def open_reader(self) -> Callable[[], Store]:
        """Opens the same database for reading, beside whoever writes it."""
        raise NotImplementedError

    def test_a_snapshot_is_of_one_moment(self, ledger, open_reader):
        reader = open_reader()
        with reader.snapshot():
            before = contents(reader)
            decide(ledger, sale(1, 100))
            assert contents(reader) == before != contents(ledger.store)
            assert reader.head()[0] == 2
        assert contents(reader) == contents(ledger.store)
        reader.close()

    def test_a_reader_writes_nothing(self, ledger, open_reader):
        before = contents(ledger.store)
        reader = open_reader()
        with pytest.raises(StoreBroken), reader.transaction():
            reader.execute("UPDATE cards SET status = 1")
        reader.close()
        assert contents(ledger.store) == before

    def test_rows_written_one_by_one_move_the_head_too(self, ledger):
        """As a copy of a ledger from another store does."""
        store = ledger.store
        columns = ", ".join(field.name for field in msgspec.structs.fields(Transfer))
        values = msgspec.structs.astuple(transfer(9, 9))
        with store.transaction():
            store.execute(f"INSERT INTO transfers ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        assert store.head() == (9, transfer(9, 9).digest)

    def test_everything_is_there_after_a_restart(self, open_store):
        store = open_store()
        ledger = open_campus(store)
        commands = [
            sale(1, 100),
            reversal(1, 100),
            sale(2, 99_999),
            sale(3, 50, BEN),
            reversal(4, 5),
            adjustment(3, -10),
        ]
        first = apply(ledger, *commands)
        before = contents(store), ledger.head_seq, ledger.business_day
        store.close()

        store = open_store()
        try:
            ledger = Ledger(store, NO_LIMITS)
            assert (contents(store), ledger.head_seq, ledger.business_day) == before
            ten_years_ms = 10 * 365 * 86_400_000
            assert ledger.open_day(DAY + 1_00_00, NOW_MS + ten_years_ms)
            again = apply(ledger, *commands, now_ms=NOW_MS + ten_years_ms)
            assert [outcome.replayed for outcome in again] == [True] * len(commands)
            assert [answer(outcome) for outcome in again] == [answer(outcome) for outcome in first]
            assert decide(ledger, sale(5, 10)).rrn == before[1] + 1
            audit.check(store)
        finally:
            store.close()


def answer(outcome) -> tuple:
    """All of an outcome that a terminal gets to see."""
    return outcome.decision, outcome.amount_fen, outcome.balance_fen, outcome.rrn, outcome.posted_at_ms, outcome.state
