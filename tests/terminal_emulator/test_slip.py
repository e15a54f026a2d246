"""Slips of 32 columns, made from the record alone; a reprint says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.messages.money import EntryMode, TransactionKind
from terminal_emulator.columns import columns
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.record import Merchant, RecordState
from terminal_emulator.slip import SLIP_COLUMNS, TITLE_TEXT, Copy, record_slip
from terminal_emulator.texts import STATE_TEXT
from tests.terminal_emulator.slips import MERCHANTS, RECORD, RECORDS, TERMINAL, slip


def text(record=RECORD, copy=Copy.MERCHANT, language="zh", **options) -> str:
    return slip(record, copy, language, **options).text


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


def test_the_customers_copy_has_the_reference_to_be_scanned_at_a_refund():
    assert slip(copy=Copy.CUSTOMER).qr == "000000004711"
    assert slip(copy=Copy.MERCHANT).qr == ""
    assert slip(replace(RECORD, state=RecordState.DECLINED), copy=Copy.CUSTOMER).qr == ""


def test_a_cashiers_discount_is_on_both_copies_and_on_the_reprint():
    sold = replace(RECORD, discount_fen=250)
    for copy in Copy:
        for reprint in (False, True):
            lines = text(sold, copy, reprint=reprint).splitlines()
            at = lines.index("原价                   RMB 15.00")
            assert lines[at + 1 : at + 3] == ["折扣                    RMB 2.50", "金额                   RMB 12.50"]
    assert "原价" not in text()


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


def test_of_a_payment_code_only_the_card_is_shown_and_there_is_a_place_to_sign():
    code = replace(RECORD, entry_mode=EntryMode.CODE, payer=b"9112345678901122334455")
    assert "付款码                  ****7890" in text(code)
    assert "持卡人签名:" in text(code)
    assert "持卡人签名:" not in text(code, copy=Copy.CUSTOMER)


def test_a_declined_sale_names_the_reason_and_no_balance():
    declined = replace(RECORD, state=RecordState.DECLINED, response_code="51", rrn=0)
    assert "交易结果    交易失败 51 余额不足" in text(declined)
    assert "余额  " not in text(declined)
    assert "参考号" not in text(declined)


def test_without_an_answer_the_time_is_the_terminals_claim():
    unknown = replace(RECORD, state=RecordState.REVERSING, posted_at_ms=0)
    assert "2026-11-18 19:06:40" in text(unknown)
    assert "*** 冲正通知 ***" in text(unknown)
    assert "未扣款" in text(unknown)
    assert "直至主机确认" in text(unknown).replace("\n", "")


ORIGINAL = {"original_batch": 1, "original_stan": 88}


@pytest.mark.parametrize(
    ("changes", "title", "rows"),
    [
        (
            {"kind": TransactionKind.VOID, **ORIGINAL},
            "消费撤销",
            [
                "原批次号                  000001",
                "原凭证号                  000088",
                "撤销金额               RMB 12.50",
            ],
        ),
        (
            {"kind": TransactionKind.REFUND, **ORIGINAL, "original_terminal": 3 << 16 | 59},
            "退货",
            ["原终端号                    3-59", "退货金额               RMB 12.50"],
        ),
        ({"kind": TransactionKind.PREAUTH, "charged_fen": 0}, "预授权", ["冻结金额               RMB 12.50"]),
        (
            {"kind": TransactionKind.COMPLETION, **ORIGINAL, "points": 12},
            "预授权完成",
            ["金额                   RMB 12.50", "本次积分                      12"],
        ),
        ({"kind": TransactionKind.PREAUTH_VOID, "charged_fen": 0}, "预授权撤销", ["解冻金额               RMB 12.50"]),
        ({"kind": TransactionKind.COMPLETION_VOID}, "预授权完成撤销", ["撤销金额               RMB 12.50"]),
        (
            {"kind": TransactionKind.TOPUP, "amount_fen": 10_000, "charged_fen": 11_000},
            "充值",
            [
                "充值金额              RMB 100.00",
                "赠送                   RMB 10.00",
                "到账                  RMB 110.00",
            ],
        ),
        (
            {"kind": TransactionKind.TOPUP_VOID, "amount_fen": 10_000, "charged_fen": 11_000},
            "充值撤销",
            ["退款金额              RMB 100.00", "收回                  RMB 110.00"],
        ),
        (
            {"kind": TransactionKind.POINTS_SALE, "amount_fen": 300, "balance_fen": 45},
            "积分消费",
            ["金额                    300 积分", "积分余额                      45"],
        ),
        (
            {"kind": TransactionKind.POINTS_VOID, "amount_fen": 300},
            "积分消费撤销",
            ["撤销金额                300 积分"],
        ),
        (
            {"kind": TransactionKind.SALE, "charged_fen": 1000, "points": 10, "points_balance": 250},
            "消费",
            [
                "折扣                    RMB 2.50",
                "实收                   RMB 10.00",
                "本次积分                      10",
                "积分余额                     250",
            ],
        ),
        (
            {"kind": TransactionKind.SALE, "points": 5, "points_balance": -235},
            "消费",
            ["本次积分                       5", "欠积分                       235"],
        ),
        (
            {"kind": TransactionKind.POINTS_VOID, "amount_fen": 3, "balance_fen": -4},
            "积分消费撤销",
            ["欠积分                         4"],
        ),
        (
            {"discount_fen": 250},
            "消费",
            [
                "原价                   RMB 15.00",
                "折扣                    RMB 2.50",
                "金额                   RMB 12.50",
            ],
        ),
        (
            {"kind": TransactionKind.OFFLINE_SALE, "posted_at_ms": 0, "rrn": 0, "state": RecordState.OFFLINE},
            "消费",
            ["          *** 脱机 ***", "交易结果             脱机 待上送"],
        ),
        (
            {"kind": TransactionKind.OFFLINE_SALE, "posted_at_ms": 0, "points": 12},
            "消费",
            ["          *** 脱机 ***", "本次积分                      12"],
        ),
    ],
)
def test_every_kind_has_its_slip(changes, title, rows):
    lines = text(replace(RECORD, **changes)).splitlines()
    assert lines[1].strip() == title
    assert [row for row in rows if row not in lines] == []


def test_a_void_of_a_discounted_sale_gives_back_and_charges_nothing():
    lines = text(replace(RECORD, kind=TransactionKind.VOID, charged_fen=1125)).splitlines()
    assert "退还                   RMB 11.25" in lines
    assert not any("实收" in line for line in lines)


def test_what_is_only_held_is_no_discount():
    held = text(replace(RECORD, kind=TransactionKind.PREAUTH, charged_fen=0))
    assert "优惠" not in held
    assert "实收" not in held


def test_an_offline_sale_has_no_balance_until_the_host_said_one():
    sold = replace(RECORD, kind=TransactionKind.OFFLINE_SALE, state=RecordState.OFFLINE, posted_at_ms=0)
    assert "余额" not in text(sold)
    refused = replace(sold, state=RecordState.REFUSED, response_code="41")
    assert "交易结果  上送被拒 41 此卡已挂失" in text(refused)


def test_a_merchant_name_cannot_upset_the_printer():
    hostile = text(merchant=Merchant(1, "\x1b@第一\n食堂" * 6))
    assert "\x1b" not in hostile
    assert all(columns(line) <= SLIP_COLUMNS for line in hostile.splitlines())


@given(RECORDS, MERCHANTS, st.sampled_from(sorted(LANGUAGES)), st.booleans())
def test_any_record_can_be_printed(record, merchant, language, reprint):
    for copy in Copy:
        made = record_slip(record, TERMINAL, merchant, copy, translator(language), reprint=reprint)
        assert made.text.count("\n") == len(made.lines)
        assert all(columns(line) <= SLIP_COLUMNS for line in made.lines)


@pytest.mark.parametrize("state", RecordState)
def test_every_state_of_a_record_has_a_word(state):
    assert state in STATE_TEXT


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", TransactionKind)
def test_every_kind_has_a_title_that_can_be_printed_twice_as_wide(kind, language):
    assert 0 < columns(translator(language)(TITLE_TEXT[kind])) <= SLIP_COLUMNS // 2


def test_who_allowed_a_discount_is_on_the_slip():
    assert "折扣批准                    主管" in text(replace(RECORD, discount_fen=250, discount_allowed=True))
    assert "折扣批准" not in text(replace(RECORD, discount_fen=250))


def test_a_top_up_that_is_reversed_is_not_said_to_have_charged_nobody():
    unknown = replace(RECORD, kind=TransactionKind.TOPUP, state=RecordState.REVERSING, posted_at_ms=0)
    assert "未扣款" not in text(unknown)
    assert "交易未成功" in text(unknown)


def test_a_declined_void_has_the_reason_of_a_void():
    void = replace(RECORD, kind=TransactionKind.VOID, state=RecordState.DECLINED, response_code="12")
    assert "交易失败 12 非本日交易" in text(void)
