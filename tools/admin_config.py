"""`fanka admin class|meal|bonus|points|history`: on which terms the campus sells. Amounts in yuan."""

from __future__ import annotations

import re
from typing import Annotated, Final

from cyclopts import App, Parameter

from tools.listing import Column, limit, moment, print_done, print_row, print_rows, yuan
from tools.options import AsJson, Data, Yuan, admin_channel, all_rows, to_fen, zone_of

class_app = App(name="class", help="Card classes: limits, discounts by meal.", sort_key=4)
meal_app = App(name="meal", help="Meal periods (餐次).", sort_key=4)
bonus_app = App(name="bonus", help="Bonus tiers of top-ups (充值赠送).", sort_key=4)
points_app = App(name="points", help="Points rates (积分).", sort_key=4)

ANY_TIME: Final = "0"

# ------------------------------------------------------------------------------------------------- classes


def discounts(value: dict[str, int]) -> str:
    """Percent off by meal, as a cell."""
    return ", ".join(f"{'any time' if meal == ANY_TIME else f'meal {meal}'} {off} %" for meal, off in value.items())


CLASS_COLUMNS: Final = (
    Column("number", "class_id"),
    Column("name", "name"),
    Column("per sale", "sale_limit_fen", limit),
    Column("per meal", "meal_limit_fen", limit),
    Column("per day", "day_limit_fen", limit),
    Column("discounts", "discounts", discounts),
)


SaleLimit = Annotated[Yuan | None, Parameter(help="Yuan per sale; 0 = the host's default.")]
MealLimit = Annotated[Yuan | None, Parameter(help="Yuan per meal; 0 = the host's default.")]
DayLimit = Annotated[Yuan | None, Parameter(help="Yuan per business day; 0 = the host's default.")]


def _limits(sale: str | None, meal: str | None, day: str | None) -> dict[str, int]:
    given = {"sale_limit_fen": sale, "meal_limit_fen": meal, "day_limit_fen": day}
    return {field: to_fen(text) for field, text in given.items() if text is not None}


