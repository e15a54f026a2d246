"""Clear and a key: the sales before, totals, the journal, the clock, the version."""

import pytest

from protocol.messages.money import EntryMode, TransactionKind
from protocol.messages.parameters import Meal
from terminal_emulator.functions.looks import date_and_time, journal, journal_page, sale_back, terminal_version
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import Record, RecordState
from tests.terminal_emulator.functions.talk import Talk, record_of, till_of
from tests.terminal_emulator.till import CARD, WALL_S, Till, ToyHost

NOW_S = int(WALL_S + 100)  # 16:55 in China


@pytest.fixture
def till():
    till = Till()
    till.online()
    return till


def sell(till, *amounts):
    for amount in amounts:
        till.do(f"{amount} enter tap clear", ToyHost())


def look(till, key):
    """Clear at rest, then the key."""
    assert till.keys(f"clear {key}") == ["beep key", "beep key"]
    return till.panel


def test_the_last_three_sales(till):
    sell(till, "1", "2", "3", "4")
    assert look(till, "3")[:2] == ["Last sale 000004", "RMB 4.00"]
    till.keys("enter")
    assert look(till, "2")[:2] == ["2nd-last  000003", "RMB 3.00"]
    till.keys("clear")
    assert look(till, "1") == ["3rd-last  000002", "RMB 2.00", "****B2C3", "10-09 16:55"]
    till.keys("clear")
    till.power_on()
    till.keys("enter")
    assert look(till, "3")[1] == "RMB 4.00"


def test_there_may_be_no_such_sale(till):
    sell(till, "1")
    assert till.keys("clear 2") == ["beep key", "beep key", "beep error"]
    assert till.panel == ["2nd-last sale", "There is none"]


def test_a_declined_sale_is_none(till):
    sell(till, "1")
    till.do("2 enter tap clear", ToyHost(balance_fen=0))
    assert look(till, "3")[1] == "RMB 1.00"


def kept(stan, at_s=NOW_S, kind=TransactionKind.SALE, state=RecordState.APPROVED):
    return Record(batch=1, stan=stan, amount_fen=100 * stan, payer=CARD, claimed_at_s=at_s, kind=kind, state=state)


def test_the_day_total_counts_what_was_sold_today(till):
    for record in (
        kept(1),
        kept(2, NOW_S - 86_400),
        kept(3, state=RecordState.DECLINED),
        kept(4, state=RecordState.OFFLINE),
        kept(5, kind=TransactionKind.REFUND),
        kept(6, kind=TransactionKind.TOPUP),
        kept(7, state=RecordState.REVERSING),
    ):
        till.storage.save(record)
    assert look(till, "5") == ["Day total", "Sales          2", "Amount      5.00", "Returned    5.00"]


def test_the_meal_total_counts_since_the_meal_began(till):
    assert "beep error" in till.keys("clear 6")
    assert till.panel == ["Meal total", "No meal is on"]
    till.keys("clear")
    lunch, supper = Meal(1, 660, 800, "午餐"), Meal(2, 990, 1200, "晚餐")
    till.brain.till.keep(Parameters(meals=(lunch, supper)))
    till.storage.save(kept(1, NOW_S - 26 * 60))
    till.storage.save(kept(2, NOW_S - 24 * 60))
    assert look(till, "6") == ["晚餐", "Sales          1", "Amount      2.00", "Enter: go on"]


def test_a_meal_may_go_over_midnight():
    parameters = Parameters(meals=(Meal(1, 1380, 60, "夜宵"),), utc_offset_minutes=0)
    minute = 60
    assert [parameters.meal_at(at * minute) is not None for at in (1379, 1380, 1439, 1440, 1499, 1500)] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


def test_the_journal_page_by_page(till):
    assert look(till, "9") == ["Sales journal", "It is empty", "Enter: go on"]
    till.keys("clear")
    sell(till, "1")
    till.do("2 enter tap clear", ToyHost(balance_fen=0))
    assert look(till, "9") == ["Sale      000002", "16:55       2.00", "****B2C3", "Declined 51"]
    till.keys("down")
    assert till.panel == ["Sale      000001", "16:55       1.00", "****B2C3", "Approved"]
    till.keys("down up")
    assert till.panel[0].endswith("000001")
    till.keys("enter")
    assert till.screen == "idle"


