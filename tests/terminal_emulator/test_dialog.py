"""Every kind of question: what its keys do, what it refuses, what it replies, what it shows."""

import pytest

from protocol.messages import EntryMode
from terminal_emulator.dialog import Amount, Card, Confirm, Digits, Menu, Pages, Payer, Runner, Show, Stop
from terminal_emulator.effects import Key
from terminal_emulator.panels import PANELS, panel

CODE = Payer(b"9100000000011234567890", EntryMode.CODE)
CARD = Payer(b"\x04\xa1\xb2\xc3")
ROWS = tuple((str(number), f"Row {number}") for number in range(1, 6))


def run(prompt):
    """A dialog of one question, and the list its reply ends up in."""
    replies = []

    def dialog():
        replies.append((yield prompt))

    return Runner(dialog()), replies


def press(runner, keys):
    return [runner.press(Key(key)) for key in keys.split()]


@pytest.mark.parametrize(
    ("prompt", "keys", "reply"),
    [
        (Menu("Menu", ROWS), "2", "2"),
        (Menu("Menu", ROWS), "down 5", "5"),
        (Menu("Menu", ROWS), "delete", None),
        (Digits("Void", "No.", 1, 6), "1 2 enter", "12"),
        (Digits("Void", "No.", 1, 6), "1 2 delete 3 enter", "13"),
        (Digits("Void", "No.", 4, 6, optional=True), "enter", ""),
        (Digits("PIN", "No.", 4, 4, masked=True), "1 2 3 4 enter", "1234"),
        (Amount("Sale", "Yuan"), "1 2 . 5 enter", 1250),
        (Amount("Sale", "Yuan"), "1 delete 3 enter", 300),
        (Confirm(("Sure?",)), "enter", True),
        (Show(("Done",)), "enter", None),
        (Pages((("a",), ("b",))), "down down up enter", None),
    ],
)
def test_what_a_question_replies(prompt, keys, reply):
    runner, replies = run(prompt)
    assert all(press(runner, keys))
    assert replies == [reply]
    assert runner.prompt is None


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        (Menu("Menu", ROWS), "6 enter f1 ."),
        (Menu("Menu", ROWS[:3]), "up down"),
        (Digits("Void", "No.", 2, 6), "enter . delete f1"),
        (Digits("Void", "No.", 2, 3, optional=True), "up"),
        (Amount("Sale", "Yuan"), "enter delete f2"),
        (Card("Sale"), "1 enter delete"),
        (Confirm(("Sure?",)), "1 delete"),
        (Show(("Done",)), "1"),
        (Pages((("a",),)), "up 1"),
    ],
)
def test_what_a_question_refuses(prompt, keys):
    runner, replies = run(prompt)
    assert not any(press(runner, keys))
    assert (runner.prompt, replies) == (prompt, [])


def test_no_more_digits_than_asked_for():
    runner, _ = run(Digits("Void", "No.", 1, 3))
    assert press(runner, "1 2 3 4") == [True, True, True, False]
    assert runner.text == "123"


def test_a_number_too_short_waits_for_more():
    runner, replies = run(Digits("PIN", "No.", 2, 4))
    assert press(runner, "1 enter 2 enter") == [True, False, True, True]
    assert replies == ["12"]


@pytest.mark.parametrize(
    ("prompt", "payer", "taken"),
    [
        (Card("Sale"), CARD, True),
        (Card("Sale"), CODE, False),
        (Card("Sale", may_scan=True), CODE, True),
        (Card("Sale", may_scan=True), Payer(b"https://", EntryMode.CODE), False),
        (Menu("Menu", ROWS), CARD, False),
        (Digits("No.", "RRN", 1, 22, may_scan=True), CODE, True),
        (Digits("No.", "RRN", 1, 12, may_scan=True), CODE, False),
        (Digits("No.", "RRN", 1, 22), CODE, False),
        (Digits("No.", "RRN", 1, 22, may_scan=True), CARD, False),
    ],
)
def test_who_may_be_read(prompt, payer, taken):
    runner, replies = run(prompt)
    assert runner.read(payer) is taken
    assert (runner.prompt is None) is taken
    if taken:
        assert replies == [payer if isinstance(prompt, Card) else payer.token.decode()]


def test_stop_ends_a_dialog_from_within_a_helper():
    def helper():
        yield Show(("No",))
        raise Stop

    def dialog():
        yield from helper()
        raise AssertionError

    runner = Runner(dialog())
    assert press(runner, "enter") == [True]
    assert runner.prompt is None


def test_close_lets_the_dialog_clean_up():
    closed = []

    def dialog():
        try:
            yield Show(("",))
        finally:
            closed.append(True)

    Runner(dialog()).close()
    assert closed == [True]


def shown(prompt, keys=""):
    runner, _ = run(prompt)
    press(runner, keys)
    return panel(runner, str)


def test_panels():
    assert shown(Menu("Menu", ROWS)) == ("Menu         1/2", "1.Row 1", "2.Row 2", "3.Row 3")
    assert shown(Menu("Menu", ROWS), "down") == ("Menu         2/2", "4.Row 4", "5.Row 5", "")
    assert shown(Menu("Menu", ROWS), "up") == shown(Menu("Menu", ROWS), "down")
    assert shown(Digits("PIN", "Key", 4, 6, masked=True), "1 2")[2].strip() == "**_"
    assert shown(Amount("Sale", "Yuan"), "1 .")[2].strip() == "1."
    assert shown(Card("Sale", 1250, may_scan=True))[1:3] == ("Card or code", "           12.50")
    assert shown(Pages((("a",), ("b",))), "down") == ("b", "", "", "")
    assert shown(Confirm(("a", "b"))) == ("a", "b", "", "Enter / Clear")
    assert set(PANELS) >= {Menu, Digits, Amount, Card, Confirm, Show, Pages}
