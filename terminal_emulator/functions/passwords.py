"""Passwords that a function asks for before it does anything: the host keeps them and checks them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from protocol.messages import PasswordAnswer, PasswordChangeAnswer, PasswordChangeRequest, PasswordRequest
from protocol.messages.password import (
    PASSWORD_DIGITS_MIN,
    PASSWORD_SIZE,
    SUPERVISOR_OPERATOR,
    PasswordPurpose,
)
from terminal_emulator.dialog import Ask, Digits, Prompt, Show, Stop
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.i18n import N_
from terminal_emulator.texts import Advice, advice
from terminal_emulator.till import Till

PASSWORD_ADVICE: Final = {
    "55": Advice(N_("Wrong password"), N_("Key it again")),
    "75": Advice(N_("Password locked"), N_("Call the manager")),
    "F5": Advice(N_("Not to be used"), N_("Choose another")),
}
"""Refusals after which a password is asked for again; Clear gives it up. Even of a locked one: at rest, the digits that
somebody keys in the belief to be asked for a password would be an amount."""

PURPOSE_TEXT: Final = {
    PasswordPurpose.OPERATOR: N_("Teller password"),
    PasswordPurpose.SUPERVISOR: N_("Superv. password"),
    PasswordPurpose.RECHARGE: N_("Top-up password"),
}


def check_password(
    till: Till, purpose: PasswordPurpose = PasswordPurpose.SUPERVISOR, operator: int = SUPERVISOR_OPERATOR
) -> Generator[Prompt, Any, str]:
    """Ask for a password until it is right, and return it; Stop if the host will not say so. One that the factory set
    has to be changed on the spot."""
    _ = till.translate
    while True:
        password: str = yield password_prompt(till, purpose, _("Password"))
        answer = yield Ask(PasswordRequest(purpose=purpose, operator=operator, password=password), _("Checking..."))
        yield from must_be_answered(till, answer)
        assert isinstance(answer, PasswordAnswer)
        if answer.response_code == APPROVED:
            if answer.must_change:
                yield Show((_("First use"), _("Password must"), _("be changed")))
                return (yield from change_password(till, purpose, operator, password))
            return password
        yield from not_taken(till, answer.response_code)


def change_password(till: Till, purpose: PasswordPurpose, operator: int, old: str) -> Generator[Prompt, Any, str]:
    """Have a new password keyed twice, and the host take it; the new one."""
    _ = till.translate
    while True:
        new: str = yield password_prompt(till, purpose, _("New password"))
        again = yield password_prompt(till, purpose, _("Once more"))
        if new != again:
            yield Show((_("Not the same"), _("Key it again")), BeepKind.ERROR)
            continue
        request = PasswordChangeRequest(purpose=purpose, operator=operator, old_password=old, new_password=new)
        answer = yield Ask(request, _("Changing..."))
        yield from must_be_known(till, answer, _("Try the new one"))
        assert isinstance(answer, PasswordChangeAnswer)
        if answer.response_code == APPROVED:
            yield Show((_(PURPOSE_TEXT[purpose]), _("is changed")), BeepKind.OK)
            return new
        yield from not_taken(till, answer.response_code)
        if answer.response_code != NOT_USABLE:
            old = yield password_prompt(till, purpose, _("Old password"))


NOT_USABLE: Final = "F5"
"""The new password is too short, the old one, or that of the factory."""


def not_taken(till: Till, response_code: str) -> Generator[Prompt, Any, None]:
    """Say why a password was refused; Stop if keying another will not help."""
    if response_code not in PASSWORD_ADVICE:
        yield from refused(till, response_code)
    yield _refusal(till, response_code, PASSWORD_ADVICE[response_code])


def password_prompt(till: Till, purpose: PasswordPurpose, label: str) -> Digits:
    """A password is being keyed: stars on the screen."""
    return Digits(till.translate(PURPOSE_TEXT[purpose]), label, PASSWORD_DIGITS_MIN, PASSWORD_SIZE, masked=True)


def must_be_answered(till: Till, answer: object, *, goes_on: bool = False) -> Generator[Prompt, Any, None]:
    """If the host has not answered, say so, and stop unless it may be tried again."""
    _ = till.translate
    if answer is None:
        yield Show((_("No answer"), _("Nothing was done"), _("Try again soon")), BeepKind.ERROR)
        if not goes_on:
            raise Stop


def must_be_known(till: Till, answer: object, how: str) -> Generator[Prompt, Any, None]:
    """If there is no answer to what changes something at the host, it may have been done all the same: say so, and how
    to find out, and stop."""
    _ = till.translate
    if answer is None:
        yield Show((_("No answer"), _("Perhaps done"), how), BeepKind.ERROR)
        raise Stop


def refused(till: Till, response_code: str, *, goes_on: bool = False) -> Generator[Prompt, Any, None]:
    """Say why the host refuses, and stop unless it may be tried again."""
    yield _refusal(till, response_code, advice(response_code))
    if not goes_on:
        raise Stop


def _refusal(till: Till, response_code: str, why: Advice) -> Show:
    _ = till.translate
    return Show((f"{_('Declined')} {response_code}", _(why.reason), _(why.action)), BeepKind.ERROR)
