"""The tariff in force, read from the tables of the configuration: at the start, and after every change of them."""

from __future__ import annotations

from typing import Final

from server.ledger.catalogue import Catalogue
from server.ledger.changes import Changes
from server.ledger.parameters import CAMPUS, CHECK_PASSWORDS, OFFLINE_SALE, Parameters, ParameterTable, described
from server.ledger.store import Store
from server.ledger.tariff import ALL_MERCHANTS, BonusTier, CardClass, EarlierLimit, MealPeriod, Tariff

HOUR_S: Final = 3_600
NEWEST: Final = 1 << 62
CHANGES_MAX: Final = 500
"""Changes of one limit that are looked at: only those of some days count."""


def read_tariff(store: Store, utc_offset_min: int) -> Tariff:
    """What the rules need of the configuration, as it is now."""
    catalogue, campus = Catalogue(store), ParameterTable(store).of_campus()
    terms = catalogue.class_meals()
    tiers: dict[int, tuple[BonusTier, ...]] = {}
    for found in catalogue.bonus_tiers():
        tier = BonusTier(from_fen=found.threshold_fen, bonus_fen=found.bonus_fen)
        tiers[found.merchant_id] = (*tiers.get(found.merchant_id, ()), tier)
    return Tariff(
        utc_offset_min=utc_offset_min,
        meals=tuple(
            MealPeriod(meal.meal_id, meal.start_minute, meal.end_minute, meal.name) for meal in catalogue.meals()
        ),
        classes={
            record.class_id: CardClass(
                class_id=record.class_id,
                name=record.name,
                sale_limit_fen=record.sale_limit_fen,
                meal_limit_fen=record.meal_limit_fen,
                day_limit_fen=record.day_limit_fen,
                discounts={
                    found.meal_id: found.discount_percent for found in terms if found.class_id == record.class_id
                },
            )
            for record in catalogue.classes()
        },
        bonus_tiers=tiers,
        points_rates={found.merchant_id: found.fen_per_point for found in catalogue.points_rates()},
        password_checks=_password_checks(ParameterTable(store)),
        meal_limit_fen=campus.meal_limit_fen,
        topup_limit_fen=campus.topup_limit_fen,
        pin_above_fen=campus.pin_sale_fen,
        pin_after_sales=campus.pin_count,
        hold_lifetime_s=campus.hold_hours * HOUR_S,
        refund_days=campus.refund_days,
        offline_sale_fen=campus.offline_sale_fen,
        earlier_offline=_earlier_offline(store),
    )


def _password_checks(table: ParameterTable) -> dict[int, int]:
    """By merchant, the campus as ALL_MERCHANTS."""
    own = {found.owner: found.value for found in table.values() if found.name == CHECK_PASSWORDS}
    return {ALL_MERCHANTS: Parameters().check_passwords} | own


def _earlier_offline(store: Store) -> tuple[EarlierLimit, ...]:
    """The limits of one offline sale that have been changed, out of the history of the configuration."""
    what = described(OFFLINE_SALE, CAMPUS)
    changes = Changes(store).newest(before=NEWEST, limit=CHANGES_MAX, what=what)
    return tuple(EarlierLimit(_fen(change.old), change.at_ms) for change in changes if change.what == what)


def _fen(shown: str) -> int:
    """An amount as the history has it, in yuan with two places; nothing = the program's own was in force."""
    return int(shown.replace(".", "")) if shown else Parameters().offline_sale_fen
