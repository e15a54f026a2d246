"""Meal periods (餐次): when breakfast, lunch and dinner are, in minutes of the campus's local day."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from server.ledger.catalogue import MealRecord
from server.operations.desk import AdminError, Desk, Fields, check_number, check_text, describe

MEALS_MAX: Final = 8
"""As many as the parameters of a terminal carry."""
MEAL_NAME_BYTES_MAX: Final = 24
"""Parameters carry the name in a field of this size, UTF-8: 8 Chinese characters, an LCD line."""
DAY_MINUTES: Final = 24 * 60


class Meals:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("set", "delete", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set(self, meal_id: int, name: str, start_minute: int, end_minute: int) -> Fields:
        """Add or change a meal. Its end is not part of it; an end before the start is on the next day."""
        check_number("meal", meal_id, 1, MEALS_MAX)
        check_number("start", start_minute, 0, DAY_MINUTES - 1)
        check_number("end", end_minute, 0, DAY_MINUTES)
        if start_minute == end_minute:
            raise AdminError(f"meal: expected an end other than its start, got both at {show_minute(start_minute)}")
        record = MealRecord(
            meal_id, check_text("meal name", name, bytes_max=MEAL_NAME_BYTES_MAX), start_minute, end_minute
        )
        others = [meal for meal in self._desk.catalogue.meals() if meal.meal_id != meal_id]
        for other in others:
            if other.name == record.name:
                raise AdminError(f"meal name: expected one not in use, got {name!r}, which is meal {other.meal_id}")
            if _minutes(other) & _minutes(record):
                raise AdminError(
                    f"meal {meal_id}: expected a time when no other is, got {_told(record)}, and meal {other.meal_id}"
                    f" is {_told(other)}"
                )
        old = self._found(meal_id)
        with self._desk.transaction():
            self._desk.catalogue.put_meal(record)
            self._desk.note(f"meal {meal_id}", _told(old), _told(record))
        return _fields(record)

    def delete(self, meal_id: int) -> Fields:
        """No such meal any more; the discounts of classes in it go with it."""
        old = self._found(meal_id)
        if old is None:
            raise AdminError(f"meal: expected the number of a meal, got {meal_id}; see `fanka admin meal list`")
        with self._desk.transaction():
            for terms in self._desk.catalogue.class_meals():
                if terms.meal_id == meal_id:
                    self._desk.note(
                        f"class {terms.class_id} in meal {meal_id}", describe(terms, "class_id", "meal_id"), ""
                    )
            self._desk.catalogue.delete_meal(meal_id)
            self._desk.note(f"meal {meal_id}", _told(old), "")
        return _fields(old)

    def listing(self) -> list[Fields]:
        """All meals, by their start."""
        return [_fields(record) for record in self._desk.catalogue.meals()]

    def _found(self, meal_id: int) -> MealRecord | None:
        return next((meal for meal in self._desk.catalogue.meals() if meal.meal_id == meal_id), None)


def show_minute(minute: int) -> str:
    """A minute of the day as people write it."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _minutes(meal: MealRecord) -> set[int]:
    if meal.start_minute < meal.end_minute:
        return set(range(meal.start_minute, meal.end_minute))
    return {*range(meal.start_minute, DAY_MINUTES), *range(meal.end_minute)}


def _told(meal: MealRecord | None) -> str:
    return f"{meal.name} {show_minute(meal.start_minute)}-{show_minute(meal.end_minute)}" if meal is not None else ""


def _fields(record: MealRecord) -> Fields:
    times = {"start": show_minute(record.start_minute), "end": show_minute(record.end_minute)}
    return {**msgspec.structs.asdict(record), **times}
