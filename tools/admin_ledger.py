"""`fanka admin ledger`: where the ledger stands, and the recovery after it was restored from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyclopts import App

from tools.listing import console, moment, print_json, yuan
from tools.options import AsJson, Data, admin_channel, data_folder, zone_of

ledger_app = App(name="ledger", help="The ledger as a whole; recovery after a restore.", sort_key=10)


@ledger_app.command(name="show")
def show_ledger(*, data: Data = None, json: AsJson = False) -> None:
    """Newest transfer, history and epoch; after a restore what terminals have brought back, and until when they may."""
    with admin_channel(data) as admin:
        found = admin.call("ledger.show")
    if found["restored_first_seq"]:
        found |= _brought_back(data, found["restored_first_seq"])
    _print(found, data, as_json=json)


@ledger_app.command(name="recover")
def recover_ledger(*, data: Data = None, json: AsJson = False) -> None:
    """Open a new history by hand, for an older ledger that was put back without `fanka restore`.

    Ends every session: terminals connect again and upload the sales that are missing here.
    """
    with admin_channel(data) as admin:
        found = admin.call("ledger.recover")
    if not json:
        console().print(
            f"history {found['history']} is open: {found['terminals']} terminals upload what is missing as they connect"
        )
    _print(found, data, as_json=json)


@ledger_app.command(name="close")
def close_recovery(*, data: Data = None, json: AsJson = False) -> None:
    """End a recovery before its time, when every terminal has been connected: no more uploads are taken."""
    with admin_channel(data) as admin:
        found = admin.call("ledger.close")
    _print(found, data, as_json=json)


def _brought_back(data: Path | None, first_seq: int) -> dict[str, Any]:
    """What terminals have uploaded since the restore.

    On a connection of its own: it reads every transfer since, which would keep the host's sales waiting.
    """
    import contextlib

    from server.ledger.recovery import restored
    from server.stores import open_ledger
    from tools.faults import explained

    with explained(), contextlib.closing(open_ledger(data_folder(data))) as store:
        found = restored(store, first_seq)
    return {
        "uploaded_sales": found.sales,
        "uploaded_fen": found.amount_fen,
        "uploaded_debt_fen": found.debt_fen,
        "uploaded_declined": found.declined,
        "uploaded_others": found.others,
    }


def _print(found: dict[str, Any], data: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    show, zone = console().print, zone_of(data)
    show(f"newest transfer: {found['newest_seq']} on business day {found['business_day']}")
    show(f"digest:          {found['newest_digest']}")
    show(f"history:         {found['history']}, epoch {found['epoch']}")
    if found["restored_at_ms"]:
        show(f"restored:        {moment(found['restored_at_ms'], zone)} ({zone})")
        until = found["uploads_until_ms"]
        show(f"uploads taken:   {f'until {moment(until, zone)} ({zone})' if until else 'no more'}")
    if "uploaded_sales" in found:
        show(
            f"brought back:    {found['uploaded_sales']} sales, {yuan(found['uploaded_fen'])}, of which"
            f" {yuan(found['uploaded_debt_fen'])} their payers could not cover; {found['uploaded_declined']} had been"
            f" reversed; {found['uploaded_others']} transactions of other kinds"
        )
    show(f"offline debt:    {yuan(found['offline_debt_fen'])}")
    if (seen := found["rollback"]) is not None:
        show(
            f"ROLLED BACK:     {moment(seen['noted_at_ms'], zone)} ({zone}): terminal {seen['terminal']} has seen epoch"
            f" {seen['seen_epoch']}, this ledger only {seen['own_epoch']}: it is an old backup. Terminals bring back"
            " their sales after: fanka admin ledger recover"
        )
