"""Top-ups: the recharge password first, cards only, and for the void both passwords."""

from protocol.messages.money import TransactionKind
from protocol.messages.password import PasswordPurpose
from terminal_emulator.dialog import Card, Confirm
from terminal_emulator.functions import FUNCTIONS, open_function
from terminal_emulator.functions.top_up import top_up
from tests.terminal_emulator.functions.talk import Talk, record_of, till_of


def test_password_card_amount_a_look_at_both():
    talk = Talk(till_of(), top_up, 10_000, True)
    assert talk.passwords == [PasswordPurpose.RECHARGE]
    assert Card("充值") in talk.prompts
    assert Confirm(("充值 ****B2C3", "RMB 100.00", "现金已收?")) in talk.prompts
    assert talk.moved == [(TransactionKind.TOPUP, 10_000, (0, 0, 0))]


def test_a_void_wants_both_passwords():
    till = till_of(record_of(9, TransactionKind.TOPUP))
    talk = Talk(till, lambda till: open_function(till, "top_up_void"), "9", True)
    assert talk.passwords == [PasswordPurpose.SUPERVISOR, PasswordPurpose.RECHARGE]
    assert talk.moved == [(TransactionKind.TOPUP_VOID, 1250, (0, 1, 9))]
    assert "top_up_void" in FUNCTIONS
