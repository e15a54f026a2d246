"""`fanka admin terminal find|show|events`, `fanka admin parameter` and `fanka admin stoplist`."""

from __future__ import annotations

from typing import Any, Final

from cyclopts import App

from tools.listing import Column, console, moment, print_done, print_json, print_rows, yuan
from tools.options import AsJson, Data, admin_channel, all_rows, to_fen, zone_of

parameter_app = App(name="parameter", help="Parameters of terminals and rules.", sort_key=6)
stop_list_app = App(name="stoplist", help="The stop list (黑名单) that terminals download.", sort_key=7)

PROFILES: Final = ("canteen", "member")
WORDS: Final = {"profile": PROFILES, "repeat_guard": ("off", "on"), "check_passwords": ("off", "on")}
"""Values that have a name."""
NONE: Final = "none"
ZERO_IS_NONE: Final = ("meal_limit_fen", "topup_limit_fen", "pin_sale_fen", "pin_count")
"""Limits of which 0 means that there is none."""

DEVICE_COLUMNS: Final = (
    Column("terminal", "terminal"),
    Column("serial number", "serial_number"),
    Column("state", "state"),
    Column("merchant", "merchant_name"),
    Column("last seen", "seen_at_ms", moment),
    Column("firmware", "firmware"),
)
EVENT_COLUMNS: Final = (
    Column("time", "at_ms", moment),
    Column("event", "event"),
    Column("detail", "detail"),
)
STOP_COLUMNS: Final = (
    Column("version", "version"),
    Column("card (hash)", "token_hash"),
    Column("state", "state"),
)

# ----------------------------------------------------------------------------------------------- terminals


def find_terminals(serial: str, /, *, data: Data = None, json: AsJson = False) -> None:
    """The terminals whose serial number begins so: is this machine registered?"""
    with admin_channel(data) as admin:
        found = admin.call("device.find_listing", serial_number=serial)
    nothing = f"no terminal has a serial number that begins with {serial}"
    print_rows(found, DEVICE_COLUMNS, as_json=json, nothing=nothing, zone=zone_of(data))


def show_terminal(terminal: str, /, *, events: int = 10, data: Data = None, json: AsJson = False) -> None:
    """One terminal: state, last seen, firmware, clock, parameters in force, newest events.

    Parameters
    ----------
    events
        How many events.
    """
    with admin_channel(data) as admin:
        found = admin.call("device.show", terminal=terminal, events=events)
    if json:
        print_json(found)
        return
    print_rows([found], DEVICE_COLUMNS, as_json=False, nothing="", zone=zone_of(data))
    skew_s = found["clock_skew_s"]
    console().print(
        f"clock: {'unknown, it has sold nothing yet' if skew_s is None else f'{skew_s:+d} s at its last sale'}"
    )
    _show_parameters(found["parameters"])
    print_rows(found["events"], EVENT_COLUMNS, as_json=False, nothing="no events yet", zone=zone_of(data))


def list_events(terminal: str, /, *, limit: int = 50, data: Data = None, json: AsJson = False) -> None:
    """What happened to a terminal, newest first.

    Parameters
    ----------
    limit
        At most so many; the host keeps 200.
    """
    with admin_channel(data) as admin:
        found = admin.call("device.events_listing", terminal=terminal, limit=limit)
    print_rows(found, EVENT_COLUMNS, as_json=json, nothing="no events yet", zone=zone_of(data))


# ---------------------------------------------------------------------------------------------- parameters


def title_of(name: str) -> str:
    """A parameter as people type it: offline_sale_fen is offline-sale."""
    return name.removesuffix("_fen").replace("_", "-")


def name_of(title: str) -> str:
    """The other way round; what is none is left for the host to refuse."""
    from server.ledger.parameters import NAMES

    return next((name for name in NAMES if title_of(name) == title), title)


def value_of(name: str, text: str) -> int:
    """A parameter's value from the command line: yuan, a number, on or off, or a profile's name."""
    from tools.faults import InputError

    if name in ZERO_IS_NONE and text == NONE:
        return 0
    if name.endswith("_fen"):
        return to_fen(text)
    words = WORDS.get(name, ())
    if text in words:
        return words.index(text)
    if words or not (text.isascii() and text.isdigit()):
        expected = " or ".join(words) if words else "a number"
        raise InputError(f"{title_of(name)}: expected {expected}, got {text[:20]!r}")
    return int(text)


