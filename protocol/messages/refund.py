"""Refund (退货), 0220/20: part or all of an earlier sale goes back to its payer, until nothing of it is left."""

from __future__ import annotations

from typing import Final

from protocol.messages.money import FollowUpRequest, MoneyAnswer, layouts_of


class RefundRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: the amount is this part of it, the payer any card or code of who paid."""


class RefundAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was given back."""


LAYOUTS: Final = layouts_of(RefundRequest, RefundAnswer, 0x0220, 0x20, "refund", "this part of the original in fen")
