"""Passwords of the people at a terminal: check one, 0800/03, and change one, 0800/04.

The host keeps them, one set per merchant: each teller's own, the supervisor's and the one for top-ups (主管, 充值).
Several wrong ones in a row lock a password until the administrator resets it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Field, Layout, Message, Privacy, choice, code2, text, unsigned
from protocol.state import Kind

PASSWORD_SIZE: Final = 12
"""Digits of a password at most."""
PASSWORD_DIGITS_MIN: Final = 4
OPERATOR_MAX: Final = 99
"""Two digits, as a cashier keys them."""
SUPERVISOR_OPERATOR: Final = 0
"""Whoever gives this number at an operator prompt means the supervisor (00)."""


class PasswordPurpose(IntEnum):
    """Which of a merchant's passwords is meant."""

    OPERATOR = 1
    SUPERVISOR = 2
    RECHARGE = 3


class PasswordRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: is this the password?"""

    purpose: PasswordPurpose
    operator: int = SUPERVISOR_OPERATOR
    password: str


class PasswordAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: 00 right, 55 wrong, 75 locked."""

    response_code: str
    must_change: int = 0


class PasswordChangeRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: this password instead of that."""

    purpose: PasswordPurpose
    operator: int = SUPERVISOR_OPERATOR
    old_password: str
    new_password: str


class PasswordChangeAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: 00 changed, 55 the old one is wrong, 75 locked, F5 the new one may not be used."""

    response_code: str


def operator_field(note: str) -> Field:
    """The number of an operator."""
    return unsigned("operator", 2, note, high=OPERATOR_MAX)


def password_field(name: str, note: str) -> Field:
    """A password: shown nowhere."""
    return text(name, PASSWORD_SIZE, note, privacy=Privacy.HIDDEN)


def must_change_field() -> Field:
    """Whether a password is still the one the factory set."""
    return unsigned("must_change", 1, "1 = it has to be changed before anything else", high=1)


LAYOUTS: Final = (
    Layout(
        PasswordRequest,
        0x0800,
        0x03,
        "password check",
        [
            choice("purpose", PasswordPurpose, "which password"),
            operator_field("whose, if it is an operator's; 0 = the supervisor's"),
            password_field("password", "the password, digits"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        PasswordAnswer,
        0x0810,
        0x03,
        "password check answer",
        [
            code2("response_code", "00 right, 55 wrong, 75 locked until the administrator resets it"),
            must_change_field(),
        ],
        kind=Kind.ANSWER,
    ),
    Layout(
        PasswordChangeRequest,
        0x0800,
        0x04,
        "password change",
        [
            choice("purpose", PasswordPurpose, "which password"),
            operator_field("whose, if it is an operator's; 0 = the supervisor's"),
            password_field("old_password", "the password until now"),
            password_field("new_password", "the new one: 4 to 12 digits, another than before"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        PasswordChangeAnswer,
        0x0810,
        0x04,
        "password change answer",
        [code2("response_code", "00 changed, 55 the old one is wrong, 75 locked, F5 the new one may not be used")],
        kind=Kind.ANSWER,
    ),
)
