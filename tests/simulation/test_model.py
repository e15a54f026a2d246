"""The model's own rules, kind by kind: what it expects of an honest host, and that it complains of any other answer."""

from __future__ import annotations

import pytest

from protocol.messages import (
    MoneyAnswer,
    OfflineSaleAnswer,
    OfflineSaleRequest,
    OfflineVerdict,
    ReversalRequest,
)
from terminal_emulator.record import Record, RecordState, Saf
from terminal_emulator.storage import MemoryStorage
from tests.simulation import rules
from tests.simulation.final import request_of, reversal_of
from tests.simulation.model import Model
from tests.simulation.office import Settled
from tests.simulation.oracle import REQUESTS, Content
from tests.simulation.rules import days_between
from tests.simulation.test_oracle import ANN, BEN, MERCHANT, TILL, History, reversal_answer

OF_ANN, SHOP = "points of Ann", f"merchant {MERCHANT}"
ROOTS = ("sale", "preauth", "topup", "points_sale")


class Counter(History):
    """The same campus, where everything may be asked for: with points, a bonus, and holds of an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.office.sale_limit_fen = self.office.day_limit_fen = 0
        self.office.prices.fen_per_point = 100
        self.office.prices.bonus = [(500, 50)]
        self.office.prices.hold_s = 3_600
        self.rrn = 2

    def ask(
        self, kind, stan, amount_fen, code="00", charged=0, points=0, left=0, balance=0, of=0, payer=ANN, till=TILL
    ):
        """A request of any kind, as the host answers it; `left` is what the payer has of points then."""
        self.rrn += 1
        identity = (till, 1, stan)
        asked = request_of(identity, Content(amount_fen, payer, 7, 0, 1, kind, (TILL, 1, of) if of else None))
        answer = {
            "stan": stan,
            "batch": 1,
            "amount_fen": amount_fen,
            "response_code": code,
            "charged_fen": charged,
            "points": points,
            "points_balance": left,
            "rrn": self.rrn,
            "balance_fen": balance,
            "posted_at_ms": 5,
        }
        self.hear(asked, MoneyAnswer(**answer), till)

    def upload(
        self,
        stan,
        amount_fen,
        verdict="ACCEPTED",
        code="00",
        charged=0,
        points=0,
        left=0,
        number=1,
        rrn=None,
        payer=ANN,
    ):
        """A sale made without a host goes up."""
        self.rrn += 1
        asked = OfflineSaleRequest(
            stan=stan,
            batch=1,
            amount_fen=amount_fen,
            payer=payer,
            claimed_at_s=7,
            saf_sequence=number,
            previous_tag=bytes(16),
            tag=bytes(16),
        )
        answer = OfflineSaleAnswer(
            stan=stan,
            batch=1,
            amount_fen=amount_fen,
            verdict=OfflineVerdict[verdict],
            response_code=code,
            rrn=self.rrn if rrn is None else rrn,
            charged_fen=charged,
            points=points,
            points_balance=left,
            next_saf_sequence=number + 1,
            last_tag=bytes(16),
        )
        self.hear(asked, answer)

    def undo(self, kind, stan, amount_fen, reversed_fen, balance):
        """The reversal of one."""
        self.rrn += 1
        asked = reversal_of((TILL, 1, stan), Content(amount_fen, ANN, 7, 0, 1, kind))
        assert isinstance(asked, ReversalRequest)
        self.hear(asked, reversal_answer(asked, "00", self.rrn, reversed_fen, balance))

    def expire(self, about, amount_fen, at_ms):
        """A hold's time is over."""
        self.rrn += 1
        self.office.expiries.append((self.rrn, about, amount_fen, at_ms))

    def end(self) -> Model:
        model = self.judge(self.rrn)
        assert self.broken == set(), self.world.violations
        return model


@pytest.fixture
def counter():
    return Counter()


def test_there_is_a_rule_for_every_kind(counter):
    for kind in REQUESTS:
        balance = 0 if "points" in kind else 1_000
        counter.ask(kind, 1 + counter.rrn, 100, "97", balance=balance, of=99 if kind not in ROOTS else 0, till=77)
    counter.end()


def test_void_takes_back_all_and_only_once(counter):
    counter.ask("sale", 1, 400, charged=400, points=4, left=4, balance=600)
    counter.ask("void", 2, 400, charged=400, points=4, balance=1_000, of=1)
    counter.ask("void", 3, 400, "21", balance=1_000, of=1)
    counter.ask("refund", 4, 1, "21", balance=1_000, of=1)
    counter.ask("void", 5, 400, "25", balance=1_000, of=9)
    counter.ask("void", 6, 400, "12", balance=1_000, of=2)
    counter.ask("void", 7, 400, "F6", balance=1_000, of=1, payer=BEN)
    counter.undo("void", 2, 400, 400, 600)
    counter.ask("void", 8, 401, "64", balance=600, of=1)
    counter.ask("void", 9, 400, charged=400, points=4, balance=1_000, of=1)
    model = counter.end()
    assert (model.books.balances[SHOP], model.books.balances[OF_ANN]) == (0, 0)


