"""Passwords of the people at terminals: checked, counted when wrong, locked, changed.

What is kept is a keyed hash (`server.host_secrets`), so the time a check takes says nothing about a password, and it
takes the same time for a number nobody has. Counts and locks are rows of the ledger: a restart forgives nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from protocol.messages.password import PASSWORD_DIGITS_MIN, PASSWORD_SIZE
from protocol.security import same_bytes
from server.host_secrets import HostSecrets
from server.ledger.operators import FACTORY_PASSWORDS, WRONG_TRIES_MAX, OperatorRecord, Operators, Role
from server.ledger.store import Store

NO_VERIFIER: Final = bytes(32)


class Verdict(StrEnum):
    """What came of a check, as a response code."""

    RIGHT = "00"
    WRONG = "55"
    LOCKED = "75"


UNUSABLE: Final = "F5"
"""Response code: the new password is too short or long, no digits, the old one, or a factory one."""


class Passwords:
    """See the module's docstring. All that writes is called inside the caller's transaction."""

    def __init__(self, store: Store, secrets: HostSecrets) -> None:
        self.operators = Operators(store)
        self._secrets = secrets

    def check(self, merchant_id: int, operator: int, password: str) -> tuple[Verdict, OperatorRecord | None]:
        """Whether this is the password of one of the merchant's operators; the operator, unless there is none.

        A wrong one is counted, a right one ends the count. A locked operator is told so whatever the password.
        """
        record = self.operators.find(merchant_id, operator)
        given = self._secrets.password_verifier(merchant_id, operator, password)
        is_right = same_bytes(given, NO_VERIFIER if record is None else self._verifier_of(record))
        if record is None:
            return Verdict.WRONG, None
        if record.is_locked:
            return Verdict.LOCKED, record
        if is_right:
            if record.tries:
                self.operators.set_tries(merchant_id, operator, 0)
            return Verdict.RIGHT, record
        self.operators.set_tries(merchant_id, operator, record.tries + 1)
        return (Verdict.LOCKED if record.tries + 1 >= WRONG_TRIES_MAX else Verdict.WRONG), record

    def change(self, merchant_id: int, operator: int, old: str, new: str) -> tuple[str, OperatorRecord | None]:
        """Another password for whoever knows the one until now; the response code."""
        verdict, record = self.check(merchant_id, operator, old)
        if verdict is not Verdict.RIGHT or record is None:
            return verdict, record
        if not may_be_password(new) or new == old or new == FACTORY_PASSWORDS[Role(record.role)]:
            return UNUSABLE, record
        verifier = self._secrets.password_verifier(merchant_id, operator, new)
        self.operators.set_password(merchant_id, operator, verifier, must_change=False)
        return Verdict.RIGHT, record

    def add_teller(self, merchant_id: int, operator: int, name: str, password: str) -> None:
        """A new teller with a first password, to be changed by its owner."""
        self.operators.add(merchant_id, operator, Role.TELLER, name)
        verifier = self._secrets.password_verifier(merchant_id, operator, password)
        self.operators.set_password(merchant_id, operator, verifier, must_change=True)

    def _verifier_of(self, record: OperatorRecord) -> bytes:
        if record.verifier is not None:
            return record.verifier
        factory = FACTORY_PASSWORDS[Role(record.role)]
        return self._secrets.password_verifier(record.merchant_id, record.operator, factory)


def may_be_password(text: str) -> bool:
    """Digits, as a keypad has them, neither too few nor too many."""
    return PASSWORD_DIGITS_MIN <= len(text) <= PASSWORD_SIZE and text.isascii() and text.isdecimal()
