"""Slips once more: the last, any, and the totals."""

import pytest

from protocol.messages.money import TransactionKind
from terminal_emulator.functions.conveniences import exchange, opening_float
from terminal_emulator.functions.reprint import reprint, reprint_last, totals
from terminal_emulator.keepsakes import Clock, OpeningFloat
from terminal_emulator.settled import ReportRow, Settlement, Stage, TotalsReport
from terminal_emulator.slip_day import Reprint
from tests.terminal_emulator.functions.talk import Talk, record_of, till_of

EVENLY = ["4711", True, 1000, 1000, True]


def test_the_last_and_any():
    till = till_of(record_of(6), record_of(7))
    assert Talk(till, reprint_last).printed == [Reprint(record_of(7), till.merchant)]
    assert Talk(till, reprint, "6").printed == [Reprint(record_of(6), till.merchant)]


def test_what_is_not_here_is_said_and_the_next_number_is_asked_for():
    till = till_of(record_of(7))
    talk = Talk(till, reprint, "6", "7")
    assert talk.shown[0][1] == "本机无此笔"
    assert talk.printed == [Reprint(record_of(7), till.merchant)]


def test_nothing_yet():
    talk = Talk(till_of(), reprint_last)
    assert talk.printed == []
    assert talk.shown == [("重打印", "暂无交易")]


def test_totals():
    [report] = Talk(till_of(record_of(7)), totals).printed
    assert isinstance(report, TotalsReport)
    assert report.rows == (ReportRow(TransactionKind.SALE, 1, 1250),)
    assert report.float_fen == 0


@pytest.mark.parametrize(("dialog", "replies"), [(totals, []), (opening_float, [100]), (exchange, EVENLY)])
def test_slips_have_the_clock_that_sign_on_has_set(dialog, replies):
    till = till_of(record_of(7))
    till.keep(Clock(86_400.0))
    [report] = Talk(till, dialog, *replies).printed
    assert report.printed_at_s == int(till.now.wall_s) + 86_400


def test_the_totals_have_the_opening_float_of_their_batch():
    till = till_of(record_of(7))
    till.keep(OpeningFloat(20_000, batch=1))
    [report] = Talk(till, totals).printed
    assert report.float_fen == 20_000
    till.storage.save_settlement(Settlement(batch=1, operator=0, claimed_at_s=5))
    [report] = Talk(till, totals).printed
    assert (report.batch, report.float_fen) == (2, 0)


def test_what_was_settled_last_can_still_be_printed_again():
    till = till_of(record_of(6), record_of(7))
    till.storage.save_settlement(Settlement(batch=1, operator=0, claimed_at_s=5, stage=Stage.DONE))
    assert Talk(till, reprint_last).printed == [Reprint(record_of(7), till.merchant)]
    assert Talk(till, reprint, "6").printed == [Reprint(record_of(6), till.merchant)]


def test_a_free_meal_is_free_on_the_slip_of_totals():
    [report] = Talk(till_of(record_of(7, charged_fen=0)), totals).printed
    assert report.rows == (ReportRow(TransactionKind.SALE, 1, 0),)


def test_a_slip_has_the_clock_that_sign_on_has_set():
    till = till_of(record_of(7))
    till.keep(Clock(3600.0))
    [report] = Talk(till, totals).printed
    assert report.printed_at_s == int(till.now.wall_s) + 3600
