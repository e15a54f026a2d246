"""Slips of 32 columns, made from the record alone; a reprint says so."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import TerminalNumber
from terminal_emulator.columns import columns
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.record import Merchant, Record, RecordState
from terminal_emulator.slip import SLIP_COLUMNS, STATE_TEXT, Copy, sale_slip

TERMINAL = TerminalNumber(3, 58)
MERCHANT = Merchant(100001, "一食堂")
RECORD = Record(
    batch=1,
    stan=123,
    amount_fen=1250,
    payer=bytes.fromhex("04a1b2c3d4beef"),
    claimed_at_s=1_795_000_000,
    operator=1,
    state=RecordState.APPROVED,
    response_code="00",
    rrn=4711,
    balance_fen=8750,
    posted_at_ms=1_795_000_001_500,
)


def text(record=RECORD, copy=Copy.MERCHANT, language="zh", merchant=MERCHANT, **options) -> str:
    return sale_slip(record, TERMINAL, merchant, copy, translator(language), **options).text


def test_a_sale_slip_line_by_line():
    assert text().splitlines() == [
        "             一食堂",
        "              消费",
        "--------------------------------",
        "商户号                    100001",
        "终端号                      3-58",
        "操作员                        01",
        "卡号                    ****BEEF",
        "批次号                    000001",
        "凭证号                    000123",
        "参考号              000000004711",
        "日期时间     2026-11-18 19:06:41",
        "--------------------------------",
        "金额                   RMB 12.50",
        "余额                   RMB 87.50",
        "交易结果                交易成功",
        "--------------------------------",
        "            商户存根",
    ]


def test_the_customer_gets_a_copy_of_their_own():
    assert text(copy=Copy.CUSTOMER).splitlines()[:-1] == text().splitlines()[:-1]
    assert text(copy=Copy.CUSTOMER).splitlines()[-1].strip() == "持卡人存根"


def test_a_reprint_says_so_and_is_otherwise_the_same():
    reprint = text(reprint=True).splitlines()
    assert reprint.pop(2).strip() == "*** 重打印 ***"
    assert reprint == text().splitlines()


def test_english():
    lines = text(language="en").splitlines()
    assert "Amount                 RMB 12.50" in lines
    assert "Voucher                   000123" in lines


def test_the_card_number_is_nowhere_in_full():
    assert "04A1B2C3" not in text().upper()


def test_a_declined_sale_names_the_reason_and_no_balance():
    declined = msgspec.structs.replace(RECORD, state=RecordState.DECLINED, response_code="51", rrn=0)
    assert "交易结果    交易失败 51 余额不足" in text(declined)
    assert "余额  " not in text(declined)
    assert "参考号" not in text(declined)


def test_without_an_answer_the_time_is_the_terminals_claim():
    unknown = msgspec.structs.replace(RECORD, state=RecordState.REVERSING, posted_at_ms=0)
    assert "2026-11-18 19:06:40" in text(unknown)
    assert "未扣款" in text(unknown)


def test_a_merchant_name_cannot_upset_the_printer():
    hostile = text(merchant=Merchant(1, "\x1b@第一\n食堂" * 6))
    assert "\x1b" not in hostile
    assert all(columns(line) <= SLIP_COLUMNS for line in hostile.splitlines())


@given(
    record=st.builds(
        Record,
        batch=st.integers(1, 999_999),
        stan=st.integers(1, 999_999),
        amount_fen=st.integers(1, 999_999_999),
        payer=st.binary(min_size=1, max_size=24),
        claimed_at_s=st.integers(0, 2**32 - 1),
        operator=st.integers(0, 0xFFFF),
        state=st.sampled_from(RecordState),
        response_code=st.sampled_from(["", "00", "51", "ZZ"]),
        rrn=st.integers(0, 2**64 - 1),
        balance_fen=st.integers(-(2**63), 2**63 - 1),
        posted_at_ms=st.integers(0, 2**64 - 1),
    ),
    merchant=st.none() | st.builds(Merchant, st.integers(0, 2**32 - 1), st.text(max_size=48)),
    language=st.sampled_from(sorted(LANGUAGES)),
    reprint=st.booleans(),
)
def test_any_record_can_be_printed(record, merchant, language, reprint):
    for copy in Copy:
        slip = sale_slip(record, TERMINAL, merchant, copy, translator(language), reprint=reprint)
        assert slip.text.count("\n") == len(slip.lines)
        assert all(columns(line) <= SLIP_COLUMNS for line in slip.lines)


@pytest.mark.parametrize("state", RecordState)
def test_every_state_of_a_record_has_a_word(state):
    assert state in STATE_TEXT
