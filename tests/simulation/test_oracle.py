"""The oracle and the model see what is wrong: each doctored history breaks its invariant, an honest one none."""

from __future__ import annotations

import msgspec
import pytest

from protocol.messages import (
    EchoAnswer,
    EchoRequest,
    QueryAnswer,
    QueryRequest,
    Ready,
    Reject,
    ReversalAnswer,
    ReversalRequest,
    SaleAnswer,
    SaleRequest,
    TransactionState,
    UploadAnswer,
    UploadRequest,
    UploadVerdict,
)
from terminal_emulator.record import Record, RecordState
from terminal_emulator.storage import MemoryStorage
from tests.simulation.chaos import request_of
from tests.simulation.model import Model
from tests.simulation.office import Office
from tests.simulation.oracle import Oracle
from tests.simulation.world import World

TILL, OTHER_TILL, MERCHANT = 3, 4, 1
ANN, BEN = b"ann", b"ben"
START_FEN = 1_000
replace = msgspec.structs.replace


class History:
    """A campus of two customers with 1,000 fen each, and what its terminals hear."""

    def __init__(self) -> None:
        self.world = World(1)
        self.oracle = Oracle(self.world)
        self.office = Office(sale_limit_fen=800, day_limit_fen=900)
        self.office.owner = {ANN: "Ann", BEN: "Ben"}
        self.office.merchant_of = {TILL: MERCHANT, OTHER_TILL: MERCHANT}
        self.office.days = [(1, 20260831)]
        for rrn, name in ((1, "Ann"), (2, "Ben")):
            self.office.topped_up(name, START_FEN, rrn, START_FEN)
        self.image = MemoryStorage()

    @property
    def broken(self) -> set[str]:
        return {violation.invariant for violation in self.world.violations}

    def store(self, stan: int, amount_fen: int = 100, payer: bytes = ANN, **changes: object) -> Record:
        record = Record(batch=1, stan=stan, amount_fen=amount_fen, payer=payer, claimed_at_s=7)
        record = replace(self.image.records.get((1, stan), record), **changes)
        self.image.save(record)
        self.oracle.stored("T", TILL, record)
        return record

    def send(self, request: object) -> None:
        self.oracle.sent("T", TILL, self.image, request)

    def hear(self, asked: object, answer: object, till: int = TILL) -> None:
        self.oracle.heard("T", till, asked, answer)

    def sell(self, stan: int, rrn: int, balance_fen: int, amount_fen: int = 100, code: str = "00", payer=ANN):
        """A whole honest sale, as it is answered."""
        record = self.store(stan, amount_fen, payer)
        self.send(asked := request_of(record, SaleRequest))
        self.hear(asked, answer := sale_answer(asked, code, rrn, balance_fen))
        state = RecordState.APPROVED if code == "00" else RecordState.DECLINED
        self.oracle.told("T", TILL, self.store(stan, state=state, charged_fen=answer.charged_fen))
        return asked, answer

    def reverse(self, stan: int, rrn: int, reversed_fen: int, balance_fen: int, amount_fen: int = 100):
        """A sale nobody answered, reversed."""
        self.store(stan, amount_fen)
        record = self.store(stan, state=RecordState.REVERSING)
        self.send(asked := request_of(record, ReversalRequest))
        self.hear(asked, answer := reversal_answer(asked, "00", rrn, reversed_fen, balance_fen))
        self.oracle.told("T", TILL, self.store(stan, state=RecordState.REVERSED))
        return asked, answer

    def judge(self, newest: int) -> Model:
        model = Model(self.world, self.office, self.oracle)
        model.run(newest)
        return model


def sale_answer(asked, code, rrn, balance_fen):
    return SaleAnswer(
        stan=asked.stan,
        batch=asked.batch,
        amount_fen=asked.amount_fen,
        response_code=code,
        charged_fen=asked.amount_fen if code == "00" else 0,
        rrn=rrn,
        balance_fen=balance_fen,
        posted_at_ms=5,
    )


def reversal_answer(asked, code, rrn, reversed_fen, balance_fen):
    return ReversalAnswer(
        stan=asked.stan,
        batch=asked.batch,
        reversed_fen=reversed_fen,
        response_code=code,
        rrn=rrn,
        balance_fen=balance_fen,
        posted_at_ms=6,
    )


def query_answer(asked, state, code="00", rrn=0, balance_fen=0):
    return QueryAnswer(
        stan=asked.stan,
        batch=asked.batch,
        state=state,
        response_code=code,
        amount_fen=asked.amount_fen,
        charged_fen=asked.amount_fen if code == "00" else 0,
        rrn=rrn,
        balance_fen=balance_fen,
        posted_at_ms=5 if rrn else 0,
    )


