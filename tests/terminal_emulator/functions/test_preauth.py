"""Holds: made, completed up to what is held, and both undone."""

from msgspec.structs import replace

from protocol.messages import LookupRequest
from protocol.messages.money import TransactionKind
from terminal_emulator.functions.preauth import completion, completion_void, pre_auth, pre_auth_void
from tests.terminal_emulator.functions.talk import HOME, SALE, Talk, record_of, till_of

HELD = replace(SALE, kind=TransactionKind.PREAUTH, charged_fen=0)
HOST = {LookupRequest: HELD}


def test_an_amount_is_held():
    assert Talk(till_of(), pre_auth, 5000).moved == [(TransactionKind.PREAUTH, 5000, (0, 0, 0))]


def test_a_completion_takes_up_to_what_is_held():
    talk = Talk(till_of(), completion, "4711", True, 2000, 1000, host=HOST)
    assert talk.shown == [("预授权完成", "超过冻结金额", "冻结金额 12.50")]
    assert talk.moved == [(TransactionKind.COMPLETION, 1000, (0, 1, 7))]


def test_a_hold_is_freed_whole():
    assert Talk(till_of(), pre_auth_void, "4711", True, host=HOST).moved == [
        (TransactionKind.PREAUTH_VOID, 1250, (0, 1, 7))
    ]


def test_a_completion_is_voided_by_its_voucher():
    till = till_of(record_of(9, TransactionKind.COMPLETION))
    assert Talk(till, completion_void, "9", True).moved == [(TransactionKind.COMPLETION_VOID, 1250, (0, 1, 9))]


def test_a_sale_is_no_hold():
    talk = Talk(till_of(), completion, "4711", HOME)
    assert talk.shown == [("预授权完成", "交易类型不符", "请核对凭证号")]
