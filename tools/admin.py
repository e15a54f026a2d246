"""`fanka admin`: merchants, terminals and business days here, all else in `tools.admin_*`.

Works on the running host through its control socket, and directly on the data folder when no host runs.
"""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from tools.admin_card_terms import add_commands
from tools.admin_cards import account_app, card_app
from tools.admin_config import bonus_app, class_app, meal_app, points_app, show_history
from tools.admin_devices import find_terminals, list_events, parameter_app, show_terminal, stop_list_app
from tools.admin_import import import_cards
from tools.admin_keys import keys_app, rotate_terminals
from tools.admin_ledger import ledger_app
from tools.admin_operators import operator_app
from tools.admin_products import product_app
from tools.admin_reports import offline_app, report_app, unresolved_app
from tools.admin_settlement import clearing_app, settlement_app
from tools.listing import Column, moment, print_done, print_json, print_rows, yuan
from tools.options import PAGE, AsJson, Data, admin_channel, all_rows, business_day, data_folder, ledger_beside, zone_of

admin_app = App(name="admin", help="Merchants, terminals, cards, prices, people, reports; also while the host runs.")
merchant_app = App(name="merchant", help="Merchants: who is paid.", sort_key=0)
terminal_app = App(name="terminal", help="Terminals: enrol, find, look at, change keys, revoke.", sort_key=1)
day_app = App(name="day", help="Business days.", sort_key=9)
for _app in (
    merchant_app,
    terminal_app,
    keys_app,
    card_app,
    account_app,
    class_app,
    meal_app,
    bonus_app,
    points_app,
    product_app,
    operator_app,
    parameter_app,
    stop_list_app,
    settlement_app,
    clearing_app,
    day_app,
    report_app,
    offline_app,
    unresolved_app,
    ledger_app,
):
    admin_app.command(_app)
add_commands(card_app)
admin_app.command(import_cards, name="import", sort_key=8)
admin_app.command(show_history, name="history", sort_key=11)

# ----------------------------------------------------------------------------------------------- merchants

MERCHANT_COLUMNS: Final = (
    Column("number", "merchant_id"),
    Column("name", "name"),
    Column("status", "status"),
    Column("balance", "balance_fen", yuan),
)