@class_app.command(name="add")
def add_class(
    name: str,
    /,
    *,
    sale_limit: SaleLimit = None,
    meal_limit: MealLimit = None,
    day_limit: DayLimit = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Add a class of cards; `card class` puts a card into it."""
    with admin_channel(data) as admin:
        added = admin.call("class.add", name=name, **_limits(sale_limit, meal_limit, day_limit))
    print_done(added, f"class {added['class_id']}: {added['name']}", as_json=json)


@class_app.command(name="change")
def change_class(
    number: int,
    /,
    *,
    name: str = "",
    sale_limit: SaleLimit = None,
    meal_limit: MealLimit = None,
    day_limit: DayLimit = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give a class another name or other limits; what is left out stays."""
    with admin_channel(data) as admin:
        changed = admin.call("class.change", class_id=number, name=name, **_limits(sale_limit, meal_limit, day_limit))
    print_row(changed, CLASS_COLUMNS, as_json=json)


@class_app.command(name="delete")
def delete_class(number: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """Give up a class that no card is in."""
    with admin_channel(data) as admin:
        deleted = admin.call("class.delete", class_id=number)
    print_done(deleted, f"class {number}: {deleted['name']}: deleted", as_json=json)


@class_app.command(name="discount")
def set_discount(
    number: int,
    percent: int | None = None,
    /,
    *,
    meal: int = 0,
    remove: bool = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Set what a class gets off in a meal.

    Parameters
    ----------
    percent
        0..100.
    meal
        Number of the meal; left out, for every time without a discount of its own.
    remove
        No discount of its own in this meal any more.
    """
    from tools.faults import InputError, explained

    with explained():
        if (percent is None) != remove:
            raise InputError("class discount: expected either a percentage or --remove")
    with admin_channel(data) as admin:
        changed = admin.call("class.discount", class_id=number, meal_id=meal, percent=percent)
    print_row(changed, CLASS_COLUMNS, as_json=json)


@class_app.command(name="list")
def list_classes(*, data: Data = None, json: AsJson = False) -> None:
    """All card classes."""
    with admin_channel(data) as admin:
        found = admin.call("class.listing")
    print_rows(found, CLASS_COLUMNS, as_json=json, nothing="")


# --------------------------------------------------------------------------------------------------- meals

MEAL_COLUMNS: Final = (
    Column("number", "meal_id"),
    Column("name", "name"),
    Column("from", "start"),
    Column("to", "end"),
)
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)


def to_minute(text: str) -> int:
    """`11:30` as a minute of the day; 24:00 is its end. InputError if it is none."""
    from tools.faults import InputError

    match = _TIME.fullmatch(text)
    minute = int(match[1]) * 60 + int(match[2]) if match is not None else -1
    if match is None or int(match[2]) > 59 or minute > 24 * 60:
        raise InputError(f"time: expected HH:MM like 11:30, up to 24:00, got {text[:20]!r}")
    return minute


@meal_app.command(name="set")
def set_meal(number: int, name: str, start: str, end: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Add or change a meal period.

    Parameters
    ----------
    number
        1..8.
    name
        As terminals and slips show it; at most 8 Chinese characters.
    start
        HH:MM of local time.
    end
        HH:MM, not part of the meal; before the start, it is on the next day.
    """
    with admin_channel(data) as admin:
        changed = admin.call(
            "meal.set", meal_id=number, name=name, start_minute=to_minute(start), end_minute=to_minute(end)
        )
    print_done(changed, f"meal {number}: {changed['name']} {changed['start']}-{changed['end']}", as_json=json)


@meal_app.command(name="delete")
def delete_meal(number: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """Take a meal period away, with the discounts in it."""
    with admin_channel(data) as admin:
        deleted = admin.call("meal.delete", meal_id=number)
    print_done(deleted, f"meal {number}: {deleted['name']}: deleted", as_json=json)


@meal_app.command(name="list")
def list_meals(*, data: Data = None, json: AsJson = False) -> None:
    """All meal periods, by their start."""
    with admin_channel(data) as admin:
        found = admin.call("meal.listing")
    print_rows(found, MEAL_COLUMNS, as_json=json, nothing="no meals yet: fanka admin meal set 1 早餐 6:30 9:00")


# -------------------------------------------------------------------------------------------- bonus, points


def merchant(value: int) -> str:
    """A merchant's number as a cell."""
    return str(value) if value else "all"


BONUS_COLUMNS: Final = (
    Column("merchant", "merchant_id", merchant),
    Column("from", "threshold_fen", yuan),
    Column("bonus", "bonus_fen", yuan),
)
POINTS_COLUMNS: Final = (
    Column("merchant", "merchant_id", merchant),
    Column("spent for a point", "fen_per_point", yuan),
)


@bonus_app.command(name="set")
def set_bonus(threshold: Yuan, bonus: Yuan, /, *, merchant: int = 0, data: Data = None, json: AsJson = False) -> None:
    """Credit a bonus with every top-up from an amount on: `bonus set 100 10` is 100 送 10. The highest tier counts.

    Parameters
    ----------
    threshold
        Yuan.
    bonus
        Yuan.
    merchant
        For this merchant, which then has only tiers of its own; left out, for all without any.
    """
    with admin_channel(data) as admin:
        changed = admin.call(
            "bonus.set", threshold_fen=to_fen(threshold), bonus_fen=to_fen(bonus), merchant_id=merchant
        )
    print_row(changed, BONUS_COLUMNS, as_json=json)


@bonus_app.command(name="delete")
def delete_bonus(threshold: Yuan, /, *, merchant: int = 0, data: Data = None, json: AsJson = False) -> None:
    """Take a tier away.

    Parameters
    ----------
    threshold
        Yuan.
    merchant
        Of this merchant; left out, of all.
    """
    with admin_channel(data) as admin:
        deleted = admin.call("bonus.delete", threshold_fen=to_fen(threshold), merchant_id=merchant)
    print_done(deleted, f"bonus from {yuan(deleted['threshold_fen'])}: deleted", as_json=json)


@bonus_app.command(name="list")
def list_bonus(*, data: Data = None, json: AsJson = False) -> None:
    """All bonus tiers."""
    with admin_channel(data) as admin:
        found = admin.call("bonus.listing")
    print_rows(found, BONUS_COLUMNS, as_json=json, nothing="no bonus yet: fanka admin bonus set 100 10")


@points_app.command(name="set")
def set_points(spent: Yuan, /, *, merchant: int = 0, data: Data = None, json: AsJson = False) -> None:
    """Give a point for each so many yuan spent.

    Parameters
    ----------
    spent
        Yuan for one point; 0 = none are earned.
    merchant
        At this merchant; left out, at all without a rate of their own.
    """
    with admin_channel(data) as admin:
        changed = admin.call("points.set", fen_per_point=to_fen(spent), merchant_id=merchant)
    print_row(changed, POINTS_COLUMNS, as_json=json)


@points_app.command(name="delete")
def delete_points(*, merchant: int = 0, data: Data = None, json: AsJson = False) -> None:
    """Take a rate away.

    Parameters
    ----------
    merchant
        Of this merchant; left out, of all.
    """
    with admin_channel(data) as admin:
        deleted = admin.call("points.delete", merchant_id=merchant)
    print_done(deleted, "points: rate deleted", as_json=json)


@points_app.command(name="list")
def list_points(*, data: Data = None, json: AsJson = False) -> None:
    """All points rates."""
    with admin_channel(data) as admin:
        found = admin.call("points.listing")
    print_rows(found, POINTS_COLUMNS, as_json=json, nothing="no points yet: fanka admin points set 1")


# ------------------------------------------------------------------------------------------------- history

CHANGE_COLUMNS: Final = (
    Column("number", "number"),
    Column("time", "at_ms", moment),
    Column("who", "who"),
    Column("what", "what"),
    Column("from", "old"),
    Column("to", "new"),
)


def show_history(what: str = "", /, *, limit: int = 50, data: Data = None, json: AsJson = False) -> None:
    """Who changed what of the configuration, newest first.

    Parameters
    ----------
    what
        Only of what begins so, like "meal" or "class 1".
    limit
        At most so many; 0 = all.
    """
    with admin_channel(data) as admin:
        found = all_rows(admin, "history.listing", "number", limit=limit, going="before", what=what)
    print_rows(found, CHANGE_COLUMNS, as_json=json, nothing="nothing was changed yet", zone=zone_of(data))
