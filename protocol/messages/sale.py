"""Sale (消费), 0200/00: take an amount from the payer's account, once."""

from __future__ import annotations

from typing import Final

from protocol.messages.money import MoneyAnswer, MoneyRequest, layouts_of


class SaleRequest(MoneyRequest, frozen=True, kw_only=True):
    """Terminal to host: the payer pays this terminal's merchant."""


class SaleAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is less than the amount if the payer's class has a discount at this meal."""


LAYOUTS: Final = layouts_of(SaleRequest, SaleAnswer, 0x0200, 0x00, "sale")