def test_the_clock_and_the_version(till):
    assert look(till, "0") == ["Date and time", "2025-10-09", "16:55:00", "Day        11-20"]
    till.keys("clear")
    assert look(till, "8") == ["Terminal    3-58", "fanka-term 1", "Params       0.0"]


def test_a_combination_begins_at_rest_only(till):
    sell(till, "1")
    till.keys("5 enter")
    assert till.keys("clear 5") == ["beep key", "beep key"]
    assert till.screen == "amount"


def test_a_combination_waits_some_seconds_and_says_so(till):
    till.keys("clear")
    assert till.brain.view.is_armed
    till.wait(5)
    assert not till.brain.view.is_armed
    till.keys("5")
    assert till.screen == "amount"


def test_a_key_that_makes_no_combination_is_just_itself(till):
    till.keys("clear 4")
    assert (till.screen, till.brain.view.amount_text) == ("amount", "4")


def test_a_payment_code_is_masked_as_on_its_slip_and_points_are_not_yuan():
    code = record_of(7, entry_mode=EntryMode.CODE, payer=b"9172158619130123456789")
    points = record_of(8, TransactionKind.POINTS_SALE, amount_fen=50, charged_fen=0)
    till = till_of(code, points)
    assert journal_page(code, till)[2] == "****1913"
    assert journal_page(points, till)[1].endswith("50 积分")
    assert Talk(till, sale_back(0)).shown[0][2] == "****1913"


VOID = record_of(8, TransactionKind.VOID, original_batch=1, original_stan=7)
REFUND = record_of(9, TransactionKind.REFUND, amount_fen=500, original_batch=1, original_stan=7)


@pytest.mark.parametrize(("follower", "said"), [(VOID, "已撤销"), (REFUND, "已退货 5.00")])
def test_what_was_taken_back_is_not_simply_approved(follower, said):
    till = till_of(record_of(7), follower)
    pages = Talk(till, journal, None).prompts[0].pages
    assert (pages[1][0][-6:], pages[1][3]) == ("000007", said)
    assert Talk(till, sale_back(0)).shown[0][3] == said
    assert Talk(till_of(record_of(7)), sale_back(0)).shown[0][3] == "10-09 16:53"


def test_a_refund_that_was_declined_takes_nothing_back():
    declined = record_of(9, TransactionKind.REFUND, state=RecordState.DECLINED, original_batch=1, original_stan=7)
    elsewhere = record_of(10, TransactionKind.VOID, original_terminal=77, original_batch=1, original_stan=7)
    assert Talk(till_of(record_of(7), declined, elsewhere), sale_back(0)).shown[0][3] == "10-09 16:53"


def test_the_version_of_the_parameters_is_for_people():
    till = till_of()
    till.keep(Parameters(config_version=(1 << 24) + 8))
    assert Talk(till, terminal_version).shown[0][3] == "参数         1.8"


def test_the_business_day_is_called_so_in_full():
    till = till_of()
    till.business_day = 20261118
    assert Talk(till, date_and_time).shown[0][3] == "营业日     11-18"


@pytest.mark.parametrize(("points", "line"), [(50, "16:53    50 积分"), (999_999, "16:53     999999")])
def test_the_time_of_a_journal_page_is_whole_however_many_points(points, line):
    spent = record_of(8, TransactionKind.POINTS_SALE, amount_fen=points, charged_fen=0)
    assert journal_page(spent, till_of(spent))[1] == line


@pytest.mark.parametrize(("state", "said"), [(RecordState.OFFLINE, "脱机 待上送"), (RecordState.REFUSED, "上送被拒")])
def test_the_last_sale_says_that_the_host_does_not_have_it(state, said):
    sold = record_of(7, TransactionKind.OFFLINE_SALE, state=state)
    assert Talk(till_of(sold), sale_back(0)).shown[0][3] == said
