"""Opening float, prices, discounts and exchange."""

import pytest

from protocol.messages import ProductAnswer, ProductRequest
from protocol.messages.money import TransactionKind
from protocol.messages.password import PasswordPurpose
from terminal_emulator.functions.conveniences import discount, exchange, opening_float, price
from terminal_emulator.keepsakes import Clock, OpeningFloat
from terminal_emulator.parameters import Parameters
from terminal_emulator.record import RecordState
from terminal_emulator.slip_day import ExchangeReport, FloatReport
from tests.terminal_emulator.functions.talk import Talk, record_of, till_of
from tests.terminal_emulator.till import CARD


def test_the_float_is_printed_and_kept():
    till = till_of(record_of(7))
    [report] = Talk(till, opening_float, 20_000).printed
    assert isinstance(report, FloatReport)
    assert report.amount_fen == 20_000
    assert till.storage.kept(OpeningFloat) == OpeningFloat(20_000, batch=1)
    Talk(till, opening_float, 5_000)
    assert till.float_fen == 5_000


def test_a_price_is_shown_and_sold():
    bread = ProductAnswer(response_code="00", name="面包", price_fen=350)
    talk = Talk(till_of(), price, "6901", True, host={ProductRequest: bread})
    assert talk.asked == [ProductRequest(code="6901")]
    assert ("面包", "RMB 3.50", "确认: 销售") in [getattr(prompt, "lines", None) for prompt in talk.prompts]
    assert talk.moved == [(TransactionKind.SALE, 350, (0, 0, 0))]


def test_goods_that_nobody_has():
    answers = iter((ProductAnswer(response_code="25"), ProductAnswer(response_code="00", name="面包", price_fen=350)))
    talk = Talk(till_of(), price, "6901", "6902", True, host={ProductRequest: lambda: next(answers)})
    assert talk.shown == [("交易失败 25", "无此商品", "6901")]
    assert [amount for _, amount, _ in talk.moved] == [350]


@pytest.mark.parametrize(
    ("replies", "paid", "passwords"),
    [
        (("1", "10", True), 900, 0),
        (("1", "11", True), 890, 1),
        (("2", 100, True), 900, 0),
        (("2", 101, True), 899, 1),
    ],
)
def test_a_discount_above_the_limit_needs_the_manager(replies, paid, passwords):
    till = till_of()
    till.keep(Parameters(discount_limit_percent=10))
    talk = Talk(till, discount, 1000, *replies)
    assert talk.moved == [(TransactionKind.SALE, paid, (0, 0, 0))]
    assert talk.passwords == [PasswordPurpose.SUPERVISOR] * passwords


def test_what_the_cashier_took_off_stays_with_the_sale():
    till = till_of()
    till.keep(Parameters(discount_limit_percent=50))
    [record] = Talk(till, discount, 1000, "1", "10", True).records
    assert (record.amount_fen, record.discount_fen) == (900, 100)


def test_a_pin_asked_for_does_not_lose_the_discount():
    till = till_of()
    till.keep(Parameters(discount_limit_percent=50))
    codes = iter((RecordState.DECLINED, RecordState.APPROVED))
    talk = Talk(
        till,
        discount,
        1000,
        "2",
        100,
        True,
        "4711",
        decide=lambda: {"state": (state := next(codes)), "response_code": "1A" if state == "declined" else "00"},
    )
    assert [(record.amount_fen, record.discount_fen) for record in talk.records] == [(900, 100)] * 2


@pytest.mark.parametrize("wrong", [("1", "0", "10"), ("1", "100", "10"), ("2", 1000, 100), ("2", 2000, 100)])
def test_no_discount_and_none_of_all_is_asked_again(wrong):
    till = till_of()
    till.keep(Parameters(discount_limit_percent=10))
    talk = Talk(till, discount, 1000, *wrong, True)
    assert talk.shown == [("折扣", "金额无效", "请重新输入")]
    assert [amount for _, amount, _ in talk.moved] == [900]


