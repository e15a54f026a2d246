"""From what was read at the terminal to what the ledger compares: PIN blocks of one session, codes of one moment."""

import pytest

from protocol.messages import EntryMode
from protocol.messages.money import NO_PIN_BLOCK
from protocol.payment_code import STALE_STEPS, STEP_S, make_code, step_at
from protocol.pin_block import card_digits, encode_pin_block
from server.host_secrets import HostSecrets
from server.ledger.model import CODE_INVALID, CODE_STALE
from server.payers import NO_CODE, NO_KEYS, UNREADABLE_PIN, Payers, SessionKeys, token_of

SECRETS = HostSecrets(bytes(32))
KEYS = SessionKeys(bytes(range(16)), bytes(range(16, 32)))
OTHER_KEYS = SessionKeys(bytes(16), KEYS.saf_key)
CARD = bytes.fromhex("04a1b2c3d4e5f6")
NUMBER = "0000000042"
NOW_S = 1_795_000_005
PIN = "839214"


class Clock:
    ms = NOW_S * 1000


@pytest.fixture
def payers():
    return Payers(SECRETS, lambda: Clock.ms)


def block_of(pin=PIN, payer=CARD, keys=KEYS):
    return encode_pin_block(keys.pin_key, pin, card_digits(payer), bytes(8))


def shown_at(at_s):
    """What the customer's telephone shows then."""
    return make_code(SECRETS.code_secret(NUMBER), NUMBER, at_s).encode()


def test_a_pin_becomes_the_cards_verifier(payers):
    found = payers.pin_verifier(KEYS, CARD, CARD, block_of())
    assert found == SECRETS.pin_verifier(CARD, PIN)
    assert PIN.encode() not in found


def test_no_pin_keyed(payers):
    assert payers.pin_verifier(KEYS, CARD, CARD, NO_PIN_BLOCK) == b""


@pytest.mark.parametrize(
    ("keys", "block"),
    [
        (OTHER_KEYS, block_of()),
        (NO_KEYS, block_of()),
        (KEYS, block_of(payer=CARD[:4])),
        (KEYS, block_of()[:-1] + b"\0"),
        (KEYS, b"\xff" * 16),
    ],
    ids=["another session", "no session", "another card", "altered", "noise"],
)
def test_a_block_that_does_not_open_is_a_wrong_pin(payers, keys, block):
    assert payers.pin_verifier(keys, CARD, CARD, block) == UNREADABLE_PIN


def test_a_pin_at_a_code_is_the_virtual_cards(payers):
    code = make_code(SECRETS.code_secret(NUMBER), NUMBER, NOW_S).encode()
    token = token_of(EntryMode.CODE, code)
    assert token == NUMBER.encode()
    assert payers.pin_verifier(KEYS, code, token, block_of(payer=code)) == SECRETS.pin_verifier(token, PIN)


def test_codes_and_cards(payers):
    code = make_code(SECRETS.code_secret(NUMBER), NUMBER, NOW_S).encode()
    assert payers.code_step(EntryMode.CODE, code) == step_at(NOW_S)
    assert payers.code_step(EntryMode.CARD, CARD) == NO_CODE
    wrong = code[:-1] + (b"0" if code[-1:] != b"0" else b"1")
    stranger = make_code(SECRETS.code_secret(NUMBER), "0000000043", NOW_S).encode()
    old, early = (shown_at(NOW_S + steps * STEP_S) for steps in (-STALE_STEPS - 1, 1))
    for payer in (wrong, stranger, old, early, CARD, code[:-1]):
        assert payers.code_step(EntryMode.CODE, payer) == CODE_INVALID


def test_a_code_of_a_moment_ago_is_stale_and_no_guess(payers):
    for steps in (2, STALE_STEPS):
        assert payers.code_step(EntryMode.CODE, shown_at(NOW_S - steps * STEP_S)) == CODE_STALE
    assert payers.code_step(EntryMode.CODE, shown_at(NOW_S - STEP_S)) == step_at(NOW_S) - 1


def test_the_number_of_a_virtual_card_is_no_card(payers):
    assert payers.code_step(EntryMode.CARD, NUMBER.encode()) == CODE_INVALID


def test_tokens():
    code = make_code(SECRETS.code_secret(NUMBER), NUMBER, NOW_S - 999_999).encode()
    assert token_of(EntryMode.CODE, code) == NUMBER.encode(), "a stale one too: a reversal names it"
    assert token_of(EntryMode.CARD, code) == code
    assert token_of(EntryMode.CODE, CARD) == CARD


def test_keys_are_not_shown():
    assert repr(KEYS) == "<SessionKeys>"
