"""Settlement between a real terminal's memory and a real ledger, every message through its bytes: balanced, with every
kind of difference, and cut off at every step by whatever can cut it off."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages import SettlementRequest
from protocol.messages.money import TransactionKind
from protocol.messages.settlement import (
    ROWS_MAX,
    DifferenceKind,
    RecordStanding,
    SettlementResult,
    fingerprint,
    totals_of,
)
from server.handlers import CALLS
from server.ledger import settlement as ledger_settlement
from server.ledger.checks import SETTLEMENTS
from server.ledger.copy import copy_ledger
from server.ledger.devices import EventKind
from server.ledger.ledger import Ledger
from server.ledger.model import Decision, Identity, Status
from server.ledger.settlement import State, Whose
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import BonusTier, CardClass, Tariff
from server.ledger.verify import verify
from server.stores import open_postgres
from terminal_emulator.flows.settlement import accept, answered, begin, request_of, rows_of
from terminal_emulator.record import RecordState
from terminal_emulator.settled import Stage
from terminal_emulator.storage import MemoryStorage
from tests.postgres import shared_server
from tests.server.ledger.campus import (
    ANN,
    CARDS,
    DAY,
    NO_LIMITS,
    NOW_MS,
    TILL,
    contents,
    decide,
    reversal,
    sale,
    upload,
)
from tests.server.settling import STEPS_MAX, World, forged


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def world(request):
    store = None if request.param == "sqlite" else open_postgres(shared_server().new_database())
    world = World(store)
    yield world
    world.store.close()


class TestBalanced:
    def test_both_sides_agree_and_the_batch_is_closed(self, world):
        world.sell(1000, 250, 250)
        world.undo(2)
        assert world.settle() is Stage.DONE
        done = world.till.last_settlement
        assert (done.is_balanced, done.settlement, done.closed_at_ms) == (True, 1, NOW_MS)
        assert [(row.kind, row.count, row.charged_fen) for row in done.totals] == [(TransactionKind.SALE, 2, 1250)]
        assert done.host_totals == done.totals
        assert done.digest == world.store.head()[1][:8]
        assert (world.till.records, world.till.used) == ({}, (2, 0))
        assert ledger_settlement.closed_batch(world.store, TILL) == 1
        assert world.ledger.newest_identity(TILL) == Identity(TILL, 2, 0)

    def test_a_copy_gets_the_same_bytes_for_ever(self, world):
        world.sell(1000)
        request = request_of(begin(world.till, 3, 9), world.till.acknowledged())
        first = world.ask(request)
        world.settle()
        world.sell(700)
        world.now_ms += 86_400_000
        world.ledger.open_day(DAY + 1, world.now_ms)
        world.restart_host()
        before = contents(world.store)
        assert world.settle() is Stage.DONE  # batch 2
        assert world.ask(request) == first
        assert (first.result, first.next_batch) == (SettlementResult.BALANCED, 2)
        assert before["transfers"] == contents(world.store)["transfers"]

    def test_a_batch_may_span_midnight(self, world):
        world.sell(1000)
        world.ledger.open_day(DAY + 1, world.now_ms)
        world.sell(500)
        world.ledger.open_day(DAY + 2, world.now_ms)
        assert world.settle() is Stage.DONE
        assert world.till.last_settlement.is_balanced
        [(day,)] = world.store.execute("SELECT business_day FROM settlements")
        assert day == DAY + 2

    def test_nothing_sold_is_settled_as_nothing(self, world):
        assert world.settle() is Stage.DONE
        assert (world.till.last_settlement.totals, world.till.used) == ((), (2, 0))

    def test_one_batch_after_another(self, world):
        for batch in range(1, 4):
            world.sell(100 * batch)
            assert world.settle() is Stage.DONE
            assert (world.till.last_settlement.settlement, world.till.used) == (batch, (batch + 1, 0))

    def test_what_is_sold_meanwhile_belongs_to_the_next_batch(self, world):
        world.sell(1000)
        begin(world.till, 3, 9)
        world.sell(300)
        assert world.settle() is Stage.DONE
        assert [*world.till.records] == [(2, 1)]
        assert world.settle() is Stage.DONE
        assert world.till.last_settlement.batch == 2
        assert world.till.last_settlement.is_balanced


class TestDifferences:
    @pytest.fixture(autouse=True)
    def sold(self, world):
        world.sell(1000, 250, 600)

    def lose_here(self, world):
        del world.till.records[(1, 2)]
        return 2, DifferenceKind.MISSING_AT_TERMINAL

    def lose_there(self, world):
        world.till.save(forged(7))
        return 7, DifferenceKind.MISSING_AT_HOST

    def double(self, world):
        world.till.save(replace(world.till.records[(1, 2)], stan=8))
        return 8, DifferenceKind.DOUBLED

    def change_amount(self, world):
        world.till.save(replace(world.till.records[(1, 2)], amount_fen=260, charged_fen=260))
        return 2, DifferenceKind.AMOUNT

    def reverse_here(self, world):
        world.undo(2, there=False)
        return 2, DifferenceKind.STATUS

    def reverse_there(self, world):
        world.undo(2, here=False)
        return 2, DifferenceKind.STATUS

    def of_another_day(self, world):
        outcome = decide(world.ledger, sale(1, 800, batch=3))
        world.till.save(forged(9, rrn=outcome.rrn))
        return 9, DifferenceKind.OTHER_DAY

    def change_kind(self, world):
        world.till.save(replace(world.till.records[(1, 2)], kind=TransactionKind.REFUND))
        return 2, DifferenceKind.KIND

    def change_points(self, world):
        world.till.save(replace(world.till.records[(1, 2)], points=3))
        return 2, DifferenceKind.POINTS

    @pytest.mark.parametrize(
        "injure",
        [
            lose_here,
            lose_there,
            double,
            change_amount,
            reverse_here,
            reverse_there,
            of_another_day,
            change_kind,
            change_points,
        ],
    )
    def test_each_is_named_accepted_and_kept_for_the_office(self, world, injure):
        expected = injure(self, world)
        assert world.settle() is Stage.ACCEPT
        assert world.named() == [expected]
        assert ledger_settlement.closed_batch(world.store, TILL) == 0
        assert [*world.till.records]  # nothing is cleared before it is closed
        assert world.accept() is Stage.DONE
        done = world.till.last_settlement
        assert (done.is_balanced, done.difference_count) == (False, 1)
        assert world.till.records == {}
        [kept] = ledger_settlement.accepted(world.store, done.settlement)
        assert (kept.stan, kept.difference) == expected
        found = ledger_settlement.find(world.store, TILL, 1)
        assert found.state == State.DIFFERENCES
        assert ledger_settlement.totals_of(world.store, 1, Whose.HOST) == world.in_journal()

    def test_what_each_side_has_is_said(self, world):
        self.change_amount(world)
        world.settle()
        [row] = world.till.settlement.differences
        assert (row.kind, row.terminal_standing, row.host_standing) == (
            TransactionKind.SALE,
            RecordStanding.APPROVED,
            RecordStanding.APPROVED,
        )
        assert (row.terminal_fen, row.host_fen, row.rrn) == (260, 250, world.till.records[(1, 2)].rrn)

    def test_two_mistakes_that_make_up_for_each_other_are_found(self, world):
        for stan, amount_fen in ((1, 600), (3, 1000)):
            world.till.save(replace(world.till.records[(1, stan)], amount_fen=amount_fen, charged_fen=amount_fen))
        assert world.settle() is Stage.ACCEPT
        assert world.named() == [(1, DifferenceKind.AMOUNT), (3, DifferenceKind.AMOUNT)]

    def test_a_copy_of_the_close_gets_the_same_bytes(self, world):
        self.change_amount(world)
        world.settle()
        closing = accept(world.till.settlement)
        request = request_of(closing, world.till.acknowledged())
        first = world.ask(request)
        world.restart_host()
        assert world.ask(request) == first
        assert (first.result, first.differences) == (SettlementResult.CLOSED_WITH_DIFFERENCES, 1)

    def test_other_differences_than_those_accepted_close_nothing(self, world):
        self.change_amount(world)
        world.settle()
        world.till.save_settlement(replace(accept(world.till.settlement), difference_count=2))
        assert world.settle() is Stage.ACCEPT  # read again, and shown again
        assert world.named() == [(2, DifferenceKind.AMOUNT)]
        assert ledger_settlement.find(world.store, TILL, 1).state == State.OPEN

    def test_records_that_changed_before_the_acceptance_are_compared_anew(self, world):
        self.change_amount(world)
        world.settle()
        decide(world.ledger, reversal(3, 600))  # by whomever
        seen = request_of(accept(world.till.settlement), world.till.acknowledged())
        refused = world.ask(seen)
        assert (refused.result, refused.differences) == (SettlementResult.UNBALANCED, 2), "as many as there are now"
        assert world.accept() is Stage.ACCEPT
        assert world.named() == [(2, DifferenceKind.AMOUNT), (3, DifferenceKind.STATUS)]
        assert world.accept() is Stage.DONE

    def test_as_many_differences_but_others_close_nothing(self, world):
        """One has gone and another has come since the list was shown."""
        self.lose_here(world)
        world.settle()
        assert world.named() == [(2, DifferenceKind.MISSING_AT_TERMINAL)]
        decide(world.ledger, reversal(2, 250))
        decide(world.ledger, reversal(3, 600))
        assert world.accept() is Stage.ACCEPT
        assert world.named() == [(3, DifferenceKind.STATUS)]
        assert world.accept() is Stage.DONE
        assert [row.stan for row in ledger_settlement.accepted(world.store, 1)] == [3]

    def test_a_list_is_compared_once_until_the_batch_changes(self, world, monkeypatch):
        """A terminal may ask for pages as often as it likes: that must not keep the ledger from sales."""
        compared, real = [], ledger_settlement.compare_batch

        def counting(*arguments):
            compared.append(arguments)
            return real(*arguments)

        monkeypatch.setattr(ledger_settlement, "compare_batch", counting)
        del world.till.records[(1, 2)]
        assert world.settle() is Stage.ACCEPT
        for _ in range(5):
            found, count = ledger_settlement.differences(world.store, TILL, 1, 0, 9)
            assert ([row.stan for row in found.differing], count) == ([2], 1)
        assert len(compared) == 1
        decide(world.ledger, reversal(2, 250))
        for _ in range(5):
            assert ledger_settlement.differences(world.store, TILL, 1, 0, 9)[0].differing == []
        assert len(compared) == 2
        [check] = [check for check in verify(world.store) if check.name == SETTLEMENTS]
        assert check.ok, check.detail

    def test_a_terminal_that_mends_itself_settles_after_all(self, world):
        self.change_amount(world)
        assert world.settle() is Stage.ACCEPT
        world.till.save(replace(world.till.records[(1, 2)], amount_fen=250, charged_fen=250))
        begin(world.till, 3, 10)
        assert world.settle() is Stage.DONE
        assert world.till.last_settlement.is_balanced
        assert ledger_settlement.count_accepted(world.store, 1) == 0
        assert world.store.execute("SELECT count(*) FROM settlement_records") == [(0,)]

    def test_a_terminal_without_memory_lists_what_the_host_has(self, world):
        world.till = MemoryStorage()
        assert world.settle() is Stage.ACCEPT
        assert world.named() == [(stan, DifferenceKind.MISSING_AT_TERMINAL) for stan in (1, 2, 3)]
        assert world.accept() is Stage.DONE


class TestOrder:
    def test_an_older_batch_with_money_in_it_goes_first(self, world):
        world.sell(1000)
        world.till.skip_to(2, 0)
        world.sell(500)
        for identity in [*world.till.records]:
            if identity[0] == 1:
                del world.till.records[identity]  # it has lost the older one
        assert world.settle() is Stage.ACCEPT
        assert world.till.settlement.batch == 1
        assert world.accept() is Stage.DONE
        assert world.settle() is Stage.DONE
        assert (world.till.last_settlement.batch, world.till.last_settlement.is_balanced) == (2, True)

    def test_an_older_batch_in_which_all_was_reversed_does_not_stand_in_the_way(self, world):
        world.sell(1000)
        world.undo(1)
        world.till.records.clear()
        world.till.skip_to(2, 0)
        world.sell(500)
        assert world.settle() is Stage.DONE
        assert world.till.last_settlement.batch == 2

    def test_a_settlement_that_was_begun_has_to_be_finished_first(self, world):
        world.till.save(forged(7))  # which only the terminal has
        assert world.settle() is Stage.ACCEPT
        answer = world.ask(SettlementRequest(batch=2, claimed_at_s=9, fingerprint=bytes(8), totals=totals_of(())))
        assert (answer.result, answer.response_code, answer.next_batch) == (SettlementResult.EARLIER_OPEN, "77", 1)

    def test_a_batch_number_from_the_past_is_told_the_right_one(self, world):
        for _ in range(3):
            world.sell(100)
            world.settle()
        stale = MemoryStorage()
        stale.save(forged(1))
        world.till = stale
        assert world.settle() is Stage.ELSEWHERE
        answer = world.ask(SettlementRequest(batch=2, claimed_at_s=1, fingerprint=bytes(8)))
        assert (answer.result, answer.response_code, answer.next_batch) == (
            SettlementResult.ALREADY_CLOSED,
            "77",
            4,
        )
        assert [*stale.records] == [(1, 1)]
        assert world.accept() is Stage.DONE

    @pytest.mark.parametrize(("sold", "batch", "right"), [(False, 3, 2), (False, 999_999, 2), (True, 7, 6)])
    def test_a_batch_number_from_nowhere_closes_nothing(self, world, sold, batch, right):
        """Closed, it would refuse all that the terminal sells under its own numbers, for ever."""
        assert world.settle() is Stage.DONE
        if sold:
            decide(world.ledger, sale(1, 100, batch=6))
            decide(world.ledger, reversal(1, 100, batch=6))
        request = SettlementRequest(batch=batch, claimed_at_s=9, fingerprint=fingerprint(()), totals=())
        answer = world.ask(request)
        assert (answer.result, answer.response_code, answer.next_batch) == (SettlementResult.EARLIER_OPEN, "77", right)
        assert ledger_settlement.closed_batch(world.store, TILL) == 1
        world.till.skip_to(batch, 0)
        while ledger_settlement.closed_batch(world.store, TILL) < min(batch, right):
            assert world.settle() is Stage.DONE  # the terminal finds its way by itself

    def test_the_last_batch_number_there_is_stays_open(self, world):
        decide(world.ledger, sale(1, 100, batch=999_999))
        request = SettlementRequest(batch=999_999, claimed_at_s=9, fingerprint=bytes(8), totals=())
        assert world.ask(request).next_batch == 999_998
        assert ledger_settlement.closed_batch(world.store, TILL) == 0
        assert world.ledger.newest_identity(TILL) == Identity(TILL, 999_999, 1)


class Cut(Exception):
    """The line, the power, the host: gone."""


def cut_off_at(world: World, step: int, how: str) -> None:
    """Settle to the end, but at this step the request is lost, or its answer, or the terminal before it could store
    what it was told; the host starts again each time."""
    if world.till.settlement is None:
        begin(world.till, 3, 9)
    for number in range(STEPS_MAX):
        state = world.till.settlement
        if state is None:
            return
        if state.stage is Stage.ACCEPT:
            world.till.save_settlement(accept(state))
            continue
        if number == step:
            if how != "request lost":
                world.ask(request_of(state, world.till.acknowledged()))
            if how == "host restarted":
                world.restart_host()
        else:
            world.step()
    raise AssertionError("it never ends")


@pytest.mark.parametrize("how", ["request lost", "answer lost", "host restarted"])
@pytest.mark.parametrize("step", range(8))
def test_cut_off_at_any_step_it_goes_on_and_ends_the_same(step, how):
    world = World()
    world.sell(*([100] * (ROWS_MAX + 3)))
    world.till.save(forged(ROWS_MAX + 9))
    del world.till.records[(1, 5)]
    cut_off_at(world, step, how)
    done = world.till.last_settlement
    assert [(row.stan, row.difference) for row in done.differences] == [
        (5, DifferenceKind.MISSING_AT_TERMINAL),
        (ROWS_MAX + 9, DifferenceKind.MISSING_AT_HOST),
    ]
    assert (done.is_balanced, done.settlement, world.till.records) == (False, 1, {})
    assert world.store.execute("SELECT count(*) FROM settlements") == [(1,)]
    assert world.store.execute("SELECT count(*) FROM settlement_differences") == [(2,)]
    assert world.store.execute("SELECT count(*) FROM settlement_records") == [(0,)]


class TestParts:
    @pytest.fixture(autouse=True)
    def opened(self, world):
        world.sell(*([100] * (2 * ROWS_MAX)))
        del world.till.records[(1, 1)]
        begin(world.till, 3, 9)
        world.step()
        assert world.till.settlement.stage is Stage.UPLOAD

    def part(self, world, number):
        return request_of(replace(world.till.settlement, part=number), world.till.acknowledged())

    def test_a_part_too_early_is_not_kept(self, world):
        answer = world.ask(self.part(world, 2))
        assert (answer.response_code, answer.next_part) == ("00", 1)
        assert world.store.execute("SELECT count(*) FROM settlement_records") == [(0,)]

    def test_a_copy_changes_nothing(self, world):
        for number, next_part in ((1, 2), (2, 3), (1, 3), (2, 3)):
            answer = world.ask(self.part(world, number))
            assert (answer.response_code, answer.next_part) == ("00", next_part)
        assert world.store.execute("SELECT count(*) FROM settlement_records") == [(2 * ROWS_MAX - 1,)]

    def test_other_records_under_its_number_replace_it_and_what_follows(self, world):
        for number in (1, 2):
            world.ask(self.part(world, number))
        answer = world.ask(replace(self.part(world, 1), records=self.part(world, 2).records))
        assert answer.next_part == 2
        assert world.store.execute("SELECT count(*) FROM settlement_records") == [(ROWS_MAX - 1,)]

    def test_the_end_too_early_says_where_to_go_on(self, world):
        world.ask(self.part(world, 1))
        ending = replace(world.till.settlement, stage=Stage.END)
        answer = world.ask(request_of(ending, world.till.acknowledged()))
        assert (answer.response_code, answer.next_part) == ("79", 2)

    def test_differences_before_the_end_are_refused(self, world):
        listing = replace(world.till.settlement, stage=Stage.DIFFERENCES)
        answer = world.ask(request_of(listing, world.till.acknowledged()))
        assert (answer.response_code, answer.pages) == ("79", 0)

    def test_nothing_is_taken_for_a_batch_that_is_not_being_settled(self, world):
        stray = replace(world.till.settlement, batch=9)
        for stage in (Stage.UPLOAD, Stage.END, Stage.DIFFERENCES):
            request = request_of(replace(stray, stage=stage), [forged(1, batch=9)])
            assert world.ask(request).response_code == "77"


def test_every_kind_of_transaction_balances_with_its_discount_bonus_and_points(world):
    """What a terminal was answered is what the journal has, for all that the keypad can do."""
    kind = TransactionKind
    world.ledger.tariff = Tariff(
        classes={1: CardClass(1, discounts={0: 10})},
        bonus_tiers={0: (BonusTier(5_000, 500),)},
        points_rates={0: 100},
    )
    with world.store.transaction():
        world.store.execute("UPDATE cards SET class_id = 1 WHERE token = ?", (CARDS[ANN],))
    sale, kept = world.transact(kind.SALE, 1001), world.transact(kind.SALE, 2000)
    world.transact(kind.VOID, 1001, sale)
    top_up = world.transact(kind.TOPUP, 5_000)
    world.transact(kind.TOPUP_VOID, 5_000, top_up)
    world.transact(kind.TOPUP, 100)
    points = world.transact(kind.POINTS_SALE, 10)
    world.transact(kind.POINTS_VOID, 10, points)
    world.transact(kind.POINTS_SALE, 3)
    hold = world.transact(kind.PREAUTH, 900)
    completion = world.transact(kind.COMPLETION, 700, hold)
    world.transact(kind.COMPLETION_VOID, 700, completion)
    other = world.transact(kind.PREAUTH, 50)
    world.transact(kind.PREAUTH_VOID, 50, other)
    world.transact(kind.SALE, 999_999)  # declined
    world.ledger.open_day(DAY + 1, world.now_ms)
    world.transact(kind.REFUND, 500, kept)
    states = {record.kind: record.state for record in world.till.records.values() if record.amount_fen < 999_999}
    assert set(states.values()) == {RecordState.APPROVED}, states
    assert set(states) == set(kind) - {kind.OFFLINE_SALE}
    assert world.settle() is Stage.DONE, world.named()
    done = world.till.last_settlement
    assert done.is_balanced
    assert {row.kind for row in done.totals} == set(states)
    assert next(row.charged_fen for row in done.totals if row.kind is kind.SALE) == 901 + 1800
    with world.store.transaction():
        for account_id in CARDS:
            world.store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
    assert [check.detail for check in verify(world.store) if not check.ok] == []


def test_a_top_up_of_the_largest_amount_differs_with_its_bonus(world):
    """What was credited is more than any amount that can be keyed."""
    world.ledger.tariff = Tariff(bonus_tiers={0: (BonusTier(100, 100),)})
    assert world.transact(TransactionKind.TOPUP, MAX_AMOUNT_FEN).charged_fen == MAX_AMOUNT_FEN + 100
    world.sell(300)
    del world.till.records[(1, 2)]
    assert world.settle() is Stage.ACCEPT
    assert world.named() == [(2, DifferenceKind.MISSING_AT_TERMINAL)]
    assert world.accept() is Stage.DONE


def test_a_host_restored_from_before_the_settlement_gets_batch_and_settlement_back():
    """Its disk is lost: the terminal uploads what it has settled, and settles it once more when the host asks."""
    world = World()
    world.sell(1000, 250)
    before = SqliteStore(":memory:")
    copy_ledger(world.store, before)
    world.sell(70)
    world.undo(2)
    world.settle()
    world.store, world.ledger = before, Ledger(before, NO_LIMITS)
    world.ledger.open_history(world.now_ms)
    for record in world.till.acknowledged():
        if record.state is RecordState.REVERSED:
            decide(world.ledger, reversal(record.stan, record.amount_fen, batch=1))
        else:
            decide(world.ledger, upload(record.stan, record.amount_fen, batch=1))
    world.till.skip_to(2, 0)
    world.sell(5)
    assert world.settle() is Stage.DONE  # the older batch goes first
    assert (world.till.last_settlement.batch, world.till.last_settlement.is_balanced) == (1, True)
    assert world.settle() is Stage.DONE
    assert (world.till.last_settlement.batch, world.till.last_settlement.is_balanced) == (2, True)
    [check] = [check for check in verify(world.store) if check.name == SETTLEMENTS]
    assert check.ok, check.detail


def test_a_new_request_under_a_closed_number_is_declined():
    world = World()
    world.sell(100)
    world.settle()
    outcome = decide(world.ledger, sale(40, 9, batch=1))
    assert outcome.decision == Decision.BATCH_CLOSED
    assert decide(world.ledger, sale(1, 100, batch=1)).decision == Decision.APPROVED  # a copy of what was booked
    assert decide(world.ledger, sale(1, 9, batch=2)).decision == Decision.APPROVED


def test_a_revoked_terminal_settles_nothing():
    world = World()
    world.sell(100)
    state = begin(world.till, 3, 9)
    with world.store.transaction():
        world.store.execute("UPDATE terminals SET status = ? WHERE terminal_id = ?", (int(Status.CLOSED), TILL))
    for stage in (Stage.TOTALS, Stage.UPLOAD, Stage.END, Stage.CLOSE):
        state = replace(state, stage=stage)
        answer = world.ask(request_of(state, world.till.acknowledged()))
        assert answer.response_code == "58"
        assert answered(state, answer, world.till.acknowledged()) is state
    assert world.store.execute("SELECT count(*) FROM settlements") == [(0,)]


def test_the_log_says_once_what_came_of_it(logs):
    world = World()
    world.sell(100)
    request = request_of(begin(world.till, 3, 9), world.till.acknowledged())
    world.settle()
    world.now_ms += 1
    world.ask(request)
    world.sell(100)
    world.till.save(forged(7, batch=2))
    world.settle()
    world.accept()
    said = [(entry["event"].partition(":")[0], entry["log_level"], entry["batch"]) for entry in logs]
    assert said == [
        ("batch closed", "info", 1),
        ("batch does not balance", "warning", 2),
        ("batch closed with differences", "error", 2),
    ]
    assert logs[-1]["differences"] == 1


def test_many_differences_come_page_by_page():
    world = World()
    world.sell(*([10] * 100))
    world.till.records.clear()
    assert world.settle() is Stage.ACCEPT
    assert [stan for stan, _ in world.named()] == [*range(1, 101)]
    assert world.accept() is Stage.DONE


def test_while_the_ledger_cannot_be_written_nothing_is_decided():
    world = World()
    world.sell(100)
    state = begin(world.till, 3, 9)
    for stage in (Stage.TOTALS, Stage.UPLOAD, Stage.END, Stage.DIFFERENCES, Stage.CLOSE):
        state = replace(state, stage=stage)
        request = request_of(state, world.till.acknowledged())
        assert request is not None
        answer = CALLS[type(request)].undecided(request, "96")
        answer = answer.layout.decode(answer.layout.encode(answer))
        assert answer.response_code == "96"
        assert answered(state, answer, world.till.acknowledged()) is state


CHANGES = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from(["lose here", "lose there", "amount", "reverse here", "reverse there", "reverse both"]),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), CHANGES)
def test_random_batches_end_closed_and_every_total_is_the_sum_of_its_items(amounts_fen, changes):
    world = World()
    world.sell(*amounts_fen)
    for stan, change in changes:
        if stan > len(amounts_fen) or (1, stan) not in world.till.records:
            continue
        if change == "lose here":
            del world.till.records[(1, stan)]
        elif change == "lose there":
            world.till.save(forged(stan + 50))
        elif change == "amount":
            world.till.save(replace(world.till.records[(1, stan)], amount_fen=777, charged_fen=777))
        else:
            world.undo(stan, here=change != "reverse there", there=change != "reverse here")
    rows = rows_of(world.till.acknowledged(), 1)
    stage = world.settle()
    if stage is Stage.ACCEPT:
        assert world.named()
        stage = world.accept()
    assert stage is Stage.DONE
    done = world.till.last_settlement
    assert done is not None
    assert done.totals == totals_of(rows)
    items = ledger_settlement.host_items(world.store, TILL, 1)
    approved = [item for item in items if item.is_approved]
    assert sum(row.charged_fen for row in done.host_totals) == sum(item.charged_fen for item in approved)
    assert sum(row.count for row in done.host_totals) == len(approved)
    difference_fen = sum(
        (row.terminal_fen if row.terminal_standing is RecordStanding.APPROVED else 0)
        - (row.host_fen if row.host_standing is RecordStanding.APPROVED else 0)
        for row in done.differences
    )
    here_fen, there_fen = (sum(row.charged_fen for row in side) for side in (done.totals, done.host_totals))
    assert here_fen - there_fen == difference_fen
    assert done.is_balanced == (not done.differences)
    world.store.close()


@pytest.mark.parametrize("tick_ms", [0, 7])
def test_the_terminals_log_has_what_was_settled_and_how(world, tick_ms):
    world.sell(1000)
    world.tick_ms = tick_ms
    request = request_of(begin(world.till, 3, 9), world.till.acknowledged())
    world.settle()
    world.now_ms += 1
    world.ask(request)  # a copy: nothing happens
    world.sell(500)
    world.till.save(forged(9, batch=2))
    assert world.settle() is Stage.ACCEPT
    assert world.accept() is Stage.DONE
    assert [(event.kind, event.detail) for event in world.desk.devices.events(TILL, before=99, limit=9)] == [
        (EventKind.SETTLEMENT_DIFFERED, "batch 2, settlement 2"),
        (EventKind.SETTLED, "batch 1, settlement 1"),
    ]
