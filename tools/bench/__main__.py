"""Measures everything in one run and writes bench.json and docs/benchmarks.md. About eight minutes on two cores.

Rates of the same round are measured one after the other, so that a machine that drifts drifts for all of them; what is
quoted are medians and ratios.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from server.folder import DataFolder
from tools.admin_client import open_admin
from tools.bench import echo, grow, idle, pgbench, report
from tools.host_process import serving
from tools.provision import Provisioned, provision

ROUNDS: Final = 3
GROWTH_ROUNDS: Final = 3
MIXED_ROUNDS: Final = 3
FEN_PER_POINT: Final = 100
TERMINALS: Final = 1000
CONNECTED: Final = 5000
IDLE_TERMINALS: Final = 2000
CARDS: Final = 20_000
WARM_UP_S: Final = 2.0
SECONDS: Final = 8.0
LATENCY_SECONDS: Final = 15.0
PGBENCH_CLIENTS: Final = 8
PGBENCH_SECONDS: Final = 8
UPLOADING: Final = 1000
OFFLINE_SALES: Final = 200
UPLOAD_SHARE: Final = 30
"""Percent of saturation at which customers come while terminals upload what they sold offline: at lunch's end."""
LARGE_LEDGER_SALES: Final = 1_000_000
SHARES: Final = (30, 60, 90)
"""Percent of saturation at which latency is measured."""


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def fresh_folder(base: Path, name: str, terminals: int = TERMINALS) -> Iterator[tuple[DataFolder, Provisioned]]:
    """A provisioned data folder with ports of the system's choosing."""
    ports: dict[tuple[str, str], Any] = {("listen", "port"): 0, ("http", "port"): 0}
    folder = DataFolder.create(base / name, secrets.token_bytes, ports)
    with open_admin(folder) as channel:
        provisioned = provision(channel, terminals, CARDS)
    try:
        yield folder, provisioned
    finally:
        shutil.rmtree(folder.path)


def load(
    folder: DataFolder,
    *,
    rate: float | None,
    seconds: float,
    connected: int = TERMINALS,
    mixed: bool = False,
    offline_upload: str = "",
) -> dict[str, Any]:
    """Run `fanka load` in a process of its own against a host in another; its JSON. Fails if the audit does."""
    result = folder.path / "load.json"
    words = ["--terminals", str(TERMINALS), "--connected", str(connected), "--cards", str(CARDS)]
    words += ["--seconds", str(seconds), "--warm-up", str(WARM_UP_S), "--json", str(result), "--quiet"]
    words += ["--saturate"] if rate is None else ["--rate", f"{rate:.1f}"]
    words += ["--mixed"] if mixed else []
    words += ["--offline-upload", offline_upload] if offline_upload else []
    with serving(folder):
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "tools.main", "load", str(folder.path), *words], check=False
        )
    if done.returncode != 0:
        raise SystemExit(f"bench: `fanka load` failed with {done.returncode}: no figures from a run that lost money")
    found: dict[str, Any] = msgspec.json.decode(result.read_bytes())
    return found


def try_pgbench(stack: ExitStack) -> Callable[[], float] | str:
    """How to measure a round of pgbench, or why there will be none."""
    try:
        binaries, folder = stack.enter_context(pgbench.ready(Path(tempfile.gettempdir())))
    except pgbench.Unavailable as error:
        return str(error)
    return lambda: pgbench.measure(binaries, folder, PGBENCH_CLIENTS, PGBENCH_SECONDS)


def measure_rounds(base: Path, found: dict[str, Any]) -> None:
    """Saturated sales beside echo and pgbench, ROUNDS times in turn."""
    echoes: list[float] = []
    sales: list[float] = []
    transactions: list[float] = []
    with ExitStack() as stack:
        measure_pgbench = try_pgbench(stack)
        for number in range(1, ROUNDS + 1):
            with fresh_folder(base, "saturated") as (folder, _):
                # The yardstick on both sides: a shared machine can change its speed by half within a minute.
                before = echo.measure(TERMINALS, WARM_UP_S, SECONDS / 2)
                sales.append(load(folder, rate=None, seconds=SECONDS)["throughput_per_s"])
                echoes.append((before + echo.measure(TERMINALS, WARM_UP_S, SECONDS / 2)) / 2)
            said = f"round {number}: echo {echoes[-1]:,.0f}/s, sales {sales[-1]:,.0f}/s"
            if isinstance(measure_pgbench, str):
                said += f" ({measure_pgbench})"
            else:
                transactions.append(measure_pgbench())
                said += f", pgbench {transactions[-1]:,.0f}/s"
            say(said)
    found["connections"] = TERMINALS
    found["rounds"] = {"echo_per_s": echoes, "authorizations_per_s": sales, "pgbench_tps": transactions}
    found["echo_per_s"] = median(echoes)
    found["authorizations_per_s"] = median(sales)
    found["ratio_to_echo"] = median(sale / echoed for sale, echoed in zip(sales, echoes, strict=True))
    found["pgbench_tps"] = median(transactions) if transactions else None
    found["ratio_to_pgbench"] = (
        median(sale / tps for sale, tps in zip(sales, transactions, strict=True)) if transactions else None
    )
    found["pgbench_skipped"] = measure_pgbench if isinstance(measure_pgbench, str) else None


