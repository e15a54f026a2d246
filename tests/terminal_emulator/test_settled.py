"""What the slips of totals and settlements say."""

from protocol.messages.money import TransactionKind
from protocol.messages.settlement import DifferenceKind, DifferenceRow, RecordStanding, TotalsRow
from terminal_emulator.record import Merchant
from terminal_emulator.settled import ReportRow, Settlement, Stage, cash_of, report, report_rows

SALE, VOID, POINTS = TransactionKind.SALE, TransactionKind.VOID, TransactionKind.POINTS_SALE


def test_each_side_stands_beside_the_other():
    mine = (TotalsRow(SALE, 3, 3000, 2900), TotalsRow(POINTS, 1, 50, 0))
    theirs = (TotalsRow(SALE, 2, 2000, 2000), TotalsRow(VOID, 1, 700, 700))
    assert report_rows(mine, theirs) == (
        ReportRow(SALE, 3, 2900, 2, 2000),
        ReportRow(VOID, 0, 0, 1, 700),
        ReportRow(POINTS, 1, 50, 0, 0),
    )


def test_totals_without_a_host():
    assert report_rows((TotalsRow(SALE, 1, 10, 10),)) == (ReportRow(SALE, 1, 10),)


def test_the_slip_has_what_the_settlement_has():
    difference = DifferenceRow(
        9, DifferenceKind.MISSING_AT_HOST, SALE, RecordStanding.APPROVED, 1250, RecordStanding.NONE, 0, 77
    )
    done = Settlement(
        batch=7,
        operator=3,
        claimed_at_s=1,
        stage=Stage.DONE,
        differences=(difference,),
        difference_count=1,
        totals=(TotalsRow(SALE, 1, 1250, 1250),),
        settlement=12,
        closed_at_ms=5_000,
        digest=bytes(range(8)),
    )
    slip = report(done, "3-58", Merchant(4, "窗口"), is_reprint=True)
    assert (slip.terminal, slip.merchant, slip.batch, slip.operator) == ("3-58", Merchant(4, "窗口"), 7, 3)
    assert (slip.settlement, slip.closed_at_ms, slip.digest) == (12, 5_000, bytes(range(8)))
    assert (slip.is_balanced, slip.is_reprint) == (False, True)
    assert (slip.rows, slip.differences) == ((ReportRow(SALE, 1, 1250),), (difference,))


def test_the_cash_of_top_ups_is_without_their_bonus():
    top_up, top_up_void = TransactionKind.TOPUP, TransactionKind.TOPUP_VOID
    totals = (TotalsRow(SALE, 1, 10, 10), TotalsRow(top_up, 2, 20_000, 22_000), TotalsRow(top_up_void, 1, 9_000, 9_900))
    done = Settlement(batch=7, operator=3, claimed_at_s=1, stage=Stage.DONE, totals=totals)
    assert report(done, "3-58", None).cash_fen == 11_000
    assert cash_of([(SALE, 10)]) is None


def test_a_free_meal_is_free_on_the_slip():
    assert report_rows((TotalsRow(SALE, 1, 1250, 0),)) == (ReportRow(SALE, 1, 0),)