def query_of(asked):
    return QueryRequest(
        stan=asked.stan, batch=asked.batch, amount_fen=asked.amount_fen, payer=asked.payer, claimed_at_s=7
    )


def ready_of(day=20260831, last=(1, 9)):
    return Ready(
        host_time_ms=1,
        business_day=day,
        config_version=1,
        sale_limit_fen=0,
        last_batch=last[0],
        last_stan=last[1],
        merchant_number=1,
        merchant_name="x",
    )


@pytest.fixture
def history():
    return History()


def test_an_honest_history_breaks_nothing(history):
    asked, answer = history.sell(1, 3, 900)
    history.hear(asked, answer)
    history.hear(query_of(asked), query_answer(asked, TransactionState.APPROVED, "00", 3, 900))
    history.sell(2, 4, 900, 950, "61")
    history.sell(3, 5, 200, 700)
    history.sell(4, 6, 200, 300, "65")
    history.sell(5, 7, 1_000, 1_000, "61", BEN)
    reversed_, _ = history.reverse(6, 8, 0, 0)
    history.hear(request_of(reversed_, SaleRequest), sale_answer(reversed_, "68", 9, 200))
    history.hear(query_of(reversed_), query_answer(reversed_, TransactionState.REVERSED, "68", 9, 200))
    lost = request_of(history.store(7), SaleRequest)
    history.hear(query_of(lost), query_answer(lost, TransactionState.NEVER_SEEN, "25"))
    history.hear(lost, sale_answer(lost, "09", 0, 0))
    history.oracle.ready("T", TILL, ready_of(), 1)
    history.oracle.ready("T", TILL, ready_of(20260901), 2)
    model = history.judge(9)
    assert history.broken == set()
    assert model.balances == {"Ann": 200, "Ben": 1_000}
    assert model.earned == {MERCHANT: 800}
    assert model.charged == {(TILL, 1, 1): 100, (TILL, 1, 3): 700}


# --- said at once


def test_another_answer_to_a_copy(history):
    asked, answer = history.sell(1, 3, 900)
    history.hear(asked, replace(answer, balance_fen=901))
    assert history.broken == {"I5"}


def test_a_query_that_contradicts_the_answer(history):
    asked, _ = history.sell(1, 3, 900)
    history.hear(query_of(asked), query_answer(asked, TransactionState.DECLINED, "51", 3, 900))
    assert history.broken == {"I5"}


def test_never_seen_after_an_answer(history):
    asked, _ = history.sell(1, 3, 900)
    history.hear(query_of(asked), query_answer(asked, TransactionState.NEVER_SEEN, "25"))
    assert history.broken == {"I6"}


def test_a_host_that_knows_less_than_it_has_answered(history):
    history.sell(5, 3, 900)
    history.oracle.ready("T", TILL, ready_of(last=(1, 4)), 1)
    assert history.broken == {"I6"}


def test_approved_again_after_its_reversal(history):
    asked, _ = history.reverse(1, 4, 100, 1_000)
    history.hear(query_of(asked), query_answer(asked, TransactionState.APPROVED, "00", 3, 900))
    assert history.broken == {"I8"}


def test_a_reversal_that_gives_back_more_than_was_taken(history):
    history.sell(1, 3, 900)
    asked = request_of(history.image.records[1, 1], ReversalRequest)
    history.hear(asked, reversal_answer(asked, "00", 4, 101, 1_001))
    assert history.broken == {"I8"}


def test_a_reversal_that_gives_back_less(history):
    history.sell(1, 3, 900)
    asked = request_of(history.image.records[1, 1], ReversalRequest)
    history.hear(asked, reversal_answer(asked, "00", 4, 99, 999))
    history.judge(4)
    assert history.broken == {"I2"}


def test_an_honest_reversal_refused(history):
    history.store(1)
    asked = request_of(history.store(1, state=RecordState.REVERSING), ReversalRequest)
    history.hear(asked, reversal_answer(asked, "64", 0, 0, 0))
    assert history.broken == {"I8"}


def test_two_contents_under_one_number(history):
    asked, _ = history.sell(1, 3, 900)
    other = replace(asked, amount_fen=101)
    history.hear(other, sale_answer(other, "00", 3, 900))
    assert history.broken == {"I4"}


