"""Tellers on the host's floor: the supervisor adds, deletes and lists them."""

from __future__ import annotations

from protocol.messages import TellerAction, TellerAnswer, TellerRequest
from protocol.messages.sign_on import OPERATOR_NAME_SIZE
from server.handlers.password import note_check
from server.handlers.permitted import APPROVED, NOT_FOUND, permitted
from server.ledger.operators import FACTORY_PASSWORDS, FIRST_TELLER, SUPERVISOR, TELLER_MAX, Role
from server.operations.desk import Desk
from server.passwords import UNUSABLE, Passwords, Verdict, may_be_password
from server.texts import cut_text


def run(desk: Desk, terminal_id: int, message: TellerRequest) -> TellerAnswer:
    """What the supervisor wants, if it is the supervisor."""
    record = permitted(desk, terminal_id)
    if isinstance(record, str):
        return TellerAnswer(response_code=record)
    passwords = Passwords(desk.registry.store, desk.secrets)
    with desk.transaction():
        verdict, _ = passwords.check(record.merchant_id, SUPERVISOR, message.supervisor_password)
        note_check(desk, terminal_id, SUPERVISOR, verdict)
        if verdict is not Verdict.RIGHT:
            return TellerAnswer(response_code=verdict)
        if message.action is TellerAction.ADD:
            answer = _add(passwords, record.merchant_id, message)
            change = "", f"teller {answer.name}".rstrip()
        elif message.action is TellerAction.DELETE:
            answer = _delete(passwords, record.merchant_id, message.operator)
            change = f"teller {answer.name}".rstrip(), ""
        else:
            return _next(passwords, record.merchant_id, message.operator)
        if answer.response_code == APPROVED:
            desk.note_operator(terminal_id, record.merchant_id, message.operator, *change)
        return answer


def _add(passwords: Passwords, merchant_id: int, message: TellerRequest) -> TellerAnswer:
    is_free = passwords.operators.find(merchant_id, message.operator) is None
    is_number = FIRST_TELLER <= message.operator <= TELLER_MAX
    password = message.new_password or FACTORY_PASSWORDS[Role.TELLER]
    if not is_free or not is_number or not may_be_password(password):
        return TellerAnswer(response_code=UNUSABLE, operator=message.operator)
    passwords.add_teller(merchant_id, message.operator, message.name, password)
    return TellerAnswer(response_code=APPROVED, operator=message.operator, name=message.name)


def _delete(passwords: Passwords, merchant_id: int, number: int) -> TellerAnswer:
    found = passwords.operators.find(merchant_id, number)
    if found is None or found.role != Role.TELLER:
        return TellerAnswer(response_code=NOT_FOUND, operator=number)
    passwords.operators.delete(merchant_id, number)
    return TellerAnswer(response_code=APPROVED, operator=number, name=cut_text(found.name, OPERATOR_NAME_SIZE))


def _next(passwords: Passwords, merchant_id: int, after: int) -> TellerAnswer:
    for found in passwords.operators.of_merchant(merchant_id):
        if found.operator > after and found.role == Role.TELLER:
            name = cut_text(found.name, OPERATOR_NAME_SIZE)
            return TellerAnswer(response_code=APPROVED, operator=found.operator, name=name)
    return TellerAnswer(response_code=NOT_FOUND)


def undecided(_message: TellerRequest, code: str) -> TellerAnswer:
    """Nothing was changed."""
    return TellerAnswer(response_code=code)
