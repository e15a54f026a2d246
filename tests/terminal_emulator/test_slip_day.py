"""Slips of a whole batch: totals in columns, and a settlement that names every differing record."""

import pytest

from protocol.messages.money import TransactionKind
from terminal_emulator.columns import columns
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.slip import SLIP_COLUMNS
from terminal_emulator.slip_day import (
    NAME_COLUMNS,
    Difference,
    DifferenceKind,
    Settlement,
    TypeTotal,
    exchange_slip,
    float_slip,
    settlement_slip,
    totals_slip,
)
from terminal_emulator.texts import KIND_TEXT
from tests.terminal_emulator.slips import DESK

ZH = translator("zh")
TOTALS = (TypeTotal(TransactionKind.SALE, 128, 1_234_567), TypeTotal(TransactionKind.COMPLETION_VOID, 1, 990))


def test_totals_line_by_line():
    assert totals_slip(7, TOTALS, DESK, ZH).text.splitlines() == [
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
        "--------------------------------",
        "            商户存根",
    ]


def test_a_batch_without_a_sale():
    assert "无" in totals_slip(7, (), DESK, ZH).lines


def test_a_balanced_settlement_says_so_and_gives_the_next_batch():
    lines = settlement_slip(Settlement(7, 8, TOTALS, TOTALS), DESK, ZH).lines
    assert "         *** 对账平 ***" in lines
    assert "新批次号                  000008" in lines
    assert not any("主机" in line for line in lines)


def test_an_unbalanced_settlement_names_each_record_with_both_amounts():
    differences = tuple(Difference(what, TransactionKind.SALE, 41, 1250, 1000) for what in DifferenceKind)
    missing = Difference(DifferenceKind.MISSING_THERE, TransactionKind.TOPUP, 42, 5000, None)
    result = Settlement(7, 8, TOTALS, TOTALS[:1], (*differences, missing))
    lines = settlement_slip(result, DESK, ZH, reprint=True).lines
    assert not result.is_balanced
    assert "        *** 对账不平 ***" in lines
    assert "         *** 重打印 ***" in lines
    assert "差异笔数                       7" in lines
    assert "000041 消费             金额不符" in lines
    assert "  本机 12.50          主机 10.00" in lines
    assert lines[lines.index("000042 充值           主机无此笔") + 1] == "  本机 50.00             主机 --"


def test_equal_totals_with_a_difference_are_not_balanced():
    swapped = Difference(DifferenceKind.STATUS, TransactionKind.SALE, 1, 5, 5)
    assert not Settlement(1, 2, TOTALS, TOTALS, (swapped,)).is_balanced


def test_float_and_exchange():
    assert "备用金                RMB 200.00" in float_slip(20_000, DESK, ZH).lines
    assert "顾客应付                RMB 2.00" in exchange_slip(1000, 1200, DESK, ZH).lines
    assert "应退顾客                RMB 2.00" in exchange_slip(1200, 1000, DESK, ZH).lines


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_and_every_kind_has_a_name_that_does(language):
    _ = translator(language)
    assert all(columns(_(KIND_TEXT[kind])) <= NAME_COLUMNS for kind in TransactionKind)
    huge = tuple(TypeTotal(kind, 99_999, 99_999_999_999) for kind in TransactionKind)
    odd = tuple(Difference(what, kind, 999_999, 999_999_999, None) for what in DifferenceKind for kind in KIND_TEXT)
    lines = settlement_slip(Settlement(1, 2, huge, (), odd), DESK, _).lines
    assert max(map(columns, lines)) <= SLIP_COLUMNS