def test_a_conflict_with_nothing(history):
    asked = request_of(history.store(1), SaleRequest)
    history.hear(asked, sale_answer(asked, "94", 0, 0))
    assert history.broken == {"I5"}


def test_an_answer_to_another_sale(history):
    asked = request_of(history.store(1), SaleRequest)
    history.hear(asked, replace(sale_answer(asked, "00", 3, 900), stan=2))
    assert history.broken == {"I5"}


def test_a_refused_frame_of_an_honest_terminal(history):
    asked = request_of(history.store(1), SaleRequest)
    refused = Reject(
        rejected_mti=0x200, rejected_processing_code=0, response_code="30", offset=0, field="", expected="", got=""
    )
    history.hear(asked, refused)
    assert history.broken == {"I17"}


def test_days_and_epochs_that_go_back(history):
    history.oracle.ready("T", TILL, ready_of(20260902), 5)
    history.oracle.ready("T", TILL, ready_of(20260901), 5)
    assert history.broken == {"I15"}
    history.world.violations.clear()
    history.oracle.ready("U", TILL, ready_of(20260902), 5)
    history.oracle.ready("U", TILL, ready_of(20260902), 4)
    assert history.broken == {"I15"}
    history.world.violations.clear()
    echo = EchoAnswer(host_time_ms=1, business_day=20260801, config_version=1)
    history.hear(EchoRequest(claimed_at_s=1), echo)
    assert history.broken == {"I15"}


# --- the terminal's own part


def test_sent_before_it_is_stored(history):
    record = Record(batch=1, stan=1, amount_fen=100, payer=ANN, claimed_at_s=7)
    history.send(request_of(record, SaleRequest))
    assert history.broken == {"T1"}


def test_a_reversal_sent_before_it_is_stored(history):
    history.send(request_of(history.store(1), ReversalRequest))
    assert history.broken == {"T1"}


def test_a_number_used_twice(history):
    history.store(1)
    history.store(1)
    assert history.broken == {"I4"}


def test_a_number_that_ready_had_named_as_used(history):
    history.oracle.ready("T", TILL, ready_of(last=(1, 9)), 1)
    history.oracle.taint(TILL)
    history.store(10)
    assert history.broken == set()
    history.store(9)
    assert history.broken == {"I4"}


@pytest.mark.parametrize("state", [RecordState.PENDING, RecordState.DECLINED, RecordState.REVERSING])
def test_a_final_state_that_changes(history, state):
    history.sell(1, 3, 900)
    history.store(1, state=state)
    assert history.broken & {"I4", "I5"}


def test_a_screen_that_shows_approved_without_an_answer(history):
    history.oracle.told("T", TILL, history.store(1, state=RecordState.APPROVED))
    assert "I10" in history.broken


def test_a_customer_told_twice(history):
    history.sell(1, 3, 900)
    history.oracle.told("T", TILL, history.image.records[1, 1])
    assert history.broken == {"I5"}


def test_the_rules_for_terminals_with_doubles_are_milder(history):
    history.oracle.taint(TILL)
    history.store(1)
    history.store(1)
    assert history.broken == set()


# --- restored from a backup


def upload(history, stan, verdict, rrn):
    asked = request_of(history.image.records[1, stan], UploadRequest)
    answer = UploadAnswer(stan=stan, batch=1, amount_fen=asked.amount_fen, verdict=verdict, response_code="00", rrn=rrn)
    history.hear(asked, answer)
    return asked


def restored(history: History, head: int) -> None:
    history.office.go_back(0, head)
    history.oracle.go_back(head)


def test_a_sale_that_comes_back_after_a_restore(history):
    asked, _ = history.sell(1, 3, 900)
    history.sell(2, 4, 0, 900)
    restored(history, 2)
    upload(history, 1, UploadVerdict.RESTORED, 3)
    upload(history, 1, UploadVerdict.KNOWN, 3)
    history.sell(3, 4, 100, 800)
    upload(history, 2, UploadVerdict.RESTORED, 5)
    history.hear(query_of(asked), query_answer(asked, TransactionState.APPROVED, "00", 3, 900))
    model = history.judge(5)
    assert history.broken == set()
    assert (model.balances["Ann"], -model.books.balances["debt"], model.earned) == (0, 800, {MERCHANT: 1_800})
    assert set(model.charged) == {(TILL, 1, 1), (TILL, 1, 2), (TILL, 1, 3)}


def test_a_sale_that_does_not_come_back_is_missed(history):
    history.sell(1, 3, 900)
    restored(history, 2)
    model = history.judge(2)
    assert history.broken == set()
    assert (TILL, 1, 1) not in model.charged, "what check_memories then complains of"


