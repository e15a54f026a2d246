"""Card classes (students, staff, guests): their limits, and what they get off in each meal."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from server.ledger.catalogue import ANY_TIME, STANDARD_CLASS, ClassMealRecord, ClassRecord
from server.operations.desk import AdminError, Desk, Fields, check_fen, check_number, check_text, describe

CLASSES_MAX: Final = 255
"""More than a campus can explain to its cashiers."""
CLASS_NAME_MAX: Final = 32
UNCHANGED: Final = -1


class CardClasses:
    """See the module's docstring. Class 0 is that of every card which was given no other."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("add", "change", "delete", "discount", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, name: str, sale_limit_fen: int = 0, meal_limit_fen: int = 0, day_limit_fen: int = 0) -> Fields:
        """A new class; a limit of 0 is the host's default."""
        name = self._free_name(name, UNCHANGED)
        class_id = max(found.class_id for found in self._desk.catalogue.classes()) + 1
        if class_id > CLASSES_MAX:
            raise AdminError(f"card class: expected at most {CLASSES_MAX}, got one more; change one instead")
        record = _checked(ClassRecord(class_id, name, sale_limit_fen, meal_limit_fen, day_limit_fen))
        with self._desk.transaction():
            self._desk.catalogue.put_class(record)
            self._desk.note(f"class {class_id}", "", describe(record, "class_id"))
        return self._shown(class_id)

    def change(
        self,
        class_id: int,
        name: str = "",
        sale_limit_fen: int = UNCHANGED,
        meal_limit_fen: int = UNCHANGED,
        day_limit_fen: int = UNCHANGED,
    ) -> Fields:
        """Another name or other limits; an empty name and -1 leave what is there."""
        old = self._known(class_id)
        limits = {
            "sale_limit_fen": sale_limit_fen,
            "meal_limit_fen": meal_limit_fen,
            "day_limit_fen": day_limit_fen,
        }
        wanted = {field: value for field, value in limits.items() if value != UNCHANGED}
        new_name = self._free_name(name, class_id) if name else old.name
        record = _checked(msgspec.structs.replace(old, name=new_name, **wanted))
        with self._desk.transaction():
            self._desk.catalogue.put_class(record)
            self._desk.note(f"class {class_id}", describe(old, "class_id"), describe(record, "class_id"))
        return self._shown(class_id)

    def delete(self, class_id: int) -> Fields:
        """Give a class up; no card may be in it."""
        old = self._known(class_id)
        if class_id == STANDARD_CLASS:
            raise AdminError("card class: expected any but 0, which every card has that was given no other")
        cards = self._desk.catalogue.cards_in_class(class_id)
        if cards:
            raise AdminError(
                f"card class {class_id}: expected no card in it, got {cards}; give them another class first"
            )
        shown = self._shown(class_id)
        with self._desk.transaction():
            self._desk.catalogue.delete_class(class_id)
            self._desk.note(f"class {class_id}", describe(old, "class_id"), "")
        return shown

    def discount(self, class_id: int, meal_id: int, percent: int | None = None) -> Fields:
        """What a class gets off in a meal, in percent; meal 0 = at every time without terms of its own; None = no terms
        of its own."""
        self._known(class_id)
        if meal_id != ANY_TIME and meal_id not in {meal.meal_id for meal in self._desk.catalogue.meals()}:
            raise AdminError(
                f"meal: expected 0 for any time or the number of a meal, got {meal_id}; see `fanka admin meal list`"
            )
        old = next(
            (
                terms
                for terms in self._desk.catalogue.class_meals()
                if (terms.class_id, terms.meal_id) == (class_id, meal_id)
            ),
            None,
        )
        new = None
        if percent is not None:
            new = ClassMealRecord(class_id, meal_id, check_number("discount", percent, 0, 100))
        with self._desk.transaction():
            if new is not None:
                self._desk.catalogue.put_class_meal(new)
            else:
                self._desk.catalogue.delete_class_meal(class_id, meal_id)
            keys = ("class_id", "meal_id")
            self._desk.note(f"class {class_id} in meal {meal_id}", describe(old, *keys), describe(new, *keys))
        return self._shown(class_id)

    def listing(self) -> list[Fields]:
        """All classes, each with its terms by meal."""
        terms = self._desk.catalogue.class_meals()
        return [
            {
                **msgspec.structs.asdict(record),
                "discounts": {
                    str(found.meal_id): found.discount_percent for found in terms if found.class_id == record.class_id
                },
            }
            for record in self._desk.catalogue.classes()
        ]

    def _known(self, class_id: int) -> ClassRecord:
        for found in self._desk.catalogue.classes():
            if found.class_id == class_id:
                return found
        raise AdminError(
            f"card class: expected the number of a class, got {class_id}, which none has; see `fanka admin class list`"
        )

    def _free_name(self, name: str, own_id: int) -> str:
        name = check_text("class name", name, characters_max=CLASS_NAME_MAX)
        for other in self._desk.catalogue.classes():
            if other.name == name and other.class_id != own_id:
                raise AdminError(f"class name: expected one not in use, got {name!r}, which is class {other.class_id}")
        return name

    def _shown(self, class_id: int) -> Fields:
        return next(fields for fields in self.listing() if fields["class_id"] == class_id)


def _checked(record: ClassRecord) -> ClassRecord:
    check_fen("sale limit", record.sale_limit_fen)
    check_fen("meal limit", record.meal_limit_fen)
    check_fen("day limit", record.day_limit_fen)
    return record
