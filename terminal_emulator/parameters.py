"""What a terminal knows of its merchant's rules: the host's parameters (参数下载), as kept through a power cut.

They are for asking the right questions early. The host checks every rule itself.
"""

from __future__ import annotations

from datetime import timedelta, timezone

import msgspec

from protocol.messages import ParametersAnswer
from protocol.messages.parameters import Meal, Profile
from terminal_emulator.texts import CHINA_OFFSET_MINUTES

DAY_S = 86_400
VERSION_BITS = 24
"""Of a version, for the count of changes; above stands the history of the host, which begins anew after a restore."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True, tag="parameters"):
    """See protocol.messages.parameters. The defaults are for a terminal that was never told: limits of 0 are none, but
    for offline sales, of which 0 allows none at all."""

    config_version: int = 0
    profile: Profile = Profile.CANTEEN
    repeat_guard: bool = False
    sale_limit_fen: int = 0
    offline_sale_limit_fen: int = 0
    offline_card_limit_fen: int = 0
    offline_total_limit_fen: int = 0
    offline_count_limit: int = 0
    pin_limit_fen: int = 0
    discount_limit_percent: int = 0
    refund_days: int = 0
    utc_offset_minutes: int = CHINA_OFFSET_MINUTES
    meals: tuple[Meal, ...] = ()

    @property
    def version_text(self) -> str:
        """The version for people: history and count of changes, "1.8"."""
        return f"{self.config_version >> VERSION_BITS}.{self.config_version & ((1 << VERSION_BITS) - 1)}"

    @property
    def zone(self) -> timezone:
        """The zone of dates on screens and slips."""
        return timezone(timedelta(minutes=self.utc_offset_minutes))

    def local_day(self, at_s: float) -> int:
        """A number for the local day of a moment: equal within a day, one more on the next."""
        return int(at_s + 60 * self.utc_offset_minutes) // DAY_S

    def local_minute(self, at_s: float) -> int:
        """The minute of the local day."""
        return int(at_s + 60 * self.utc_offset_minutes) % DAY_S // 60

    def meal_at(self, at_s: float) -> Meal | None:
        """The meal period of a moment."""
        minute = self.local_minute(at_s)
        for meal in self.meals:
            start, end = meal.start_minute, meal.end_minute
            if start <= minute < end or (end < start and (minute >= start or minute < end)):
                return meal
        return None


def parameters_of(answer: ParametersAnswer) -> Parameters:
    """What the host told, to be kept."""
    names = [name for name in Parameters.__struct_fields__ if name != "repeat_guard"]
    return Parameters(repeat_guard=bool(answer.repeat_guard), **{name: getattr(answer, name) for name in names})
