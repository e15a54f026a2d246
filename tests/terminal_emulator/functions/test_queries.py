"""What became of a transaction: by this terminal's memory and by the host's word; lists and totals."""

import pytest
from msgspec.structs import replace

from protocol.messages import LookupRequest, QueryAnswer, QueryRequest, TransactionState
from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Pages
from terminal_emulator.functions.queries import HOST_STATE_TEXT, query_last, totals_of, transactions
from terminal_emulator.record import RecordState
from terminal_emulator.settled import Settlement, Stage
from tests.terminal_emulator.functions.talk import SALE, Talk, record_of, till_of


def answer(state=TransactionState.APPROVED, code="00"):
    return QueryAnswer(
        stan=7, batch=1, state=state, response_code=code, amount_fen=1250, rrn=1, balance_fen=0, posted_at_ms=1
    )


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (answer(), "主机: 已入账"),
        (answer(TransactionState.DECLINED, "51"), "主机: 已拒绝 51"),
        (answer(TransactionState.REVERSED), "主机: 已冲正"),
        (answer(TransactionState.NEVER_SEEN, "25"), "主机: 未收到"),
    ],
)
def test_the_last_one(said, line):
    talk = Talk(till_of(record_of(6), record_of(7)), query_last, host={QueryRequest: said})
    assert talk.asked[0].stan == 7
    assert talk.shown == [("消费       12.50", line, "凭证号    000007", "批次号    000001")]
    assert HOST_STATE_TEXT.keys() == set(TransactionState)


def test_nothing_yet():
    assert len(Talk(till_of(), query_last).shown) == 1
    assert Talk(till_of(), transactions, "3", None).prompts[-1].pages[0][:2] == ("流水", "没有流水")
    assert len(Talk(till_of(), transactions, "4").shown) == 1


def test_by_voucher_both_words():
    talk = Talk(till_of(record_of(7)), transactions, "1", "7", None, host={QueryRequest: answer()})
    [page] = next(prompt.pages for prompt in talk.prompts if isinstance(prompt, Pages))
    assert page[:3] == ("消费      000007", "RMB 12.50", "交易成功")
    assert len(talk.shown) == 1
    talk = Talk(till_of(record_of(7)), transactions, "1", "8", "7", None, host={QueryRequest: answer()})
    assert talk.shown[0][1] == "本机无此笔"
    assert talk.asked[0].stan == 7


def test_by_reference():
    talk = Talk(till_of(), transactions, "2", "4711")
    assert talk.asked == [LookupRequest(rrn=4711)]
    assert talk.shown == [("消费      000007", "主机: 已入账", "11-18      12.50", "剩余       12.50")]


def test_all_of_them_newest_first():
    declined = record_of(8, state=RecordState.DECLINED, response_code="51")
    talk = Talk(till_of(record_of(7), declined), transactions, "3", None)
    pages = talk.prompts[-1].pages
    assert [page[0] for page in pages] == ["消费      000008", "消费      000007"]
    assert pages[0][3] == "交易失败 51"


def test_totals_by_kind_of_what_happened():
    till = till_of(
        record_of(1),
        record_of(2, charged_fen=1000),
        record_of(6, charged_fen=0),  # free for this class of card
        record_of(3, state=RecordState.REVERSED),
        record_of(4, TransactionKind.POINTS_SALE, amount_fen=300),
        record_of(5, TransactionKind.OFFLINE_SALE, state=RecordState.OFFLINE),
    )
    assert totals_of(till) == [
        (TransactionKind.SALE, 3, 2250),
        (TransactionKind.POINTS_SALE, 1, 300),
        (TransactionKind.OFFLINE_SALE, 1, 1250),
    ]
    talk = Talk(till, transactions, "4", None)
    assert talk.prompts[-1].pages[0] == ("消费", "3      RMB 22.50", "积分消费", "1       300 积分")


def test_one_level_up():
    assert Talk(till_of(), transactions, None).shown == []


def test_a_voided_sale_is_said_to_be_voided():
    void = record_of(8, TransactionKind.VOID, original_batch=1, original_stan=7)
    talk = Talk(till_of(record_of(7), void), transactions, "1", "7", None, host={QueryRequest: answer()})
    assert talk.shown == [("消费       12.50", "主机: 已入账", "凭证号    000007", "已撤销")]
    [page] = next(prompt.pages for prompt in talk.prompts if isinstance(prompt, Pages))
    assert page[2] == "已撤销"


def test_what_waits_to_go_up_is_not_asked_about():
    waiting = record_of(7, TransactionKind.OFFLINE_SALE, state=RecordState.OFFLINE)
    talk = Talk(till_of(waiting), query_last)
    assert talk.asked == []
    assert talk.shown[0][1] == "RMB 12.50"


def test_the_last_one_may_be_settled_already():
    till = till_of(record_of(7))
    till.storage.save_settlement(Settlement(batch=1, operator=0, claimed_at_s=5, stage=Stage.DONE))
    assert Talk(till, query_last, host={QueryRequest: answer()}).asked[0].stan == 7
    talk = Talk(till, transactions, "1", "7", None, host={QueryRequest: answer()})
    assert talk.asked[0].stan == 7


def test_of_what_takes_back_nothing_is_left_to_be_taken_back():
    refund = replace(SALE, kind=TransactionKind.REFUND)
    talk = Talk(till_of(), transactions, "2", "4711", host={LookupRequest: refund})
    assert talk.shown == [("退货      000007", "主机: 已入账", "11-18      12.50")]
