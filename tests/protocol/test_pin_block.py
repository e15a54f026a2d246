"""ISO 9564-1 format 4: what goes in comes out, for its own card and key alone, and no error tells a PIN.

Values published by others stand in tests/security/test_published_vectors.py.
"""

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError
from protocol.pin_block import (
    CARD_DIGITS_MAX,
    PIN_BLOCK_SIZE,
    PinBlockError,
    card_digits,
    card_field,
    decode_pin_block,
    encode_pin_block,
    pin_field,
    pin_of_field,
)
from tests.protocol.reference import aes_block, xor

KEY, FILL, CARD, PIN = bytes(range(16)), bytes(range(8)), "6225880012345678", "918273"
DIGITS = "0123456789"

keys = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
pins = st.text(DIGITS, min_size=4, max_size=12)
cards = st.text(DIGITS, min_size=1, max_size=19)
fills = st.binary(min_size=8, max_size=8)


@given(keys, pins, cards, fills)
def test_there_and_back(key, pin, card, fill):
    block = encode_pin_block(key, pin, card, fill)
    assert len(block) == PIN_BLOCK_SIZE
    assert decode_pin_block(key, block, card) == pin


@given(pins, cards, fills)
def test_is_two_ciphers_with_the_card_between(pin, card, fill):
    """Against the second implementation of AES's use, from the words of the standard."""
    digits = card.zfill(12)
    length = f"{len(pin):x}"
    first = bytes.fromhex("4" + length + pin + "a" * (14 - len(pin))) + fill
    second = bytes.fromhex(f"{len(digits) - 12:x}{digits}".ljust(32, "0"))
    assert encode_pin_block(KEY, pin, card, fill) == aes_block(KEY, xor(aes_block(KEY, first), second))


def test_equal_pins_of_a_card_give_different_blocks():
    blocks = {encode_pin_block(KEY, PIN, CARD, number.to_bytes(8, "big")) for number in range(1000)}
    assert len(blocks) == 1000


def refused(key, block, card) -> bool:
    try:
        decode_pin_block(key, block, card)
    except PinBlockError as error:
        return str(error) == str(PinBlockError())
    return False


def test_another_card_another_key_a_changed_bit():
    """Whatever is wrong, the error is the same. That a wrong block opens by chance is one in some 10^7; here it does
    not."""
    block = encode_pin_block(KEY, PIN, CARD, FILL)
    assert refused(KEY, block, "6225880012345679")
    assert refused(KEY, block, CARD[:-1])
    assert refused(bytes(16), block, CARD)
    assert refused(KEY * 2, block, CARD)
    for bit in range(8 * len(block)):
        changed = bytearray(block)
        changed[bit // 8] ^= 1 << bit % 8
        assert refused(KEY, bytes(changed), CARD)
    for size in (0, 8, 15, 17, 32):
        assert refused(KEY, block[:size].ljust(size, b"\0"), CARD)


def sealed_field(field: str) -> bytes:
    """A block that deciphers to this PIN field: made by whoever has the key."""
    return aes_block(KEY, xor(aes_block(KEY, bytes.fromhex(field)), card_field(CARD)))


GOOD = "46918273aaaaaaaa0001020304050607"


def test_the_field_of_the_bad_ones_below_is_good():
    assert pin_field(PIN, FILL).hex() == GOOD
    assert decode_pin_block(KEY, sealed_field(GOOD), CARD) == PIN


@pytest.mark.parametrize(
    "field",
    [
        "36" + GOOD[2:],  # format 3
        "06" + GOOD[2:],
        "f6" + GOOD[2:],
        "43" + "918" + "a" * 11 + GOOD[16:],  # three digits
        "40" + "a" * 14 + GOOD[16:],
        "4d" + "9182739182739" + "a" + GOOD[16:],  # thirteen
        "4f" + "91827391827391" + GOOD[16:],
        "4691827a" + GOOD[8:],  # a letter for a digit
        "46918273aaaaaaab" + GOOD[16:],  # another fill
        "46918273ffffffff" + GOOD[16:],  # that of formats 0 and 3
        "4691827311111111" + GOOD[16:],
        "45918273aaaaaaaa" + GOOD[16:],  # a length that is one short
        "47918273aaaaaaaa" + GOOD[16:],  # one long
    ],
)
def test_no_format_4(field):
    assert len(field) == 32
    assert refused(KEY, sealed_field(field), CARD)
    with pytest.raises(PinBlockError):
        pin_of_field(bytes.fromhex(field))


@pytest.mark.parametrize("field", [b"", bytes(8), bytes.fromhex(GOOD)[:15], bytes.fromhex(GOOD) + b"\0"])
def test_no_field(field):
    with pytest.raises(PinBlockError):
        pin_of_field(field)


@pytest.mark.parametrize("pin", ["", "918", "9182739182739", "9182a3", "91 273", "+91827", "９１８２７３", "-91827"])
def test_what_is_no_pin(pin):
    with pytest.raises(LocalProtocolError, match="PIN: expected 4 to 12 digits") as caught:
        encode_pin_block(KEY, pin, CARD, FILL)
    assert not pin or pin not in told(caught.value)


@pytest.mark.parametrize("card", ["", "62258800123456789012", "6225-8800", "６２２５", " 6225"])
def test_what_is_no_card_number(card):
    for act in (
        lambda: encode_pin_block(KEY, PIN, card, FILL),
        lambda: decode_pin_block(KEY, bytes(16), card),
    ):
        with pytest.raises(LocalProtocolError, match="card number: expected 1 to 19 digits") as caught:
            act()
        assert PIN not in told(caught.value)


@pytest.mark.parametrize("size", [0, 7, 9, 16])
def test_another_fill(size):
    with pytest.raises(LocalProtocolError, match=f"expected 8 bytes, got {size}") as caught:
        encode_pin_block(KEY, PIN, CARD, bytes(size))
    assert PIN not in told(caught.value)


@pytest.mark.parametrize("size", [0, 8, 15, 17, 33])
def test_another_key_size(size):
    with pytest.raises(LocalProtocolError, match="expected 16 or 24 or 32 bytes of AES key") as caught:
        encode_pin_block(bytes(size), PIN, CARD, FILL)
    assert PIN not in told(caught.value)


def told(error: BaseException) -> str:
    """What a log would have of it: the message and the errors behind it."""
    return "".join(traceback.format_exception_only(error)) + repr(error.__cause__) + repr(error.__context__)


def test_cards_without_a_printed_number():
    assert card_digits(bytes.fromhex("04a1b2c3")) == "0000000000077705923"
    assert {len(card_digits(bytes([255]) * size)) for size in range(1, 25)} == {CARD_DIGITS_MAX}
    assert len({card_digits(number.to_bytes(7, "big")) for number in range(0, 2**56, 2**44)}) == 2**12
    block = encode_pin_block(KEY, PIN, card_digits(b"\x04\xa1\xb2\xc3"), FILL)
    assert refused(KEY, block, card_digits(b"\x04\xa1\xb2\xc4"))
