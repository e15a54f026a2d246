"""Upload: a sale that a lost host approved comes back once, whatever has become of card, limit and balance since."""

from __future__ import annotations

import contextlib
from itertools import permutations

import pytest

from server.ledger.checks import REFERENCES
from server.ledger.ledger import Ledger
from server.ledger.model import (
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    Command,
    Completion,
    Decision,
    Kind,
    PointsSale,
    PreAuth,
    Refund,
    Sale,
    SaleLimits,
    Status,
    TopUp,
    TransferState,
    Upload,
)
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import CardClass, MealPeriod, Tariff
from server.ledger.verify import verify
from tests.server.ledger import audit
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    OTHER_MERCHANT,
    OTHER_TILL,
    START_FEN,
    STRANGER,
    TILL,
    adjustment,
    apply,
    asked,
    balance,
    completion,
    contents,
    decide,
    held,
    open_campus,
    query,
    refund,
    reversal,
    reversal_of,
    sale,
    set_card,
    set_merchant,
    set_terminal,
    spent,
    upload,
    upload_of,
    void,
)
from tests.server.ledger.every_key import TARIFF
from tests.server.ledger.stores import BOTH, new_store

APPROVED, REVERSED, CONFLICT = Decision.APPROVED, Decision.REVERSED_BEFORE, Decision.ID_CONFLICT


@pytest.fixture
def ledger(ledger):
    """Restored a moment ago."""
    assert ledger.open_history(NOW_MS) == 2
    return ledger


def debt(ledger) -> int:
    """What the campus has paid for its customers, in fen."""
    return -balance(ledger, OFFLINE_DEBT_ACCOUNT)


def paid_today(ledger) -> int:
    """How many payments of Ann's count today: what asks for her PIN."""
    count: int = ledger.store.load_accounts([ANN])[ANN].day_count
    return count


def entries(ledger):
    """(account, fen) of the newest transfer."""
    return ledger.store.execute(
        "SELECT account_id, amount_fen FROM entries WHERE seq = ? ORDER BY account_id", (ledger.head_seq,)
    )


# ------------------------------------------------------------------------------------------ what is missing


def test_a_missing_sale_is_posted_as_what_it_is(ledger):
    outcome = decide(ledger, upload(1, 400, lost_rrn=77), NOW_MS + 9)
    assert (outcome.decision, outcome.state, outcome.replayed) == (APPROVED, TransferState.APPROVED, False)
    assert (outcome.amount_fen, outcome.balance_fen, outcome.posted_at_ms) == (400, START_FEN - 400, NOW_MS + 9)
    assert (balance(ledger), balance(ledger, MERCHANT), debt(ledger), spent(ledger)) == (9_600, 400, 0, (DAY, 400))
    [row] = ledger.store.execute(
        "SELECT kind, original_seq, request_hash, operator, claimed_at_s, business_day FROM transfers WHERE seq = ?",
        (outcome.rrn,),
    )
    lost = sale(1, 400)
    assert row == (Kind.UPLOAD, 77, lost.request_hash, lost.operator, lost.claimed_at_s, DAY)


@pytest.mark.parametrize(
    ("account_id", "amount_fen", "own_fen"),
    [(ANN, START_FEN, START_FEN), (ANN, START_FEN + 1, START_FEN), (BEN, 99_999, START_FEN), (COY, 1, 0)],
)
def test_what_the_payer_cannot_cover_the_campus_bears(ledger, account_id, amount_fen, own_fen):
    outcome = decide(ledger, upload(1, amount_fen, account_id))
    before = {ANN: START_FEN, BEN: START_FEN, COY: 0}[account_id]
    legs = {OFFLINE_DEBT_ACCOUNT: own_fen - amount_fen, MERCHANT: amount_fen, account_id: -own_fen}
    assert entries(ledger) == [(account, fen) for account, fen in legs.items() if fen], "and no entry of 0 fen"
    assert (outcome.balance_fen, balance(ledger, account_id)) == (before - own_fen, before - own_fen)
    assert (balance(ledger, MERCHANT), debt(ledger)) == (amount_fen, amount_fen - own_fen)
    assert spent(ledger, account_id) == (DAY, amount_fen)