@pytest.mark.parametrize("verdict", [UploadVerdict.CONFLICT, UploadVerdict.NOT_OPEN, UploadVerdict.REVERSED])
def test_a_restored_host_that_does_not_want_an_approved_sale(history, verdict):
    history.sell(1, 3, 900)
    restored(history, 2)
    upload(history, 1, verdict, 0)
    assert history.broken == {"I6"}


def test_a_copy_of_an_upload_under_another_number(history):
    history.sell(1, 3, 900)
    restored(history, 2)
    upload(history, 1, UploadVerdict.RESTORED, 3)
    upload(history, 1, UploadVerdict.KNOWN, 4)
    assert history.broken == {"I5"}


def test_what_the_backup_holds_is_not_forgotten(history):
    asked, _ = history.sell(1, 3, 900)
    restored(history, 3)
    history.hear(query_of(asked), query_answer(asked, TransactionState.NEVER_SEEN, "25"))
    assert history.broken == {"I6"}


# --- said by the model


@pytest.mark.parametrize(
    ("amount_fen", "code", "balance_fen", "invariant"),
    [
        (100, "00", 901, "I2"),
        (100, "00", 800, "I2"),
        (801, "00", 199, "I3"),
        (100, "51", 1_000, "I10"),
        (801, "51", 1_000, "I10"),
    ],
)
def test_an_answer_the_money_does_not_bear_out(history, amount_fen, code, balance_fen, invariant):
    history.sell(1, 3, balance_fen, amount_fen, code)
    assert history.broken == set()
    history.judge(3)
    assert history.broken == {invariant}


def test_more_than_a_customer_has(history):
    history.office.day_limit_fen = 0
    history.sell(1, 3, 200, 800)
    history.sell(2, 4, -100, 300)
    history.judge(4)
    assert history.broken == {"I3"}


def test_over_the_day_limit(history):
    history.sell(1, 3, 200, 800)
    history.sell(2, 4, 0, 200)
    history.judge(4)
    assert history.broken == {"I3"}
    history = History()
    history.office.days.append((4, 20260901))
    history.sell(1, 3, 200, 800)
    history.sell(2, 4, 0, 200)
    history.judge(4)
    assert history.broken == set(), "a new day has a new limit"


def test_a_transfer_nobody_asked_for(history):
    history.judge(3)
    assert history.broken == {"I4"}


def test_a_transfer_that_is_gone(history):
    history.sell(1, 3, 900)
    history.judge(2)
    assert history.broken == {"I6"}


def test_one_number_for_two(history):
    history.sell(1, 3, 900)
    history.sell(2, 3, 900)
    history.judge(3)
    assert "I4" in history.broken


def test_money_given_back_twice(history):
    history.sell(1, 3, 900)
    asked = request_of(history.image.records[1, 1], ReversalRequest)
    history.hear(asked, reversal_answer(asked, "00", 4, 100, 1_100))
    history.judge(4)
    assert history.broken == {"I2"}


def test_a_late_sale_that_is_approved(history):
    asked, _ = history.reverse(1, 3, 0, 0)
    sale = request_of(asked, SaleRequest)
    history.hear(sale, sale_answer(sale, "00", 4, 900))
    history.judge(4)
    assert history.broken == {"I3"}


@pytest.mark.parametrize(
    ("what", "key", "value", "code"),
    [
        ("card", ANN, "frozen", "62"),
        ("card", ANN, "lost", "41"),
        ("terminal", TILL, "revoked", "58"),
        ("merchant", MERCHANT, "closed", "03"),
        ("sale_limit", ANN, 99, "61"),
        ("day_limit", ANN, 99, "65"),
    ],
)
def test_what_the_office_changed_holds_from_the_next_transfer_on(history, what, key, value, code):
    history.sell(1, 3, 900)
    history.office.change(3, what, key, value)
    history.sell(2, 4, 900, code=code)
    history.judge(4)
    assert history.broken == set()
    history = History()
    history.office.change(3, what, key, value)
    history.sell(1, 3, 900)
    history.sell(2, 4, 800)
    history.judge(4)
    assert history.broken == {"I3"}


def test_a_stranger_and_a_refused_correction(history):
    history.sell(1, 3, 0, code="14", payer=b"nobody")
    history.office.refused("Ann", -5_000, 4, 1_000)
    history.judge(4)
    assert history.broken == set()
    history.office.refused("Ann", -500, 5, 1_000)
    history.judge(5)
    assert history.broken == {"I10"}
