"""`fanka admin card terms|class|meal-limit|bind|unbind|pin...`: on which terms a card pays."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Any, Final

from cyclopts import App

from tools.listing import Column, limit, print_row
from tools.options import AsJson, Data, Yuan, admin_channel, to_fen

STDIN_PIN_MAX: Final = 64


def pin_state(row: dict[str, Any]) -> str:
    """Whether there is a PIN, and how often it was keyed wrongly."""
    if not row["has_pin"]:
        return "none"
    return f"set, {row['pin_tries']} wrong" if row["pin_tries"] else "set"


def places(row: dict[str, Any]) -> str:
    """Where a card pays."""
    return ", ".join(map(str, row["merchants"])) if row["is_bound"] else "all"


TERMS_COLUMNS: Final = (
    Column("card", "uid"),
    Column("class", "class_id"),
    Column("per meal", "meal_limit_fen", limit),
    Column("PIN", "pin"),
    Column("merchants", "places"),
)


def add_commands(card_app: App) -> None:
    """The commands of this module, below `fanka admin card`."""
    for name, command in (
        ("terms", show_terms),
        ("class", set_class),
        ("meal-limit", set_meal_limit),
        ("bind", bind_card),
        ("unbind", unbind_card),
        ("pin", set_pin),
        ("pin-reset", reset_pin),
        ("pin-unlock", unlock_pin),
    ):
        card_app.command(command, name=name)


def show_terms(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """A card's class, limit per meal, PIN and merchants."""
    _call(data, json, "show", uid)


def set_class(uid: str, number: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """Put a card into a class.

    Parameters
    ----------
    number
        Of the class, as `class list` has it.
    """
    _call(data, json, "set_class", uid, class_id=number)


def set_meal_limit(uid: str, amount: Yuan, /, *, data: Data = None, json: AsJson = False) -> None:
    """Set a card's own limit per meal.

    Parameters
    ----------
    amount
        Yuan; 0 = the limit of its class.
    """
    from tools.faults import explained

    with explained():
        limit_fen = to_fen(amount)
    _call(data, json, "meal_limit", uid, limit_fen=limit_fen)


def bind_card(uid: str, merchant: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """Let a card pay at this merchant, and nowhere it is not bound to (绑定商户)."""
    _call(data, json, "bind", uid, merchant_id=merchant)


def unbind_card(uid: str, merchant: int = 0, /, *, data: Data = None, json: AsJson = False) -> None:
    """Undo a binding (解锁商户).

    Parameters
    ----------
    merchant
        Only this one; left out, the card pays everywhere again.
    """
    _call(data, json, "unbind", uid, merchant_id=merchant)


def set_pin(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Give a card a PIN of 4 to 12 digits: asked for twice, or read as one line when the input is no keyboard."""
    from tools.faults import explained

    with explained():
        pin = _read_pin()
    _call(data, json, "set_pin", uid, pin=pin)


def _read_pin() -> str:
    """Never from the command line, where every user of the machine could read it."""
    from tools.faults import InputError

    if not sys.stdin.isatty():
        return sys.stdin.readline(STDIN_PIN_MAX).rstrip("\n")
    pin = getpass.getpass("PIN: ")
    if getpass.getpass("PIN again: ") != pin:
        raise InputError("PIN: expected the same twice, got two that differ")
    return pin


def reset_pin(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Take a card's PIN away (重置密码); the holder sets another."""
    _call(data, json, "reset_pin", uid)


def unlock_pin(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """End the lock after too many wrong PINs; the PIN stays."""
    _call(data, json, "unlock_pin", uid)


def _call(data: Path | None, as_json: bool, operation: str, uid: str, **arguments: Any) -> None:
    with admin_channel(data) as admin:
        terms = admin.call(f"card_terms.{operation}", uid=uid, **arguments)
    row = terms if as_json else {**terms, "pin": pin_state(terms), "places": places(terms)}
    print_row(row, TERMS_COLUMNS, as_json=as_json)
