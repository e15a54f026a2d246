"""Offline sales: judged in the order they were made, once, whatever is lost, doubled, forged or spent twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from server.ledger import stop_list
from server.ledger.checks import REFERENCES
from server.ledger.model import (
    OFFLINE_DEBT_ACCOUNT,
    Decision,
    Kind,
    SaleLimits,
    Status,
    TransferState,
)
from server.ledger.quarantine import Reason, after, count
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import OFFLINE_GRACE_MS, EarlierLimit, Tariff
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
    OTHER_TILL,
    START_FEN,
    STRANGER,
    TILL,
    apply,
    balance,
    contents,
    decide,
    open_campus,
    query,
    reversal,
    sale,
    set_card,
    set_merchant,
    set_terminal,
    spent,
    upload_of,
)
from tests.server.ledger.records import NO_TAG, Recorder, renumbered

APPROVED, GAP, TAMPERED = Decision.APPROVED, Decision.OFFLINE_GAP, Decision.OFFLINE_TAMPERED
CONFLICT = Decision.ID_CONFLICT


@pytest.fixture
def till():
    return Recorder()


def debt(ledger) -> int:
    return -balance(ledger, OFFLINE_DEBT_ACCOUNT)


def position(ledger, terminal_id=TILL):
    terminal = ledger.store.load_terminals([terminal_id])[terminal_id]
    return terminal.saf_sequence, terminal.saf_tag or NO_TAG


def decisions(outcomes):
    return [outcome.decision for outcome in outcomes]


def stop(ledger, account_id, status=Status.LOST):
    """As the registry does it: the card's state and the list, in one commit. The version of the list."""
    set_card(ledger, account_id, status=status)
    with ledger.store.transaction():
        stop_list.note(ledger.store, CARDS[account_id], status)
    return stop_list.newest_version(ledger.store)


# ------------------------------------------------------------------------------------------------- money


def test_it_is_booked_as_what_it_is(ledger, till):
    outcome = decide(ledger, till.sold(1, 400), NOW_MS + 9)
    assert (outcome.decision, outcome.state, outcome.replayed) == (APPROVED, TransferState.APPROVED, False)
    assert (outcome.amount_fen, outcome.charged_fen, outcome.balance_fen) == (400, 400, START_FEN - 400)
    assert (outcome.saf_sequence, outcome.saf_tag) == (1, till.tag) == position(ledger)
    assert (balance(ledger), balance(ledger, MERCHANT), debt(ledger), spent(ledger)) == (9_600, 400, 0, (DAY, 400))
    rows = ledger.store.execute("SELECT kind, claimed_at_s, posted_at_ms FROM transfers WHERE seq = ?", (outcome.rrn,))
    assert rows == [(Kind.OFFLINE_SALE, 1_788_200_001, NOW_MS + 9)]


@pytest.mark.parametrize(
    ("account_id", "amount_fen", "own_fen"),
    [(ANN, START_FEN, START_FEN), (ANN, START_FEN + 1, START_FEN), (COY, 1, 0), (BEN, 99_999, START_FEN)],
)
def test_what_the_payer_cannot_cover_the_campus_bears(ledger, till, account_id, amount_fen, own_fen):
    before = balance(ledger, account_id)
    assert decide(ledger, till.sold(1, amount_fen, account_id)).decision == APPROVED
    assert (balance(ledger, account_id), balance(ledger, MERCHANT)) == (before - own_fen, amount_fen)
    assert debt(ledger) == amount_fen - own_fen


def test_no_limit_of_the_day_and_no_later_state_of_the_card_undoes_a_meal_that_is_eaten(ledger, till):
    set_card(ledger, status=Status.LOST, sale_limit_fen=1, day_limit_fen=1)
    set_merchant(ledger, Status.CLOSED)
    ledger.limits = SaleLimits(1, 1)
    assert decisions(apply(ledger, till.sold(1, 400), till.sold(2, 500))) == [APPROVED] * 2
    assert (balance(ledger), balance(ledger, MERCHANT)) == (START_FEN - 900, 900)


def test_what_was_sold_before_the_day_was_opened_counts_for_no_limit_of_it(ledger, till):
    ledger.limits = SaleLimits(0, 500)
    ledger.open_day(DAY + 1, NOW_MS + 3_601_000)  # the first record is of a second after NOW_MS, the second of two
    decide(ledger, till.sold(1, 400))
    assert spent(ledger) == (DAY + 1, 400)
    ledger.open_day(DAY + 2, NOW_MS + 3_602_001)
    decide(ledger, till.sold(2, 400))
    assert spent(ledger) == (DAY + 2, 0)
    assert decide(ledger, sale(900, 500)).decision == APPROVED
    assert decide(ledger, sale(901, 1)).decision == Decision.OVER_DAY_LIMIT


