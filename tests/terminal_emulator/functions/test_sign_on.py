"""Sign-on, sign-off and the lock, also over power cuts and without a line."""

import pytest

from protocol.messages.password import PasswordPurpose
from terminal_emulator.functions.sign_on import SCRYPT_N, SCRYPT_R, TRIES_MAX, verifier_of
from terminal_emulator.keepsakes import SignOn, StopListHeld
from tests.terminal_emulator.functions.test_setup import LIMITS
from tests.terminal_emulator.till import NUMBER, POSTED_MS, Till, ToyHost, changed, settings_of

SIGN_ON = "1 enter 0000 enter"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("terminal_emulator.functions.sign_on.SCRYPT_N", 2)


@pytest.fixture
def host():
    return ToyHost()


@pytest.fixture
def till():
    """A member shop: nothing before somebody has signed on."""
    till = Till(settings=settings_of(profile="member"))
    till.online()
    return till


def signed_on(till, host):
    till.do(f"5 {SIGN_ON} enter", host)
    assert till.screen == "idle"


def test_sign_on_key_by_key(till, host):
    host.batch = 7
    assert (till.screen, till.brain.view.shut) == ("shut", "signed_off")
    assert till.tap() == ["beep error"]
    till.do("5", host)  # any key
    assert till.panel[:2] == ["Sign on", "Operator no."]
    till.do("1 enter 0000 enter", host)
    assert till.panel == ["Signed on", "王", "2025-11-21", "Enter: go on"]
    till.do("enter", host)
    assert (till.screen, till.brain.view.operator) == ("idle", 1)
    state = till.brain.till
    assert state.business_day == 20251121
    assert state.clock_s == pytest.approx(POSTED_MS / 1000)
    assert till.storage.used == (7, 0)
    till.do("3 5 enter tap", host)
    record = till.storage.records[7, 1]
    assert (record.state, record.operator, record.claimed_at_s) == ("approved", 1, POSTED_MS // 1000)


def test_a_batch_never_goes_back(till, host):
    till.storage.skip_to(9, 5)
    signed_on(till, host)
    assert till.storage.used == (9, 5)


def test_a_wrong_password_and_then_the_right_one(till, host):
    till.do("5 1 enter 1111 enter", host)
    assert till.panel == ["Declined 55", "Wrong password", "Key it again"]
    till.do("enter", host)
    assert till.panel[:2] == ["Teller password", "Password"], "keyed as a number, 0000 would be the supervisor"
    till.do("0000 enter enter", host)
    assert till.screen == "idle"


def test_the_password_of_the_factory_is_changed_before_anything_else(till, host):
    host.must_change.add((PasswordPurpose.OPERATOR, 1))
    till.do(f"5 {SIGN_ON} enter", host)
    assert till.panel[:2] == ["Teller password", "New password"]
    till.do("2222 enter 2222 enter enter", host)
    assert till.panel[0] == "Signed on"
    assert host.passwords[PasswordPurpose.OPERATOR, 1] == "2222"
    till.do("enter 9 f1 9 2", host)
    assert till.brain.view.shut == "locked"
    till.do("1 0000 enter", host)
    assert till.panel[0] == "Wrong password"
    till.do("enter 2222 enter", host)
    assert till.screen == "idle"


def test_the_supervisor_comes_to_the_supervisors_menu(till, host):
    till.do("5 0 enter 123456 enter enter", host)
    assert till.panel[:2] == ["Supervisor   1/2", "1.Add teller"]
    till.do("clear", host)
    assert till.screen == "idle"


def test_after_a_power_cut_one_signs_on_again_where_it_is_required(till, host):
    signed_on(till, host)
    till.power_on()
    assert till.screen == "shut"
    assert not till.storage.kept(SignOn).is_on


def canteen(host, *, sign_on_required=None):
    """Operator 1 has signed on, and the power went."""
    till = Till(settings=settings_of(sign_on_required=sign_on_required))
    till.brain.till.keep(LIMITS)
    till.brain.till.keep(StopListHeld(is_held=True))
    till.online()
    till.do("5 enter tap clear", host)
    assert till.storage.records[1, 1].operator == 7  # of the key file
    till.do(f"f1 9 1 {SIGN_ON} enter", host)
    till.power_on()
    return till


def test_a_canteen_sells_without_anybody_but_who_has_signed_on_does_so_again_after_a_power_cut(host):
    till = canteen(host)
    till.online()
    assert (till.screen, till.brain.view.shut) == ("last_approved", "signed_off"), "the newest one is told, until a key"
    assert till.tap() == ["beep error"]
    till.do(f"5 {SIGN_ON} enter", host)
    till.do("6 enter tap", host)
    assert till.storage.records[1, 2].operator == 1


def test_without_a_line_who_had_signed_on_goes_on_with_the_password_and_sells(host):
    till = canteen(host)
    till.keys("5")
    assert till.panel[:2] == ["Teller password", "Operator 01"]
    till.keys("1111 enter")
    assert till.panel[0] == "Wrong password"
    till.keys("enter 0000 enter")
    assert till.screen == "idle"
    till.sell("6")
    [sold] = till.storage.waiting.values()
    assert sold.operator == 1
    till.power_on()
    till.online()
    till.do("5", host)
    assert till.panel[0] == "Sign on", "with a line the host is asked, and another operator may come"


def test_a_canteen_whose_key_file_says_so_asks_nobody_after_a_power_cut(host):
    till = canteen(host, sign_on_required=False)
    till.online()
    till.do("6 enter tap", host)
    assert till.storage.records[1, 2].operator == 1


def test_a_supervisor_who_was_here_last_does_not_keep_a_canteen_from_selling(host):
    till = Till()
    till.online()
    till.do("f1 9 1 0 enter 123456 enter enter clear", host)
    assert till.storage.kept(SignOn).is_on
    assert till.storage.kept(SignOn).verifier == b"", "what undoes sales at the host is checked there"
    till.power_on()
    assert till.screen == "idle"


def test_the_lock_of_a_supervisor_is_opened_by_the_host(host):
    till = Till()
    till.online()
    till.do("f1 9 1 0 enter 123456 enter enter clear f1 9 2", host)
    assert till.brain.view.shut == "locked"
    till.do("5", host)
    assert till.panel[:2] == ["Sign on", "Operator no."]
    till.do(f"{SIGN_ON} enter", host)
    assert till.screen == "idle"


def test_what_is_kept_of_a_password_is_worth_nothing_without_the_terminals_key(till, host):
    signed_on(till, host)
    kept = till.storage.kept(SignOn)
    assert kept.verifier == verifier_of(till.brain.till, "0000", kept.salt)
    other = Till(settings=settings_of(root_key=bytes(32)))
    assert kept.verifier != verifier_of(other.brain.till, "0000", kept.salt)
    assert str(kept.verifier) not in repr(kept)
    assert SCRYPT_N * SCRYPT_R >= 2**17, "some 16 MiB for each try"


@pytest.mark.parametrize("words", ["5 1 enter 0000 enter", "f1 9 6 123456 enter 3"])
def test_no_password_is_held_while_something_stands_on_the_screen(till, host, words):
    if words.startswith("f1"):
        signed_on(till, host)
    till.do(words, host)
    assert till.panel[0] in ("Signed on", "Tellers")
    frame = till.brain._desk.runner._dialog
    while frame is not None:
        assert not {"0000", "123456"} & set(map(str, frame.gi_frame.f_locals.values())), frame
        frame = frame.gi_yieldfrom


@pytest.mark.parametrize("is_online", [True, False])
def test_the_lock_opens_with_the_password_of_the_last_sign_on_even_without_a_line(till, host, is_online):
    signed_on(till, host)
    till.do("f1 9 2", host)
    assert (till.screen, till.brain.view.shut) == ("shut", "locked")
    till.power_on()
    assert till.brain.view.shut == "locked"
    if is_online:
        till.online()
    before = len(till.effects)
    till.keys("5")
    assert till.panel[:2] == ["Teller password", "Operator 01"]
    till.keys("0000 enter")
    assert till.screen == "idle", "the password was right: that is signing on, the power having been away besides"
    assert [effect for effect in till.effects[before:] if type(effect).__name__ == "Send"] == []


def test_clear_does_not_open_the_lock(till, host):
    signed_on(till, host)
    till.do("f1 9 2 1 clear clear clear", host)
    assert till.screen == "shut"


def test_too_many_wrong_passwords_at_the_lock_want_the_host_and_a_power_cut_does_not_help(till, host):
    signed_on(till, host)
    till.do("f1 9 2 1", host)
    for count in range(TRIES_MAX):
        till.do("9999 enter", host)
        assert till.panel[0] == "Wrong password"
        till.do("enter", host)
        if count == 2:
            till.power_on()
            till.online()
            till.do("1", host)
    assert till.panel == ["Too many tries", "Sign on again"]
    till.do("clear 1", host)
    assert till.panel == ["Too many tries", "Sign on again"]
    till.do(f"enter {SIGN_ON} enter", host)
    assert till.screen == "idle"


def test_no_lock_without_somebody_to_open_it():
    till = Till()
    till.online()
    till.do("f1 9 2", ToyHost())
    assert till.panel == ["Lock", "Please sign on", "first"]


def test_sign_off(till, host):
    signed_on(till, host)
    till.do("f1 9 8 enter", host)
    assert (till.screen, till.brain.view.shut) == ("shut", "signed_off")


def test_sign_on_without_a_line_says_so(till):
    till.offline()
    till.keys("1")
    assert till.panel[0] == "Line lost"
    till.keys("clear")
    assert till.screen == "shut"


def test_a_locked_operator_is_sent_to_the_manager(till, host):
    till.do("5 1 enter", host)
    till.keys("0000 enter")
    till.answer(changed(host.answer(NUMBER, till.request), response_code="75"))
    assert till.panel == ["Declined 75", "Password locked", "Call the manager"]
    till.keys("enter")
    assert till.panel[:2] == ["Teller password", "Password"]
