"""Sign-on (签到), 0800/01: an operator begins to work, and the terminal learns what it needs for the day.

The terminal itself is already authenticated: this is about the person. Signing off a person needs no message.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from protocol.messages.fields import Layout, Message, choice, code2, text, unsigned
from protocol.messages.money import MAX_BATCH
from protocol.messages.password import SUPERVISOR_OPERATOR, must_change_field, operator_field, password_field
from protocol.state import Kind

OPERATOR_NAME_SIZE: Final = 24


class OperatorRole(IntEnum):
    """What a person may do at a terminal."""

    TELLER = 1
    SUPERVISOR = 2


class SignOnRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: who begins to work."""

    operator: int = SUPERVISOR_OPERATOR
    password: str


class SignOnAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal: all but the response code is for an approved sign-on alone."""

    response_code: str
    role: OperatorRole = OperatorRole.TELLER
    must_change: int = 0
    operator_name: str = ""
    host_time_ms: int = 0
    business_day: int = 0
    batch: int = 1
    config_version: int = 0
    stop_list_version: int = 0
    merchant_number: int = 0
    merchant_name: str = ""


LAYOUTS: Final = (
    Layout(
        SignOnRequest,
        0x0800,
        0x01,
        "sign-on",
        [operator_field("operator number; 0 = the supervisor"), password_field("password", "the operator's password")],
        kind=Kind.REQUEST,
    ),
    Layout(
        SignOnAnswer,
        0x0810,
        0x01,
        "sign-on answer",
        [
            code2("response_code", "00 signed on, 55 number or password wrong, 75 locked"),
            choice("role", OperatorRole, "what the operator may do"),
            must_change_field(),
            text("operator_name", OPERATOR_NAME_SIZE, "the operator's name"),
            unsigned(
                "host_time_ms", 8, "host clock, milliseconds since 1970-01-01 UTC: the terminal sets its own by it"
            ),
            unsigned("business_day", 4, "the open business day as YYYYMMDD"),
            unsigned(
                "batch",
                3,
                "least batch number to use: a terminal in an earlier batch goes on here",
                low=1,
                high=MAX_BATCH,
            ),
            unsigned("config_version", 4, "if it is not that of the terminal's parameters, fetch them: 0800/07"),
            unsigned("stop_list_version", 4, "version of the stop list; 0 = there is none"),
            unsigned("merchant_number", 4, "the merchant this terminal sells for"),
            text("merchant_name", 48, "its name, for slips"),
        ],
        kind=Kind.ANSWER,
    ),
)
