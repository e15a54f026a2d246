"""Tellers (柜员管理), 0800/05: the supervisor adds one, deletes one, or goes through the list of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2, text
from protocol.messages.password import operator_field, password_field
from protocol.messages.sign_on import OPERATOR_NAME_SIZE
from protocol.state import Kind


class TellerAction(IntEnum):
    """What the supervisor wants."""

    ADD = 1
    DELETE = 2
    NEXT = 3


class TellerRequest(Message, frozen=True, kw_only=True):
    """Terminal to host. The supervisor's password goes with each, so that nothing depends on who signed on."""

    action: TellerAction
    supervisor_password: str
    operator: int = 0
    name: str = ""
    new_password: str = ""


class TellerAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: the teller it is about; 25 when there is no such, or no further one."""

    response_code: str
    operator: int = 0
    name: str = ""


LAYOUTS: Final = (
    Layout(
        TellerRequest,
        0x0800,
        0x05,
        "tellers",
        [
            choice("action", TellerAction, "what to do"),
            password_field("supervisor_password", "the supervisor's password"),
            operator_field("add, delete: this teller; next: the first one above this number"),
            text("name", OPERATOR_NAME_SIZE, "add: the teller's name, may be empty"),
            password_field("new_password", "add: the teller's first password, to be changed at first use"),
        ],
        kind=Kind.REQUEST,
    ),
    Layout(
        TellerAnswer,
        0x0810,
        0x05,
        "tellers answer",
        [
            code2(
                "response_code",
                "00, 25 no such or no further teller, F5 number or password may not be used, 55 and 75 as 0800/03",
            ),
            operator_field("the teller's number"),
            text("name", OPERATOR_NAME_SIZE, "the teller's name"),
        ],
        kind=Kind.ANSWER,
    ),
)
