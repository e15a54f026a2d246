"""Pre-authorization (预授权), 0100/03, its completion (预授权完成), 0200/03, and the void of each, 0100/20 and 0200/23.

A hold keeps an amount for this merchant; the completion takes up to that much of it, once, and frees the rest.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.money import FollowUpRequest, MoneyAnswer, MoneyRequest, layouts_of


class PreAuthRequest(MoneyRequest, frozen=True, kw_only=True):
    """Terminal to host: hold this amount."""


class PreAuthAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: the balance is without what is held."""


class PreAuthVoidRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: free what is held; the amount is the original's."""


class PreAuthVoidAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was freed."""


class CompletionRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: take this much of what is held; the payer is any card or code of who it is held of."""


class CompletionAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was taken."""


class CompletionVoidRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: the completion shall not have happened; the amount is again held."""


class CompletionVoidAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `charged_fen` is what was given back."""


LAYOUTS: Final = (
    *layouts_of(PreAuthRequest, PreAuthAnswer, 0x0100, 0x03, "pre-authorization", "amount to be held in fen"),
    *layouts_of(PreAuthVoidRequest, PreAuthVoidAnswer, 0x0100, 0x20, "pre-authorization void"),
    *layouts_of(CompletionRequest, CompletionAnswer, 0x0200, 0x03, "completion", "amount to be taken in fen"),
    *layouts_of(CompletionVoidRequest, CompletionVoidAnswer, 0x0200, 0x23, "completion void"),
)
