"""What is on a card: asked with as many PINs as the host wants, and nothing moves."""

from msgspec.structs import replace

from protocol.messages import BalanceAnswer, BalanceRequest
from protocol.messages.balance import CardStatus
from protocol.messages.money import EntryMode
from terminal_emulator.dialog import Ask, Payer
from terminal_emulator.functions.balance import STATUS_TEXT, balance, card_information
from tests.terminal_emulator.functions.talk import Talk, till_of

RICH = BalanceAnswer(response_code="00", balance_fen=8750, held_fen=100, points=12, card_status=CardStatus.ACTIVE)


def test_balance_holds_and_points():
    talk = Talk(till_of(), balance, host={BalanceRequest: RICH})
    assert talk.shown == [("余额 ****B2C3", "余额       87.50", "冻结金额    1.00", "积分          12")]
    assert talk.moved == []


def test_points_that_are_owed_are_called_so():
    talk = Talk(till_of(), balance, host={BalanceRequest: replace(RICH, points=-235)})
    assert talk.shown[0][3] == "欠积分       235"


def test_card_details():
    talk = Talk(till_of(), card_information, host={BalanceRequest: RICH})
    assert talk.shown == [("卡号    ****B2C3", "正常卡", "余额       87.50", "积分          12")]
    assert STATUS_TEXT.keys() == set(CardStatus)


def test_the_pin_is_asked_for_until_it_is_right():
    codes = iter(["1A", "55", "00"])
    talk = Talk(
        till_of(), balance, "111111", "222222", host={BalanceRequest: lambda: BalanceAnswer(response_code=next(codes))}
    )
    assert [prompt.pin for prompt in talk.prompts if isinstance(prompt, Ask)] == ["", "111111", "222222"]
    assert len(talk.shown) == 1


def test_a_refusal_is_said_with_its_code():
    talk = Talk(till_of(), balance, host={BalanceRequest: BalanceAnswer(response_code="41")})
    assert talk.shown[0][0].endswith("41")


def test_no_answer():
    assert len(Talk(till_of(), balance).shown) == 1


def test_of_a_payment_code_the_number_of_its_card_is_shown():
    code = Payer(b"9172158619130123456789", EntryMode.CODE)
    assert Talk(till_of(), balance, code, host={BalanceRequest: RICH}).shown[0][0] == "余额 ****1913"