def test_a_clock_that_was_never_set_says_nothing_about_the_day(ledger, till):
    ledger.limits = SaleLimits(0, 500)
    ledger.open_day(DAY + 1, NOW_MS)
    decide(ledger, replace(till.sold(1, 400), claimed_at_s=86_400))
    assert spent(ledger) == (DAY + 1, 400)
    assert decide(ledger, sale(900, 101)).decision == Decision.OVER_DAY_LIMIT
    audit.check(ledger.store)


def test_a_reversal_gives_back_what_each_has_borne(ledger, till):
    outcomes = apply(ledger, till.sold(1, START_FEN + 700), sale(9, 1))
    assert decisions(outcomes) == [APPROVED, Decision.INSUFFICIENT_FUNDS]
    sold = till.sold(1, START_FEN + 700)
    undone = decide(ledger, reversal(1, START_FEN + 700, claimed_at_s=sold.claimed_at_s))
    assert (undone.decision, undone.amount_fen) == (APPROVED, START_FEN + 700)
    assert (balance(ledger), balance(ledger, MERCHANT), debt(ledger)) == (START_FEN, 0, 0)


def test_a_restored_host_knows_it_from_its_upload(ledger, till):
    """The terminal brings it back as what it was (kind 15), and later its chain: nothing is booked twice."""
    sold = till.sold(1, START_FEN + 700)
    assert ledger.open_history(NOW_MS) == 2
    back = decide(ledger, upload_of(sold, Kind.OFFLINE_SALE, charged_fen=START_FEN + 700))
    again = decide(ledger, sold)
    assert (back.decision, again.decision, again.replayed) == (APPROVED, APPROVED, True)
    assert (position(ledger)[0], debt(ledger), balance(ledger, MERCHANT)) == (1, 700, START_FEN + 700)


def test_a_query_knows_it(ledger, till):
    sold = till.sold(1, 400)
    decide(ledger, sold)
    asked = query(1, 400, claimed_at_s=sold.claimed_at_s)
    assert decide(ledger, asked).state is TransferState.APPROVED


# ---------------------------------------------------------------------------------- what the merchant bears


def test_a_card_unknown_here_is_not_booked(ledger, till):
    outcome = decide(ledger, till.sold(1, 400, token=STRANGER))
    assert (outcome.decision, outcome.charged_fen) == (Decision.CARD_UNKNOWN, 0)
    assert (balance(ledger, MERCHANT), debt(ledger), position(ledger)[0]) == (0, 0, 1)


def test_a_payment_code_is_never_good_offline(ledger, till):
    outcome = decide(ledger, replace(till.sold(1, 400), code_step=77))
    assert (outcome.decision, balance(ledger)) == (Decision.CARD_UNKNOWN, START_FEN)


@pytest.mark.parametrize("known", [-1, 0, 1])
def test_a_stopped_card_counts_if_the_terminal_could_have_known(ledger, till, known):
    stop(ledger, BEN)
    version = stop(ledger, ANN)
    outcome = decide(ledger, till.sold(1, 400, stop_list_version=version + known))
    assert outcome.decision == (Decision.STOPPED if known >= 0 else APPROVED)
    assert balance(ledger, MERCHANT) == (0 if known >= 0 else 400)


def test_a_card_that_was_found_again_is_not_stopped(ledger, till):
    stop(ledger, ANN)
    version = stop(ledger, ANN, Status.ACTIVE)
    assert decide(ledger, till.sold(1, 400, stop_list_version=version)).decision == APPROVED


@pytest.mark.parametrize(
    ("limit_fen", "decision"), [(0, Decision.OVER_OFFLINE_LIMIT), (399, Decision.OVER_OFFLINE_LIMIT), (400, APPROVED)]
)
def test_the_limit_of_one_sale_is_checked_again(ledger, till, limit_fen, decision):
    """0: none may be made, as it says to terminals."""
    ledger.tariff = Tariff(offline_sale_fen=limit_fen)
    assert decide(ledger, till.sold(1, 400)).decision == decision


@pytest.mark.parametrize(("ended_ms", "decision"), [(0, APPROVED), (1, APPROVED), (-1, Decision.OVER_OFFLINE_LIMIT)])
def test_a_limit_lowered_during_an_outage_costs_no_merchant_a_sale(ledger, till, ended_ms, decision):
    ended = EarlierLimit(400, NOW_MS - OFFLINE_GRACE_MS + 1 + ended_ms)
    ledger.tariff = Tariff(offline_sale_fen=100, earlier_offline=(EarlierLimit(200, NOW_MS), ended))
    assert decide(ledger, till.sold(1, 400)).decision == decision
    assert decide(ledger, till.sold(2, 200)).decision == APPROVED


