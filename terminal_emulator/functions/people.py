"""柜员管理 and the changes of passwords: what the supervisor does at the terminal. The host keeps all of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from protocol.messages import TellerAction, TellerAnswer, TellerRequest
from protocol.messages.password import SUPERVISOR_OPERATOR, PasswordPurpose
from terminal_emulator.dialog import Ask, Confirm, Dialog, Digits, Menu, Open, Pages, Prompt, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.functions.passwords import (
    NOT_USABLE,
    change_password,
    check_password,
    must_be_answered,
    must_be_known,
    password_prompt,
    refused,
)
from terminal_emulator.functions.sign_on import OPERATOR_DIGITS
from terminal_emulator.till import Till

NOT_FOUND: Final = "25"


def supervisor_password(till: Till) -> Dialog:
    """主管改密."""
    yield from _change(till, PasswordPurpose.SUPERVISOR, SUPERVISOR_OPERATOR)


def recharge_password(till: Till) -> Dialog:
    """充值改密."""
    yield from _change(till, PasswordPurpose.RECHARGE, SUPERVISOR_OPERATOR)


def teller_password(till: Till) -> Dialog:
    """柜员改密: one's own. The supervisor's number opens the supervisor's menu, as at every operator prompt."""
    _ = till.translate
    number = yield Digits(_("Teller password"), _("Operator no."), 1, OPERATOR_DIGITS)
    if int(number) == SUPERVISOR_OPERATOR:
        yield Open("supervisor")
    else:
        yield from _change(till, PasswordPurpose.OPERATOR, int(number))


def _change(till: Till, purpose: PasswordPurpose, operator: int) -> Dialog:
    old = yield password_prompt(till, purpose, till.translate("Old password"))
    yield from change_password(till, purpose, operator, old)


def tellers(till: Till) -> Dialog:
    """柜员管理: the supervisor's password, then what is to be done."""
    last = yield from _managed(till)
    if last is not None:
        yield last


def _managed(till: Till) -> Generator[Prompt, Any, Show | Pages | None]:
    """What is to be shown in the end. The password is known in here alone: a screen may stand for hours."""
    _ = till.translate
    password = yield from check_password(till)
    rows = (("1", _("Add teller")), ("2", _("Delete teller")), ("3", _("List tellers")))
    key = yield Menu(_("Tellers"), rows)
    return None if key is None else (yield from ACTIONS[key](till, password))


def teller_add(till: Till) -> Dialog:
    """增加."""
    yield (yield from _add(till))


def teller_delete(till: Till) -> Dialog:
    """删除."""
    yield (yield from _delete(till))


def teller_list(till: Till) -> Dialog:
    """查询: all of them, one a page."""
    yield (yield from _list(till))


def _add(till: Till, password: str = "") -> Generator[Prompt, Any, Show]:
    _ = till.translate
    password = password or (yield from check_password(till))
    done: Show | None = None
    while done is None:
        number = yield Digits(_("Add teller"), _("Operator no."), 1, OPERATOR_DIGITS)
        first = yield password_prompt(till, PasswordPurpose.OPERATOR, _("First password"))
        request = TellerRequest(
            action=TellerAction.ADD, supervisor_password=password, operator=int(number), new_password=first
        )
        done = yield from _ask(till, request, _("Teller is added"))
    return done


def _delete(till: Till, password: str = "") -> Generator[Prompt, Any, Show]:
    _ = till.translate
    password = password or (yield from check_password(till))
    done: Show | None = None
    while done is None:
        number = yield Digits(_("Delete teller"), _("Operator no."), 1, OPERATOR_DIGITS)
        yield Confirm((_("Delete teller"), f"{int(number):02d}"))
        request = TellerRequest(action=TellerAction.DELETE, supervisor_password=password, operator=int(number))
        done = yield from _ask(till, request, _("Teller is gone"))
    return done


def _list(till: Till, password: str = "") -> Generator[Prompt, Any, Pages]:
    _ = till.translate
    password = password or (yield from check_password(till))
    pages: list[tuple[str, ...]] = []
    operator = 0
    while True:
        request = TellerRequest(action=TellerAction.NEXT, supervisor_password=password, operator=operator)
        answer = yield Ask(request, _("Asking the host"))
        yield from must_be_answered(till, answer)
        assert isinstance(answer, TellerAnswer)
        if answer.response_code == NOT_FOUND or (answer.response_code == APPROVED and answer.operator <= operator):
            break
        if answer.response_code != APPROVED:
            yield from refused(till, answer.response_code)
        operator = answer.operator
        pages.append((_("Tellers"), f"{operator:02d} {answer.name}", "", _("Enter: go on")))
    return Pages(tuple(pages) or ((_("Tellers"), _("There are none"), "", _("Enter: go on")),))


def _ask(till: Till, request: TellerRequest, done: str) -> Generator[Prompt, Any, Show | None]:
    """What is to be shown when the host has done it; else None: the next number is asked for here, for at rest it would
    be an amount."""
    _ = till.translate
    answer = yield Ask(request, _("Asking the host"))
    yield from must_be_known(till, answer, _("List tellers"))
    assert isinstance(answer, TellerAnswer)
    code = answer.response_code
    if code == APPROVED:
        return Show((done, f"{request.operator:02d}", _("Enter: go on")), BeepKind.OK)
    if code == NOT_FOUND:
        yield Show((f"{_('Declined')} {code}", _("No such teller"), _("Key it again")), BeepKind.ERROR)
    else:
        yield from refused(till, code, goes_on=code == NOT_USABLE)
    return None


ACTIONS: Final[dict[str, Callable[[Till, str], Generator[Prompt, Any, Show | Pages]]]] = {
    "1": _add,
    "2": _delete,
    "3": _list,
}