def shown_value(name: str, value: int) -> str:
    """A parameter's value as people read it."""
    if name in ZERO_IS_NONE and not value:
        return NONE
    if name.endswith("_fen"):
        return yuan(value)
    words = WORDS.get(name, ())
    return words[value] if value < len(words) else str(value)


PARAMETER_COLUMNS: Final = (
    Column("parameter", "title"),
    Column("value", "shown"),
    Column("for", "whose"),
)


def _row(fields: dict[str, Any]) -> dict[str, Any]:
    whose = f"terminal {fields['terminal']}" if fields["terminal"] else f"merchant {fields['merchant_id']}"
    return {
        **fields,
        "title": title_of(fields["name"]),
        "shown": shown_value(fields["name"], fields["value"]),
        "whose": whose if fields["scope"] != "campus" else "the campus",
    }


@parameter_app.command(name="set")
def set_parameter(
    name: str, value: str, /, *, merchant: int = 0, terminal: str = "", data: Data = None, json: AsJson = False
) -> None:
    """Set a parameter for the campus, a merchant or a terminal; the narrowest counts, of offline limits the least.

    Parameters
    ----------
    name
        As `parameter show` names it.
    value
        Yuan, a number, on or off, canteen or member, none.
    merchant
        Only for this merchant's terminals.
    terminal
        Only for this terminal.
    """
    with admin_channel(data) as admin:
        internal = name_of(name)
        changed = admin.call(
            "parameter.set", name=internal, value=value_of(internal, value), merchant_id=merchant, terminal=terminal
        )
    _show_one(changed, json)


@parameter_app.command(name="unset")
def unset_parameter(
    name: str, /, *, merchant: int = 0, terminal: str = "", data: Data = None, json: AsJson = False
) -> None:
    """Take a value back: the next wider one counts again."""
    with admin_channel(data) as admin:
        changed = admin.call("parameter.unset", name=name_of(name), merchant_id=merchant, terminal=terminal)
    print_done(changed, f"{title_of(changed['name'])} of {_row(changed)['whose']}: taken back", as_json=json)


def _show_one(changed: dict[str, Any], as_json: bool) -> None:
    row = _row(changed)
    print_done(changed, f"{row['title']} of {row['whose']}: {row['shown']}", as_json=as_json)


@parameter_app.command(name="list")
def list_parameters(*, data: Data = None, json: AsJson = False) -> None:
    """All values that somebody has set."""
    with admin_channel(data) as admin:
        found = admin.call("parameter.listing")
    nothing = "nothing was set: the program's own values count, see fanka admin parameter show"
    print_rows(found if json else [_row(row) for row in found], PARAMETER_COLUMNS, as_json=json, nothing=nothing)


@parameter_app.command(name="show")
def show_parameters(*, merchant: int = 0, terminal: str = "", data: Data = None, json: AsJson = False) -> None:
    """All values in force, for the campus or one merchant or terminal."""
    with admin_channel(data) as admin:
        found = admin.call("parameter.show", merchant_id=merchant, terminal=terminal)
    if json:
        print_json(found)
    else:
        _show_parameters(found)


def _show_parameters(found: dict[str, int]) -> None:
    rows = [{"title": title_of(name), "shown": shown_value(name, value)} for name, value in found.items()]
    print_rows(rows, PARAMETER_COLUMNS[:2], as_json=False, nothing="")


# ----------------------------------------------------------------------------------------------- stop list


@stop_list_app.command(name="show")
def show_stop_list(*, data: Data = None, json: AsJson = False) -> None:
    """Version of the stop list, and every card that changed, by hash."""
    with admin_channel(data) as admin:
        found = admin.call("stop_list.show")
        rows = all_rows(admin, "stop_list.listing", "version")
    if json:
        print_json({**found, "cards": rows})
        return
    console().print(f"version {found['version']}, {found['stopped']} cards stopped")
    shown = [row | {"state": "stopped" if row["stopped"] else "taken again"} for row in rows]
    print_rows(shown, STOP_COLUMNS, as_json=False, nothing="no card was ever stopped")
