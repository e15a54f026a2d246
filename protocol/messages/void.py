"""Void (消费撤销), 0200/20: the whole of a sale of this batch and business day goes back to its payer."""

from __future__ import annotations

from typing import Final

from protocol.messages.fields import Layout
from protocol.messages.money import (
    FollowUpRequest,
    MoneyAnswer,
    answer_fields,
    original_fields,
    pin_field,
    request_fields,
)
from protocol.state import Kind


class VoidRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: amount and payer are the original sale's."""


class VoidAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was given back."""


LAYOUTS: Final = (
    Layout(VoidRequest, 0x0200, 0x20, "void", [*request_fields(), pin_field(), *original_fields()], kind=Kind.REQUEST),
    Layout(VoidAnswer, 0x0210, 0x20, "void answer", answer_fields(), kind=Kind.ANSWER),
)