def measure_mixed(base: Path, found: dict[str, Any]) -> None:
    """Sales alone and all functions together, saturated, in turn. In both, sales earn points."""
    alone: list[float] = []
    mixed: list[float] = []
    for number in range(1, MIXED_ROUNDS + 1):
        for is_mixed, speeds in ((False, alone), (True, mixed)):
            with fresh_folder(base, "mixed") as (folder, _):
                with open_admin(folder) as channel:
                    channel.call("points.set", fen_per_point=FEN_PER_POINT)
                speeds.append(load(folder, rate=None, seconds=SECONDS, mixed=is_mixed)["throughput_per_s"])
        say(f"round {number}: sales alone {alone[-1]:,.0f}/s, all functions {mixed[-1]:,.0f}/s")
    found["mixed"] = {
        "sales_per_s": alone,
        "mixed_per_s": mixed,
        "ratio": median(all_kinds / sales for all_kinds, sales in zip(mixed, alone, strict=True)),
    }


def measure_latency(base: Path, found: dict[str, Any]) -> None:
    """Open-loop latency at shares of saturation, and with many more terminals connected than selling."""
    saturation = found["authorizations_per_s"]
    found["latency_ms"] = {}
    for share in SHARES:
        with fresh_folder(base, "latency") as (folder, _):
            run = load(folder, rate=saturation * share / 100, seconds=LATENCY_SECONDS)
        found["latency_ms"][f"at_{share}_percent"] = run["latency_ms"] | {"offered_per_s": run["offered_per_s"]}
        say(f"latency at {share} %: {run['latency_ms']}")
    with fresh_folder(base, "connected", CONNECTED) as (folder, _):
        run = load(folder, rate=saturation * 0.6, seconds=LATENCY_SECONDS, connected=CONNECTED)
    found["many_connected"] = {
        "connected": CONNECTED,
        "selling": TERMINALS,
        "offered_per_s": run["offered_per_s"],
        "failed": run["failed"],
        "latency_ms": run["latency_ms"],
    }
    say(f"{CONNECTED} connected, {TERMINALS} selling: {run['latency_ms']}, failed {run['failed']}")


def measure_upload(base: Path, found: dict[str, Any]) -> None:
    """Terminals back from an outage bring a day's offline sales beside customers: how fast, and at whose cost."""
    rate = found["authorizations_per_s"] * UPLOAD_SHARE / 100
    with fresh_folder(base, "upload", TERMINALS + UPLOADING) as (folder, _):
        run = load(folder, rate=rate, seconds=LATENCY_SECONDS, offline_upload=f"{UPLOADING},{OFFLINE_SALES}")
    found["offline_upload"] = run["offline_upload"] | {"offered_per_s": run["offered_per_s"]}
    say(f"offline upload: {found['offline_upload']}")


def measure_memory(base: Path, found: dict[str, Any]) -> None:
    """Host memory per idle connected terminal."""
    with fresh_folder(base, "idle", IDLE_TERMINALS) as (folder, provisioned), serving(folder) as host:
        found["idle_kib_per_terminal"] = idle.measure(host, provisioned.terminals)
    say(f"memory per idle terminal: {found['idle_kib_per_terminal']:.1f} KiB")


def measure_growth(base: Path, found: dict[str, Any]) -> None:
    """Saturated sales on an empty ledger and on a large one, in turn."""
    empty: list[float] = []
    large: list[float] = []
    with fresh_folder(base, "large") as (large_folder, provisioned):
        grow.grow(large_folder, provisioned, LARGE_LEDGER_SALES)
        size_mb = large_folder.ledger_path.stat().st_size / 1e6
        say(f"ledger of {LARGE_LEDGER_SALES:,} sales: {size_mb:,.0f} MB")
        for _ in range(GROWTH_ROUNDS):
            with fresh_folder(base, "empty") as (folder, _):
                empty.append(load(folder, rate=None, seconds=SECONDS)["throughput_per_s"])
            large.append(load(large_folder, rate=None, seconds=SECONDS)["throughput_per_s"])
            say(f"empty {empty[-1]:,.0f}/s, large {large[-1]:,.0f}/s")
    found["growth"] = {
        "sales": LARGE_LEDGER_SALES,
        "size_mb": size_mb,
        "empty_per_s": median(empty),
        "large_per_s": median(large),
        "ratio": median(after / before for before, after in zip(empty, large, strict=True)),
    }


def main() -> None:
    """Measure, then write both reports."""
    found: dict[str, Any] = {"machine": report.machine()}
    with tempfile.TemporaryDirectory(prefix="fanka-bench-") as temporary:
        base = Path(temporary)
        measure_rounds(base, found)
        measure_mixed(base, found)
        measure_latency(base, found)
        measure_upload(base, found)
        measure_memory(base, found)
        measure_growth(base, found)
    Path("bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    Path("docs/benchmarks.md").write_text(report.page(found), "utf-8")
    print(report.page(found))


if __name__ == "__main__":
    main()
