"""A load test's result for people: tables on the screen, and a page with the latency curve."""

from __future__ import annotations

from html import escape
from math import log10
from typing import Any, Final

from hdrh.histogram import HdrHistogram
from rich import box
from rich.table import Table

from tools.audit import Audit
from tools.listing import console

NAMES: Final = {"p50": "half", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "max": "longest"}
WIDTH: Final = 720
HEIGHT: Final = 320
MARGIN: Final = 60
CURVE_PERCENTS: Final = (0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99)
GRID_PERCENTS: Final = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)


def print_result(report: dict[str, Any], verdict: Audit) -> None:
    """Figures, latencies and the audit's verdict."""
    out = console()
    out.print(
        f"{report['terminals']:,} terminals connected, {report['selling']:,} selling, {report['seconds']:g} s:"
        f" {report['offered_per_s']:,.1f} customers/s, {report['throughput_per_s']:,.1f} sales/s"
    )
    out.print(
        f"approved {report['approved']:,}, declined {report['declined']:,}, failed {report['failed']:,},"
        f" unresolved {report['unresolved']:,}"
    )
    table = Table(box=box.SIMPLE_HEAD, title="latency from the customer's coming, ms")
    for name in NAMES.values():
        table.add_column(name, justify="right")
    table.add_row(*(f"{report['latency_ms'][key]:,.1f}" for key in NAMES))
    out.print(table)
    if (upload := report.get("offline_upload")) is not None:
        out.print(
            f"offline: {upload['terminals']:,} terminals uploaded {upload['accepted']:,} sales"
            f" ({upload['refused']:,} refused, {upload['left']:,} left) at {upload['rate_per_s']:,.0f}/s;"
            f" customers waited p50 {upload['p50_alone_ms']:,.1f} -> {upload['p50_beside_ms']:,.1f} ms,"
            f" p99 {upload['p99_alone_ms']:,.1f} -> {upload['p99_beside_ms']:,.1f} ms ({upload['p99_ratio']:.2f} x)"
        )
    word = "balanced" if verdict.ok else "NOT BALANCED"
    out.print(
        f"audit {word}: {verdict.acknowledged:,} sales acknowledged to terminals, {verdict.in_ledger:,} in the ledger,"
        f" {verdict.missing:,} missing, {verdict.duplicated:,} doubled,"
        f" books {'even' if verdict.balanced else 'UNEVEN'}"
    )
    for example in verdict.examples:
        out.print(f"  {example}")


def html_page(report: dict[str, Any], histogram: HdrHistogram) -> str:
    """A page that needs nothing else: figures, and latency over percentiles, both axes logarithmic."""
    rows = "".join(
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in report.items()
        if name not in ("latency_ms", "audit")
    )
    latency = "".join(f"<td>{report['latency_ms'][key]:,.1f}</td>" for key in NAMES)
    heads = "".join(f"<th>{name}</th>" for name in NAMES.values())
    audit = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in report["audit"].items()
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fanka load test</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }} td, th {{ border-bottom: 1px solid #ccc; padding: .2em .8em }}
td + td, th {{ text-align: right }} svg {{ width: 100%; height: auto }} text {{ font-size: 12px; fill: #444 }}
</style>
<h1>Fanka load test</h1>
<h2>Latency from the customer's coming, ms</h2>
<table><tr>{heads}</tr><tr>{latency}</tr></table>
{_curve(histogram)}
<h2>Audit</h2><table>{audit}</table>
<h2>Figures</h2><table>{rows}</table>
</html>
"""


def _curve(histogram: HdrHistogram) -> str:
    """Latency in ms over percentile, as SVG. The x axis stretches the tail: each nine is as wide as the one before."""
    points = [(percent, max(histogram.get_value_at_percentile(percent) / 1000, 0.01)) for percent in CURVE_PERCENTS]
    low = min(-1.0, log10(points[0][1]))
    high = max(log10(points[-1][1]), low + 1)
    grid = "".join(
        f'<line x1="{_x(percent):.1f}" y1="10" x2="{_x(percent):.1f}" y2="{HEIGHT - 30}" stroke="#ddd"/>'
        f'<text x="{_x(percent):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{percent:g} %</text>'
        for percent in GRID_PERCENTS
    )
    for power in range(int(low), int(high) + 1):
        y = _y(power, low, high)
        grid += f'<line x1="{MARGIN}" y1="{y:.1f}" x2="{WIDTH - 10}" y2="{y:.1f}" stroke="#ddd"/>'
        grid += f'<text x="{MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:g} ms</text>'
    line = " ".join(f"{_x(percent):.1f},{_y(log10(value), low, high):.1f}" for percent, value in points)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="latency over percentile">{grid}'
        f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="2"/></svg>'
    )


def _x(percent: float) -> float:
    nines = -log10(1 - percent / 100)
    return MARGIN + nines / 4 * (WIDTH - MARGIN - 30)


def _y(power: float, low: float, high: float) -> float:
    return HEIGHT - 30 - (power - low) / (high - low) * (HEIGHT - 45)
