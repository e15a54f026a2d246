"""Points sale (积分消费), 0200/40, and its void (积分消费撤销), 0200/41: points are spent in place of money.

In these messages alone amounts and balances count points.
"""

from __future__ import annotations

from typing import Final

from protocol.messages.money import FollowUpRequest, MoneyAnswer, MoneyRequest, layouts_of


class PointsSaleRequest(MoneyRequest, frozen=True, kw_only=True):
    """Terminal to host: spend this many points."""


class PointsSaleAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `balance_fen` counts points."""


class PointsVoidRequest(FollowUpRequest, frozen=True, kw_only=True):
    """Terminal to host: the points go back; the amount is the original's."""


class PointsVoidAnswer(MoneyAnswer, frozen=True, kw_only=True):
    """Host to terminal: `balance_fen` counts points."""


LAYOUTS: Final = (
    *layouts_of(PointsSaleRequest, PointsSaleAnswer, 0x0200, 0x40, "points sale", "number of points"),
    *layouts_of(PointsVoidRequest, PointsVoidAnswer, 0x0200, 0x41, "points void"),
)
