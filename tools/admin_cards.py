"""`fanka admin card` and `fanka admin account`: who pays, with what, and how much is there. Amounts in yuan."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from cyclopts import App

from tools.listing import Column, console, figure, limit, moment, print_done, print_json, print_rows, yuan
from tools.options import AsJson, Data, Yuan, admin_channel, all_rows, to_fen, zone_of

card_app = App(name="card", help="Cards: issue, freeze, report lost, replace; class, PIN, merchants.", sort_key=2)
account_app = App(name="account", help="Accounts: balance, history, top-up, correction.", sort_key=3)

CARD_COLUMNS: Final = (
    Column("card", "uid"),
    Column("status", "status"),
    Column("student number", "student_number"),
    Column("name", "name"),
    Column("balance", "balance_fen", yuan),
    Column("per sale", "sale_limit_fen", limit),
    Column("per day", "day_limit_fen", limit),
)
ACCOUNT_COLUMNS: Final = (
    Column("account", "account_id"),
    Column("student number", "student_number"),
    Column("name", "name"),
    Column("balance", "balance_fen", yuan),
    Column("spent today", "spent_today_fen", yuan),
)
SHOWN_COLUMNS: Final = (*ACCOUNT_COLUMNS, Column("held", "held_fen", yuan), Column("points", "points", figure))
"""Of one account. Points below zero are owed."""
ENTRY_COLUMNS: Final = (
    Column("RRN", "rrn"),
    Column("time", "posted_at_ms", moment),
    Column("kind", "kind"),
    Column("amount", "amount_fen", yuan),
    Column("balance", "balance_fen", yuan),
    Column("terminal batch/STAN", "where"),
)
CONSOLE: Final = "0-0"
"""The terminal number of what was booked in the office; batch and STAN are then those of a request."""

# --------------------------------------------------------------------------------------------------- cards


@card_app.command(name="issue")
def issue_card(
    uid: str,
    student_number: str,
    name: str = "",
    /,
    *,
    sale_limit: Yuan | None = None,
    day_limit: Yuan | None = None,
    reissue: bool = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give a customer a card; opens the account if the student number is new.

    Parameters
    ----------
    uid
        The card's number in hex, as a reader shows it.
    student_number
        学工号.
    name
        Needed for a new customer.
    sale_limit
        Yuan per sale for this card; default and 0 = the host's default.
    day_limit
        Yuan per day for this card; default and 0 = the host's default.
    reissue
        Take a card that was closed before.
    """
    limits = {"sale_limit_fen": sale_limit, "day_limit_fen": day_limit}
    with admin_channel(data) as admin:
        issued = admin.call(
            "card.issue",
            uid=uid,
            student_number=student_number,
            name=name,
            reissue=reissue,
            **{field: to_fen(text) for field, text in limits.items() if text is not None},
        )
    _show_card(issued, json)


@card_app.command(name="issue-virtual")
def issue_virtual(student_number: str, name: str = "", /, *, data: Data = None, json: AsJson = False) -> None:
    """Give a customer a virtual card, whose codes change: `fanka card show` shows them. One that has one keeps it.

    Parameters
    ----------
    student_number
        学工号.
    name
        Needed for a new customer.
    """
    with admin_channel(data) as admin:
        issued = admin.call("virtual_card.issue", student_number=student_number, name=name)
    holder = f"{issued['student_number']} {issued['name']}"
    print_done(issued, f"virtual card {issued['number']}: {issued['status']}, {holder}", as_json=json)


@card_app.command(name="list")
def list_cards(*, student_number: str = "", limit: int = 0, data: Data = None, json: AsJson = False) -> None:
    """Cards by number.

    Parameters
    ----------
    student_number
        Only this customer's.
    limit
        At most so many; 0 = all.
    """
    with admin_channel(data) as admin:
        if student_number:
            found = admin.call("card.listing", student_number=student_number)
        else:
            found = all_rows(admin, "card.listing", "uid", limit=limit)
    print_rows(found, CARD_COLUMNS, as_json=json, nothing="no cards yet: fanka admin card issue, or import")


