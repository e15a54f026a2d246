"""Sign-on on the host's floor: the operator's password, and what the terminal needs for its day."""

from __future__ import annotations

from protocol.messages import OperatorRole, SignOnAnswer, SignOnRequest
from protocol.messages.sign_on import OPERATOR_NAME_SIZE
from server.handlers.password import note_check
from server.handlers.permitted import permitted
from server.ledger import stop_list
from server.ledger.devices import EventKind
from server.ledger.operators import Role
from server.operations.desk import MERCHANT_NAME_BYTES_MAX, Desk
from server.passwords import Passwords, Verdict
from server.texts import cut_text


def run(desk: Desk, terminal_id: int, message: SignOnRequest) -> SignOnAnswer:
    """Sign on, or say why not. An unknown number is told from a wrong password by nobody."""
    record = permitted(desk, terminal_id)
    if isinstance(record, str):
        return SignOnAnswer(response_code=record)
    store = desk.registry.store
    with desk.transaction():
        passwords = Passwords(store, desk.secrets)
        verdict, operator = passwords.check(record.merchant_id, message.operator, message.password)
        note_check(desk, terminal_id, message.operator, verdict)
        if verdict is Verdict.RIGHT:
            desk.devices.note(terminal_id, desk.now_ms(), EventKind.SIGNED_ON, f"operator {message.operator:02d}")
    if verdict is not Verdict.RIGHT or operator is None:
        return SignOnAnswer(response_code=verdict)
    return SignOnAnswer(
        response_code=verdict,
        role=OperatorRole.SUPERVISOR if operator.role == Role.SUPERVISOR else OperatorRole.TELLER,
        must_change=operator.must_change,
        operator_name=cut_text(operator.name, OPERATOR_NAME_SIZE),
        host_time_ms=desk.now_ms(),
        business_day=desk.ledger.business_day,
        batch=max(desk.ledger.newest_identity(terminal_id).batch, 1),
        config_version=desk.changes.config_version(desk.ledger.history),
        stop_list_version=stop_list.newest_version(store),
        merchant_number=record.merchant_id,
        merchant_name=cut_text(record.merchant_name, MERCHANT_NAME_BYTES_MAX),
    )


def undecided(_message: SignOnRequest, code: str) -> SignOnAnswer:
    """The store cannot count a wrong try now, so none may be made."""
    return SignOnAnswer(response_code=code)
