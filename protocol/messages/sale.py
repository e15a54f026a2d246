"""Sale (消费), 0200/00: take an amount from the payer's account, once."""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout
from protocol.messages.money import MoneyAnswer, MoneyRequest, answer_fields, pin_field, request_fields
from protocol.state import Kind


class SaleRequest(MoneyRequest, frozen=True, kw_only=True):
    """Terminal to host: the payer pays this terminal's merchant."""


class SaleAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is less than the amount if the payer's class has a discount at this meal."""


LAYOUTS: Final = (
    Layout(SaleRequest, 0x0200, 0x00, "sale", [*request_fields(), pin_field()], kind=Kind.REQUEST),
    Layout(SaleAnswer, 0x0210, 0x00, "sale answer", answer_fields(), kind=Kind.ANSWER),
)
