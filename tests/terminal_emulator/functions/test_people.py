"""Tellers and passwords, as the supervisor changes them at the keypad."""

import pytest

from protocol.messages.password import PasswordPurpose
from tests.terminal_emulator.till import NUMBER, SUPERVISOR, Till, ToyHost

PASSWORDS = "f1 9"
TELLERS = "f1 9 6 123456 enter"


@pytest.fixture
def host():
    return ToyHost()


@pytest.fixture
def till():
    till = Till()
    till.online()
    return till


@pytest.mark.parametrize(
    ("row", "key", "old"),
    [
        ("3", (SUPERVISOR, 0), "123456"),
        ("4 1 enter", (PasswordPurpose.OPERATOR, 1), "0000"),
        ("5", (PasswordPurpose.RECHARGE, 0), "111111"),
    ],
    ids=["supervisor", "teller", "top-up"],
)
def test_a_password_is_changed(till, host, row, key, old):
    till.do(f"{PASSWORDS} {row}", host)
    assert till.panel[1] == "Old password"
    till.do(f"{old} enter 8888 enter 8888 enter", host)
    assert till.panel[1] == "is changed"
    assert host.passwords[key] == "8888"


def test_the_supervisors_number_at_the_prompt_of_a_teller_opens_the_supervisors_menu(till, host):
    till.do(f"{PASSWORDS} 4 0 enter", host)
    assert till.panel[0].startswith("Supervisor")
    till.do("4 123456 enter 8888 enter 8888 enter", host)
    assert host.passwords[SUPERVISOR, 0] == "8888"


def test_a_wrong_old_password_changes_nothing(till, host):
    till.do(f"{PASSWORDS} 3 999999 enter 8888 enter 8888 enter", host)
    assert till.panel[0] == "Declined 55"
    assert host.passwords[SUPERVISOR, 0] == "123456"
    till.do("enter", host)
    assert till.panel[1] == "Old password"
    till.do("123456 enter 8888 enter 8888 enter", host)
    assert host.passwords[SUPERVISOR, 0] == "8888"


def test_a_new_password_that_may_not_be_used_is_keyed_again(till, host):
    till.do(f"{PASSWORDS} 3 123456 enter 123456 enter 123456 enter", host)
    assert till.panel == ["Declined F5", "Not to be used", "Choose another"]
    till.do("enter 8888 enter 8888 enter", host)
    assert till.panel == ["Superv. password", "is changed"]


def test_two_new_passwords_that_differ_are_keyed_again(till, host):
    till.do(f"{PASSWORDS} 3 123456 enter 8888 enter 8889 enter", host)
    assert till.panel[0] == "Not the same"
    till.do("enter 7777 enter 7777 enter", host)
    assert host.passwords[SUPERVISOR, 0] == "7777"


def test_tellers_are_added_listed_and_deleted(till, host):
    for number in (2, 5):
        till.do(f"{TELLERS} 1 {number} enter 4321 enter", host)
        assert till.panel[:2] == ["Teller is added", f"{number:02d}"]
        till.do("enter", host)
    till.do(f"{TELLERS} 3", host)
    assert till.panel[:2] == ["Tellers", "02 李"]
    till.keys("down")
    assert till.panel[1] == "05 李"
    till.keys("enter")
    till.do(f"{TELLERS} 2 2 enter", host)
    assert till.panel[:2] == ["Delete teller", "02"]
    till.do("enter", host)
    assert till.panel[0] == "Teller is gone"
    assert host.tellers == {5: "4321"}


def test_what_the_host_refuses_is_said(till, host):
    till.do(f"{TELLERS} 2 9 enter enter", host)
    assert till.panel == ["Declined 25", "No such teller", "Key it again"]
    till.do("enter", host)
    assert till.panel[:2] == ["Delete teller", "Operator no."]
    till.do(f"clear {TELLERS} 1 5 enter 4321 enter clear {TELLERS} 1 5 enter 1111 enter", host)
    assert till.panel == ["Declined F5", "Not to be used", "Choose another"]
    till.do("enter", host)
    assert till.panel[:2] == ["Add teller", "Operator no."]
    assert host.tellers == {5: "4321"}


@pytest.mark.parametrize(
    ("keys", "how"),
    [
        (f"{TELLERS} 1 5 enter 4321", "List tellers"),
        (f"{TELLERS} 2 5 enter", "List tellers"),
        (f"{PASSWORDS} 3 123456 enter 8888 enter 8888", "Try the new one"),
    ],
    ids=["add", "delete", "password"],
)
def test_a_lost_answer_does_not_mean_that_nothing_was_done(till, host, keys, how):
    till.do(keys, host)
    till.keys("enter")
    host.answer(NUMBER, till.request)  # done; the answer is lost
    till.offline()
    assert till.panel[:3] == ["No answer", "Perhaps done", how]
    till.keys("enter")
    assert till.screen == "idle"


def test_there_may_be_no_tellers(till, host):
    till.do(f"{TELLERS} 3", host)
    assert till.panel[1] == "There are none"


def test_the_supervisors_menu_leads_to_the_same(till, host):
    till.do("f1 9 1 0 enter 123456 enter enter 1 123456 enter 6 enter 4321 enter", host)
    assert till.panel[:2] == ["Teller is added", "06"]


def test_delete_at_a_menu_goes_one_up(till, host):
    till.do("f1 9", host)
    assert till.panel[0].startswith("Operators")
    till.keys("delete")
    assert till.panel[0].startswith("Menu")
    till.keys("delete")
    assert till.screen == "idle"


def test_what_this_version_does_not_have_says_so(till, host):
    assert till.do("f1 7 2", host)[-1] == "beep error"
    assert till.panel == ["Not in this", "version"]
    till.keys("enter")
    assert till.screen == "idle"