@pytest.mark.parametrize("owner", ["nobody", "a merchant"])
def test_of_an_unknown_card_the_campus_bears_all(ledger, owner):
    if owner == "a merchant":
        set_card(ledger, account_id=MERCHANT)
    outcome = decide(ledger, upload(1, 400, token=STRANGER if owner == "nobody" else None))
    assert (outcome.decision, outcome.balance_fen) == (APPROVED, 0)
    assert entries(ledger) == [(OFFLINE_DEBT_ACCOUNT, -400), (MERCHANT, 400)]
    assert ledger.store.execute("SELECT account_id FROM transfers WHERE kind = 4") == [(0,)]


@pytest.mark.parametrize("status", [Status.LOST, Status.FROZEN, Status.CLOSED])
def test_the_meal_is_eaten_so_nothing_else_is_asked(ledger, status):
    set_card(ledger, status=status, sale_limit_fen=1, day_limit_fen=1)
    set_merchant(ledger, Status.CLOSED)
    ledger.limits = SaleLimits(1, 1)
    assert [outcome.decision for outcome in apply(ledger, upload(1, 400), upload(2, 500))] == [APPROVED] * 2
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN - 900, 900)


def test_it_counts_for_the_day_limit_of_the_day_it_is_uploaded(ledger):
    ledger.limits = SaleLimits(0, 1_000)
    apply(ledger, sale(1, 300), upload(2, 400))
    assert decide(ledger, sale(3, 301)).decision == Decision.OVER_DAY_LIMIT
    assert decide(ledger, sale(3 + 1, 300)).decision == APPROVED
    ledger.open_day(DAY + 1, NOW_MS)
    assert spent(ledger) == (DAY, 1_000)
    decide(ledger, upload(5, 50))
    assert spent(ledger) == (DAY + 1, 50)


