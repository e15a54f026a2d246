"""Top-up (充值), 0200/21, and its void (充值撤销), 0200/22: the payer gives cash at the till and has it on the card."""

from __future__ import annotations

from typing import Final

from protocol.messages.money import FollowUpRequest, MoneyAnswer, MoneyRequest, layouts_of


class TopUpRequest(MoneyRequest, frozen=True, kw_only=True):
    """Terminal to host: the amount was paid in cash."""


class TopUpAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was credited, the bonus included."""


class TopUpVoidRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: the cash is given back; the amount is the original's."""


class TopUpVoidAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was taken from the card, the bonus included."""


LAYOUTS: Final = (
    *layouts_of(TopUpRequest, TopUpAnswer, 0x0200, 0x21, "top-up", "amount paid in cash, in fen"),
    *layouts_of(TopUpVoidRequest, TopUpVoidAnswer, 0x0200, 0x22, "top-up void"),
)
