"""`fanka load`: a lunch rush against a data folder's host, and the audit of every sale its terminals were told of."""

from __future__ import annotations

import gc
import re
import signal
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import msgspec
import trio
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from server.folder import DataFolder, FolderError
from server.stream import open_request_stream
from terminal_emulator.load import LoadError, LoadPlan, run_load
from terminal_emulator.load_result import LoadProgress, LoadResult
from terminal_emulator.outage import RECORDS_MAX
from terminal_emulator.settings import Settings
from tools import audit as money
from tools.admin_client import host_answers, open_admin
from tools.faults import InputError, explained
from tools.load_report import html_page, print_result
from tools.options import data_folder
from tools.provision import provision

RATE_PER_TERMINAL: Final = 0.5
"""Sales per second and till when no rate is given: a busy till serves somebody every other second."""
MAX_TERMINALS: Final = 20_000
MAX_CARDS: Final = 1_000_000
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Thousands of idle brains are walked by every full collection; sales leave few cycles behind."""
Switch = Annotated[bool, Parameter(negative="")]


def load(
    data: Path | None = None,
    /,
    *,
    terminals: int = 100,
    connected: int | None = None,
    seconds: float = 20.0,
    warm_up: float = 0.0,
    rate: float | None = None,
    saturate: Switch = False,
    cards: int = 5000,
    offline_upload: str | None = None,
    mixed: Switch = False,
    seed: int = 1,
    json: Path | None = None,
    html: Path | None = None,
    quiet: Switch = False,
) -> int:
    """Run a lunch rush and audit the money. Exit code 1 if a fen is missing or doubled, or books do not balance.

    Enrols test terminals (from 9000-1) and issues test cards by itself. Customers come at random at the given rate,
    whatever the host does, and latency counts from their coming. The host may be killed and started again meanwhile.
    Ctrl-C ends it early, with the audit of what was sold.

    Parameters
    ----------
    data
        The data folder of the running host; default $FANKA_DATA, this folder, or the only one below it.
    terminals
        Terminals that sell.
    connected
        Terminals connected in all; those beyond `terminals` only keep their session.
    seconds
        How long to measure.
    warm_up
        Seconds of selling before that, which are audited but not measured.
    rate
        Customers per second over all terminals; default half a customer per terminal.
    saturate
        Instead: every terminal takes its next customer at once.
    cards
        Cards to choose from.
    offline_upload
        T,N: after `seconds`, T more terminals come back from an outage with N sales each; customers keep coming until
        all of those are uploaded, and what they wait is compared with before.
    mixed
        Three of ten want something else than to pay: voids, refunds, holds, top-ups, points, balances, look-ups.
    seed
        Of the customers' coming, cards and amounts.
    json
        Write the result here.
    html
        Write a report with a picture here.
    quiet
        No live display.
    """
    with explained():
        connected = terminals if connected is None else connected
        check_rush(terminals, connected, seconds, warm_up, rate, cards)
        uploading, records = upload_of(offline_upload, saturate=saturate)
        for out in filter(None, (json, html)):
            check_out(out)
        folder = data_folder(data)
        offered = None if saturate else rate or terminals * RATE_PER_TERMINAL
        try:
            result, verdict = rush(
                folder,
                selling=terminals,
                connected=connected,
                uploading=uploading,
                records=records,
                mixed=mixed,
                cards=cards,
                seconds=seconds,
                warm_up_s=warm_up,
                rate_per_s=offered,
                seed=seed,
                quiet=quiet,
            )
        except* LoadError as group:
            raise InputError(str(group.exceptions[0])) from None
    report = full_report(result, verdict)
    print_result(report, verdict)
    with explained():
        if json is not None:
            json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        if html is not None:
            html.write_text(html_page(report, result.latency), "utf-8")
    if verdict.ok and result.stopped:
        raise KeyboardInterrupt(f"figures and audit are of the {result.seconds:g} s that were measured")
    return 0 if verdict.ok else 1


def rush(
    folder: DataFolder,
    *,
    selling: int,
    connected: int,
    uploading: int = 0,
    records: int = 0,
    mixed: bool = False,
    cards: int,
    seconds: float,
    rate_per_s: float | None,
    warm_up_s: float = 0.0,
    seed: int = 1,
    quiet: bool = False,
) -> tuple[LoadResult, money.Audit]:
    """Provision, sell, audit; Ctrl-C ends the selling, and once more all of it.

    FolderError if no host runs on the folder; LoadError if terminals cannot connect.
    """
    if folder.running() is None or not host_answers(folder):  # a killed host leaves its note behind
        raise FolderError(
            f"{folder.path}: expected a running host, found none; start `fanka serve {folder.path}` first"
        )
    with open_admin(folder) as channel:
        provisioned = provision(channel, connected + uploading, cards)
    numbers = {number.to_int() for number, _, _ in provisioned.terminals}
    before = money.mark(folder, numbers)
    settings = tuple(
        Settings(terminal=number, root_key=key, key_version=version) for number, version, key in provisioned.terminals
    )
    plan = LoadPlan(
        terminals=settings[:connected],
        uploaders=settings[connected:],
        records=records,
        mixed=mixed,
        selling=selling,
        cards=tuple(provisioned.cards),
        seconds=seconds,
        warm_up_s=warm_up_s,
        rate_per_s=rate_per_s,
        seed=seed,
    )
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with nullcontext() if quiet else _display() as display:
            result = trio.run(
                partial(
                    run_load,
                    plan,
                    open_stream=partial(_connect, folder),
                    rng=Random(seed),  # noqa: S311 - a workload, not a secret
                    wall_clock=time.time,
                    report=partial(_show, display, plan) if display is not None else None,
                    stop=_ctrl_c,
                )
            )
    except* KeyboardInterrupt:
        raise KeyboardInterrupt(f"no audit was made; `fanka verify {folder.path}` checks the ledger") from None
    acknowledged = (
        money.Acknowledged(
            sale.terminal.to_int(),
            sale.record.batch,
            sale.record.stan,
            sale.record.amount_fen,
            sale.record.rrn,
            sale.record.payer,
            sale.record.kind,
            sale.record.charged_fen,
        )
        for sale in result.acknowledged
    )
    return result, money.audit(folder, before, numbers, acknowledged)


async def _ctrl_c() -> None:
    """Return at the first Ctrl-C; the next one is Python's again."""
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            return


