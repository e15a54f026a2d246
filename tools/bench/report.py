"""What was measured, as a page for people."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from server.ledger.sqlite import sqlite_version

LATENCIES: Final = ("p50", "p90", "p99", "p999", "max")


def machine() -> dict[str, Any]:
    """The machine and the versions that matter."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_kib = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / 2**20),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite_version(),
        "trio": version("trio"),
    }


def page(found: dict[str, Any]) -> str:
    """docs/benchmarks.md."""
    rounds = found["rounds"]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`: host and load generator on the same machine, real sockets, `synchronous=FULL`,",
        "every run's money audited against the ledger. Medians; machines differ and are noisy: read the ratios.",
        "",
        _machine_line(found["machine"]),
        "",
        f"## Saturated, {found['connections']:,} terminals",
        "",
        "| measured | each round, per second | median |",
        "|---|---|---|",
        f"| durable sales | {_list(rounds['authorizations_per_s'])} | **{found['authorizations_per_s']:,.0f}** |",
        f"| raw trio echo, same frames and connections | {_list(rounds['echo_per_s'])} | {found['echo_per_s']:,.0f} |",
    ]
    if found["pgbench_tps"] is not None:
        lines.append(
            f"| pgbench TPC-B, 8 clients | {_list(rounds['pgbench_tps'])} | {found['pgbench_tps']:,.0f} |",
        )
    lines += ["", f"Sales are **{found['ratio_to_echo']:.2f}** of the echo"]
    if found["ratio_to_pgbench"] is not None:
        lines[-1] += f" and **{found['ratio_to_pgbench']:.1f} times** pgbench (medians of the rounds' ratios)."
    else:
        lines[-1] += f" (median of the rounds' ratios). pgbench was skipped: {found['pgbench_skipped']}."
    lines += ["", "## All functions", "", *_mixed_lines(found["mixed"])]
    lines += ["", "## Latency in ms, from the intended arrival of the customer", "", _latency_head()]
    lines += [
        _latency_row(f"{name.removeprefix('at_').removesuffix('_percent')} % of saturation", row["offered_per_s"], row)
        for name, row in found["latency_ms"].items()
    ]
    many = found["many_connected"]
    lines.append(
        _latency_row(
            f"{many['connected']:,} connected, {many['selling']:,} selling", many["offered_per_s"], many["latency_ms"]
        )
    )
    lines += [
        "",
        f"With {many['connected']:,} connected, {many['failed']} sales failed.",
        "",
        *_upload_lines(found["offline_upload"]),
        "## Memory and growth",
        "",
        f"- {found['idle_kib_per_terminal']:.1f} KiB of host memory per idle connected terminal.",
        _growth_line(found["growth"]),
        "",
    ]
    return "\n".join(lines)


def _mixed_lines(mixed: dict[str, Any]) -> list[str]:
    return [
        "Seven of ten are sales; the rest are voids, refunds, holds, completions and their voids, top-ups, points",
        "sales, balance inquiries and look-ups. Every sale earns points.",
        "",
        "| measured | each round, approved per second | median |",
        "|---|---|---|",
        f"| sales alone | {_list(mixed['sales_per_s'])} | {median(mixed['sales_per_s']):,.0f} |",
        f"| all functions | {_list(mixed['mixed_per_s'])} | {median(mixed['mixed_per_s']):,.0f} |",
        "",
        f"All functions together reach **{mixed['ratio']:.2f}** of sales alone (median of the rounds' ratios).",
    ]


def _upload_lines(upload: dict[str, Any]) -> list[str]:
    return [
        "## Offline sales, beside customers",
        "",
        f"{upload['terminals']:,} terminals come back from an outage with {upload['records']:,} sales each, while",
        f"{upload['offered_per_s']:,.0f} customers/s stand at others: {upload['rate_per_s']:,.0f} uploads/s,",
        f"all in {upload['seconds']:,.0f} s.",
        f"Customers' p99 was {upload['p99_alone_ms']:.1f} ms before and after it,",
        f"and {upload['p99_beside_ms']:.1f} ms beside it, while",
        f"the ledger grew by all of these sales: a ratio of **{upload['p99_ratio']:.2f}**.",
        "",
    ]


def _growth_line(growth: dict[str, Any]) -> str:
    return (
        f"- A ledger of {growth['sales']:,} sales ({growth['size_mb']:,.0f} MB) takes {growth['large_per_s']:,.0f}"
        f" sales/s, an empty one {growth['empty_per_s']:,.0f}: a ratio of **{growth['ratio']:.2f}**."
    )


def _machine_line(about: dict[str, Any]) -> str:
    return (
        f"Machine: {about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB; Linux {about['kernel']},"
        f" Python {about['python']}, trio {about['trio']}, SQLite {about['sqlite']}."
    )


def _list(values: list[float]) -> str:
    return " / ".join(f"{value:,.0f}" for value in values)


def _latency_head() -> str:
    return "| load | offered per s | " + " | ".join(LATENCIES) + " |\n" + "|---" * (2 + len(LATENCIES)) + "|"


def _latency_row(name: str, offered: float, row: dict[str, Any]) -> str:
    return f"| {name} | {offered:,.0f} | " + " | ".join(f"{row[key]:,.1f}" for key in LATENCIES) + " |"
