"""Points are keyed, shown and voided as points, never as money."""

from protocol.messages.money import TransactionKind
from terminal_emulator.dialog import Card, Confirm
from terminal_emulator.functions.points import points_sale, points_void
from tests.terminal_emulator.functions.talk import Talk, record_of, till_of


def test_points_are_spent():
    talk = Talk(till_of(), points_sale, "300")
    assert talk.moved == [(TransactionKind.POINTS_SALE, 300, (0, 0, 0))]
    assert Card("300 积分", may_scan=True) in talk.prompts


def test_none_are_not():
    talk = Talk(till_of(), points_sale, "0", "300")
    assert [points for _, points, _ in talk.moved] == [300]
    assert len(talk.shown) == 1


def test_they_go_back():
    till = till_of(record_of(9, TransactionKind.POINTS_SALE, amount_fen=300))
    talk = Talk(till, points_void, "9", True)
    assert Confirm(("积分撤销 000009", "300 积分", "****B2C3")) in talk.prompts
    assert talk.moved == [(TransactionKind.POINTS_VOID, 300, (0, 1, 9))]
