"""Parameters (参数下载), 0800/07: what a terminal has to know of its merchant. The host checks every rule itself."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from protocol.messages.fields import Layout, Message, choice, code2, rows, signed64, text, unsigned
from protocol.state import Kind

MEALS_MAX: Final = 8
MEAL_NAME_SIZE: Final = 24
DAY_MINUTES: Final = 24 * 60


class Profile(IntEnum):
    """What the keys of a terminal at rest mean."""

    CANTEEN = 0
    MEMBER = 1


class Meal(msgspec.Struct, frozen=True):
    """A meal period in local minutes of the day; it may go over midnight."""

    meal: int
    start_minute: int
    end_minute: int
    name: str


class ParametersRequest(Message, frozen=True, kw_only=True):
    """Terminal to host: tell me all."""


class ParametersAnswer(Message, frozen=True, kw_only=True):
    """Host to terminal. A limit of 0 is none, but for the offline limits: there it means "not at all"."""

    response_code: str = "00"
    config_version: int = 0
    profile: Profile = Profile.CANTEEN
    repeat_guard: int = 1
    sale_limit_fen: int = 0
    offline_sale_limit_fen: int = 0
    offline_card_limit_fen: int = 0
    offline_total_limit_fen: int = 0
    offline_count_limit: int = 0
    pin_limit_fen: int = 0
    discount_limit_percent: int = 0
    refund_days: int = 0
    utc_offset_minutes: int = 0
    meals: tuple[Meal, ...] = ()


LAYOUTS: Final = (
    Layout(ParametersRequest, 0x0800, 0x07, "parameters", [], kind=Kind.REQUEST),
    Layout(
        ParametersAnswer,
        0x0810,
        0x07,
        "parameters answer",
        [
            code2("response_code", "response code; with another than 00 the terminal keeps what it has"),
            unsigned(
                "config_version",
                4,
                "version of these parameters: the host's history in the upper byte, below it a count",
            ),
            choice("profile", Profile, "meaning of the keys at rest"),
            unsigned("repeat_guard", 1, "1 = the terminal asks before the same payer pays the same again", high=1),
            unsigned("sale_limit_fen", 4, "largest sale in fen; 0 = no limit but the field's"),
            unsigned("offline_sale_limit_fen", 4, "largest offline sale in fen; 0 = no offline sales"),
            unsigned("offline_card_limit_fen", 4, "offline sales of one card together, in fen"),
            unsigned("offline_total_limit_fen", 4, "offline sales waiting together, in fen"),
            unsigned("offline_count_limit", 2, "offline sales waiting"),
            unsigned("pin_limit_fen", 4, "sales above it need a PIN, in fen; 0 = none does"),
            unsigned("discount_limit_percent", 1, "a discount above it needs the supervisor's password", high=100),
            unsigned("refund_days", 2, "days after a sale in which it may be refunded"),
            signed64("utc_offset_minutes", "local time minus UTC in minutes"),
            rows(
                "meals",
                Meal,
                [
                    unsigned("meal", 1, "number of the meal period", low=1),
                    unsigned(
                        "start_minute", 2, "first minute of the local day that is part of it", high=DAY_MINUTES - 1
                    ),
                    unsigned("end_minute", 2, "first minute that is not", high=DAY_MINUTES),
                    text("name", MEAL_NAME_SIZE, "its name"),
                ],
                MEALS_MAX,
                "meal periods 餐次",
            ),
        ],
        kind=Kind.ANSWER,
    ),
)