@merchant_app.command(name="add")
def add_merchant(name: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Add a merchant; its number is given to `terminal enrol`.

    Parameters
    ----------
    name
        As slips show it; at most 16 Chinese characters.
    """
    with admin_channel(data) as admin:
        added = admin.call("merchant.add", name=name)
    print_done(added, f"merchant {added['merchant_id']}: {added['name']}", as_json=json)


@merchant_app.command(name="list")
def list_merchants(*, data: Data = None, json: AsJson = False) -> None:
    """All merchants, with what they have earned."""
    with admin_channel(data) as admin:
        found = admin.call("merchant.listing")
    print_rows(found, MERCHANT_COLUMNS, as_json=json, nothing="no merchants yet: fanka admin merchant add NAME")


@merchant_app.command(name="rename")
def rename_merchant(number: int, name: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Give a merchant another name."""
    with admin_channel(data) as admin:
        changed = admin.call("merchant.rename", merchant_id=number, name=name)
    print_done(changed, f"merchant {number}: {changed['name']}", as_json=json)


@merchant_app.command(name="close")
def close_merchant(number: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """No more sales for a merchant; its earnings stay."""
    _set_open(data, json, "merchant.close", number)


@merchant_app.command(name="reopen")
def reopen_merchant(number: int, /, *, data: Data = None, json: AsJson = False) -> None:
    """Let a closed merchant sell again."""
    _set_open(data, json, "merchant.reopen", number)


def _set_open(data: Path | None, as_json: bool, operation: str, number: int) -> None:
    with admin_channel(data) as admin:
        changed = admin.call(operation, merchant_id=number)
    print_done(changed, f"merchant {number}: {changed['name']}: {changed['status']}", as_json=as_json)


# ----------------------------------------------------------------------------------------------- terminals

TERMINAL_COLUMNS: Final = (
    Column("terminal", "terminal"),
    Column("state", "state"),
    Column("merchant", "merchant_id"),
    Column("name", "merchant_name"),
    Column("serial number", "serial_number"),
    Column("key version", "key_version"),
    Column("key since", "key_made_at_ms", moment),
    Column("enrolled", "enrolled_at_ms", moment),
)


@terminal_app.command(name="enrol")
def enrol_terminal(
    terminal: str,
    /,
    *,
    merchant: int = 0,
    out: Path | None = None,
    code: Annotated[bool, Parameter(negative=())] = False,
    qr: Annotated[bool, Parameter(negative=())] = False,
    serial: str = "",
    host: str | None = None,
    port: int | None = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Enrol a terminal, or a range of them, or give one a new key.

    Parameters
    ----------
    terminal
        Its number, like 3-58; or a range for load tests, like 3-1..3-500.
    merchant
        The merchant it sells for; may be left out for a terminal that has one.
    out
        Key file to write, readable by its owner alone; for a range, the folder for the files (3-1.json, ...).
    code
        Show a one-time code instead, good for 15 minutes: typed in at the terminal, it fetches the key.
    qr
        With --code: show it as a QR code too.
    serial
        Serial number: binds the code to one machine.
    host
        Host address in the key file; default from the configuration.
    port
        Host port in the key file; default from the configuration.
    """
    from tools.enrol import check_out, parse_range, write_key_files
    from tools.faults import InputError, explained

    with explained():
        first, count = parse_range(terminal)
        if code == (out is not None):
            raise InputError("terminal enrol: expected either --out FILE for a key file or --code for a one-time code")
        if count > 1 and (code or serial):
            raise InputError("terminal enrol: expected --out FOLDER for a range; codes and serial numbers are for one")
        if out is not None:
            check_out(out, is_folder=count > 1)
    if code:
        with admin_channel(data) as admin:
            offered = admin.call(
                "terminal.enrol", terminal=terminal, merchant_id=merchant, serial_number=serial, with_code=True
            )
        _show_code(offered, qr, json, zone_of(data))
        return
    enrolled: list[dict[str, Any]] = []
    with admin_channel(data) as admin:
        assert out is not None
        if count == 1:
            enrolled.append(
                admin.call("terminal.enrol", terminal=str(first), merchant_id=merchant, serial_number=serial)
            )
        for start in range(0, count if count > 1 else 0, PAGE):
            part = first._replace(device=first.device + start)
            size = min(PAGE, count - start)
            enrolled += admin.call("terminal.enrol_many", first=str(part), count=size, merchant_id=merchant)
        written = write_key_files(
            enrolled, out, data_folder(data), is_folder=count > 1, host=host, port=port, serial=serial
        )
    if json:
        print_json(written)
    elif count == 1:
        print(f"terminal {first}: key version {written[0]['key_version']} in {written[0]['file']}")
    else:
        print(f"{count} terminals: keys in {out}")


def _show_code(offered: dict[str, Any], qr: bool, as_json: bool, zone: tzinfo) -> None:
    from tools.enrol import print_qr, spaced

    until = f"{moment(offered['expires_at_ms'], zone)} ({zone})"
    bound = f", only for serial number {offered['serial_number']}" if offered["serial_number"] else ""
    sentence = f"terminal {offered['terminal']}: code {spaced(offered['code'])}, once, until {until}{bound}"
    print_done(offered, sentence, as_json=as_json)
    if qr and not as_json:
        print_qr(offered)


@terminal_app.command(name="list")
def list_terminals(*, data: Data = None, json: AsJson = False) -> None:
    """All terminals with their state."""
    with admin_channel(data) as admin:
        found = all_rows(admin, "terminal.listing", "terminal")
    nothing = "no terminals yet: fanka admin terminal enrol 3-58 ..."
    print_rows(found, TERMINAL_COLUMNS, as_json=json, nothing=nothing, zone=zone_of(data))


terminal_app.command(rotate_terminals, name="rotate")
terminal_app.command(find_terminals, name="find")
terminal_app.command(show_terminal, name="show")
terminal_app.command(list_events, name="events")


@terminal_app.command(name="revoke")
def revoke_terminal(terminal: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Shut a lost or stolen terminal out: its session is cut at once, its key is good for nothing."""
    with admin_channel(data) as admin:
        changed = admin.call("terminal.revoke", terminal=terminal)
    print_done(changed, f"terminal {terminal}: revoked", as_json=json)


@terminal_app.command(name="reinstate")
def reinstate_terminal(terminal: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """Take back a revocation: the terminal's key is good again."""
    with admin_channel(data) as admin:
        changed = admin.call("terminal.reinstate", terminal=terminal)
    print_done(changed, f"terminal {terminal}: {changed['state']}", as_json=json)


# ------------------------------------------------------------------------------------------- business days

DAY_COLUMNS: Final = (
    Column("day", "day"),
    Column("opened", "opened_at_ms", moment),
    Column("first RRN", "first_rrn"),
)
TOTAL_COLUMNS: Final = (
    Column("merchant", "merchant_id"),
    Column("name", "name"),
    Column("sales", "sales"),
    Column("amount", "sales_fen", yuan),
    Column("given back", "reversals"),
    Column("amount back", "reversals_fen", yuan),
)


@day_app.command(name="show")
def show_day(*, limit: int = 7, data: Data = None, json: AsJson = False) -> None:
    """The open business day, and those before it."""
    with admin_channel(data) as admin:
        found = admin.call("day.show", limit=limit)
    nothing = "no business day yet: it opens with the host's first start"
    print_rows(found, DAY_COLUMNS, as_json=json, nothing=nothing, zone=zone_of(data))


@day_app.command(name="open")
def open_day(day: int | None = None, /, *, data: Data = None, json: AsJson = False) -> None:
    """Open the next business day by hand; the host does it by itself every morning.

    Parameters
    ----------
    day
        As YYYYMMDD; default today. Days never go back.
    """
    from datetime import datetime

    with admin_channel(data) as admin:
        wanted = day if day is not None else int(f"{datetime.now(zone_of(data)):%Y%m%d}")
        result = admin.call("day.open", day=wanted)
    print_done(result, f"business day {wanted}: {'opened' if result['opened'] else 'is open already'}", as_json=json)


@day_app.command(name="totals")
def day_totals(day: int | None = None, /, *, data: Data = None, json: AsJson = False) -> None:
    """What each merchant has taken on a business day, and given back by voids, refunds and reversals.

    Parameters
    ----------
    day
        As YYYYMMDD; default the open one.
    """
    from server.ledger.registry import Registry

    with ledger_beside(data) as store:
        registry = Registry(store)
        days = registry.days(1)
        wanted = business_day(day) if day is not None else days[0].day if days else 0
        names = ("merchant_id", "name", "sales", "sales_fen", "reversals", "reversals_fen")
        totals = [dict(zip(names, row, strict=True)) for row in registry.day_totals(wanted)]
    print_rows(totals, TOTAL_COLUMNS, as_json=json, nothing=f"no sales on business day {wanted}")
