"""`fanka admin operator`: tellers and the supervisor of a merchant, and the password for top-ups."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cyclopts import App

from tools.listing import Column, print_done, print_rows
from tools.options import AsJson, Data, admin_channel

operator_app = App(name="operator", help="Operators (操作员): tellers, passwords.", sort_key=6)

RECHARGE_WORD: Final = "recharge"


def yes(value: bool) -> str:
    """A flag as a cell."""
    return "yes" if value else ""


OPERATOR_COLUMNS: Final = (
    Column("operator", "operator"),
    Column("role", "role"),
    Column("name", "name"),
    Column("password", "password"),
    Column("wrong tries", "tries"),
    Column("locked", "locked", yes),
)


@operator_app.command(name="add")
def add_operator(merchant: int, operator: int, name: str = "", /, *, data: Data = None, json: AsJson = False) -> None:
    """Add a teller; the factory password 0000 must be changed at the first sign-on.

    Parameters
    ----------
    merchant
        Number of the merchant.
    operator
        The teller's number, 1..99.
    name
        At most 8 Chinese characters.
    """
    with admin_channel(data) as admin:
        added = admin.call("operator.add", merchant_id=merchant, operator=operator, name=name)
    sentence = f"operator {added['operator']} of merchant {merchant}: first password 0000, to be changed at first use"
    print_done(added, sentence, as_json=json)


@operator_app.command(name="rename")
def rename_operator(merchant: int, operator: int, name: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Give an operator another name."""
    with admin_channel(data) as admin:
        changed = admin.call("operator.rename", merchant_id=merchant, operator=operator, name=name)
    print_done(changed, f"operator {changed['operator']} of merchant {merchant}: {changed['name']}", as_json=json)


@operator_app.command(name="delete")
def delete_operator(merchant: int, operator: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """A teller leaves; what it sold keeps its number."""
    with admin_channel(data) as admin:
        deleted = admin.call("operator.delete", merchant_id=merchant, operator=operator)
    print_done(deleted, f"operator {deleted['operator']} of merchant {merchant}: deleted", as_json=json)


@operator_app.command(name="reset")
def reset_operator(merchant: int, operator: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Put the factory password back, to be changed at its next use; ends a lock.

    Parameters
    ----------
    operator
        An operator's number, 00 for the supervisor, or `recharge` for the password of top-ups.
    """
    _change(data, json, "operator.reset", merchant, operator, "factory password, to be changed at its next use")


@operator_app.command(name="unlock")
def unlock_operator(merchant: int, operator: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """End the lock after too many wrong passwords; the password stays.

    Parameters
    ----------
    operator
        As for reset.
    """
    _change(data, json, "operator.unlock", merchant, operator, "unlocked")


def _change(data: Path | None, as_json: bool, operation: str, merchant: int, operator: str, done: str) -> None:
    with admin_channel(data) as admin:
        changed = admin.call(operation, merchant_id=merchant, operator=to_operator(operator))
    print_done(changed, f"operator {changed['operator']} of merchant {merchant}: {done}", as_json=as_json)


def to_operator(text: str) -> int:
    """An operator's number, or that of the password for top-ups. InputError if it is neither."""
    from server.ledger.operators import RECHARGE
    from tools.faults import InputError

    if text == RECHARGE_WORD:
        return RECHARGE
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"operator: expected a number like 01 or the word {RECHARGE_WORD}, got {text[:20]!r}")
    return int(text)


@operator_app.command(name="list")
def list_operators(merchant: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """All operators of a merchant, and the state of their passwords."""
    with admin_channel(data) as admin:
        found = admin.call("operator.listing", merchant_id=merchant)
    print_rows(found, OPERATOR_COLUMNS, as_json=json, nothing=f"no operators: fanka admin operator add {merchant} 1")
