"""What the rules need of the configuration: meals, discounts, bonus tiers, points, and when a PIN is asked for.

Frozen values. `server.ledger.tariffs` reads them from the registry's tables; `Tariff()` means none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

MINUTE_MS: Final = 60_000
DAY_MIN: Final = 1_440
HOUR_MS: Final = 3_600_000
NO_MEAL: Final = 0
ALL_MERCHANTS: Final = 0
HOLD_LIFETIME_S: Final = 30 * 86_400
"""How long a hold lasts where nothing else is said: as the card schemes have it."""
REFUND_DAYS: Final = 180
ANY_AMOUNT_FEN: Final = 0xFFFF_FFFF
"""More than the wire can say."""
OFFLINE_GRACE_MS: Final = 7 * 24 * HOUR_MS
"""A terminal that has been cut off for so long has sold within the limits of that time: a limit lowered meanwhile, it
could not know of. An outage of a week is a long one; records older than that count by the limits since."""
_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})


class MealPeriod(msgspec.Struct, frozen=True):
    """A meal, from `start_min` up to before `end_min`, minutes of the local day; it may reach past midnight."""

    meal_id: int
    start_min: int
    end_min: int
    name: str = ""

    def covers(self, minute: int) -> bool:
        """Whether it is served at this minute of the day."""
        if self.start_min <= self.end_min:
            return self.start_min <= minute < self.end_min
        return minute >= self.start_min or minute < self.end_min


class CardClass(msgspec.Struct, frozen=True):
    """Limits in fen of a class of cards, 0 = the host's default, and its discounts in percent by meal.

    `discounts[0]` is for every other time.
    """

    class_id: int
    name: str = ""
    sale_limit_fen: int = 0
    meal_limit_fen: int = 0
    day_limit_fen: int = 0
    discounts: Mapping[int, int] = _NONE


NO_CLASS: Final = CardClass(0)


class BonusTier(msgspec.Struct, frozen=True):
    """A top-up of at least `from_fen` is credited `bonus_fen` more. The highest tier reached counts, alone."""

    from_fen: int
    bonus_fen: int


class EarlierLimit(msgspec.Struct, frozen=True):
    """A limit of offline sales that was in force until then."""

    sale_fen: int
    until_ms: int


class Tariff(msgspec.Struct, frozen=True):
    """See the module's docstring."""

    utc_offset_min: int = 480
    """The campus's clock. China has one time and no summer time."""
    meals: tuple[MealPeriod, ...] = ()
    classes: Mapping[int, CardClass] = _NONE
    bonus_tiers: Mapping[int, tuple[BonusTier, ...]] = _NONE
    """By merchant number; ALL_MERCHANTS: of every merchant without tiers of its own."""
    points_rates: Mapping[int, int] = _NONE
    """By merchant number, likewise: how many fen earn one point."""
    password_checks: Mapping[int, int] = _NONE
    """By merchant number, likewise: 1 = its terminals have passwords checked before voids, refunds and top-ups."""
    meal_limit_fen: int = 0
    topup_limit_fen: int = 0
    """A terminal's top-up of more than this is refused; 0 = none is."""
    pin_above_fen: int = 0
    """A card that has a PIN needs it for more than this; 0 = for no amount."""
    pin_after_sales: int = 0
    """Or from the sale after this many on one day; 0 = never."""
    hold_lifetime_s: int = HOLD_LIFETIME_S
    refund_days: int = REFUND_DAYS
    offline_sale_fen: int = ANY_AMOUNT_FEN
    """The largest sale that a terminal may make without its host; 0 = it may make none."""
    earlier_offline: tuple[EarlierLimit, ...] = ()
    """What that was before. See `offline_limit_fen`."""

    def meal_at(self, now_ms: int) -> int:
        """The meal being served, NO_MEAL between meals."""
        minute = (now_ms // MINUTE_MS + self.utc_offset_min) % DAY_MIN
        for meal in self.meals:
            if meal.covers(minute):
                return meal.meal_id
        return NO_MEAL

    def offline_limit_fen(self, now_ms: int) -> int:
        """What an offline sale that comes now may be of: the largest limit in force during the time of grace."""
        earlier = (limit.sale_fen for limit in self.earlier_offline if limit.until_ms > now_ms - OFFLINE_GRACE_MS)
        return max(self.offline_sale_fen, *earlier, 0)

    def class_of(self, class_id: int) -> CardClass:
        """A class of cards; one that is gone gives and limits nothing."""
        return self.classes.get(class_id, NO_CLASS)

    def discount_fen(self, class_id: int, meal_id: int, amount_fen: int) -> int:
        """What a class of cards pays less at a meal: whole fen, the rest of a fen is the merchant's."""
        discounts = self.class_of(class_id).discounts
        return amount_fen * discounts.get(meal_id, discounts.get(NO_MEAL, 0)) // 100

    def bonus_fen(self, merchant_id: int, amount_fen: int) -> int:
        """What a top-up of this amount is credited beyond it."""
        tiers = self.bonus_tiers.get(merchant_id, self.bonus_tiers.get(ALL_MERCHANTS, ()))
        reached = [tier for tier in tiers if tier.from_fen <= amount_fen]
        return max(reached, key=lambda tier: tier.from_fen).bonus_fen if reached else 0

    def points_of(self, merchant_id: int, charged_fen: int) -> int:
        """Points earned by paying this much at a merchant."""
        fen_per_point = self.points_rates.get(merchant_id, self.points_rates.get(ALL_MERCHANTS, 0))
        return charged_fen // fen_per_point if fen_per_point > 0 else 0

    def checks_passwords(self, merchant_id: int) -> bool:
        """Whether a merchant's voids, refunds and top-ups are refused without a checked password."""
        return bool(self.password_checks.get(merchant_id, self.password_checks.get(ALL_MERCHANTS, 0)))


NO_TARIFF: Final = Tariff()


def meal_key(business_day: int, meal_id: int) -> int:
    """One meal of one business day as a number; 0 for the time between meals."""
    return business_day * 100 + meal_id if meal_id != NO_MEAL else NO_MEAL