async def _connect(folder: DataFolder, _settings: Settings) -> trio.abc.Stream:
    """A stream to where the host listens now: after a restart that may be another port."""
    running = folder.running()
    if running is None:
        raise OSError("no host is running")
    host, port = running.terminals
    return await open_request_stream("127.0.0.1" if host == "0.0.0.0" else host, port)  # noqa: S104 - compared only


def full_report(result: LoadResult, verdict: money.Audit) -> dict[str, Any]:
    """The JSON that scripts rely on. In a closed loop, what was offered is what was served."""
    report = result.to_json() | {"audit": msgspec.structs.asdict(verdict)}
    if report["offered_per_s"] is None:
        report["offered_per_s"] = report["throughput_per_s"]
    return report


def upload_of(text: str | None, *, saturate: bool) -> tuple[int, int]:
    """Terminals and records of --offline-upload, zeros without one; InputError for what is none."""
    if text is None:
        return 0, 0
    found = re.fullmatch("([0-9]{1,5}),([0-9]{1,5})", text)
    terminals, records = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= terminals <= MAX_TERMINALS or not 1 <= records <= RECORDS_MAX:
        raise InputError(
            f"--offline-upload: expected T,N with T in 1..{MAX_TERMINALS} and N in 1..{RECORDS_MAX}, got {text!r}"
        )
    if saturate:
        raise InputError("--offline-upload: expected customers at a rate, got --saturate: there is nothing to compare")
    return terminals, records


def check_out(path: Path) -> None:
    """Find out before a long run whether the file can be written. OSError, with its name, if not."""
    existed = path.exists()
    path.open("ab").close()
    if not existed:
        path.unlink()


def check_rush(
    terminals: int,
    connected: int,
    seconds: float,
    warm_up_s: float = 0.0,
    rate_per_s: float | None = None,
    cards: int = 1,
) -> None:
    """InputError for options that make no rush."""
    if not 1 <= terminals <= MAX_TERMINALS:
        raise InputError(f"--terminals: expected 1..{MAX_TERMINALS}, got {terminals}")
    if not terminals <= connected <= MAX_TERMINALS:
        raise InputError(
            f"--connected: expected {terminals}..{MAX_TERMINALS}, those of --terminals and more, got {connected}"
        )
    if not 1 <= cards <= MAX_CARDS:
        raise InputError(f"--cards: expected 1..{MAX_CARDS}, got {cards}")
    if not 0.1 <= seconds <= 86_400:
        raise InputError(f"--seconds: expected 0.1..86400, got {seconds:g}")
    if not 0 <= warm_up_s <= 3600:
        raise InputError(f"--warm-up: expected 0..3600, got {warm_up_s:g}")
    if rate_per_s is not None and not 0.001 <= rate_per_s <= 1e6:
        raise InputError(f"--rate: expected 0.001..1000000 customers per second, got {rate_per_s:g}")


def _display() -> Progress:
    return Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        console=Console(file=sys.stderr),
        transient=True,
    )


def _show(display: Progress, plan: LoadPlan, now: LoadProgress) -> None:
    """Move the bar."""
    if not display.tasks:
        display.add_task("", total=1, said="")
    connecting = now.phase == "connecting"
    share = now.online / len(plan.terminals) if connecting else now.elapsed_s / (plan.warm_up_s + plan.seconds)
    said = f"{now.online:,} online, {now.approved:,} approved, {now.declined:,} declined, {now.failed:,} failed"
    if now.latency_ms is not None:
        said += f", p50 {now.latency_ms[0]:,.1f} ms, p99 {now.latency_ms[1]:,.1f} ms"
    display.update(display.task_ids[0], description=now.phase, completed=min(1.0, share), said=said)
