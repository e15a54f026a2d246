"""Slips of a whole batch: totals in columns, and a settlement that names every differing record."""

import pytest
from msgspec.structs import replace

from protocol.messages.money import TransactionKind
from protocol.messages.settlement import DifferenceKind, DifferenceRow, RecordStanding
from terminal_emulator.columns import columns
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.record import RecordState
from terminal_emulator.settled import ReportRow, SettlementReport, TotalsReport
from terminal_emulator.slip import SLIP_COLUMNS, Copy
from terminal_emulator.slip_day import NAME_COLUMNS, ExchangeReport, FloatReport, Reprint, ReversalNotice, lay_out
from terminal_emulator.texts import CHINA_TIME, KIND_TEXT
from tests.terminal_emulator.slips import CLAIMED_S, MERCHANT, RECORD, TERMINAL, slip

ROWS = (
    ReportRow(TransactionKind.SALE, 128, 1_234_567, 127, 1_233_317),
    ReportRow(TransactionKind.COMPLETION_VOID, 1, 990, 1, 990),
    ReportRow(TransactionKind.POINTS_SALE, 2, 300, 2, 300),
)
BALANCED = SettlementReport(
    terminal="3-58",
    merchant=MERCHANT,
    batch=7,
    operator=1,
    settlement=4711,
    closed_at_ms=1000 * CLAIMED_S,
    digest=bytes.fromhex("0123456789abcdef"),
    is_balanced=True,
    rows=ROWS,
)
BY = {"merchant": MERCHANT, "operator": 1, "printed_at_s": CLAIMED_S}


def lines(report, language="zh"):
    [made] = lay_out(report, TERMINAL, translator(language), CHINA_TIME)
    return list(made.lines)


def differing(*differences):
    values = {name: getattr(BALANCED, name) for name in BALANCED.__struct_fields__}
    return SettlementReport(**{**values, "is_balanced": False, "differences": differences})


def test_totals_line_by_line():
    report = TotalsReport("3-58", MERCHANT, 7, 1, CLAIMED_S, ROWS)
    assert lines(report) == [
        "             一食堂",
        "            交易汇总",
        "--------------------------------",
        "商户号                    100001",
        "终端号                      3-58",
        "操作员                        01",
        "批次号                    000007",
        "日期时间     2026-11-18 19:06:40",
        "--------------------------------",
        "类型            笔数        金额",
        "消费             128    12345.67",
        "完成撤销           1        9.90",
        "积分消费           2         300",
        "--------------------------------",
        "            商户存根",
    ]


def test_the_cash_of_top_ups_stands_below_the_totals():
    said = lines(TotalsReport("3-58", MERCHANT, 7, 1, CLAIMED_S, ROWS, cash_fen=11_000))
    assert said[-4:-2] == ["-" * SLIP_COLUMNS, "充值现金              RMB 110.00"]
    assert "充值现金              RMB 110.00" in lines(replace(BALANCED, cash_fen=11_000))


def test_the_opening_float_stands_below_the_totals():
    said = lines(TotalsReport("3-58", MERCHANT, 7, 1, CLAIMED_S, ROWS, 20_000))
    assert said[-4:-2] == ["-" * SLIP_COLUMNS, "存零头                RMB 200.00"]


def test_a_batch_without_a_sale():
    assert "无" in lines(TotalsReport("3-58", MERCHANT, 7, 1, CLAIMED_S, ()))


def test_a_balanced_settlement_says_so_and_bears_witness_to_the_journal():
    said = lines(BALANCED)
    assert "         *** 对账平 ***" in said
    assert "结算号                      4711" in said
    assert "账本摘要     0123 4567 89AB CDEF" in said
    assert not any("主机" in line for line in said)


def test_an_unbalanced_settlement_names_each_record_with_both_sides():
    sale, approved, none = TransactionKind.SALE, RecordStanding.APPROVED, RecordStanding.NONE
    said = lines(
        differing(
            DifferenceRow(41, DifferenceKind.AMOUNT, sale, approved, 1250, approved, 1000, 9),
            DifferenceRow(42, DifferenceKind.MISSING_AT_HOST, TransactionKind.TOPUP, approved, 5000, none, 0, 0),
            DifferenceRow(43, DifferenceKind.STATUS, sale, approved, 700, RecordStanding.REVERSED, 0, 8),
        )
    )
    assert "        *** 对账不平 ***" in said
    assert "差异笔数                       3" in said
    host = said.index("            主机合计")
    assert "消费             127    12333.17" in said[host:]
    first = said.index("000041 消费             金额不符")
    assert said[first : first + 6] == [
        "000041 消费             金额不符",
        "  本机 12.50          主机 10.00",
        "000042 充值           主机无此笔",
        "  本机 50.00             主机 --",
        "000043 消费             状态不符",
        "  本机 7.00          主机 已冲正",
    ]


def test_a_reprinted_settlement_says_so():
    values = {name: getattr(BALANCED, name) for name in BALANCED.__struct_fields__}
    assert "         *** 重打印 ***" in lines(SettlementReport(**{**values, "is_reprint": True}))


def test_a_reprint_has_both_copies():
    made = lay_out(Reprint(RECORD, MERCHANT), TERMINAL, translator("zh"), CHINA_TIME)
    assert made == tuple(slip(copy=copy, reprint=True) for copy in Copy)


def test_a_reversal_notice_is_one_copy_for_the_cashier():
    record = replace(RECORD, state=RecordState.REVERSING, posted_at_ms=0)
    said = lines(ReversalNotice(record, MERCHANT))
    assert "        *** 冲正通知 ***" in said
    assert "凭证号                    000123" in said
    assert said[-1].strip() == "商户存根"


def test_float_and_exchange():
    assert "备用金                RMB 200.00" in lines(FloatReport(amount_fen=20_000, **BY))
    assert "顾客应付                RMB 2.00" in lines(
        ExchangeReport(returned_fen=1000, taken_fen=1200, moved_fen=200, **BY)
    )
    assert "应退顾客                RMB 1.80" in lines(
        ExchangeReport(returned_fen=1200, taken_fen=1000, moved_fen=180, **BY)
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_and_every_kind_has_a_name_that_does(language):
    _ = translator(language)
    assert all(columns(_(KIND_TEXT[kind])) <= NAME_COLUMNS for kind in TransactionKind)
    odd = [
        DifferenceRow(999_999, what, kind, here, 999_999_999, there, 999_999_999, 1)
        for what in DifferenceKind
        for kind in TransactionKind
        for here in RecordStanding
        for there in RecordStanding
    ]
    assert max(map(columns, lines(differing(*odd), language))) <= SLIP_COLUMNS