def test_what_was_reversed_before_it_came_is_not_booked(ledger, till):
    sold = till.sold(1, 400)
    decide(ledger, reversal(1, 400, claimed_at_s=sold.claimed_at_s))
    assert decide(ledger, sold).decision == Decision.REVERSED_BEFORE
    assert (balance(ledger), position(ledger)[0]) == (START_FEN, 1)


# ----------------------------------------------------------------------------------------------- the chain


def test_a_gap_decides_nothing_and_says_what_is_wanted(ledger, till):
    first, second, third = till.sold(1, 100), till.sold(2, 200), till.sold(3, 300)
    decide(ledger, first)
    before = contents(ledger.store)
    outcome = decide(ledger, third)
    assert (outcome.decision, outcome.saf_sequence, outcome.saf_tag) == (GAP, 1, first.tag)
    assert contents(ledger.store) == before
    assert decisions(apply(ledger, second, third)) == [APPROVED] * 2
    assert balance(ledger, MERCHANT) == 600


@pytest.mark.parametrize("changes", [{"saf_sequence": 2}, {"saf_sequence": 4}, {"previous_tag": b"x" * 16}])
def test_another_number_or_another_tag_before_it_is_a_gap(ledger, till, changes):
    decide(ledger, till.sold(1, 100))
    decide(ledger, till.sold(2, 100))
    before = contents(ledger.store)
    assert decide(ledger, replace(till.sold(3, 100), **changes)).decision == GAP
    assert contents(ledger.store) == before


def test_a_terminals_first_record_has_nothing_before_it(ledger, till):
    assert decide(ledger, replace(till.sold(1, 100), previous_tag=b"x" * 16)).decision == GAP


def test_copies_get_what_was_decided_first_and_nothing_is_booked_twice(ledger, till):
    records = [till.sold(1, 400), till.sold(2, 100, token=STRANGER)]
    firsts = apply(ledger, *records)
    for outcomes in (apply(ledger, *records), [decide(ledger, one) for one in reversed(records)][::-1]):
        for first, copy in zip(firsts, outcomes, strict=True):
            assert copy == replace(first, replayed=True, saf_sequence=2, saf_tag=till.tag)
    assert (balance(ledger, MERCHANT), position(ledger)) == (400, (2, till.tag))


def test_chains_of_terminals_do_not_meet(ledger, till):
    other = Recorder(OTHER_TILL)
    assert (
        decisions(apply(ledger, till.sold(1, 1), other.sold(1, 2), till.sold(2, 3), other.sold(2, 4))) == [APPROVED] * 4
    )
    assert (position(ledger)[0], position(ledger, OTHER_TILL)[0]) == (2, 2)


def test_a_chain_goes_on_across_batches(ledger, till):
    records = [till.sold(999_999, 1), till.sold(1, 2, batch=2), till.sold(2, 3, batch=2)]
    assert decisions(apply(ledger, *records)) == [APPROVED] * 3


def test_whatever_is_refused_the_chain_goes_on_behind_it(ledger, till):
    records = [till.sold(1, 1, token=STRANGER), till.sold(2, 2, is_authentic=False), till.sold(3, 3)]
    assert decisions(apply(ledger, *records)) == [Decision.CARD_UNKNOWN, TAMPERED, APPROVED]
    assert (position(ledger), balance(ledger, MERCHANT)) == ((3, till.tag), 3)


def test_a_restored_ledger_takes_back_what_it_lost_and_knows_what_it_kept(ledger, till):
    """Its chain stands before what came in as an upload since: those are duplicates, and move the chain on."""
    records = [till.sold(stan, 100) for stan in (1, 2, 3)]
    apply(ledger, *records)
    with ledger.store.transaction():  # as after a restore in which the journal has got further than the chain
        ledger.store.execute("UPDATE terminals SET saf_sequence = 0, saf_tag = NULL WHERE terminal_id = ?", (TILL,))
    newest = till.sold(4, 100)
    assert decide(ledger, newest).decision == GAP
    outcomes = apply(ledger, *records, newest)
    assert [outcome.replayed for outcome in outcomes] == [True, True, True, False]
    assert (position(ledger)[0], balance(ledger, MERCHANT)) == (4, 400)


# ---------------------------------------------------------------------------------------------- quarantine