def test_one_level_up_gives_no_discount():
    assert Talk(till_of(), discount, 1000, None).moved == []


def test_a_percentage_is_rounded_for_the_customer():
    till = till_of()
    till.keep(Parameters(discount_limit_percent=50))
    assert [amount for _, amount, _ in Talk(till, discount, 999, "1", "5", True).moved] == [949]


def test_the_same_again_is_asked_about():
    till = till_of(record_of(1, amount_fen=900, payer=CARD))
    till.keep(Parameters(discount_limit_percent=50, repeat_guard=True))
    talk = Talk(till, discount, 1000, "2", 100, True, True)
    assert [amount for _, amount, _ in talk.moved] == [900]


def test_an_exchange_for_more_sells_the_difference():
    talk = Talk(till_of(), exchange, "4711", True, 1000, 1500, True)
    assert talk.moved == [(TransactionKind.SALE, 500, (0, 0, 0))]
    assert talk.passwords == []
    [report] = talk.printed
    assert isinstance(report, ExchangeReport)
    assert (report.returned_fen, report.taken_fen) == (1000, 1500)


def test_an_exchange_for_less_refunds_it_with_the_password():
    talk = Talk(till_of(), exchange, "4711", True, 1000, 800, True)
    assert talk.moved == [(TransactionKind.REFUND, 200, (0, 1, 7))]
    assert talk.passwords == [PasswordPurpose.SUPERVISOR]


def test_an_exchange_says_what_was_moved():
    discounted = {"charged_fen": 180}  # the sale had been discounted by 10 %
    talk = Talk(till_of(), exchange, "4711", True, 1000, 800, True, decide=discounted)
    assert talk.printed[-1].moved_fen == 180
    assert talk.shown[-1][1].split()[-1] == "1.80"


def test_an_exchange_that_was_paid_offline_is_on_paper():
    offline = {"state": RecordState.OFFLINE, "response_code": "", "balance_fen": 0}
    talk = Talk(till_of(), exchange, "4711", True, 1000, 1500, True, decide=offline)
    [report] = talk.printed
    assert (report.returned_fen, report.taken_fen, report.moved_fen) == (1000, 1500, 500)
    assert talk.shown[-1] == ("换货", "应付        5.00", "", "已打印"), "nobody knows the balance"


def test_an_even_exchange_moves_nothing():
    talk = Talk(till_of(), exchange, "4711", True, 1000, 1000, True)
    assert talk.moved == []
    assert len(talk.printed) == 1


def test_a_declined_difference_exchanges_nothing():
    declined = {"state": RecordState.DECLINED, "response_code": "51"}
    assert Talk(till_of(), exchange, "4711", True, 1000, 1500, True, decide=declined).printed == []


def test_more_cannot_come_back_than_was_sold():
    talk = Talk(till_of(), exchange, "4711", True, 1300, 1250, 1250, True)
    assert talk.shown[0] == ("换货", "超过剩余金额", "剩余 12.50")
    assert len(talk.printed) == 1


@pytest.mark.parametrize(("percent", "is_allowed"), [("10", False), ("11", True)])
def test_who_allowed_a_discount_stays_with_the_sale(percent, is_allowed):
    till = till_of()
    till.keep(Parameters(discount_limit_percent=10))
    [record] = Talk(till, discount, 1000, "1", percent, True).records
    assert record.discount_allowed is is_allowed


def test_a_discount_at_the_limit_needs_no_manager_however_it_is_rounded():
    till = till_of()
    till.keep(Parameters(discount_limit_percent=10))
    talk = Talk(till, discount, 1255, "1", "10", True)
    assert (talk.moved[0][1], talk.passwords) == (1129, [])


def test_float_and_exchange_have_the_clock_that_sign_on_has_set():
    till = till_of()
    till.keep(Clock(3600.0))
    printed = Talk(till, opening_float, 20_000).printed + Talk(till, exchange, "4711", True, 1000, 1000, True).printed
    assert {report.printed_at_s for report in printed} == {int(till.now.wall_s) + 3600}
