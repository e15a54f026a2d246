"""Passwords on the host's floor: is this the one, and may it become that one? The terminal's log has the wrong ones."""

from __future__ import annotations

from typing import Final

from protocol.messages import (
    PasswordAnswer,
    PasswordChangeAnswer,
    PasswordChangeRequest,
    PasswordPurpose,
    PasswordRequest,
)
from server.handlers.permitted import permitted
from server.ledger.devices import EventKind
from server.ledger.operators import RECHARGE, SUPERVISOR
from server.operations.desk import Desk
from server.passwords import Passwords, Verdict

EVENTS: Final[dict[str, EventKind]] = {
    Verdict.WRONG: EventKind.PASSWORD_WRONG,
    Verdict.LOCKED: EventKind.OPERATOR_LOCKED,
}
OWNERS: Final = {PasswordPurpose.SUPERVISOR: SUPERVISOR, PasswordPurpose.RECHARGE: RECHARGE}


def owner_of(message: PasswordRequest | PasswordChangeRequest) -> int:
    """The row of the password that is meant."""
    return OWNERS.get(message.purpose, message.operator)


def note_check(desk: Desk, terminal_id: int, operator: int, verdict: str) -> None:
    """Into the terminal's log, if the password was wrong or is locked. Inside the transaction of the check."""
    if verdict in EVENTS:
        whose = "recharge password" if operator == RECHARGE else f"operator {operator:02d}"
        desk.devices.note(terminal_id, desk.now_ms(), EVENTS[verdict], whose)


def check(desk: Desk, terminal_id: int, message: PasswordRequest) -> PasswordAnswer:
    """Whether the password is right, and whether it is still a factory one."""
    record = permitted(desk, terminal_id)
    if isinstance(record, str):
        return PasswordAnswer(response_code=record)
    operator = owner_of(message)
    with desk.transaction():
        verdict, owner = Passwords(desk.registry.store, desk.secrets).check(
            record.merchant_id, operator, message.password
        )
        note_check(desk, terminal_id, operator, verdict)
    must_change = owner.must_change if owner is not None and verdict is Verdict.RIGHT else 0
    return PasswordAnswer(response_code=verdict, must_change=must_change)


def change(desk: Desk, terminal_id: int, message: PasswordChangeRequest) -> PasswordChangeAnswer:
    """Another password for whoever knows the one until now."""
    record = permitted(desk, terminal_id)
    if isinstance(record, str):
        return PasswordChangeAnswer(response_code=record)
    operator = owner_of(message)
    with desk.transaction():
        code, _ = Passwords(desk.registry.store, desk.secrets).change(
            record.merchant_id, operator, message.old_password, message.new_password
        )
        note_check(desk, terminal_id, operator, code)
        if code == Verdict.RIGHT:
            desk.note_operator(terminal_id, record.merchant_id, operator, "a password", "another password")
    return PasswordChangeAnswer(response_code=code)


def undecided(_message: PasswordRequest, code: str) -> PasswordAnswer:
    """The store cannot count a wrong try now, so none may be made."""
    return PasswordAnswer(response_code=code)


def change_undecided(_message: PasswordChangeRequest, code: str) -> PasswordChangeAnswer:
    """Nothing was changed."""
    return PasswordChangeAnswer(response_code=code)