def test_a_record_nobody_has_sealed_is_kept_apart_and_moves_nothing(ledger, till):
    forged = till.sold(1, 400, is_authentic=False, stop_list_version=6)
    outcome = decide(ledger, forged, NOW_MS + 5)
    assert (outcome.decision, outcome.rrn, balance(ledger), debt(ledger)) == (TAMPERED, ledger.head_seq, START_FEN, 0)
    [kept] = after(ledger.store, 0, 10)
    assert (kept.number, kept.reason, kept.terminal_id, kept.saf_sequence) == (1, Reason.TAMPERED, TILL, 1)
    assert (kept.batch, kept.stan, kept.amount_fen, kept.token, kept.operator) == (1, 1, 400, CARDS[ANN], 7)
    assert (kept.claimed_at_s, kept.stop_list_version, kept.at_ms) == (forged.claimed_at_s, 6, NOW_MS + 5)
    assert (kept.previous_tag, kept.tag) == (NO_TAG, forged.tag)
    again = decide(ledger, forged)
    assert (again.decision, again.replayed, count(ledger.store)) == (TAMPERED, True, 1)


def test_an_identity_that_is_taken_is_kept_apart_once_and_the_chain_goes_on(ledger, till):
    decide(ledger, sale(1, 250))
    taken, later = till.sold(1, 400), till.sold(2, 100)
    assert decisions(apply(ledger, taken, taken, later)) == [CONFLICT, CONFLICT, APPROVED]
    assert [(kept.reason, kept.stan, kept.amount_fen) for kept in after(ledger.store, 0, 10)] == [
        (Reason.CONFLICT, 1, 400)
    ]
    assert (balance(ledger), position(ledger)) == (START_FEN - 350, (2, till.tag))


def test_a_taken_identity_further_on_waits_for_what_is_missing(ledger, till):
    decide(ledger, sale(2, 250))
    first, taken = till.sold(1, 100), till.sold(2, 400)
    assert decisions(apply(ledger, taken, first, taken)) == [GAP, APPROVED, CONFLICT]
    assert count(ledger.store) == 1


def test_of_a_revoked_terminal_nothing_is_booked_and_nothing_dropped(ledger, till):
    first = till.sold(1, 400)
    decide(ledger, first)
    set_terminal(ledger, Status.CLOSED)
    assert decide(ledger, first).replayed, "what was booked before stays so"
    outcome = decide(ledger, till.sold(2, 500))
    assert (outcome.decision, balance(ledger, MERCHANT)) == (Decision.TERMINAL_REVOKED, 400)
    assert [(kept.reason, kept.amount_fen) for kept in after(ledger.store, 0, 10)] == [(Reason.REVOKED, 500)]


def test_a_terminal_that_does_not_exist_gets_nothing_kept(ledger):
    outcome = decide(ledger, Recorder(0x0009_0009).sold(1, 400))
    assert (outcome.decision, count(ledger.store)) == (Decision.TERMINAL_UNKNOWN, 0)


# ---------------------------------------------------------------------------------------------- everything

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sell", "forge", "online"]),
        st.integers(1, 6_000),
        st.sampled_from([ANN, BEN, COY, 0]),
    ),
    min_size=1,
    max_size=14,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_whatever_comes_in_whatever_order_the_books_balance_and_each_record_counts_once(events, random):
    """A terminal's records arrive doubled, early and late, beside online sales that spend the same money."""
    store = SqliteStore(":memory:")
    ledger, till = open_campus(store), Recorder()
    records = []
    for stan, (event, fen, who) in enumerate(events, 1):
        token = CARDS.get(who, STRANGER)
        if event == "online":
            decide(ledger, sale(10_000 + stan, fen, token=token))
        else:
            records.append(till.sold(stan, fen, token=token, is_authentic=event == "sell"))
        for record in random.sample(records, min(len(records), 3)):
            decide(ledger, record)
    final = {record.identity: decide(ledger, record) for record in records}
    assert position(ledger)[0] == len(records)
    assert GAP not in decisions(final.values())
    booked = sum(record.amount_fen for record in records if final[record.identity].decision == APPROVED)
    rrns = [final[record.identity].rrn for record in records]
    assert rrns == sorted(rrns), "posted in the order they were made"
    [(online,)] = store.execute("SELECT coalesce(sum(amount_fen), 0) FROM transfers WHERE kind = 1 AND decision = 0")
    assert balance(ledger, MERCHANT) == booked + online
    assert count(store) == sum(not record.is_authentic for record in records)
    audit.check(store)
    assert {check.name for check in verify(store) if not check.ok} == {REFERENCES}, (
        "this campus has no customers by name"
    )
    store.close()


def test_a_renumbered_chain_goes_on_from_where_the_ledger_stands(ledger, till):
    """A terminal whose memory was lost takes the ledger's place for its own."""
    decide(ledger, till.sold(1, 100))
    stray = Recorder()
    lost = stray.sold(50, 300)
    outcome = decide(ledger, lost)
    assert outcome.decision == GAP
    again = renumbered(lost, outcome.saf_sequence + 1, outcome.saf_tag)
    assert (decide(ledger, again).decision, position(ledger)) == (APPROVED, (2, again.tag))
