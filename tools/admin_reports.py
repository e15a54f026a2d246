"""`fanka admin report` and `fanka admin unresolved`: what was done on a day, and what is still to be done about money.

Both read on a connection of their own: they go through many transfers, which would keep the host's sales waiting.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cyclopts import App

from tools.listing import Column, console, figure, moment, print_done, print_rows, yuan
from tools.options import AsJson, Data, admin_channel, all_rows, business_day, data_folder, ledger_beside, zone_of

if TYPE_CHECKING:
    from server.ledger.store import Store

report_app = App(name="report", help="Totals of a business day.", sort_key=9)
offline_app = App(name="offline", help="Offline sales that were not posted.", sort_key=9)
unresolved_app = App(name="unresolved", help="Money about which something is still to be done.", sort_key=9)

HOUR_MS: Final = 3_600_000
DAY_HOURS: Final = 24


def _open_day(store: Store) -> int:
    from server.ledger.registry import Registry

    days = Registry(store).days(1)
    return days[0].day if days else 0


# ------------------------------------------------------------------------------------------------- reports

DAY_COLUMNS: Final = (
    Column("merchant", "merchant_id"),
    Column("name", "merchant_name"),
    Column("meal", "meal"),
    Column("type", "type"),
    Column("count", "count", figure),
    Column("reversed", "undone", figure),
    Column("amount", "amount_fen", yuan),
    Column("moved", "charged_fen", yuan),
    Column("net", "net_fen", yuan),
    Column("points", "points", figure),
)
LOSS_COLUMNS: Final = (
    Column("merchant", "merchant_id"),
    Column("name", "merchant_name"),
    Column("reason", "reason"),
    Column("count", "count", figure),
    Column("amount", "amount_fen", yuan),
)

DEBT_COLUMNS: Final = (
    Column("account", "account_id"),
    Column("student number", "student_number"),
    Column("name", "name"),
    Column("sales", "count"),
    Column("owed", "debt_fen", yuan),
    Column("points owed", "points", figure),
    Column("newest", "newest_ms", moment),
)


@report_app.command(name="day")
def report_day(day: int | None = None, /, *, merchant: int = 0, data: Data = None, json: AsJson = False) -> None:
    """What each merchant has done on a business day, by meal and type.

    "reversed" is how many of these did not happen, as they were reversed. "moved" is the amount less discounts or with
    a bonus. "net" is what the merchant's account got, with a minus what it gave: what went back to payers, and top-ups,
    whose cash the merchant has. "points" is what payers got, with a minus what they spent or had to give back.

    Parameters
    ----------
    day
        As YYYYMMDD; default the open one.
    merchant
        Only this merchant.
    """
    from server.config import load_config
    from server.ledger.reports import day_report
    from server.ledger.tariffs import read_tariff

    with ledger_beside(data) as store:
        wanted = business_day(day) if day is not None else _open_day(store)
        offset = load_config(data_folder(data).config_path).day.utc_offset_minutes
        tariff = read_tariff(store, offset)
        lines = day_report(store, wanted, tariff)
    meals = {meal.meal_id: meal.name for meal in tariff.meals}
    rows = [
        {
            **msgspec.structs.asdict(line),
            "meal": meals.get(line.meal_id, ""),
            "type": _type(line.kind, line.about),
        }
        for line in lines
        if merchant in (0, line.merchant_id)
    ]
    print_rows(rows, DAY_COLUMNS, as_json=json, nothing=f"nothing was done on business day {wanted}")
    if not json:
        for name in dict.fromkeys(row["merchant_name"] for row in rows):
            net_fen = sum(row["net_fen"] for row in rows if row["merchant_name"] == name)
            console().print(f"{name}: net {yuan(net_fen)}")


def _type(kind: int, about: int) -> str:
    """A kind in words; of a reversal also what was undone."""
    from server.ledger.model import Kind

    words = [Kind(one).name.lower().replace("_", " ") for one in (kind, about) if one]
    return " of ".join(words)


@report_app.command(name="losses")
def report_losses(day: int | None = None, /, *, data: Data = None, json: AsJson = False) -> None:
    """Offline sales that could not be booked when they came, by merchant and reason: food that nobody has paid for.

    Parameters
    ----------
    day
        As YYYYMMDD; default the open one.
    """
    from server.ledger.model import Decision
    from server.ledger.reports import loss_report

    with ledger_beside(data) as store:
        wanted = business_day(day) if day is not None else _open_day(store)
        lines = loss_report(store, wanted)
    rows = [
        {**msgspec.structs.asdict(line), "reason": Decision(line.decision).name.lower().replace("_", " ")}
        for line in lines
    ]
    print_rows(rows, LOSS_COLUMNS, as_json=json, nothing=f"no offline sale was lost on business day {wanted}")


@report_app.command(name="debts")
def report_debts(*, data: Data = None, json: AsJson = False) -> None:
    """Who owes the campus: money for offline sales that the balance did not cover, points spent and then taken back."""
    from server.ledger.reports import debt_report

    with ledger_beside(data) as store:
        rows = [msgspec.structs.asdict(line) for line in debt_report(store)]
    print_rows(rows, DEBT_COLUMNS, as_json=json, nothing="nobody owes the campus anything", zone=zone_of(data))


# ---------------------------------------------------------------------------------------------- unresolved


def hours(value: int) -> str:
    """An age in hours, or days if it is long."""
    return f"{value} h" if value < 2 * DAY_HOURS else f"{value // DAY_HOURS} days"


UNRESOLVED_COLUMNS: Final = (
    Column("kind", "kind"),
    Column("number", "number"),
    Column("since", "since_ms", moment),
    Column("age", "age_hours", hours),
    Column("owner", "owner"),
    Column("amount", "amount_fen", yuan),
    Column("what", "detail"),
)


@unresolved_app.command(name="list")
def list_unresolved(*, kind: str = "", data: Data = None, json: AsJson = False) -> None:
    """Open holds, reversals without an original, unsettled batches, settlements that differ, late and bad records.

    Parameters
    ----------
    kind
        Only hold, reversal, batch, settlement, late or quarantine.
    """
    from server.ledger.unresolved import KINDS, unresolved
    from server.operations.desk import show_terminal
    from tools.faults import InputError

    now_ms = time.time_ns() // 1_000_000
    with ledger_beside(data) as store:
        if kind and kind not in KINDS:
            raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {kind[:20]!r}")
        found = unresolved(store, now_ms, _open_day(store))
    rows: list[dict[str, Any]] = [
        {
            **msgspec.structs.asdict(entry),
            "terminal": show_terminal(entry.terminal_id),
            "age_hours": max(0, now_ms - entry.since_ms) // HOUR_MS,
            "owner": f"{entry.merchant_name}, terminal {show_terminal(entry.terminal_id)}".lstrip(", "),
        }
        for entry in found
        if kind in ("", entry.kind)
    ]
    print_rows(rows, UNRESOLVED_COLUMNS, as_json=json, nothing="nothing is unresolved", zone=zone_of(data))


QUARANTINE_COLUMNS: Final = (
    Column("number", "number"),
    Column("came", "at_ms", moment),
    Column("reason", "reason"),
    Column("terminal", "terminal"),
    Column("batch", "batch"),
    Column("voucher", "stan"),
    Column("card", "card"),
    Column("amount", "amount_fen", yuan),
    Column("sold, it says", "claimed_at_ms", moment),
    Column("resolved", "resolved"),
)


@offline_app.command(name="quarantine")
def list_quarantine(*, data: Data = None, json: AsJson = False) -> None:
    """Records that were not posted, as something is wrong with them: forged, in conflict, or of a revoked terminal."""
    with admin_channel(data) as admin:
        found = all_rows(admin, "quarantine.listing", "number")
    print_rows(found, QUARANTINE_COLUMNS, as_json=json, nothing="nothing is in quarantine", zone=zone_of(data))


@unresolved_app.command(name="resolve")
def resolve(kind: str, number: int, note: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Say that you have looked at an entry, and what came of it; it leaves the list, the note stays.

    Parameters
    ----------
    kind
        reversal, settlement or quarantine; the others go by themselves.
    number
        As the list has it.
    note
        What came of it, like "customer paid cash, corrected with request 20261129-1".
    """
    with admin_channel(data) as admin:
        done = admin.call("unresolved.resolve", kind=kind, number=number, note=note)
    before = f" before by {done['who']}" if done["repeated"] else ""
    print_done(done, f"{kind} {number}: resolved{before}: {done['note']}", as_json=json)
