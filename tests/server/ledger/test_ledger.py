"""The ledger as a whole: how requests are gathered into batches never shows, and nothing ever differs from a model."""

from __future__ import annotations

import random
import tempfile
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from server.ledger.checks import REFERENCES
from server.ledger.ledger import MAX_DAY_STEP, PROBE_BYTES, DayRefused, Ledger
from server.ledger.model import (
    FUNDING_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    Asked,
    Command,
    Decision,
    Kind,
    PointsSale,
    PreAuth,
    Query,
    Sale,
    SaleLimits,
    Status,
    TopUp,
    Upload,
)
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store, StoreConflict, StoreFull
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
    STRANGER,
    TILL,
    adjustment,
    asked,
    completion,
    contents,
    decide,
    open_campus,
    people,
    query,
    refund,
    reversal,
    reversal_of,
    sale,
    set_card,
    set_merchant,
    set_terminal,
    upload,
    void,
)
from tests.server.ledger.every_key import TARIFF
from tests.server.ledger.reference import VOIDED, Reference, Said, Terms

LIMITS = SaleLimits(6_000, 9_000)
CARD_STATES = {
    Status.FROZEN: Decision.CARD_FROZEN,
    Status.LOST: Decision.CARD_LOST,
    Status.CLOSED: Decision.CARD_CLOSED,
}

# Few identities, payers and amounts, so that copies, conflicts, reversals of each other's sales and empty accounts are
# what happens most of the time.
stans = st.integers(1, 6)
tills = st.sampled_from([TILL, TILL, TILL, OTHER_TILL, 99])
batches = st.sampled_from([1, 1, 1, 2])
tokens = st.sampled_from([*CARDS.values(), CARDS[ANN], STRANGER])
amounts = st.sampled_from([1, 250, 2_999, 3_000, 6_000, 6_001])
times = st.sampled_from([0, 0, 0, 1])
commands = st.one_of(
    st.builds(
        lambda stan, fen, token, till, batch, at: sale(
            stan, fen, token=token, terminal_id=till, batch=batch, claimed_at_s=at
        ),
        *(stans, amounts, tokens, tills, batches, times),
    ),
    st.builds(
        lambda stan, fen, token, till, batch, at: reversal(
            stan, fen, token=token, terminal_id=till, batch=batch, claimed_at_s=at
        ),
        *(stans, amounts, tokens, tills, batches, times),
    ),
    st.builds(
        lambda stan, fen, token, till, batch, at: upload(
            stan, fen, token=token, terminal_id=till, batch=batch, claimed_at_s=at
        ),
        *(stans, amounts, tokens, tills, batches, times),
    ),
    st.builds(
        lambda stan, fen, token, till, batch: query(stan, fen, token=token, terminal_id=till, batch=batch),
        *(stans, st.one_of(st.just(0), amounts), tokens, tills, batches),
    ),
    st.builds(
        lambda command, stan, fen, token, till, batch: asked(
            command, stan, fen, token=token, terminal_id=till, batch=batch
        ),
        *(st.sampled_from([PreAuth, TopUp, PointsSale]), stans, amounts, tokens, tills, batches),
    ),
    st.builds(
        adjustment,
        st.integers(3, 6),
        st.sampled_from([-6_000, -1, 0, 250, 5_000]),
        st.sampled_from([ANN, BEN, COY, MERCHANT, FUNDING_ACCOUNT, 99]),
    ),
)


def a_reference() -> Reference:
    """The model of `open_campus` with LIMITS and TARIFF."""
    reference = Reference(
        LIMITS,
        dict.fromkeys((OFFLINE_DEBT_ACCOUNT, MERCHANT, OTHER_MERCHANT, COY), 0)
        | {FUNDING_ACCOUNT: -2 * START_FEN, ANN: START_FEN, BEN: START_FEN},
        {token: account_id for account_id, token in CARDS.items()},
        {TILL: MERCHANT, OTHER_TILL: OTHER_MERCHANT},
        rrn=2,
        terms=Terms(discount_percent=10, bonus_from_fen=100, bonus_fen=10, fen_per_point=10),
    )
    reference.day = DAY
    return reference


