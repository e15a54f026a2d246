"""PIN blocks of ISO 9564-1 format 4: a PIN bound to its card and enciphered in one 16-byte block of AES.

    PIN field  = 4 | length | PIN digits | fill A..A (to 8 bytes) | 8 random bytes
    card field = length of the card number - 12 | its digits, at least 12 | zeros     (one digit or mark a half byte)
    block      = E(E(PIN field) XOR card field)

The key is K_pin of the session or any AES key of 16, 24 or 32 bytes; randomness is passed in by the caller. Every
request for money has room for a block, and zeros in its place when no PIN was keyed.

Errors never hold a PIN, a digit of one, or the block. Whatever is wrong with a block that came from outside (another
key, another card, a changed bit, another format) is one and the same error: told apart, they would help guessing.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocol.errors import LocalProtocolError

PIN_BLOCK_SIZE: Final = 16
PIN_DIGITS_MIN: Final = 4
PIN_DIGITS_MAX: Final = 12
CARD_DIGITS_MAX: Final = 19
RANDOM_FILL_SIZE: Final = 8

_CONTROL: Final = "4"
_FILL: Final = "a"
_HALF: Final = 16  # digits and marks in the first half of a PIN field
_CARD_DIGITS_MIN: Final = 12  # a shorter number gets zeros in front
_KEY_SIZES: Final = (16, 24, 32)


class PinBlockError(ValueError):
    """A block that is not format 4 for this card under this key. Says no more than that."""

    def __init__(self) -> None:
        super().__init__("PIN block: expected one of ISO 9564-1 format 4 for this card under this key, got another")


def card_digits(payer: bytes) -> str:
    """The card number that a PIN is bound to, for cards that have a UID and no printed number: 19 digits.

    The bytes as one big-endian integer, modulo 10^19. UIDs of 4 and 7 bytes are all different under it.
    """
    return str(int.from_bytes(payer, "big") % 10**CARD_DIGITS_MAX).zfill(CARD_DIGITS_MAX)


def encode_pin_block(key: bytes, pin: str, card_number: str, random_fill: bytes) -> bytes:
    """The 16-byte block. `random_fill`: 8 fresh random bytes, without which equal PINs of a card gave equal blocks."""
    card = card_field(card_number)
    return _encipher(key, _xor(_encipher(key, pin_field(pin, random_fill)), card))


def decode_pin_block(key: bytes, block: bytes, card_number: str) -> str:
    """The PIN; PinBlockError if the block is not of this key and card."""
    card = card_field(card_number)
    if len(block) != PIN_BLOCK_SIZE:
        raise PinBlockError
    return pin_of_field(_decipher(key, _xor(_decipher(key, block), card)))


def pin_field(pin: str, random_fill: bytes) -> bytes:
    """The PIN field in clear: a secret."""
    if not (PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX and pin.isascii() and pin.isdecimal()):
        raise LocalProtocolError(f"PIN: expected {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits 0-9, got something else")
    if len(random_fill) != RANDOM_FILL_SIZE:
        raise LocalProtocolError(f"fill of a PIN field: expected {RANDOM_FILL_SIZE} bytes, got {len(random_fill)}")
    return bytes.fromhex(f"{_CONTROL}{len(pin):x}{pin}".ljust(_HALF, _FILL)) + random_fill


def pin_of_field(field: bytes) -> str:
    """The PIN in a PIN field in clear; PinBlockError if it is none."""
    if len(field) != PIN_BLOCK_SIZE:
        raise PinBlockError
    first = field[: PIN_BLOCK_SIZE - RANDOM_FILL_SIZE].hex()
    size = int(first[1], 16)
    pin, fill = first[2 : 2 + size], first[2 + size :]
    if (
        first[0] == _CONTROL
        and PIN_DIGITS_MIN <= size <= PIN_DIGITS_MAX
        and pin.isdecimal()
        and fill == _FILL * len(fill)
    ):
        return pin
    raise PinBlockError


def card_field(card_number: str) -> bytes:
    """The card field (of ISO 9564: PAN field) of a card number of 1 to 19 digits."""
    size = len(card_number)
    if not (1 <= size <= CARD_DIGITS_MAX and card_number.isascii() and card_number.isdecimal()):
        raise LocalProtocolError(f"card number: expected 1 to {CARD_DIGITS_MAX} digits 0-9, got something else")
    digits = card_number.zfill(_CARD_DIGITS_MIN)
    return bytes.fromhex(f"{len(digits) - _CARD_DIGITS_MIN:x}{digits}".ljust(2 * PIN_BLOCK_SIZE, "0"))


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _cipher(key: bytes) -> Cipher[modes.ECB]:
    if len(key) not in _KEY_SIZES:
        raise LocalProtocolError(f"key of PIN blocks: expected {' or '.join(map(str, _KEY_SIZES))} bytes of AES key")
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - the bare cipher is what ISO 9564-1 builds on


def _encipher(key: bytes, block: bytes) -> bytes:
    cipher = _cipher(key).encryptor()
    return cipher.update(block) + cipher.finalize()


def _decipher(key: bytes, block: bytes) -> bytes:
    cipher = _cipher(key).decryptor()
    return cipher.update(block) + cipher.finalize()
