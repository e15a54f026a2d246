"""What a flood came to: figures as data, a line of the table, and the goals they are held against."""

from __future__ import annotations

from statistics import median
from typing import Any

import msgspec

from tests.floods.honest import Trade
from tests.floods.schedule import Schedule, Window, interval, percentile, ratios
from tests.floods.storm import Return

P99_RATIO_MAX = 1.2
STORM_MAX_S = 10.0
RSS_MAX_KIB = 30 * 4_096
"""Most a flood may add to the host's memory: what 4,096 connections may take by the configuration's own word."""


class Flood(msgspec.Struct, kw_only=True):
    """One flood's figures. Latencies in milliseconds."""

    name: str
    ratio: float
    """The median of p99 in attacked windows to p99 in the calm ones around them."""
    ratio_interval: tuple[float, float]
    p99_calm_ms: float
    p99_attacked_ms: float
    customers: int
    failed: int
    sign_on_calm_ms: tuple[float, float]
    """The median, and the slowest."""
    sign_on_attacked_ms: tuple[float, float]
    sign_ons_failed: int
    host_cpu_calm: float
    host_cpu_attacked: float
    rss_kib: tuple[int, int, int]
    """Before, most, after."""
    files: tuple[int, int, int]
    refused: int
    handshakes_failed: int
    did: dict[str, int]
    violations: list[str]


def windows_of(values: list[tuple[float, float, bool]], windows: list[Window]) -> list[list[tuple[float, bool]]]:
    """(seconds, whether it worked) of what began in each window."""
    return [[(took_s, ok) for began_s, took_s, ok in values if window.counts(began_s)] for window in windows]


def p99s(trade: Trade, windows: list[Window]) -> list[float]:
    """Milliseconds, of each window."""
    return [percentile((took_s for took_s, _ in inside), 99) * 1000 for inside in windows_of(trade.customers, windows)]


def sign_on_ms(trade: Trade, windows: list[Window]) -> tuple[float, float]:
    """Median and slowest sign-on that began in these windows, from their first moment on: one that is held off then is
    not followed by others that could be counted instead."""
    took = [
        took_s * 1000
        for began_s, took_s, _ in trade.sign_ons
        if any(window.start_s <= began_s < window.end_s for window in windows)
    ]
    return (percentile(took, 50), max(took, default=0.0))


def compare(trade: Trade, schedule: Schedule) -> dict[str, Any]:
    """The figures of a Flood that come from the honest terminals."""
    calm = [window for window in schedule.windows if not window.attack]
    attacked = [window for window in schedule.windows if window.attack]
    calm_ms, attacked_ms = p99s(trade, calm), p99s(trade, attacked)
    found = ratios(calm_ms, attacked_ms)
    return {
        "ratio": median(found),
        "ratio_interval": interval(found),
        "p99_calm_ms": median(calm_ms),
        "p99_attacked_ms": median(attacked_ms),
        "customers": len(trade.customers),
        "failed": sum(not ok for *_, ok in trade.customers),
        "sign_on_calm_ms": sign_on_ms(trade, calm),
        "sign_on_attacked_ms": sign_on_ms(trade, attacked),
        "sign_ons_failed": sum(not ok for *_, ok in trade.sign_ons),
    }


HEAD = (
    f"{'flood':<13}{'p99 calm':>10}{'attacked':>10}{'ratio':>7}{'95 %':>14}{'sign-on':>9}{'attacked':>10}{'worst':>8}"
    f"{'host cpu':>12}{'MiB':>14}{'files':>12}{'hostile':>9}{'refused':>9}{'failed':>8}"
)
UNITS = (
    f"{'':<13}{'ms':>10}{'ms':>10}{'':>7}{'':>14}{'ms':>9}{'ms':>10}{'ms':>8}{'calm / att.':>12}{'most / after':>14}"
    f"{'most/after':>12}{'connects':>9}{'':>9}{'sales':>8}"
)


def line(flood: Flood) -> str:
    """One line of the table."""
    low, high = flood.ratio_interval
    return (
        f"{flood.name:<13}{flood.p99_calm_ms:>10.1f}{flood.p99_attacked_ms:>10.1f}{flood.ratio:>7.2f}"
        f"{f'{low:.2f}..{high:.2f}':>14}{flood.sign_on_calm_ms[0]:>9.1f}{flood.sign_on_attacked_ms[0]:>10.1f}"
        f"{flood.sign_on_attacked_ms[1]:>8.0f}{f'{flood.host_cpu_calm:.2f} / {flood.host_cpu_attacked:.2f}':>12}"
        f"{f'{flood.rss_kib[1] / 1024:.0f} / {flood.rss_kib[2] / 1024:.0f}':>14}"
        f"{f'{flood.files[1]}/{flood.files[2]}':>12}{flood.did.get('connects', 0):>9}"
        f"{flood.refused:>9}{flood.failed:>8}"
    )


class StormResult(msgspec.Struct, kw_only=True):
    """Terminals that came back: seconds from the host's being back until the median, the 99th percentile and the last
    of them was READY."""

    name: str
    terminals: int
    sources: int
    p50_s: float
    p99_s: float
    last_s: float
    tries: int
    counted: dict[str, int] = {}
    """What the host counted of it: handshakes by result, connections refused by reason."""
    violations: list[str]


def storm_result(name: str, terminals: int, sources: int, returned: Return, back_s: float) -> StormResult:
    """From when the host listened again."""
    took = sorted(ready_s - back_s for ready_s in returned.ready_s)
    missing = [f"{returned.missing} terminals never came back"] if returned.missing else []
    return StormResult(
        name=name,
        terminals=terminals,
        sources=sources,
        p50_s=percentile(took, 50),
        p99_s=percentile(took, 99),
        last_s=max(took, default=0.0),
        tries=returned.tries,
        violations=missing,
    )


def storm_line(storm: StormResult) -> str:
    return (
        f"{storm.name:<13}{storm.terminals:,} terminals from {storm.sources:,} addresses, READY after the host "
        f"is back: p50 {storm.p50_s:.2f} s, p99 {storm.p99_s:.2f} s, the last {storm.last_s:.2f} s; "
        f"{storm.tries:,} tries; " + ", ".join(f"{what} {count:,}" for what, count in storm.counted.items() if count)
    )
