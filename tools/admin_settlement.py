"""`fanka admin settlement` and `clearing`: what terminals have settled, what differed, what merchants are paid."""

from __future__ import annotations

from typing import Any, Final

from cyclopts import App

from tools.listing import Column, console, figure, moment, print_json, print_rows, yuan
from tools.options import PAGE, AsJson, Data, admin_channel, all_rows, business_day, ledger_beside, zone_of
from tools.words import counted

settlement_app = App(name="settlement", help="Settlements: batches closed, differences, what is due.", sort_key=10)
clearing_app = App(name="clearing", help="Clearing: pay merchants out for a business day.", sort_key=10)


SETTLEMENT_COLUMNS: Final = (
    Column("number", "settlement"),
    Column("terminal", "terminal"),
    Column("batch", "batch"),
    Column("state", "state"),
    Column("operator", "operator"),
    Column("transactions", "transactions"),
    Column("differences", "differences"),
    Column("begun", "opened_at_ms", moment),
    Column("closed", "closed_at_ms", moment),
    Column("journal", "witness"),
)
TOTALS_COLUMNS: Final = (
    Column("kind", "kind"),
    Column("terminal", "count"),
    Column("amount", "amount", figure),
    Column("charged", "charged", figure),
    Column("host", "host_count"),
    Column("amount there", "host_amount", figure),
    Column("charged there", "host_charged", figure),
)
DIFFERENCE_COLUMNS: Final = (
    Column("STAN", "stan"),
    Column("difference", "difference"),
    Column("kind", "kind"),
    Column("terminal", "terminal_standing"),
    Column("amount", "terminal_amount", figure),
    Column("host", "host_standing"),
    Column("amount there", "host_amount", figure),
    Column("RRN", "rrn"),
)
DUE_COLUMNS: Final = (
    Column("terminal", "terminal"),
    Column("merchant", "merchant_id"),
    Column("batch", "batch"),
    Column("transactions", "transactions"),
    Column("first", "since_ms", moment),
    Column("newest", "newest_ms", moment),
)
CLEARING_COLUMNS: Final = (
    Column("merchant", "merchant_id"),
    Column("name", "name"),
    Column("paid out", "amount_fen", yuan),
    Column("RRN", "rrn"),
    Column("at", "posted_at_ms", moment),
)


@settlement_app.command(name="list")
def list_settlements(*, open: bool = False, limit: int = 50, data: Data = None, json: AsJson = False) -> None:
    """The newest settlements.

    Parameters
    ----------
    open
        Only those that do not balance and are not closed yet.
    limit
        At most so many; 0 = all.
    """
    with admin_channel(data) as admin:
        found = all_rows(admin, "settlement.listing", "settlement", limit=limit, going="before", only_open=open)
    nothing = "no settlement is open" if open else "no settlements yet: terminals make them (F1 0 1)"
    _print_settlements(found, data, as_json=json, nothing=nothing)


@settlement_app.command(name="show")
def show_settlement(number: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """One settlement: what both sides came to, and every record that differed."""
    with admin_channel(data) as admin:
        found = admin.call("settlement.show", settlement=number)
    if json:
        print_json(found)
        return
    _print_settlements([found], data)
    print_rows(_side_by_side(found), TOTALS_COLUMNS, as_json=False, nothing="nothing was in it")
    if found["state"] == "open":
        console().print("open: its terminal has not finished; what differs is listed once it is closed")
    else:
        differing = [
            row | {f"{side}_amount": _amount(row["kind"], row[f"{side}_fen"]) for side in ("terminal", "host")}
            for row in found["differing"]
        ]
        print_rows(differing, DIFFERENCE_COLUMNS, as_json=False, nothing="no differences")


def _print_settlements(found: list[dict[str, Any]], data: Data, *, as_json: bool = False, nothing: str = "") -> None:
    """With the journal's newest number and digest at the closing, as `verify --expect` wants them."""
    rows = found if as_json else [row | {"witness": _witness(row)} for row in found]
    print_rows(rows, SETTLEMENT_COLUMNS, as_json=as_json, nothing=nothing, zone=zone_of(data))


def _witness(row: dict[str, Any]) -> str:
    return f"{row['through_rrn']}:{row['digest']}" if row["digest"] else ""


IN_POINTS: Final = ("points_sale", "points_void")
"""Kinds whose amounts count points; they charge nothing."""


def _side_by_side(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a kind, in the order in which they first appear."""
    rows: dict[str, dict[str, Any]] = {}
    for side, prefix in (("terminal_totals", ""), ("host_totals", "host_")):
        for total in found[side]:
            kind = total["kind"]
            row = rows.setdefault(
                kind, {"kind": kind, **_figures("", kind, 0, 0, 0), **_figures("host_", kind, 0, 0, 0)}
            )
            row |= _figures(prefix, kind, total["count"], total["amount_fen"], total["charged_fen"])
    return [*rows.values()]


def _figures(prefix: str, kind: str, count: int, amount: int, charged_fen: int) -> dict[str, Any]:
    charged = "" if kind in IN_POINTS else yuan(charged_fen)
    return {f"{prefix}count": count, f"{prefix}amount": _amount(kind, amount), f"{prefix}charged": charged}


def _amount(kind: str, amount: int) -> str:
    return f"{amount} points" if kind in IN_POINTS else yuan(amount)


@settlement_app.command(name="due")
def list_due(*, data: Data = None, json: AsJson = False) -> None:
    """Batches with money in them that no terminal has settled yet, the oldest first."""
    from server.ledger.settlement_list import due
    from server.operations.desk import show_terminal

    with ledger_beside(data) as store:
        found = [row._asdict() | {"terminal": show_terminal(row.terminal_id)} for row in due(store)]
    print_rows(found, DUE_COLUMNS, as_json=json, nothing="all is settled", zone=zone_of(data))


@clearing_app.command(name="run")
def run_clearing(day: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """Pay every merchant what its account held at the end of a business day; again changes nothing.

    Parameters
    ----------
    day
        As YYYYMMDD: a day that is over. Days are cleared in order; one left out is paid with the next.
    """
    from server.ledger.clearing import owed

    with ledger_beside(data) as store:
        amounts = [(one.merchant_id, one.amount_fen) for one in owed(store, day)]
    with admin_channel(data) as admin:
        for start in range(0, max(1, len(amounts)), PAGE):
            admin.call("clearing.run", day=day, amounts=amounts[start : start + PAGE])
        found = admin.call("clearing.show", day=day)
    _print_cleared(found, day, data, as_json=json)


@clearing_app.command(name="show")
def show_clearing(day: int = 0, /, *, data: Data = None, json: AsJson = False) -> None:
    """What was cleared for a business day, by merchant.

    Parameters
    ----------
    day
        As YYYYMMDD; default the newest that was cleared.
    """
    with admin_channel(data) as admin:
        found = admin.call("clearing.show", day=business_day(day) if day else 0)
    _print_cleared(found, day, data, as_json=json)


def _print_cleared(found: list[dict[str, Any]], day: int, data: Data, *, as_json: bool) -> None:
    nothing = f"nothing was cleared for business day {day}" if day else "nothing was cleared so far"
    print_rows(found, CLEARING_COLUMNS, as_json=as_json, nothing=nothing, zone=zone_of(data))
    if found and not as_json:
        total_fen = sum(row["amount_fen"] for row in found)
        console().print(f"business day {found[0]['day']}: {counted(len(found), 'merchant')}, {yuan(total_fen)} in all")