def test_refunds_until_nothing_is_left(counter):
    counter.office.prices.discount_percent = 10
    counter.ask("sale", 1, 333, charged=300, points=3, left=3, balance=700)
    counter.ask("refund", 2, 111, charged=100, points=1, left=2, balance=800, of=1)
    counter.ask("refund", 3, 223, "61", balance=800, of=1)
    counter.ask("refund", 4, 222, charged=200, points=2, balance=1_000, of=1)
    counter.ask("refund", 5, 1, "61", balance=1_000, of=1)
    counter.ask("void", 6, 333, "21", balance=1_000, of=1)
    model = counter.end()
    assert model.look_up(TILL, (TILL, 1, 1)) == ("00", "approved", 300, 0)
    assert model.books.balances[SHOP] == 0


def test_a_refund_after_too_many_days(counter):
    counter.office.prices.refund_days = 1
    counter.office.days = [(1, 20260830), (4, 20260901)]
    counter.ask("sale", 1, 400, charged=400, points=4, left=4, balance=600)
    counter.ask("refund", 2, 400, "F1", balance=600, of=1)
    counter.ask("void", 3, 400, "12", balance=600, of=1)
    counter.end()


def test_holds(counter):
    counter.ask("preauth", 1, 600, charged=600, balance=400)
    counter.ask("sale", 2, 500, "51", balance=400)
    counter.ask("completion", 3, 601, "61", balance=400, of=1)
    counter.ask("completion", 4, 450, charged=450, points=4, left=4, balance=550, of=1)
    counter.ask("completion", 5, 10, "21", balance=550, of=1)
    counter.ask("completion_void", 6, 450, charged=450, points=4, balance=400, of=4)
    counter.ask("preauth_void", 7, 600, charged=600, balance=1_000, of=1)
    counter.ask("preauth", 8, 100, charged=100, balance=900)
    counter.expire(10, 100, 3_600_005)
    counter.ask("completion", 9, 100, "F4", balance=1_000, of=8)
    counter.ask("preauth", 10, 200, charged=200, balance=800)
    model = counter.end()
    assert model.balance(TILL, Content(0, ANN, 0, 0, 1), "", 0) == ("00", 800, 200, 0)
    assert model.held_until_ms() == {13: 3_600_005}
    assert model.books.balances[SHOP] == 0


def test_a_hold_freed_too_early_or_twice(counter):
    counter.ask("preauth", 1, 100, charged=100, balance=900)
    counter.expire(3, 100, 3_600_004)
    counter.expire(3, 100, 3_600_005)
    counter.judge(counter.rrn)
    assert counter.broken == {"I4", "I8"}


def test_top_up_with_its_bonus_and_back(counter):
    counter.ask("topup", 1, 500, charged=550, balance=1_550)
    counter.ask("topup", 2, 499, charged=499, balance=2_049)
    counter.ask("topup_void", 3, 500, charged=550, balance=1_499, of=1)
    counter.ask("sale", 4, 1_100, charged=1_100, points=11, left=11, balance=399)
    counter.ask("topup_void", 5, 499, "51", balance=399, of=2)
    counter.undo("topup", 2, 499, 499, 0)
    model = counter.end()
    assert model.books.balances["debt"] == -100
    assert model.books.balances["bonus"] == 0
    assert model.books.balances[SHOP] == 1_100


def test_points_are_a_currency_of_their_own(counter):
    counter.ask("sale", 1, 600, charged=600, points=6, left=6, balance=400)
    counter.ask("points_sale", 2, 7, "51", balance=6)
    counter.ask("points_sale", 3, 5, points=5, left=1, balance=1)
    counter.ask("points_void", 4, 5, points=5, left=6, balance=6, of=3)
    counter.ask("points_sale", 5, 6, points=6, balance=0)
    counter.ask("void", 6, 600, charged=600, points=6, left=-6, balance=1_000, of=1)
    model = counter.end()
    assert model.books.balances[OF_ANN] == -6
    assert model.balance(TILL, Content(0, ANN, 0, 0, 1), "", 0) == ("00", 1_000, 0, -6)


