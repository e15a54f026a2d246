"""Refunds: the sale, how much of it, the supervisor's password, the card."""

from msgspec.structs import replace

from protocol.messages import LookupRequest
from protocol.messages.money import TransactionKind
from protocol.messages.password import PasswordPurpose
from terminal_emulator.dialog import Card
from terminal_emulator.functions.refund import refund
from terminal_emulator.record import RecordState
from tests.terminal_emulator.functions.talk import SALE, Talk, record_of, till_of


def test_a_part_of_a_sale_goes_back():
    talk = Talk(till_of(), refund, "4711", True, 500)
    assert talk.moved == [(TransactionKind.REFUND, 500, (0, 1, 7))]
    assert talk.passwords == [PasswordPurpose.SUPERVISOR]
    assert Card("退货", 500, may_scan=True) in talk.prompts


def test_of_another_terminal():
    elsewhere = replace(SALE, original_terminal=99)
    talk = Talk(till_of(), refund, "4711", True, 500, host={LookupRequest: elsewhere})
    assert talk.moved == [(TransactionKind.REFUND, 500, (99, 1, 7))]


def test_more_than_is_left_is_asked_again_before_the_password():
    talk = Talk(till_of(), refund, "4711", True, 1251, 1250)
    assert talk.shown == [("退货", "超过剩余金额", "剩余 12.50")]
    assert [amount for _, amount, _ in talk.moved] == [1250]
    assert len(talk.passwords) == 1


def test_a_refund_that_is_being_repeated_is_not_begun_again():
    """Both would be carried out."""
    open_one = record_of(8, TransactionKind.REFUND, state=RecordState.REPEATING, original_batch=1, original_stan=7)
    talk = Talk(till_of(open_one), refund, "4711", True, 500)
    assert talk.moved == []
    assert talk.shown[-1][0] == "退货"
