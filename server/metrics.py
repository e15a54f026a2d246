"""Every metric of the host, with its help and bounded labels, on a registry passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class CountedElsewhere(Collector):
    """A counter whose value somebody else keeps: asked for when it is read."""

    def __init__(self, name: str, documentation: str, value: Callable[[], int], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._value = value
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The counter as it stands."""
        yield CounterMetricFamily(self._name, self._documentation, value=self._value())

    def describe(self) -> Iterator[Metric]:
        """The counter without its value."""
        yield CounterMetricFamily(self._name, self._documentation)


def nothing_dropped() -> int:
    """For a host whose log loses nothing."""
    return 0


class Metrics:
    """Create one per host; attributes are the metrics. `log_lines_dropped` says how many lines its log has lost."""

    def __init__(self, registry: CollectorRegistry, log_lines_dropped: Callable[[], int] = nothing_dropped) -> None:
        # A creation-time gauge per series would double what a scrape carries and says nothing here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._add_requests()
        self._add_unresolved()
        self._add_connections()
        self.log_lines_dropped = CountedElsewhere(
            "fanka_log_lines_dropped_total",
            "Log lines lost: nobody reads the log, or its disk is full.",
            log_lines_dropped,
            registry,
        )

    def _add_requests(self) -> None:
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self.authorizations = counter(
            "fanka_authorizations_total", "Requests answered, by transaction type and response code.", ("type", "code")
        )
        self.latency_seconds = histogram(
            "fanka_authorization_seconds",
            "From a whole request to its answer, by transaction type.",
            ("type",),
            buckets=LATENCY_BUCKETS_S,
        )
        self.batch_size = histogram("fanka_ledger_batch_size", "Requests per commit.", buckets=BATCH_BUCKETS)
        self.commit_seconds = histogram(
            "fanka_ledger_commit_seconds", "From taking a batch to its durable commit.", buckets=LATENCY_BUCKETS_S
        )
        self.queue_depth = Gauge("fanka_ledger_queue_depth", "Requests waiting for a commit.", registry=self.registry)
        self.shed = counter(
            "fanka_ledger_shed_total", "Requests answered 09: the queue was full, or they had waited too long in it."
        )
        self.ledger_faults = counter(
            "fanka_ledger_faults_total",
            "Failures of the ledger, by kind: StoreFull, StoreAway, StoreBroken, command.",
            ("kind",),
        )
        self.id_conflicts = counter(
            "fanka_id_conflicts_total",
            "Requests that reused an identity with other content: broken firmware, rolled-back memory or a clone.",
        )
        self.pin_locks = counter(
            "fanka_pin_locks_total",
            "Requests refused because of too many wrong PINs or payment codes, by what is locked: card, terminal.",
            ("what",),
        )
        self.uploads = counter(
            "fanka_uploads_total",
            "Sales that terminals uploaded after a restore, by verdict: restored, known, reversed, conflict (never"
            " posted: somebody has to look), not_open, waiting (for a card, or for what it is about), undecided.",
            ("verdict",),
        )
        self.offline_sales = counter(
            "fanka_offline_sales_total",
            "Offline sales that terminals brought, by verdict: accepted, duplicate, over_limit, stopped, refused,"
            " tampered (never posted: somebody has to look), gap, undecided.",
            ("verdict",),
        )

    def _add_unresolved(self) -> None:
        self.unresolved_entries = Gauge(
            "fanka_unresolved_entries",
            "Money about which something is still to be done, by kind: hold, reversal, batch, settlement, late,"
            " quarantine.",
            ("kind",),
            registry=self.registry,
        )
        self.unresolved_age_seconds = Gauge(
            "fanka_unresolved_age_seconds",
            "How long the oldest has waited, by kind: hold, reversal, batch, settlement, late, quarantine; 0 = none.",
            ("kind",),
            registry=self.registry,
        )

    def _add_connections(self) -> None:
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        self.connections = gauge("fanka_connections", "Open TCP connections of terminals.")
        self.sessions = gauge("fanka_sessions", "Authenticated sessions.")
        self.handshakes = counter(
            "fanka_handshakes_total", "Handshakes by result: ready, enrol, failed, timeout.", ("result",)
        )
        self.connections_refused = counter(
            "fanka_connections_refused_total",
            "Connections closed at once, by reason: full, source, drain; or in their handshake, to make room: crowded.",
            ("reason",),
        )
        self.slowed = counter(
            "fanka_requests_slowed_total", "Requests that waited because their terminal asks faster than allowed."
        )
        self.rollbacks_seen = counter(
            "fanka_rollback_seen_total",
            "Handshakes of terminals that have seen a later epoch of this host: the ledger is an old backup.",
        )
        self.takeovers = counter("fanka_session_takeovers_total", "Sessions ended by a newer one of the same terminal.")
        self.sessions_ended = counter(
            "fanka_sessions_ended_total",
            "Sessions ended, by reason: signed_off, closed, idle, frame_timeout, protocol, takeover, revoked, drain, "
            "fault.",
            ("reason",),
        )
        self.frames_rejected = counter(
            "fanka_frames_rejected_total", "Frames refused, by reason (see docs/protocol.md).", ("reason",)
        )
