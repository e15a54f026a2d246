"""What a load reports while it runs, and what came out."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

from protocol import TerminalNumber
from terminal_emulator.outage import OutageFigures
from terminal_emulator.record import Record, RecordState

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


class LoadProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A look at a running load. `latency_ms` is the 50th and 99th percentile since the last look, None without any."""

    phase: str
    """connecting, warming up, selling, draining, resolving"""
    elapsed_s: float
    online: int
    approved: int
    declined: int
    failed: int
    waiting: int
    latency_ms: tuple[float, float] | None


class FinalSale(msgspec.Struct, frozen=True, gc=False):
    """A sale in its final state, for the audit against the ledger."""

    terminal: TerminalNumber
    record: Record


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came out. The counts are of customers who came after the warm-up; `sales` are all, warm-up included."""

    terminals: int
    selling: int
    seconds: float
    offered_per_s: float | None
    approved: int
    declined: int
    failed: int
    """Told "not charged" (no answer in time), or never served."""
    throughput_per_s: float
    """Approvals a second while customers came."""
    latency: HdrHistogram
    """Microseconds from the customer's coming to a final word on the screen."""
    sales: list[FinalSale]
    unresolved: int
    """Sales whose state is still open after RESOLVE_TIMEOUT_S; 0 in a run that may be audited."""
    outage: OutageFigures | None = None
    """What became of the sales made offline, if there were any."""
    stopped: bool = False
    """Somebody ended it early; `seconds` is then how long was measured."""

    @property
    def acknowledged(self) -> list[FinalSale]:
        """The sales the terminals showed as approved: every one must be in the ledger."""
        return [sale for sale in self.sales if sale.record.state is RecordState.APPROVED]

    @property
    def latency_ms(self) -> dict[str, float]:
        """p50, p90, p99, p999 and max in milliseconds; zeros when nothing was measured."""
        found = {name: self.latency.get_value_at_percentile(at) / 1000 for name, at in PERCENTILES.items()}
        found["max"] = self.latency.get_max_value() / 1000
        return found

    def to_json(self) -> dict[str, Any]:
        """The figures scripts rely on; the audit is added by whoever can see the ledger."""
        return {
            "terminals": self.terminals,
            "selling": self.selling,
            "seconds": self.seconds,
            "offered_per_s": self.offered_per_s,
            "approved": self.approved,
            "declined": self.declined,
            "failed": self.failed,
            "throughput_per_s": round(self.throughput_per_s, 1),
            "latency_ms": {name: round(value, 3) for name, value in self.latency_ms.items()},
            "unresolved": self.unresolved,
        } | ({} if self.outage is None else {"offline_upload": self.outage.to_json()})
