"""签到, 签退, 锁机: who works at this terminal. The host knows the passwords.

Without a line, who has signed on here last opens the lock, and goes on after a power cut, with a password that is
checked here: selling offline must not wait for the host. What is kept for that is no password and gives none away (see
`verifier_of`). A supervisor's, which undoes sales at the host, is checked there alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Generator
from hashlib import scrypt
from typing import Any, Final

from msgspec.structs import replace

from protocol.messages import OperatorRole, SignOnAnswer, SignOnRequest
from protocol.messages.password import OPERATOR_MAX, SUPERVISOR_OPERATOR, PasswordPurpose
from protocol.security import derive
from terminal_emulator.dialog import Ask, Dialog, Digits, Open, Prompt, Show
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
SCRYPT_N: Final = 2**14
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
"""16 MiB and a twentieth of a second for the cashier. All passwords of four digits take eight minutes even so, of six
fourteen hours: that is why it needs the terminal's key besides."""
LABEL_VERIFIER: Final = b"fanka sign-on"
TRIES_MAX: Final = 5
"""Wrong passwords at the lock before the host has to be asked."""


def sign_on(till: Till) -> Dialog:
    """Operator number and password. The supervisor's number leads on to the supervisor's menu."""
    _ = till.translate
    operator = int((yield Digits(_("Sign on"), _("Operator no."), 1, OPERATOR_DIGITS)))
    answer = yield from _identify(till, operator)
    day = whole_day_text(answer.business_day)
    yield Show((_("Signed on"), answer.operator_name or f"{operator:02d}", day, _("Enter: go on")), BeepKind.OK)
    if answer.role is OperatorRole.SUPERVISOR:
        yield Open("supervisor")


def _identify(till: Till, operator: int) -> Generator[Prompt, Any, SignOnAnswer]:
    """The password, until the host takes it. It is known in here alone: the next screen may stand for hours."""
    _ = till.translate
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
    return answer


def take_over(till: Till, answer: SignOnAnswer, operator: int, password: str) -> None:
    """What sign-on brings: who works here, clock, business day, batch, the merchant's name."""
    salt = f"{till.settings.terminal} {operator} {answer.host_time_ms}".encode()
    is_teller = answer.role is OperatorRole.TELLER
    till.keep(
        SignOn(
            operator=operator,
            role=answer.role,
            name=answer.operator_name,
            is_on=True,
            salt=salt,
            verifier=verifier_of(till, password, salt) if is_teller else b"",
            key_version=till.settings.key_version,
        )
    )
    till.keep(Clock(answer.host_time_ms / 1000 - till.now.wall_s))
    till.business_day = answer.business_day
    till.sells_for(Merchant(answer.merchant_number, answer.merchant_name))
    if till.storage.used[0] < answer.batch:
        till.storage.skip_to(answer.batch, 0)


def verifier_of(till: Till, password: str, salt: bytes) -> bytes:
    """What is kept of a password: a slow hash of it, under a key that comes from the terminal's.

    The salt need not be secret: it makes every verifier one of its own. The key is what keeps a password of four digits
    from being tried out by whoever has a copy of the memory, where the terminal's key is not. When that is changed, the
    verifier is worth nothing: until the next sign-on the host has to be there.
    """
    slow = scrypt(password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P)
    return hmac.digest(derive(till.settings.root_key, LABEL_VERIFIER, salt), slow, "sha256")


def sign_off(till: Till) -> Dialog:
    """Nobody works here any more; whoever comes next signs on."""
    _ = till.translate
    till.keep(SignOn())
    yield Show((_("Signed off"), _("Enter: go on")), BeepKind.OK)


def lock(till: Till) -> Dialog:
    """The keypad does nothing until the operator is back."""
    _ = till.translate
    if not till.sign_on.is_on:
        yield Show((_("Lock"), _("Please sign on"), _("first")), BeepKind.ERROR)
        return
    till.keep(replace(till.sign_on, is_locked=True, tries=0))


def unlock(till: Till) -> Dialog:
    """The operator's password, checked here: the line may be down. After too many wrong ones, and where nothing is kept
    to check it by, sign on again."""
    _ = till.translate
    if not till.sign_on.verifier or till.sign_on.key_version != till.settings.key_version:
        yield Open("sign_on")
        return
    while till.sign_on.tries < TRIES_MAX:
        who = f"{_('Operator')} {till.sign_on.operator:02d}"
        password = yield password_prompt(till, PasswordPurpose.OPERATOR, who)
        if hmac.compare_digest(verifier_of(till, password, till.sign_on.salt), till.sign_on.verifier):
            till.keep(replace(till.sign_on, is_on=True, is_locked=False, tries=0))
            return
        till.keep(replace(till.sign_on, tries=till.sign_on.tries + 1))
        yield Show((_("Wrong password"), _("Key it again")), BeepKind.ERROR)
    yield Show((_("Too many tries"), _("Sign on again")), BeepKind.ERROR)
    yield Open("sign_on")
