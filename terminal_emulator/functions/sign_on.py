"""签到, 签退, 锁机: who works at this terminal. The host knows the passwords; the lock also opens while it is away."""

from __future__ import annotations

import hmac
from hashlib import pbkdf2_hmac
from typing import Final

from msgspec.structs import replace

from protocol.messages import OperatorRole, SignOnAnswer, SignOnRequest
from protocol.messages.password import OPERATOR_MAX, SUPERVISOR_OPERATOR, PasswordPurpose
from terminal_emulator.dialog import Ask, Dialog, Digits, Open, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.functions.passwords import (
    change_password,
    must_be_answered,
    not_taken,
    password_prompt,
)
from terminal_emulator.keepsakes import Clock, SignOn
from terminal_emulator.record import Merchant
from terminal_emulator.texts import whole_day_text
from terminal_emulator.till import Till

OPERATOR_DIGITS: Final = len(str(OPERATOR_MAX))
ROUNDS: Final = 100_000
"""Of PBKDF2: a tenth of a second for the cashier, a year for all twelve-digit passwords."""
TRIES_MAX: Final = 5
"""Wrong passwords at the lock before the host has to be asked."""


def sign_on(till: Till) -> Dialog:
    """Operator number and password. The supervisor's number leads on to the supervisor's menu."""
    _ = till.translate
    number = yield Digits(_("Sign on"), _("Operator no."), 1, OPERATOR_DIGITS)
    operator = int(number)
    purpose = PasswordPurpose.SUPERVISOR if operator == SUPERVISOR_OPERATOR else PasswordPurpose.OPERATOR
    while True:
        password = yield password_prompt(till, purpose, _("Password"))
        answer = yield Ask(SignOnRequest(operator=operator, password=password), _("Signing on..."))
        yield from must_be_answered(till, answer)
        assert isinstance(answer, SignOnAnswer)
        if answer.response_code == APPROVED:
            break
        yield from not_taken(till, answer.response_code)
    if answer.must_change:
        yield Show((_("First use"), _("Password must"), _("be changed")))
        password = yield from change_password(till, purpose, operator, password)
    take_over(till, answer, operator, password)
    day = whole_day_text(answer.business_day)
    yield Show((_("Signed on"), answer.operator_name or f"{operator:02d}", day, _("Enter: go on")), BeepKind.OK)
    if answer.role is OperatorRole.SUPERVISOR:
        yield Open("supervisor")


def take_over(till: Till, answer: SignOnAnswer, operator: int, password: str) -> None:
    """What sign-on brings: who works here, clock, business day, batch, the merchant's name."""
    salt = f"{till.settings.terminal} {operator} {answer.host_time_ms}".encode()
    verifier = verifier_of(password, salt)
    till.keep(
        SignOn(
            operator=operator,
            role=answer.role,
            name=answer.operator_name,
            is_on=True,
            salt=salt,
            verifier=verifier,
        )
    )
    till.keep(Clock(answer.host_time_ms / 1000 - till.now.wall_s))
    till.business_day = answer.business_day
    till.sells_for(Merchant(answer.merchant_number, answer.merchant_name))
    if till.storage.used[0] < answer.batch:
        till.storage.skip_to(answer.batch, 0)


def verifier_of(password: str, salt: bytes) -> bytes:
    """What is kept of a password. The salt need not be secret: it makes every verifier one of its own."""
    return pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)


def sign_off(till: Till) -> Dialog:
    """Nobody works here any more; whoever comes next signs on."""
    _ = till.translate
    till.keep(SignOn())
    yield Show((_("Signed off"), _("Enter: go on")), BeepKind.OK)


def lock(till: Till) -> Dialog:
    """The keypad does nothing until the operator is back."""
    _ = till.translate
    if not (till.sign_on.is_on and till.sign_on.verifier):
        yield Show((_("Lock"), _("Please sign on"), _("first")), BeepKind.ERROR)
        return
    till.keep(replace(till.sign_on, is_locked=True, tries=0))


def unlock(till: Till) -> Dialog:
    """The operator's password, checked here: the line may be down. After too many wrong ones, sign on again."""
    _ = till.translate
    while till.sign_on.tries < TRIES_MAX:
        password = yield password_prompt(till, PasswordPurpose.OPERATOR, f"{_('Operator')} {till.operator:02d}")
        if hmac.compare_digest(verifier_of(password, till.sign_on.salt), till.sign_on.verifier):
            till.keep(replace(till.sign_on, is_locked=False, tries=0))
            return
        till.keep(replace(till.sign_on, tries=till.sign_on.tries + 1))
        yield Show((_("Wrong password"), _("Key it again")), BeepKind.ERROR)
    yield Show((_("Too many tries"), _("Sign on again")), BeepKind.ERROR)
    yield Open("sign_on")
