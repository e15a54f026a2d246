"""Payment codes of virtual cards: 22 digits, shown as a QR code, good for half a minute and for one payment.

    code = "91" | number of the virtual card, 10 digits | dynamic part, 10 digits

The dynamic part is the one-time password of RFC 6238 with HMAC-SHA-256, steps of 15 seconds and 10 digits (of which the
truncation of RFC 4226 leaves 2^31 values). The secret is the card's own. That a code is taken only once is the ledger's
business: it keeps the step of a card's newest code.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

import msgspec

CODE_PREFIX: Final = "91"
"""Tells payment codes of this campus from those of others."""
NUMBER_DIGITS: Final = 10
DYNAMIC_DIGITS: Final = 10
CODE_DIGITS: Final = len(CODE_PREFIX) + NUMBER_DIGITS + DYNAMIC_DIGITS
STEP_S: Final = 15
STEPS_BACK: Final = 1
"""A code shown just before its step ended is still taken: a queue is slower than a phone."""
STALE_STEPS: Final = 40
"""A code that was good within the last ten minutes is an old one, and no guess: somebody shows a screenshot."""


class PaymentCode(msgspec.Struct, frozen=True):
    """What a code says before it is checked. repr() does not show the dynamic part."""

    number: str
    dynamic: str

    def __repr__(self) -> str:
        return f"<PaymentCode of ...{self.number[-4:]}>"

    @property
    def token(self) -> bytes:
        """The virtual card's token in the ledger."""
        return self.number.encode("ascii")


def parse_code(payer: bytes) -> PaymentCode | None:
    """A code as it stands in a payer field; None if it is not of this form."""
    try:
        digits = payer.decode("ascii")
    except UnicodeDecodeError:
        return None
    if len(digits) != CODE_DIGITS or not digits.isdecimal() or not digits.startswith(CODE_PREFIX):
        return None
    end = len(CODE_PREFIX) + NUMBER_DIGITS
    return PaymentCode(digits[len(CODE_PREFIX) : end], digits[end:])


def is_virtual_number(token: bytes) -> bool:
    """Whether a token is the number of a virtual card: then only a code may pay from it, never the number alone."""
    return len(token) == NUMBER_DIGITS and token.isdigit()


def make_code(secret: bytes, number: str, at_s: int) -> str:
    """The code that a phone shows at this time."""
    return f"{CODE_PREFIX}{number}{one_time_password(secret, step_at(at_s))}"


def step_at(at_s: int) -> int:
    """The step of RFC 6238 at a time."""
    return at_s // STEP_S


def one_time_password(secret: bytes, step: int, digits: int = DYNAMIC_DIGITS) -> str:
    """RFC 6238 with HMAC-SHA-256, truncated as RFC 4226 says."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), sha256)
    start = mac[-1] & 0x0F
    number = int.from_bytes(mac[start : start + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def matching_step(secret: bytes, dynamic: str, at_s: int, steps_back: int = STEPS_BACK) -> int | None:
    """The step this is the password of, if it is the one of `at_s` or `steps_back` before; else None. Constant time."""
    now = step_at(at_s)
    found = None
    for step in range(max(0, now - steps_back), now + 1):
        if hmac.compare_digest(one_time_password(secret, step).encode(), dynamic.encode()):
            found = step
    return found
