"""The simulator's own opinion about PINs and payment codes."""

import pytest

from tests.simulation.oracle import Content
from tests.simulation.wallet import CARD_TRIES, CODE, TERMINAL_CODES, TERMINAL_PINS, Guesses, code_at, token_of

NUMBER, SECRET = b"1234567890", bytes(range(32))
NOW_MS = 1_788_230_000_000
CARD, TILL = b"\x04\xa1\xb2\xc3", 0x0003_0001


def shown(at_s: int, secret: bytes = SECRET) -> Content:
    return Content(100, code_at(secret, NUMBER.decode(), at_s), at_s, 1, CODE)


@pytest.fixture
def guesses():
    made = Guesses({NUMBER: SECRET}, [])
    made.set_pin(CARD, "4711")
    return made


def test_a_code_names_its_card():
    assert token_of(shown(0)) == NUMBER
    assert token_of(Content(1, CARD, 0, 0, 1)) == CARD


@pytest.mark.parametrize(
    ("at_s", "digits"),
    # RFC 6238, appendix B, for SHA-256: there in steps of 30 s, so half the time here, and eight of the ten digits
    [(59, "46119246"), (1_111_111_109, "68084774"), (1_234_567_890, "91819424"), (20_000_000_000, "77737706")],
)
def test_the_password_is_that_of_the_rfc(at_s, digits):
    assert code_at(b"12345678901234567890123456789012", "1234567890", at_s // 30 * 15)[-8:] == digits.encode()


def test_a_code_is_good_once_and_for_two_steps(guesses):
    now_s = NOW_MS // 1_000 // 15 * 15
    assert guesses.code(TILL, shown(now_s - 30), NOW_MS, "F2") == "F2"
    assert guesses.code(TILL, shown(now_s), NOW_MS, "00") == "00"
    guesses.paid(shown(now_s), NOW_MS)
    assert guesses.code(TILL, shown(now_s), NOW_MS, "F3") == "F3"
    assert guesses.code(TILL, shown(now_s - 15), NOW_MS, "F3") == "F3"


def test_a_number_alone_is_no_code_and_every_false_one_counts(guesses):
    bare = Content(100, NUMBER, 0, 0, 1)
    said = [guesses.code(TILL, bare, NOW_MS, "") for _ in range(TERMINAL_CODES + 1)]
    assert said == ["F2"] * TERMINAL_CODES + ["38"]


def test_an_old_code_is_no_guess(guesses):
    now_s = NOW_MS // 1_000
    old = [guesses.code(TILL, shown(now_s - ago_s), NOW_MS, "F2") for ago_s in (60, 600) for _ in range(TERMINAL_CODES)]
    assert set(old) == {"F2"}
    assert guesses.code(TILL, shown(now_s), NOW_MS, "00") == "00"
    older = [guesses.code(TILL, shown(now_s - 900), NOW_MS, "F2") for _ in range(TERMINAL_CODES + 1)]
    assert older == ["F2"] * TERMINAL_CODES + ["38"]


def test_a_card_locks_and_another_pin_ends_it(guesses):
    said = [guesses.pin(TILL, CARD, "0000", NOW_MS, required=False) for _ in range(CARD_TRIES)]
    assert said == ["55"] * (CARD_TRIES - 1) + ["75"]
    assert guesses.pin(TILL, CARD, "4711", NOW_MS, required=False) == "75"
    guesses.set_pin(CARD, "0815")
    assert guesses.pin(TILL, CARD, "0815", NOW_MS, required=False) == "00"


def test_a_right_pin_forgives_the_card_and_not_the_terminal(guesses):
    for _ in range(TERMINAL_PINS):
        assert guesses.pin(TILL, CARD, "0000", NOW_MS, required=False) == "55"
        guesses.pin(TILL + 1, CARD, "4711", NOW_MS, required=False)
    assert guesses.pin(TILL, CARD, "4711", NOW_MS, required=False) == "38"
    assert guesses.pin(TILL, CARD, "4711", NOW_MS + 3_600_000, required=False) == "00"


def test_a_pin_is_asked_for_only_where_there_is_one(guesses):
    assert guesses.pin(TILL, CARD, "", NOW_MS, required=True) == "1A"
    assert guesses.pin(TILL, b"none", "", NOW_MS, required=True) == "00"
