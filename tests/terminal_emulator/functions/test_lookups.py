"""An earlier transaction is found by reference or by voucher; what cannot be used is refused before any money moves."""

import pytest
from msgspec.structs import replace

from protocol.messages import LookupAnswer, LookupRequest, TransactionState
from protocol.messages.money import TransactionKind
from terminal_emulator.functions.lookups import find_original
from tests.terminal_emulator.functions.talk import SALE, Talk, record_of, till_of


def look(*replies, records=(), answer=SALE):
    def dialog(till):
        found = yield from find_original(till, "退货", TransactionKind.SALE)
        assert found is answer

    return Talk(till_of(*records), dialog, *replies, host={LookupRequest: answer})


def test_by_reference():
    talk = look("4711", True)
    assert talk.asked == [LookupRequest(rrn=4711)]
    assert talk.prompts[-1].lines == ("消费 000007", "11-18 RMB 12.50", "剩余 RMB 12.50")


def test_by_voucher_of_this_terminal():
    assert look("", "7", "", True, records=[record_of()]).asked == [LookupRequest(original_batch=1, original_stan=7)]


def test_by_voucher_and_batch():
    assert look("", "8", "3", True).asked == [LookupRequest(original_batch=3, original_stan=8)]


def test_a_voucher_that_is_not_here_wants_its_batch():
    talk = look("", "8", "")
    assert talk.asked == []
    assert talk.shown == [("退货", "本机无此笔", "请输批次号")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, ("主机无应答", "未做任何操作", "请稍后再试")),
        (LookupAnswer(response_code="25"), ("交易失败 25", "无原交易", "请核对凭证号")),
        (replace(SALE, kind=TransactionKind.TOPUP), ("退货", "交易类型不符", "请核对凭证号")),
        (replace(SALE, state=TransactionState.REVERSED), ("退货", "该笔未成功", "请核对凭证号")),
        (replace(SALE, remaining_fen=0), ("退货", "已无余额可用", "请核对凭证号")),
    ],
)
def test_what_cannot_be_used_is_said(answer, said):
    talk = look("4711", answer=answer)
    assert talk.shown == [said]
    assert talk.records == []
