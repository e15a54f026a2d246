"""Void (消费撤销), 0200/20: the whole of a sale of this batch and business day goes back to its payer."""

from __future__ import annotations

from typing import Final

from protocol.messages.money import FollowUpRequest, MoneyAnswer, layouts_of


class VoidRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: the amount is the original sale's, the payer any card or code of who paid."""


class VoidAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was given back."""


LAYOUTS: Final = layouts_of(VoidRequest, VoidAnswer, 0x0200, 0x20, "void")