def said(outcome) -> Said:
    return Said(
        outcome.decision,
        outcome.amount_fen,
        outcome.balance_fen,
        outcome.rrn,
        outcome.posted_at_ms,
        outcome.state,
    )


# ------------------------------------------------------------------------------------- batches do not show


@given(st.lists(commands, max_size=40), st.lists(st.integers(1, 12), min_size=40, max_size=40))
def test_a_batch_is_the_same_commands_one_by_one(wanted, sizes):
    """Any gathering into batches: the same outcomes, the same rows, the same digest of the journal."""
    alone = open_campus(SqliteStore(":memory:"), LIMITS)
    gathered = open_campus(SqliteStore(":memory:"), LIMITS)
    assert alone.open_history(NOW_MS) == gathered.open_history(NOW_MS) == 2
    one_by_one = [decide(alone, command) for command in wanted]
    outcomes = []
    start = 0
    for size in sizes:
        outcomes += gathered.apply(wanted[start : start + size], NOW_MS)
        start += size
    assert outcomes == one_by_one
    assert contents(gathered.store) == contents(alone.store)
    assert gathered.store.head() == alone.store.head()


# ------------------------------------------------------------------------------------------ against a model


class LedgerMachine(RuleBasedStateMachine):
    """Batches, copies, days, restarts and full disks in any order, on a real file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.db"
        self.now_ms = NOW_MS
        self.date = date(2026, 9, 10)
        self.sent: list[Command] = []
        self.journal: list[tuple] = []

    def open_store(self) -> Store:
        """The same database every time."""
        return SqliteStore(self.path)

    @initialize()
    def open(self) -> None:
        self.ledger = open_campus(self.open_store(), LIMITS)
        self.ledger.tariff = TARIFF
        self.follow_up_stan = 1_000
        self.reference = a_reference()

    def compare(self, wanted: list[Command]) -> None:
        self.now_ms += 7
        outcomes = self.ledger.apply(wanted, self.now_ms)
        for command, outcome in zip(wanted, outcomes, strict=True):
            assert said(outcome) == self.reference.said(command, self.now_ms), command
            if not isinstance(command, Query):
                assert (outcome.charged_fen, outcome.points) == self.reference.extras.get(outcome.rrn, (0, 0)), command
        self.sent += wanted

    @rule(wanted=st.lists(commands, min_size=1, max_size=12))
    def batch(self, wanted: list[Command]) -> None:
        self.compare(wanted)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def copies(self, data: st.DataObject) -> None:
        """Any requests of the past again, in any order, as after a night without power."""
        self.compare(data.draw(st.lists(st.sampled_from(self.sent), min_size=1, max_size=8)))

    @precondition(lambda self: any(isinstance(command, Asked) for command in self.sent))
    @rule(data=st.data())
    def follow_ups(self, data: st.DataObject) -> None:
        """Voids, refunds and completions of what was asked in the past, fitting and not."""
        past = st.sampled_from([command for command in self.sent if isinstance(command, Asked)])
        wanted: list[Command] = []
        for original in data.draw(st.lists(past, min_size=1, max_size=4)):
            self.follow_up_stan += 1
            stan = self.follow_up_stan
            part = data.draw(st.sampled_from([1, original.amount_fen // 2 or 1, original.amount_fen]))
            changes = data.draw(
                st.sampled_from([{}, {}, {}, {"batch": 2}, {"terminal_id": OTHER_TILL}, {"token": CARDS[BEN]}])
            )
            fitting = [kind for kind, made in VOIDED.items() if isinstance(original, made)]
            kind = data.draw(st.sampled_from([*fitting, *fitting, *VOIDED]))
            wanted.append(
                data.draw(
                    st.sampled_from(
                        [
                            void(stan, original, kind, **changes),
                            refund(stan, original, part, **changes),
                            completion(stan, original, part, **changes),
                            refund(stan, original, part, **changes),
                        ]
                    )
                )
            )
        self.compare(wanted)

    @precondition(lambda self: any(isinstance(command, Asked | Upload) for command in self.sent))
    @rule(data=st.data())
    def reversals(self, data: st.DataObject) -> None:
        """Of sales of the past, approved or not: drawn apart, a reversal hardly ever meets the content of its sale."""
        sales = [command for command in self.sent if isinstance(command, Asked | Upload)]
        chosen = data.draw(st.lists(st.sampled_from(sales), min_size=1, max_size=4))
        self.compare(
            [
                reversal(
                    one.identity.stan,
                    one.amount_fen,
                    token=one.token,
                    terminal_id=one.identity.terminal_id,
                    batch=one.identity.batch,
                    claimed_at_s=one.claimed_at_s,
                )
                for one in chosen
            ]
        )

    @rule(days=st.integers(0, 2))
    def new_day(self, days: int) -> None:
        self.date += timedelta(days=max(0, days))
        day = int(self.date.strftime("%Y%m%d"))
        assert self.ledger.open_day(day, self.now_ms) == (days > 0)
        self.reference.day = day

    @rule()
    def open_history(self) -> None:
        """As after a restore: what is missing may be uploaded from now on."""
        before = self.ledger.history
        assert self.ledger.open_history(self.now_ms) == self.ledger.history == before + 1
        self.reference.takes_uploads = True

    @rule()
    def close_recovery(self) -> None:
        assert self.ledger.close_recovery(self.now_ms) == self.reference.takes_uploads
        self.reference.takes_uploads = False

    @rule()
    def restart(self) -> None:
        self.ledger.store.close()
        self.ledger = Ledger(self.open_store(), LIMITS, TARIFF)
        assert self.ledger.business_day == self.reference.day

    @rule(owner=st.sampled_from([ANN, BEN, COY]), status=st.sampled_from(Status))
    def change_a_card(self, owner: int, status: Status) -> None:
        """Frozen, lost, closed or put right again: from now on; what was decided before is not decided anew."""
        set_card(self.ledger, owner, status=int(status))
        self.reference.barred.pop(CARDS[owner], None)
        if status in CARD_STATES:
            self.reference.barred[CARDS[owner]] = CARD_STATES[status]

    @rule(status=st.sampled_from([Status.ACTIVE, Status.CLOSED]))
    def revoke_or_reinstate_a_terminal(self, status: Status) -> None:
        """Nothing new is taken from it; what it has sold stays sold, and can be reversed."""
        set_terminal(self.ledger, status)
        self.reference.revoked = {TILL} if status is Status.CLOSED else set()

    @rule(status=st.sampled_from([Status.ACTIVE, Status.CLOSED]))
    def close_or_reopen_a_merchant(self, status: Status) -> None:
        set_merchant(self.ledger, status)
        self.reference.closed = {MERCHANT} if status is Status.CLOSED else set()

    @rule(wanted=st.lists(commands, min_size=1, max_size=12), spare_pages=st.integers(0, 2))
    def batch_on_a_full_disk(self, wanted: list[Command], spare_pages: int) -> None:
        """Either all of it happens or nothing, and the next try finds everything as it was."""
        store = self.ledger.store
        before = contents(store), self.ledger.head_seq
        pages = store.execute("PRAGMA page_count")[0][0]
        store.execute(f"PRAGMA max_page_count = {pages + spare_pages}")
        try:
            self.compare(wanted)
        except StoreFull:
            assert (contents(store), self.ledger.head_seq) == before
        finally:
            store.execute("PRAGMA max_page_count = 1073741823")

    @invariant()
    def the_books_balance(self) -> None:
        audit.check(self.ledger.store)
        stored = self.ledger.store.execute("SELECT account_id, balance_fen FROM accounts")
        assert dict(stored) == self.reference.balances

    @invariant()
    def the_journal_only_grows(self) -> None:
        journal = self.ledger.store.execute("SELECT * FROM transfers ORDER BY seq")
        assert journal[: len(self.journal)] == self.journal
        assert self.ledger.head_seq == len(journal) == self.reference.rrn
        self.journal = journal

    def teardown(self) -> None:
        """In the end, everything ever sent again: nothing is said differently, nothing is written."""
        if hasattr(self, "ledger"):
            self.restart()
            self.close_recovery()  # what was sent before a recovery was open would be taken now
            self.compare(list(self.sent))
            assert self.ledger.store.execute("SELECT * FROM transfers ORDER BY seq") == self.journal
            self.ledger.store.close()
        self.folder.cleanup()


LedgerMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestLedgerMachine = pytest.mark.slow(LedgerMachine.TestCase)


# ------------------------------------------------------------------------------- long days, from one seed


class LongDays:
    """Random days of a campus with few people, so that everything meets everything: most of what is asked is about
    something that was done."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stan = 10
        self.done: list[Asked] = []

    def new(self) -> Asked:
        """Something that begins."""
        kind = self.random.choice([Sale, Sale, PreAuth, TopUp, PointsSale])
        fen = self.random.choice([1, 7, 30] if kind is PointsSale else [1, 99, 250, 1_000, 3_000])
        till = self.random.choice([TILL, TILL, TILL, OTHER_TILL])
        return asked(kind, self.stan, fen, self.random.choice([ANN, ANN, BEN, COY]), terminal_id=till)

    def about(self, original: Asked) -> Command:
        """Something about what was done, mostly what fits."""
        fen = self.random.choice([1, max(1, original.amount_fen // 3), original.amount_fen])
        fitting = [kind for kind, made in VOIDED.items() if isinstance(original, made)] or [Kind.VOID]
        choices: list[Any] = [
            void(self.stan, original, fitting[0]),
            void(self.stan, original, self.random.choice([*VOIDED])),
            refund(self.stan, original, fen),
            refund(self.stan, original, fen, batch=2),
            completion(self.stan, original, fen),
            reversal_of(original),
            original,
        ]
        chosen: Command = self.random.choice(choices)
        return chosen

    def command(self) -> Command:
        self.stan += 1
        if not self.done or self.random.random() < 0.4:
            command: Any = self.new()
        else:
            command = self.about(self.random.choice(self.done[-12:]))
        chosen: Command = command
        if isinstance(command, Asked):
            self.done.append(command)
            if self.random.random() < 0.05:
                chosen = reversal_of(command)  # which comes before it
        return chosen


@pytest.mark.slow
def test_long_days_are_what_the_model_says():
    seen: set[tuple[str, Decision]] = set()
    for seed in range(60):
        days = LongDays(seed)
        ledger = open_campus(SqliteStore(":memory:"), LIMITS)
        ledger.tariff = TARIFF
        reference = a_reference()
        for step in range(25):
            wanted = [days.command() for _ in range(days.random.choice([1, 1, 3, 8]))]
            for command, outcome in zip(wanted, ledger.apply(wanted, NOW_MS + step), strict=True):
                where = f"seed {seed}, step {step}: {command}"
                assert said(outcome) == reference.said(command, NOW_MS + step), where
                assert (outcome.charged_fen, outcome.points) == reference.extras.get(outcome.rrn, (0, 0)), where
                seen.add((type(command).__name__, outcome.decision))
            if days.random.random() < 0.05:
                ledger.open_day(DAY + 1, NOW_MS)
                reference.day = DAY + 1
        balances = dict(ledger.store.execute("SELECT account_id, balance_fen FROM accounts"))
        assert balances == reference.balances, seed
        audit.check(ledger.store)
        assert [check for check in verify(ledger.store) if not check.ok and check.name != REFERENCES] == [], seed
        ledger.store.close()
    kinds = {"Sale", "PreAuth", "TopUp", "PointsSale", "Void", "Refund", "Completion", "Reversal"}
    assert {kind for kind, decision in seen if decision == Decision.APPROVED} == kinds
    assert {decision for _, decision in seen} >= {
        *(Decision.ORIGINAL_UNKNOWN, Decision.WRONG_KIND, Decision.WRONG_DAY, Decision.ALREADY_UNDONE),
        *(Decision.OVER_REMAINDER, Decision.INSUFFICIENT_FUNDS, Decision.OVER_DAY_LIMIT, Decision.REVERSED_BEFORE),
    }


# ------------------------------------------------------------------------------------------- business days


@pytest.fixture
def ledger():
    store = SqliteStore(":memory:")
    yield open_campus(store)
    store.close()


def test_nothing_is_decided_before_a_day_is_open():
    store = SqliteStore(":memory:")
    people(store)
    ledger = Ledger(store, NO_LIMITS)
    with pytest.raises(RuntimeError, match="no business day is open"):
        decide(ledger, sale(1, 100))
    assert ledger.open_day(DAY, NOW_MS)
    assert decide(ledger, sale(1, 100)).rrn == 1


def test_days_never_go_back(ledger):
    assert [ledger.open_day(day, NOW_MS) for day in (DAY, DAY - 1, 20250101, DAY + 1, DAY + 1, DAY)] == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]
    assert ledger.business_day == DAY + 1
    assert ledger.store.execute("SELECT day, first_seq FROM business_days") == [(DAY, 1), (DAY + 1, 3)]


@pytest.mark.parametrize("day", [0, -1, 20260931, 20261301, 20260230, 2026091, 202609010, 99999999])
def test_a_day_is_a_date(ledger, day):
    with pytest.raises(DayRefused, match="expected a date as YYYYMMDD"):
        ledger.open_day(day, NOW_MS)
    assert ledger.business_day == DAY


def test_a_clock_that_is_years_ahead_opens_no_day(ledger):
    """It could not be undone: every day until then would be refused as older, and day limits would never start anew."""
    with pytest.raises(DayRefused, match=f"at most {MAX_DAY_STEP.days} days after {DAY}; is the clock right"):
        ledger.open_day(20990101, NOW_MS)
    assert ledger.open_day(20270901, NOW_MS), "a campus may be closed for a year"


def test_a_day_that_could_not_be_stored_is_not_open(ledger):
    ledger.store.execute("INSERT INTO business_days VALUES (20260911, 0, 0)")  # behind the ledger's back
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.open_day(DAY + 1, NOW_MS)
    assert ledger.business_day == DAY


def test_each_start_counts_one_more_epoch(ledger):
    assert [ledger.next_epoch() for _ in range(3)] == [1, 2, 3]
    assert Ledger(ledger.store, NO_LIMITS).next_epoch() == 4


def test_an_empty_batch_is_a_batch(ledger):
    before = contents(ledger.store)
    assert ledger.apply([], NOW_MS) == []
    assert contents(ledger.store) == before


# ------------------------------------------------------------------------------------- what the store refuses


def test_what_the_database_refuses_with_the_journal_as_it_was_is_not_blamed_on_a_second_writer(ledger):
    """A wrong rule met its match: the batch failed as a whole, and the next may well be decided."""
    before = contents(ledger.store), ledger.head_seq
    ledger.store.execute(
        f"CREATE TEMP TRIGGER ends BEFORE UPDATE ON accounts WHEN NEW.account_id = {BEN}"
        " BEGIN SELECT RAISE(ABORT, 'not this account'); END"
    )
    with pytest.raises(StoreConflict, match="not this account"):
        ledger.apply([sale(1, 100), sale(2, 100, BEN)], NOW_MS)
    assert (contents(ledger.store), ledger.head_seq) == before
    assert decide(ledger, sale(1, 100)).rrn == ledger.head_seq == before[1] + 1


def test_a_full_disk_counts_as_mended_once_more_than_the_slack_of_a_page_fits(ledger):
    """And not because the very bytes of the last attempt are there already."""
    store = ledger.store
    before = contents(store)
    pages = store.execute("PRAGMA page_count")[0][0]
    store.execute(f"PRAGMA max_page_count = {pages + 1}")
    for _ in range(2):
        with pytest.raises(StoreFull):
            ledger.probe()
    assert contents(store) == before
    store.execute("PRAGMA max_page_count = 1073741823")
    written = []
    for _ in range(3):
        ledger.probe()
        written += store.execute("SELECT value FROM meta WHERE name = 'probe'")
    assert {len(text) for (text,) in written} == {PROBE_BYTES}
    assert len({*written}) == 3
    after = contents(store)
    assert [row for row in after.pop("meta") if row[0] != "probe"] == before.pop("meta")
    assert after == before