@pytest.mark.parametrize("kind", BOTH)
def test_what_comes_back_of_another_day_does_not_count_today(kind):
    """Nobody goes hungry for what he ate before the host was lost: neither its sum counts, nor that there was one."""
    with contextlib.closing(new_store(kind)) as store:
        ledger = open_campus(store, SaleLimits(0, 5_000))
        ledger.open_history(NOW_MS)
        lost = upload(1, 4_000, claimed_at_s=NOW_MS // 1_000 - 3_601)
        hold = upload_of(asked(PreAuth, 3, 3_000, claimed_at_s=NOW_MS // 1_000 - 86_400), Kind.PREAUTH)
        apply(ledger, lost, hold)
        assert (spent(ledger), paid_today(ledger)) == ((DAY, 0), 0)
        assert decide(ledger, sale(900, 2_000, batch=2)).decision == APPROVED
        apply(ledger, reversal(1, 4_000, claimed_at_s=NOW_MS // 1_000 - 3_601))
        assert (spent(ledger), paid_today(ledger)) == ((DAY, 2_000), 1), "what did not count takes nothing away"
        ledger = Ledger(store, ledger.limits)
        decide(ledger, upload(2, 500, claimed_at_s=NOW_MS // 1_000 - 3_600))
        decide(ledger, upload(4, 70, claimed_at_s=NOW_MS // 1_000 - 3_601))
        assert (spent(ledger), paid_today(ledger)) == ((DAY, 2_500), 2)
        assert [check for check in verify(store) if not check.ok and check.name != REFERENCES] == []
        audit.check(store)


def test_a_meal_counts_what_was_eaten_at_it(ledger):
    minute = (NOW_MS // 60_000 + 480) % 1_440
    meals = (MealPeriod(1, minute - 60, minute), MealPeriod(2, minute, minute + 60))
    ledger.tariff = Tariff(meals=meals, meal_limit_fen=1_000)
    before_s, now_s = NOW_MS // 1_000 - 61, NOW_MS // 1_000
    breakfast = asked(Sale, 1, 900, claimed_at_s=before_s)
    apply(ledger, upload_of(breakfast, Kind.SALE), upload(2, 300, claimed_at_s=now_s))
    assert decide(ledger, sale(3, 701)).decision == Decision.OVER_MEAL_LIMIT
    assert decide(ledger, sale(4, 700)).decision == APPROVED
    decide(ledger, reversal_of(breakfast))
    assert decide(ledger, sale(5, 1)).decision == Decision.OVER_MEAL_LIMIT


def test_one_batch_sees_what_its_earlier_commands_left(ledger):
    outcomes = apply(ledger, upload(1, 6_000), upload(2, 6_000), sale(3, 1), upload(1, 6_000))
    assert [outcome.decision for outcome in outcomes] == [APPROVED, APPROVED, Decision.INSUFFICIENT_FUNDS, APPROVED]
    assert (outcomes[3].replayed, outcomes[3].rrn) == (True, outcomes[0].rrn)
    assert (balance(ledger), balance(ledger, MERCHANT), debt(ledger)) == (0, 12_000, 2_000)


def test_the_merchant_is_paid_whose_terminal_it_is(ledger):
    decide(ledger, upload(1, 400, terminal_id=OTHER_TILL))
    assert (balance(ledger, MERCHANT), balance(ledger, OTHER_MERCHANT)) == (0, 400)


# --------------------------------------------------------------------------------------------- what is known


@pytest.mark.parametrize("first", [sale(1, 400), upload(1, 400)], ids=["sale", "upload"])
def test_what_is_here_is_known_and_not_posted_again(ledger, first):
    original = decide(ledger, first)
    before = contents(ledger.store)
    outcome = decide(ledger, upload(1, 400, lost_rrn=5), NOW_MS + 99)
    assert (outcome.decision, outcome.replayed, outcome.rrn) == (APPROVED, True, original.rrn)
    assert contents(ledger.store) == before


def test_copies_and_queries_of_an_uploaded_sale_hear_that_it_is_approved(ledger):
    posted = decide(ledger, upload(1, 400))
    late = decide(ledger, sale(1, 400))
    assert (late.decision, late.replayed) == (APPROVED, True)
    assert (late.rrn, late.balance_fen, late.posted_at_ms) == (posted.rrn, posted.balance_fen, posted.posted_at_ms)
    for question in (query(1), query(1, 400)):
        assert (decide(ledger, question).state, decide(ledger, question).rrn) == (TransferState.APPROVED, posted.rrn)
    assert decide(ledger, query(1, 401)).decision == CONFLICT
    assert balance(ledger) == START_FEN - 400


@pytest.mark.parametrize("first", [sale(1, 400), upload(1, 400)], ids=["sale", "upload"])
def test_a_reversed_sale_stays_reversed(ledger, first):
    original = decide(ledger, first)
    decide(ledger, reversal(1, 400))
    before = contents(ledger.store)
    outcome = decide(ledger, upload(1, 400))
    assert (outcome.decision, outcome.state, outcome.rrn) == (REVERSED, TransferState.REVERSED, original.rrn)
    assert contents(ledger.store) == before
    assert balance(ledger) == START_FEN


def test_a_tombstone_declines_it_for_good(ledger):
    decide(ledger, reversal(1, 400))
    first = decide(ledger, upload(1, 400))
    again = decide(ledger, upload(1, 400))
    assert (first.decision, first.state) == (REVERSED, TransferState.REVERSED)
    assert again == first
    assert [row[0] for row in ledger.store.execute("SELECT decision FROM transfers WHERE kind = 4")] == [REVERSED]
    assert decide(ledger, sale(1, 400)).decision == REVERSED
    assert decide(ledger, query(1, 400)).state == TransferState.REVERSED
    assert (balance(ledger), debt(ledger), spent(ledger)) == (START_FEN, 0, (0, 0))


# -------------------------------------------------------------------------------------------- what contradicts

CONFLICTS: dict[str, list[Command]] = {
    "another amount": [sale(1, 401)],
    "another payer": [sale(1, 400, BEN)],
    "another time": [sale(1, 400, claimed_at_s=5)],
    "another payer, declined": [sale(1, 400, COY)],
    "another payer's tombstone": [reversal(1, 400, BEN)],
    "an upload of another amount": [upload(1, 399)],
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_contradicts_the_journal_is_never_posted(ledger, name):
    apply(ledger, *CONFLICTS[name])
    before = contents(ledger.store)
    outcome = decide(ledger, upload(1, 400))
    assert (outcome.decision, outcome.rrn) == (CONFLICT, 0)
    assert contents(ledger.store) == before


def test_an_approval_of_what_was_declined_here_is_another_history(ledger):
    """The content is the same: only the decisions differ, and the journal's stands."""
    declined = decide(ledger, sale(1, START_FEN + 1))
    assert declined.decision == Decision.INSUFFICIENT_FUNDS
    assert decide(ledger, upload(1, START_FEN + 1)).decision == CONFLICT
    decide(ledger, reversal(1, START_FEN + 1))
    assert decide(ledger, upload(1, START_FEN + 1)).decision == CONFLICT
    assert (balance(ledger), debt(ledger)) == (START_FEN, 0)


def test_an_adjustments_identity_is_nobody_elses(ledger):
    made = adjustment(1, START_FEN)
    posing = Upload(made.identity, made.request_hash, CARDS[ANN], START_FEN, 0, 0, 0)
    assert decide(ledger, posing).decision == CONFLICT


def test_nothing_is_paid_for_nothing(ledger):
    with pytest.raises(AssertionError, match="above 0 fen"):
        decide(ledger, upload(1, 0))


# ---------------------------------------------------------------------------------------------- when it is taken


def test_before_a_restore_and_after_the_recovery_only_what_is_here_is_answered(ledger):
    apply(ledger, sale(1, 400), sale(2, 500), reversal(2, 500), reversal(3, 600))
    assert ledger.close_recovery(NOW_MS + 1)
    before = contents(ledger.store)
    outcomes = apply(ledger, upload(1, 400), upload(2, 500), upload(3, 600), upload(4, 700), upload(1, 401))
    closed = Decision.RECOVERY_CLOSED
    assert [outcome.decision for outcome in outcomes] == [APPROVED, REVERSED, closed, closed, CONFLICT]
    assert contents(ledger.store) == before


@pytest.mark.parametrize("gone", ["revoked", "unknown"])
def test_a_terminal_that_may_not_sell_brings_nothing_in_and_nothing_is_decided(ledger, gone):
    if gone == "revoked":
        set_terminal(ledger, Status.CLOSED)
    else:
        ledger.store.execute("DELETE FROM terminals WHERE terminal_id = ?", (TILL,))
    before = contents(ledger.store)
    assert decide(ledger, upload(1, 400)).decision == Decision.TERMINAL_REVOKED
    assert contents(ledger.store) == before
    ledger.store.execute("DELETE FROM terminals")
    ledger.store.execute("INSERT INTO terminals (terminal_id, merchant_id) VALUES (?, 1)", (TILL,))
    assert decide(ledger, upload(1, 400)).decision == APPROVED


# ---------------------------------------------------------------------------------------- what is given back


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    ("account_id", "amount_fen", "token"),
    [(ANN, 400, None), (ANN, START_FEN + 250, None), (COY, 300, None), (ANN, 700, STRANGER)],
    ids=["covered", "in part", "not at all", "unknown card"],
)
def test_a_reversal_gives_back_exactly_what_was_taken_to_whom_it_was_taken_from(
    ledger, account_id, amount_fen, token, in_one_batch
):
    before = ledger.store.execute("SELECT account_id, balance_fen FROM accounts ORDER BY 1")
    commands = [upload(1, amount_fen, account_id, token=token), reversal(1, amount_fen, account_id, token=token)]
    outcomes = apply(ledger, *commands) if in_one_batch else [decide(ledger, command) for command in commands]
    assert [outcome.decision for outcome in outcomes] == [APPROVED, APPROVED]
    assert outcomes[1].amount_fen == amount_fen
    assert ledger.store.execute("SELECT account_id, balance_fen FROM accounts ORDER BY 1") == before
    assert all(fen for _, fen in entries(ledger)), "no entry of 0 fen"
    assert spent(ledger, account_id)[1] == 0
    again = decide(ledger, commands[1])
    assert (again.replayed, again.rrn) == (True, outcomes[1].rrn)
    assert ledger.store.execute("SELECT account_id, balance_fen FROM accounts ORDER BY 1") == before


def test_money_paid_in_since_is_not_the_campuss(ledger):
    """The debt stays where it is: only an administrator, or a reversal, moves it."""
    decide(ledger, upload(1, START_FEN + 500))
    decide(ledger, adjustment(9, 2_000))
    decide(ledger, reversal(1, START_FEN + 500))
    assert (balance(ledger), debt(ledger)) == (START_FEN + 2_000, 0)


@pytest.mark.parametrize("order", list(permutations(["sale", "reversal", "upload"])), ids="-".join)
@pytest.mark.parametrize("in_one_batch", [True, False])
def test_sale_reversal_and_upload_in_any_order_leave_nothing_charged(ledger, order, in_one_batch):
    commands = {"sale": sale(1, 400), "reversal": reversal(1, 400), "upload": upload(1, 400)}
    wanted = [commands[name] for name in order]
    outcomes = apply(ledger, *wanted) if in_one_batch else [decide(ledger, command) for command in wanted]
    by_name = dict(zip(order, outcomes, strict=True))
    for name in ("sale", "upload"):
        before = order.index(name) < order.index("reversal")
        # A copy of a sale that was approved hears so for ever; an upload, as a query, hears how it stands.
        first = min(order.index("sale"), order.index("upload")) < order.index("reversal")
        assert by_name[name].decision == (APPROVED if before or (name == "sale" and first) else REVERSED)
    assert (balance(ledger), balance(ledger, MERCHANT), debt(ledger)) == (START_FEN, 0, 0)


# --------------------------------------------------------------------------------------------- every kind


KINDS: dict[type, Kind] = {
    Sale: Kind.SALE,
    PreAuth: Kind.PREAUTH,
    Completion: Kind.COMPLETION,
    TopUp: Kind.TOPUP,
    PointsSale: Kind.POINTS_SALE,
    Refund: Kind.REFUND,
}


def day_of_work():
    """What a terminal has done at the host that is lost, in its order."""
    meal, other, desk = asked(Sale, 20, 1000), asked(Sale, 21, 600), asked(PreAuth, 22, 500)
    taken, paid_in = completion(23, desk, 400), asked(TopUp, 24, 2000, COY)
    gone = asked(TopUp, 25, 100, COY)
    return [
        *(meal, other, desk, taken, paid_in, gone, asked(PointsSale, 26, 5), refund(27, meal, 300), void(28, other)),
        *(void(29, gone, Kind.TOPUP_VOID), void(30, taken, Kind.COMPLETION_VOID), asked(PreAuth, 31, 50, BEN)),
    ]


def money(ledger):
    accounts = ledger.store.execute("SELECT account_id, balance_fen FROM accounts WHERE balance_fen <> 0 ORDER BY 1")
    return accounts, ledger.store.execute("SELECT account_id, amount_fen FROM holds ORDER BY 1, 2")


@pytest.fixture
def lost():
    """The host that is lost, after that day."""
    with contextlib.closing(SqliteStore(":memory:")) as store:
        ledger = open_campus(store)
        ledger.tariff = TARIFF
        yield ledger


def brought_back(lost, commands):
    """The same as the terminal uploads it: with what it was answered."""
    outcomes = apply(lost, *commands)
    assert {outcome.decision for outcome in outcomes} == {Decision.APPROVED}
    return [
        upload_of(command, getattr(command, "kind", None) or KINDS[type(command)], outcome.charged_fen, outcome.points)
        for command, outcome in zip(commands, outcomes, strict=True)
    ]


def test_every_kind_comes_back_as_it_was_though_the_tariff_has_changed(ledger, lost):
    uploads = brought_back(lost, day_of_work())
    assert [outcome.decision for outcome in apply(ledger, *uploads)] == [Decision.APPROVED] * len(uploads)
    assert money(ledger) == money(lost)
    assert spent(ledger) == spent(lost)
    assert [decide(ledger, upload).replayed for upload in uploads] == [True] * len(uploads)
    for command, again in zip(day_of_work(), apply(ledger, *day_of_work()), strict=True):
        assert (again.decision, again.replayed, again.charged_fen) == (
            Decision.APPROVED,
            True,
            decide(lost, command).charged_fen,
        )


def test_what_is_about_something_that_is_not_here_yet_waits_for_it(ledger, lost):
    """Terminals connect in any order, and a refund may be another terminal's than its sale."""
    uploads = brought_back(lost, day_of_work())
    left, rounds = uploads[::-1], 0
    while left and rounds < 9:
        before = ledger.head_seq
        outcomes = [(upload, decide(ledger, upload)) for upload in left]
        assert {outcome.decision for _, outcome in outcomes} <= {Decision.APPROVED, Decision.ORIGINAL_UNKNOWN}
        assert ledger.head_seq - before == sum(o.decision == Decision.APPROVED for _, o in outcomes)
        left = [upload for upload, outcome in outcomes if outcome.decision == Decision.ORIGINAL_UNKNOWN]
        rounds += 1
    assert (left, rounds) == ([], 3)
    assert sum(fen for number, fen in money(ledger)[0] if number < POINTS_ACCOUNT_OFFSET and number != 5) == 0


def test_a_payer_without_money_is_helped_by_the_campus(ledger):
    desk = asked(PreAuth, 1, 500, COY)
    paid_in = asked(TopUp, 3, 300, COY)
    uploads = [upload_of(desk, Kind.PREAUTH), upload_of(completion(2, desk, 400), Kind.COMPLETION)]
    assert {outcome.decision for outcome in apply(ledger, *uploads)} == {Decision.APPROVED}
    assert (balance(ledger, COY), balance(ledger, OFFLINE_DEBT_ACCOUNT), held(ledger, COY)) == (0, -400, 0)
    gone = [
        upload_of(paid_in, Kind.TOPUP),
        sale(4, 300, COY),
        upload_of(void(5, paid_in, Kind.TOPUP_VOID), Kind.TOPUP_VOID),
    ]
    assert {outcome.decision for outcome in apply(ledger, *gone)} == {Decision.APPROVED}
    assert (balance(ledger, COY), balance(ledger, OFFLINE_DEBT_ACCOUNT)) == (0, -700)


def test_what_gives_waits_for_a_card_that_is_known(ledger):
    for command, kind in (
        (asked(TopUp, 1, 500, token=STRANGER), Kind.TOPUP),
        (asked(PointsSale, 2, 5, token=STRANGER), Kind.POINTS_SALE),
    ):
        before = ledger.head_seq
        assert decide(ledger, upload_of(command, kind)).decision == Decision.CARD_UNKNOWN
        assert ledger.head_seq == before


def test_what_contradicts_the_journal_is_not_posted(ledger):
    eaten, back = sale(1, 1000), sale(2, 1000)
    apply(ledger, eaten, back, refund(3, eaten, 800), reversal(2, 1000))
    before = ledger.head_seq
    for command, kind in (
        (refund(4, eaten, 1001), Kind.REFUND),  # more than there was
        (refund(6, back, 1), Kind.REFUND),  # reversed
        (completion(7, eaten, 5), Kind.COMPLETION),  # no hold
        (refund(8, eaten, 1, token=CARDS[BEN]), Kind.REFUND),  # another payer
        (refund(3, eaten, 799), Kind.REFUND),  # other content under an identity that is taken
        (refund(3, eaten, 800), Kind.VOID),  # another kind
    ):
        assert decide(ledger, upload_of(command, kind)).decision == Decision.ID_CONFLICT
    assert ledger.head_seq == before


@pytest.mark.parametrize("first", ["reversal", "upload"])
def test_a_reversal_and_the_upload_of_any_kind_end_the_same(ledger, first):
    paid_in = asked(TopUp, 1, 500)
    commands = [reversal_of(paid_in), upload_of(paid_in, Kind.TOPUP, 550)]
    apply(ledger, *(commands if first == "reversal" else commands[::-1]))
    said = decide(ledger, upload_of(paid_in, Kind.TOPUP, 550))
    assert (said.decision, said.state) == (Decision.REVERSED_BEFORE, TransferState.REVERSED)
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)


@pytest.mark.parametrize("amount_fen", [400, 999, 1_001])
def test_an_uploaded_void_is_of_the_whole(ledger, amount_fen):
    """The ledger would move all of it, and its row would say less: `verify` could never agree again."""
    meal = asked(Sale, 1, 1_000)
    apply(ledger, meal)
    conflict = upload_of(void(2, meal, amount_fen=amount_fen), Kind.VOID)
    assert decide(ledger, conflict).decision == Decision.ID_CONFLICT
    assert balance(ledger) == START_FEN - 1_000


@pytest.mark.parametrize(("charged_fen", "points"), [(5_000_000, 0), (301, 0), (1, 4), (-1, 4)])
def test_an_uploaded_refund_gives_no_more_than_the_sale_took(ledger, charged_fen, points):
    """A sale of 10 yuan that cost 4 and earned 4 points, of which one and 1 yuan have gone back already."""
    ledger.tariff = Tariff(classes={1: CardClass(1, discounts={0: 60})}, points_rates={0: 100})
    set_card(ledger, class_id=1)
    meal = asked(Sale, 1, 1_000)
    first = refund(2, meal, 250)
    sold, back = apply(ledger, meal, first)
    assert (sold.charged_fen, sold.points, back.charged_fen, back.points) == (400, 4, 100, 1)
    before = ledger.head_seq
    conflict = upload_of(refund(3, meal, 750), Kind.REFUND, charged_fen=charged_fen, points=points)
    is_within = 0 <= charged_fen <= 400 and 0 <= points <= 4  # then it may be again, if the first one is undone
    assert decide(ledger, conflict).decision == (Decision.ORIGINAL_UNKNOWN if is_within else CONFLICT)
    assert ledger.head_seq == before
    whole = upload_of(refund(3, meal, 750), Kind.REFUND, charged_fen=300, points=3)
    assert decide(ledger, whole).decision == Decision.APPROVED
    assert balance(ledger) == START_FEN
    assert all(check.ok for check in verify(ledger.store) if check.name != REFERENCES)


def test_what_is_used_up_here_for_now_waits(ledger):
    """The refund that is here may be undone by what another terminal has still to bring."""
    eaten, gone = sale(1, 1000), sale(2, 1000)
    apply(ledger, eaten, gone, refund(3, eaten, 800), void(7, gone))
    before = ledger.head_seq
    for command, kind in (
        (refund(4, eaten, 201), Kind.REFUND),  # more than is left
        (void(5, eaten), Kind.VOID),  # refunded in part
        (refund(6, gone, 1), Kind.REFUND),  # voided
    ):
        assert decide(ledger, upload_of(command, kind)).decision == Decision.ORIGINAL_UNKNOWN
    assert ledger.head_seq == before
    decide(ledger, reversal_of(refund(3, eaten, 800)))
    decide(ledger, reversal_of(void(7, gone)))
    uploads = upload_of(refund(4, eaten, 201), Kind.REFUND), upload_of(refund(6, gone, 1), Kind.REFUND)
    assert {outcome.decision for outcome in apply(ledger, *uploads)} == {APPROVED}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_uploads_of_two_tills_may_come_between_each_other(ledger, order):
    """A hold completed and voided at one desk, completed at another: the merchant has its 800 in the end. If the other
    desk's came first, the pair waits for good: it comes to nothing."""
    hold = asked(PreAuth, 1, 1_000)
    first = completion(2, hold, 300)
    second = completion(1, hold, 800, terminal_id=OTHER_TILL)
    with ledger.store.transaction():
        ledger.store.execute("UPDATE terminals SET merchant_id = 1")
    uploads = [
        upload_of(first, Kind.COMPLETION),
        upload_of(void(3, first, Kind.COMPLETION_VOID), Kind.COMPLETION_VOID),
        upload_of(second, Kind.COMPLETION),
    ]
    decide(ledger, hold)
    for _ in range(3):
        decisions = {decide(ledger, uploads[place]).decision for place in order}
        assert decisions <= {APPROVED, Decision.ORIGINAL_UNKNOWN}
    assert (balance(ledger, MERCHANT), balance(ledger)) == (800, START_FEN - 800)
    assert decide(ledger, uploads[2]).decision == APPROVED


# ------------------------------------------------------------------- a card that is not the one that paid


def give_card(ledger, token, account_id=ANN):
    with ledger.store.transaction():
        ledger.store.execute("INSERT INTO cards (token, account_id) VALUES (?, ?)", (token, account_id))


OF_ANOTHER_CARD = {
    Kind.VOID: lambda meal, token: void(2, meal, token=token),
    Kind.REFUND: lambda meal, token: refund(2, meal, 1_000, token=token),
}


@pytest.mark.parametrize("kind", OF_ANOTHER_CARD)
def test_what_went_back_onto_another_card_of_the_account_comes_back(ledger, kind):
    """The card was replaced, or a telephone paid: the lost host took any card of the account, and so must this one."""
    meal = asked(Sale, 1, 1_000)
    decide(ledger, meal)
    give_card(ledger, STRANGER)
    assert decide(ledger, upload_of(OF_ANOTHER_CARD[kind](meal, STRANGER), kind)).decision == APPROVED
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN, 0)


@pytest.mark.parametrize("kind", OF_ANOTHER_CARD)
def test_what_went_back_onto_a_card_issued_since_the_backup_waits_for_it(ledger, kind):
    meal = asked(Sale, 1, 1_000)
    decide(ledger, meal)
    again = upload_of(OF_ANOTHER_CARD[kind](meal, STRANGER), kind)
    assert decide(ledger, again).decision == Decision.CARD_UNKNOWN
    give_card(ledger, STRANGER)
    assert decide(ledger, again).decision == APPROVED
    assert balance(ledger) == START_FEN


@pytest.mark.parametrize("kind", OF_ANOTHER_CARD)
def test_what_went_back_onto_somebody_elses_card_contradicts(ledger, kind):
    meal = asked(Sale, 1, 1_000)
    decide(ledger, meal)
    assert decide(ledger, upload_of(OF_ANOTHER_CARD[kind](meal, CARDS[BEN]), kind)).decision == CONFLICT
    assert balance(ledger) == START_FEN - 1_000


@pytest.mark.parametrize("discount", [0, 60])
def test_refunds_that_were_rounded_up_come_back_after_another_was_made(ledger, discount):
    """Of five refunds of 1 fen the lost host had charged 0, 0, 1, 0, 1 fen. Three are back when the rest of the sale is
    refunded here, and is rounded as if they were all: together that is a fen more than the sale took."""
    ledger.tariff = Tariff(classes={1: CardClass(1, discounts={0: discount})}, points_rates={0: 5})
    set_card(ledger, class_id=1)
    meal = asked(Sale, 1, 1_000)
    taken = decide(ledger, meal)
    lost = [refund(2 + number, meal, 1) for number in range(5)]
    told = [(0, 0), (0, 0), (1, 1), (0, 0), (1, 0)] if discount else [(1, 0)] * 5
    back = [upload_of(one, Kind.REFUND, *said) for one, said in zip(lost, told, strict=True)]
    apply(ledger, back[0], back[1], back[3])
    assert decide(ledger, refund(9, meal, 995)).decision == APPROVED
    assert [outcome.decision for outcome in apply(ledger, back[2], back[4])] == [APPROVED] * 2
    assert (taken.charged_fen, balance(ledger), balance(ledger, MERCHANT)) == (1_000 - 10 * discount, START_FEN, 0)
    assert [check for check in verify(ledger.store) if not check.ok and check.name != REFERENCES] == []


def test_a_refund_of_much_more_than_is_left_is_no_rounding(ledger):
    ledger.tariff = Tariff(classes={1: CardClass(1, discounts={0: 60})})
    set_card(ledger, class_id=1)
    meal = asked(Sale, 1, 1_000)
    apply(ledger, meal, refund(2, meal, 999))
    said = decide(ledger, upload_of(refund(3, meal, 1), Kind.REFUND, 3))
    assert (said.decision, balance(ledger)) == (Decision.ORIGINAL_UNKNOWN, START_FEN - 1)
