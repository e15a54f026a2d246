"""On which terms the campus sells: card classes, meal periods, bonus tiers, points, products. Loads and saves rows.

Nothing here opens a transaction, as in `server.ledger.registry`. `server.ledger.tariffs` makes of it what rules need.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from server.ledger.store import Store

ALL_MERCHANTS: Final = 0
"""In place of a merchant's number: for every merchant that has nothing of its own."""
ANY_TIME: Final = 0
"""In place of a meal's number."""
STANDARD_CLASS: Final = 0
"""The class of every card that was given no other."""


class ClassRecord(msgspec.Struct, frozen=True):
    """A class of cards. Limits in fen; 0 = the host's default."""

    class_id: int
    name: str
    sale_limit_fen: int = 0
    meal_limit_fen: int = 0
    day_limit_fen: int = 0


class MealRecord(msgspec.Struct, frozen=True):
    """A meal period in minutes of the local day; the end is not part of it, and may be on the next day."""

    meal_id: int
    name: str
    start_minute: int
    end_minute: int


class ClassMealRecord(msgspec.Struct, frozen=True):
    """What a class gets off in a meal, in percent; meal ANY_TIME = whenever it has nothing else."""

    class_id: int
    meal_id: int
    discount_percent: int


class BonusRecord(msgspec.Struct, frozen=True):
    """Top-ups of at least `threshold_fen` get `bonus_fen` on top."""

    merchant_id: int
    threshold_fen: int
    bonus_fen: int


class PointsRecord(msgspec.Struct, frozen=True):
    """One point per `fen_per_point` spent; 0 = none are earned."""

    merchant_id: int
    fen_per_point: int


class ProductRecord(msgspec.Struct, frozen=True):
    """A product and its price, by the digits a cashier keys."""

    merchant_id: int
    code: str
    name: str
    price_fen: int


T = TypeVar("T", bound=msgspec.Struct)


class Catalogue:
    """See the module's docstring."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def _records(self, kind: type[T], table: str, condition: str, *values: Any) -> list[T]:
        columns = ", ".join(kind.__struct_fields__)
        sql = f"SELECT {columns} FROM {table} {condition}"  # noqa: S608 - names and conditions are our own
        return [kind(*row) for row in self._store.execute(sql, values)]

    def _put(self, table: str, key: str, record: msgspec.Struct) -> None:
        """Insert a record, or replace the one with its key."""
        names = record.__struct_fields__
        places = ", ".join("?" * len(names))
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key.split(", "))
        self._store.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
            f" ON CONFLICT ({key}) DO UPDATE SET {changes}",
            msgspec.structs.astuple(record),
        )

    # --- card classes

    def classes(self) -> list[ClassRecord]:
        """All card classes, by number; there is always the standard one."""
        return self._records(ClassRecord, "card_classes", "ORDER BY class_id")

    def put_class(self, record: ClassRecord) -> None:
        """Add or change a card class."""
        self._put("card_classes", "class_id", record)

    def delete_class(self, class_id: int) -> None:
        """A class that no card has any more, and its terms in meals."""
        self._store.execute("DELETE FROM class_meals WHERE class_id = ?", (class_id,))
        self._store.execute("DELETE FROM card_classes WHERE class_id = ?", (class_id,))

    def cards_in_class(self, class_id: int) -> int:
        """How many cards have been given a class."""
        return int(self._store.execute("SELECT count(*) FROM cards WHERE class_id = ?", (class_id,))[0][0])

    # --- meal periods

    def meals(self) -> list[MealRecord]:
        """All meal periods, by their start."""
        return self._records(MealRecord, "meal_periods", "ORDER BY start_minute, meal_id")

    def put_meal(self, record: MealRecord) -> None:
        """Add or change a meal period."""
        self._put("meal_periods", "meal_id", record)

    def delete_meal(self, meal_id: int) -> None:
        """Without the terms of classes in it."""
        self._store.execute("DELETE FROM class_meals WHERE meal_id = ?", (meal_id,))
        self._store.execute("DELETE FROM meal_periods WHERE meal_id = ?", (meal_id,))

    def class_meals(self) -> list[ClassMealRecord]:
        """The terms of all classes in all meals."""
        return self._records(ClassMealRecord, "class_meals", "ORDER BY class_id, meal_id")

    def put_class_meal(self, record: ClassMealRecord) -> None:
        """Set the terms of a class in a meal."""
        self._put("class_meals", "class_id, meal_id", record)

    def delete_class_meal(self, class_id: int, meal_id: int) -> None:
        """No terms of its own in this meal any more."""
        self._store.execute("DELETE FROM class_meals WHERE class_id = ? AND meal_id = ?", (class_id, meal_id))

    # --- bonus tiers and points

    def bonus_tiers(self) -> list[BonusRecord]:
        """All tiers, by merchant and threshold."""
        return self._records(BonusRecord, "bonus_tiers", "ORDER BY merchant_id, threshold_fen")

    def put_bonus_tier(self, record: BonusRecord) -> None:
        """Add or change a tier."""
        self._put("bonus_tiers", "merchant_id, threshold_fen", record)

    def delete_bonus_tier(self, merchant_id: int, threshold_fen: int) -> None:
        """No bonus from this amount on."""
        self._store.execute(
            "DELETE FROM bonus_tiers WHERE merchant_id = ? AND threshold_fen = ?", (merchant_id, threshold_fen)
        )

    def points_rates(self) -> list[PointsRecord]:
        """All rates, by merchant."""
        return self._records(PointsRecord, "points_rates", "ORDER BY merchant_id")

    def put_points_rate(self, record: PointsRecord) -> None:
        """Set a merchant's rate."""
        self._put("points_rates", "merchant_id", record)

    def delete_points_rate(self, merchant_id: int) -> None:
        """The rate of all merchants counts for this one."""
        self._store.execute("DELETE FROM points_rates WHERE merchant_id = ?", (merchant_id,))

    # --- products

    def products(self, merchant_id: int, *, after: str, limit: int) -> list[ProductRecord]:
        """Up to `limit` products of a merchant with codes above `after`, in order."""
        return self._records(
            ProductRecord,
            "products",
            "WHERE merchant_id = ? AND code > ? ORDER BY code LIMIT ?",
            merchant_id,
            after,
            limit,
        )

    def find_product(self, merchant_id: int, code: str) -> ProductRecord | None:
        """One product, by the code that a cashier keys."""
        found = self._records(ProductRecord, "products", "WHERE merchant_id = ? AND code = ?", merchant_id, code)
        return found[0] if found else None

    def put_product(self, record: ProductRecord) -> None:
        """Add a product, or change its name and price."""
        self._put("products", "merchant_id, code", record)

    def delete_product(self, merchant_id: int, code: str) -> None:
        """No longer sold."""
        self._store.execute("DELETE FROM products WHERE merchant_id = ? AND code = ?", (merchant_id, code))