def test_what_was_sold_without_a_host(counter):
    counter.upload(1, 900, charged=900, points=9, left=9)
    counter.upload(2, 300, charged=300, points=3, left=12, number=2)
    counter.upload(3, 3_001, "OVER_LIMIT", "61", number=3)
    counter.upload(4, 100, "REFUSED", "14", number=4, payer=b"nobody")
    counter.office.owner[b"6065955371"] = "Ann"
    counter.office.phones[b"6065955371"] = b"secret"
    counter.upload(6, 100, "REFUSED", "14", number=5, payer=b"6065955371")
    counter.ask("refund", 5, 200, charged=200, points=2, left=10, balance=0, of=2)
    model = counter.end()
    assert (model.balances["Ann"], model.books.balances["debt"]) == (0, 0)
    assert model.books.balances[SHOP] == 1_000


def test_what_was_sold_before_the_day_was_opened_counts_for_no_limit(counter, monkeypatch):
    monkeypatch.setattr(rules, "CLOCK_SET_S", 0)
    counter.office.day_limit_fen = 500
    counter.office.days, counter.office.opened_ms = [(1, 20260831)], {20260831: 3_600_000 + 7_001}
    counter.upload(1, 400, charged=400, points=4, left=4)
    counter.ask("refund", 2, 100, charged=100, points=1, left=3, balance=700, of=1)
    counter.ask("sale", 3, 500, charged=500, points=5, left=8, balance=200)
    counter.ask("sale", 4, 1, "65", balance=200)
    counter.end()
    counter.office.opened_ms = {20260831: 3_600_000 + 7_000}
    counter.judge(counter.rrn)
    assert "I3" in counter.broken, "a millisecond earlier it would have been today's"


def test_a_stopped_card_without_a_host(counter):
    counter.office.change(2, "card", ANN, "lost")
    counter.upload(1, 900, "STOPPED", "41")
    counter.upload(2, 900, charged=900, points=9, left=9, number=2)
    counter.upload(3, 100, "STOPPED", "41", number=3, payer=BEN)
    counter.judge(counter.rrn)
    assert [violation.invariant for violation in counter.world.violations] == ["I10"], "Ben's was never stopped"


def test_offline_records_out_of_order(counter):
    counter.upload(2, 100, charged=100)
    counter.upload(1, 100, charged=100, number=2)
    assert counter.broken == {"I11"}


def test_an_honest_record_called_a_forgery(counter):
    counter.upload(1, 100, "TAMPERED", "A0")
    assert counter.broken == {"I17"}


@pytest.mark.parametrize(("state", "broken"), [(RecordState.REFUSED, set()), (RecordState.OFFLINE, {"I17"})])
def test_what_was_refused_under_a_key_that_was_changed_since(counter, state, broken):
    image = MemoryStorage()
    chained = Saf(sequence=1, previous_tag=bytes(16), tag=bytes(16), stop_list_version=0)
    image.save(Record(batch=1, stan=1, amount_fen=100, payer=ANN, claimed_at_s=7, state=state, saf=chained))
    counter.oracle.key_changed(TILL, image)
    counter.upload(1, 100, "TAMPERED", "A0")
    assert counter.broken == broken


def test_a_settled_batch_takes_nothing_more(counter):
    counter.ask("sale", 1, 300, charged=300, points=3, left=3, balance=700)
    counter.ask("topup", 2, 100, charged=100, balance=800)
    counter.undo("topup", 2, 100, 100, 700)
    totals = {1: (1, 300, 300)}
    settled = Settled(TILL, 1, counter.rrn, True, totals, totals)
    counter.office.settlements.append(settled)
    counter.ask("sale", 3, 100, "77", balance=700)
    model = counter.end()
    assert (model.totals(settled), model.late(settled)) == (totals, [])
    counter.office.settlements.clear()
    assert (TILL, 1, 1) in counter.judge(counter.rrn).late(settled._replace(through=2))


@pytest.mark.parametrize(
    ("said", "invariant"),
    [
        ({"charged": 299, "points": 3, "left": 3, "balance": 701}, "I2"),
        ({"charged": 300, "points": 2, "left": 3, "balance": 700}, "I2"),
        ({"charged": 300, "points": 3, "left": 3, "balance": 701}, "I2"),
        ({"charged": 300, "points": 3, "left": -3, "balance": 700}, "I2"),
        ({"code": "51", "balance": 1_000}, "I10"),
    ],
)
def test_what_is_answered_otherwise_is_noticed(counter, said, invariant):
    counter.ask("sale", 1, 300, **said)
    counter.judge(counter.rrn)
    assert counter.broken == {invariant}


def test_a_refund_that_must_not_be_is_noticed(counter):
    counter.ask("sale", 1, 300, charged=300, points=3, left=3, balance=700)
    counter.ask("refund", 2, 301, charged=301, points=3, balance=1_001, of=1)
    counter.judge(counter.rrn)
    assert counter.broken == {"I3"}


def test_days_between():
    assert days_between(20260228, 20260301) == 1
    assert days_between(20251231, 20260629) == 180