@card_app.command(name="show")
def show_card(uid: str, /, *, entries: int = 10, data: Data = None, json: AsJson = False) -> None:
    """One card, its account and the newest movements.

    Parameters
    ----------
    entries
        How many movements.
    """
    with admin_channel(data) as admin:
        card = admin.call("card.show", uid=uid)
        account = admin.call("account.show", who=f"#{card['account_id']}", entries=entries)
    if json:
        print_json({"card": card, "account": account})
        return
    print_rows([card], CARD_COLUMNS, as_json=False, nothing="")
    _show_entries(account, zone_of(data))


@card_app.command(name="freeze")
def freeze_card(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Stop a card for a while."""
    _change_card(data, json, "card.freeze", uid=uid)


@card_app.command(name="unfreeze")
def unfreeze_card(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """End a freeze."""
    _change_card(data, json, "card.unfreeze", uid=uid)


@card_app.command(name="lost")
def report_lost(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """The holder has lost the card (挂失): nobody pays with it from now on."""
    _change_card(data, json, "card.lost", uid=uid)


@card_app.command(name="found")
def cancel_loss(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """The holder has found the card again (解挂)."""
    _change_card(data, json, "card.found", uid=uid)


@card_app.command(name="close")
def close_card(uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Withdraw a card for good; the account and its money stay."""
    _change_card(data, json, "card.close", uid=uid)


@card_app.command(name="replace")
def replace_card(uid: str, new_uid: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Close a card and give its holder a new one on the same account (补卡)."""
    _change_card(data, json, "card.replace", uid=uid, new_uid=new_uid)


@card_app.command(name="limit")
def limit_card(
    uid: str, /, *, sale: Yuan | None = None, day: Yuan | None = None, data: Data = None, json: AsJson = False
) -> None:
    """Set a card's own limits.

    Parameters
    ----------
    sale
        Yuan per sale; 0 = the host's default.
    day
        Yuan per business day; 0 = the host's default.
    """
    limits = {f"{which}_limit_fen": text for which, text in (("sale", sale), ("day", day)) if text is not None}
    with admin_channel(data) as admin:
        changed = admin.call("card.limit", uid=uid, **{field: to_fen(text) for field, text in limits.items()})
    _show_card(changed, json)


def _change_card(data: Path | None, as_json: bool, operation: str, **arguments: str) -> None:
    with admin_channel(data) as admin:
        changed = admin.call(operation, **arguments)
    _show_card(changed, as_json)


def _show_card(card: dict[str, Any], as_json: bool) -> None:
    sentence = (
        f"card {card['uid']}: {card['status']}, {card['student_number']} {card['name']},"
        f" balance {yuan(card['balance_fen'])}"
    )
    print_done(card, sentence, as_json=as_json)


# ------------------------------------------------------------------------------------------------ accounts


@account_app.command(name="topup")
def top_up(student_number: str, amount: Yuan, /, *, request: str = "", data: Data = None, json: AsJson = False) -> None:
    """Pay money into an account.

    Parameters
    ----------
    student_number
        学工号, or the account number as #1000001.
    amount
        Yuan.
    request
        BATCH-LINE, two numbers of your own that name this payment: repeated with the same ones it posts only once.
        Left out, fresh ones are made and shown.
    """
    _adjust(data, json, "account.topup", student_number, amount, request)


@account_app.command(name="correct")
def correct(
    student_number: str, amount: Yuan, /, *, request: str = "", data: Data = None, json: AsJson = False
) -> None:
    """Move a balance up, or with a minus down, but not below zero. A new entry, never a changed one.

    Parameters
    ----------
    student_number
        学工号, or the account number as #1000001.
    amount
        Yuan, like 5.00 or -5.00.
    request
        As for topup.
    """
    _adjust(data, json, "account.correct", student_number, amount, request)


def _adjust(data: Path | None, as_json: bool, operation: str, who: str, amount: str, request: str) -> None:
    with admin_channel(data) as admin:
        batch, line = _request_numbers(request)
        amount_fen = to_fen(amount)
        with _repeatable(f"{batch}-{line}"):
            done = admin.call(operation, who=who, amount_fen=amount_fen, batch=batch, line=line)
    again = ", posted before and not again" if done["repeated"] else ""
    sentence = (
        f"{done['student_number']} {done['name']}: {yuan(done['amount_fen'])}, balance {yuan(done['balance_fen'])},"
        f" RRN {done['rrn']}, request {done['request']}{again}"
    )
    print_done(done, sentence, as_json=as_json)


@contextmanager
def _repeatable(request: str) -> Iterator[None]:
    """Whatever keeps the answer away, the operator is told how to ask again without paying twice."""
    from tools.admin_client import AnswerLost

    again = f"repeat with --request {request}, which posts only once"
    try:
        yield
    except AnswerLost as error:
        raise AnswerLost(f"{error}: {again}") from None
    except KeyboardInterrupt:
        raise AnswerLost(f"interrupted: it may or may not be done: {again}") from None


def _request_numbers(request: str) -> tuple[int, int]:
    """The two numbers of a request, or fresh ones. So many are possible that a chance repeat is never met."""
    from server.operations.desk import FIRST_REQUEST_BATCH, REQUEST_NUMBER_MAX
    from tools.faults import InputError

    if not request:
        span = REQUEST_NUMBER_MAX - FIRST_REQUEST_BATCH
        return FIRST_REQUEST_BATCH + secrets.randbelow(span), 1 + secrets.randbelow(REQUEST_NUMBER_MAX)
    batch, _, line = request.partition("-")
    if not (batch.isdecimal() and line.isdecimal()):
        raise InputError(f"--request: expected BATCH-LINE, two numbers like 20261120-17; got {request!r}")
    return int(batch), int(line)


@account_app.command(name="show")
def show_account(student_number: str, /, *, entries: int = 10, data: Data = None, json: AsJson = False) -> None:
    """An account with its cards and newest movements.

    Parameters
    ----------
    student_number
        学工号, or the account number as #1000001.
    entries
        How many movements.
    """
    with admin_channel(data) as admin:
        account = admin.call("account.show", who=student_number, entries=entries)
    if json:
        print_json(account)
        return
    print_rows([account], SHOWN_COLUMNS, as_json=False, nothing="")
    for card in account["cards"]:
        console().print(f"card {card['uid']}: {card['status']}")
    _show_entries(account, zone_of(data))


@account_app.command(name="list")
def list_accounts(*, limit: int = 0, data: Data = None, json: AsJson = False) -> None:
    """Accounts by number.

    Parameters
    ----------
    limit
        At most so many; 0 = all.
    """
    with admin_channel(data) as admin:
        found = all_rows(admin, "account.listing", "account_id", limit=limit)
    print_rows(found, ACCOUNT_COLUMNS, as_json=json, nothing="no accounts yet: fanka admin card issue, or import")


@account_app.command(name="rename")
def rename_account(student_number: str, name: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Correct a customer's name."""
    with admin_channel(data) as admin:
        changed = admin.call("account.rename", who=student_number, name=name)
    print_done(changed, f"{changed['student_number']}: {changed['name']}", as_json=json)


def _show_entries(account: dict[str, Any], zone: tzinfo) -> None:
    rows = [entry | {"where": _where(entry)} for entry in account["entries"]]
    print_rows(rows, ENTRY_COLUMNS, as_json=False, nothing="no movements yet", zone=zone)


def _where(entry: dict[str, Any]) -> str:
    return "office" if entry["terminal"] == CONSOLE else f"{entry['terminal']} {entry['batch']}/{entry['stan']}"
