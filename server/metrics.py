"""Every metric of the host, with its help and bounded labels, on a registry passed in."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Create one per host; attributes are the metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # A creation-time gauge per series would double what a scrape carries and says nothing here.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self.authorizations = Counter(
            "fanka_authorizations_total",
            "Requests answered, by transaction type and response code.",
            ("type", "code"),
            registry=registry,
        )
        self.latency_seconds = Histogram(
            "fanka_authorization_seconds",
            "From a whole request to its answer, by transaction type.",
            ("type",),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.batch_size = Histogram(
            "fanka_ledger_batch_size", "Requests per commit.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.commit_seconds = Histogram(
            "fanka_ledger_commit_seconds",
            "From taking a batch to its durable commit.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.queue_depth = Gauge("fanka_ledger_queue_depth", "Requests waiting for a commit.", registry=registry)
        self.shed = Counter(
            "fanka_ledger_shed_total", "Requests answered 09 because the queue was full.", registry=registry
        )
        self.ledger_faults = Counter(
            "fanka_ledger_faults_total",
            "Failures of the ledger, by kind: StoreFull, StoreBroken, command.",
            ("kind",),
            registry=registry,
        )
        self.id_conflicts = Counter(
            "fanka_id_conflicts_total",
            "Requests that reused an identity with other content: broken firmware, rolled-back memory or a clone.",
            registry=registry,
        )
        self.connections = Gauge("fanka_connections", "Open TCP connections of terminals.", registry=registry)
        self.sessions = Gauge("fanka_sessions", "Authenticated sessions.", registry=registry)
        self.handshakes = Counter(
            "fanka_handshakes_total",
            "Handshakes by result: ready, enrol, failed, timeout.",
            ("result",),
            registry=registry,
        )
        self.connections_refused = Counter(
            "fanka_connections_refused_total",
            "Connections closed at once, by reason: full, source, drain.",
            ("reason",),
            registry=registry,
        )
        self.takeovers = Counter(
            "fanka_session_takeovers_total", "Sessions ended by a newer one of the same terminal.", registry=registry
        )
        self.sessions_ended = Counter(
            "fanka_sessions_ended_total",
            "Sessions ended, by reason: signed_off, closed, idle, frame_timeout, protocol, takeover, revoked, drain, "
            "fault.",
            ("reason",),
            registry=registry,
        )
        self.frames_rejected = Counter(
            "fanka_frames_rejected_total",
            "Frames refused, by reason (see docs/protocol.md).",
            ("reason",),
            registry=registry,
        )
