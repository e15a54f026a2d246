"""An earlier transaction is found by reference or by voucher; what cannot be used is refused before any money moves."""

import pytest
from msgspec.structs import replace

from protocol.limits import MAX_AMOUNT_FEN
from protocol.messages import LookupAnswer, LookupRequest, TransactionState
from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Digits
from terminal_emulator.functions.lookups import find_original
from tests.terminal_emulator.functions.talk import HOME, SALE, Talk, record_of, till_of


def look(*replies, records=(), answer=SALE, host=None):
    def dialog(till):
        found = yield from find_original(till, "退货", TransactionKind.SALE, TransactionKind.PREAUTH)
        assert found is answer

    return Talk(till_of(*records), dialog, *replies, host={LookupRequest: host or answer})


def test_by_reference():
    talk = look("4711", True)
    assert talk.asked == [LookupRequest(rrn=4711)]
    assert talk.prompts[-1].lines == ("消费 000007", "11-18      12.50", "剩余       12.50")


def test_by_voucher_of_this_terminal():
    assert look("", "7", "", True, records=[record_of()]).asked == [LookupRequest(original_batch=1, original_stan=7)]


def test_by_voucher_and_batch():
    assert look("", "8", "3", True).asked == [LookupRequest(original_batch=3, original_stan=8)]


def test_a_voucher_that_is_not_here_wants_its_batch():
    talk = look("", "8", "", "4711", True)
    assert talk.asked == [LookupRequest(rrn=4711)]
    assert talk.shown == [("退货", "本机无此笔", "请输批次号")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, ("主机无应答", "未做任何操作", "请稍后再试")),
        (LookupAnswer(response_code="25"), ("交易失败 25", "无原交易", "请核对号码")),
        (replace(SALE, kind=TransactionKind.TOPUP), ("退货", "交易类型不符", "请核对凭证号")),
        (replace(SALE, state=TransactionState.REVERSED), ("退货", "原交易未成功", "请核对凭证号")),
        (
            replace(SALE, state=TransactionState.DECLINED, response_code="1A"),
            ("退货", "原交易未成功", "请核对凭证号"),
        ),
        (replace(SALE, remaining_fen=0), ("退货", "已全部退还", "请核对凭证号")),
        (
            replace(SALE, kind=TransactionKind.PREAUTH, remaining_fen=0),
            ("退货", "预授权已结束", "请核对凭证号"),
        ),
    ],
)
def test_what_cannot_be_used_is_said_and_the_next_number_is_asked_for(answer, said):
    answers = iter((answer, SALE))
    talk = look("4710", "4711", True, answer=SALE, host=lambda: next(answers))
    assert talk.asked == [LookupRequest(rrn=4710), LookupRequest(rrn=4711)]
    assert talk.shown == [said]
    assert talk.records == []


def test_clear_leads_home_from_the_question_for_the_next_number():
    talk = look("4710", HOME, answer=SALE, host=LookupAnswer(response_code="25"))
    assert talk.prompts[-1] == Digits("退货", "参考号", 1, 12, optional=True, may_scan=True)


def test_the_largest_sums_are_whole():
    most = replace(SALE, charged_fen=MAX_AMOUNT_FEN, remaining_fen=MAX_AMOUNT_FEN)
    assert look("4711", True, answer=most).prompts[-1].lines[1:] == ("11-18 9999999.99", "剩余  9999999.99")
