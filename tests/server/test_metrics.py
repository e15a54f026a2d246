"""Every metric explains itself, and no peer can make up a label value: the number of series has a bound."""

import re

import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from protocol import Reason
from protocol.response_codes import RESPONSE_CODES
from server.handlers import CALLS, HANDLERS
from server.ledger.unresolved import KINDS
from server.metrics import Metrics
from tests.server.host import CARD, STRANGER, open_host

TYPES = {one.name for table in (HANDLERS, CALLS) for one in table.values()}
LABELS = {
    "fanka_authorizations": {"type": TYPES, "code": set(RESPONSE_CODES)},
    "fanka_authorization_seconds": {"type": TYPES},
    "fanka_unresolved_entries": {"kind": set(KINDS)},
    "fanka_unresolved_age_seconds": {"kind": set(KINDS)},
    "fanka_pin_locks": {"what": {"card", "terminal"}},
    "fanka_uploads": {"verdict": {"restored", "known", "reversed", "conflict", "not_open", "undecided", "waiting"}},
    "fanka_offline_sales": {
        "verdict": {"accepted", "duplicate", "over_limit", "stopped", "refused", "tampered", "gap", "undecided"}
    },
    "fanka_ledger_faults": {"kind": {"StoreFull", "StoreAway", "StoreBroken", "command"}},
    "fanka_handshakes": {"result": {"ready", "enrol", "failed", "timeout"}},
    "fanka_connections_refused": {"reason": {"full", "source", "crowded", "drain"}},
    "fanka_sessions_ended": {
        "reason": {
            "signed_off",
            "closed",
            "idle",
            "frame_timeout",
            "protocol",
            "takeover",
            "revoked",
            "drain",
            "fault",
        }
    },
    "fanka_frames_rejected": {"reason": {reason.value for reason in Reason}},
}
"""Every label of every metric, with all the values it may ever have."""
UNITS = ("_entries", "_seconds", "_size", "_depth", "_connections", "_sessions")


def families(registry):
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


METRICS = families(Metrics(CollectorRegistry()).registry)
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


@each_metric
def test_a_metric_explains_itself_in_a_sentence(metric):
    assert re.fullmatch(r"[A-Z].{10,}\.", metric.documentation)


@each_metric
def test_a_metric_is_named_after_us_and_its_unit(metric):
    assert metric.name.startswith("fanka_")
    if metric.type in ("histogram", "gauge") and metric.name not in ("fanka_connections", "fanka_sessions"):
        assert metric.name.endswith(UNITS)


@each_metric
def test_what_a_label_may_hold_is_part_of_the_help(metric):
    for label, values in LABELS.get(metric.name, {}).items():
        if len(values) < 10 and label != "type":
            assert [value for value in values if value not in metric.documentation] == []


def test_two_hosts_in_one_process_count_apart():
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.takeovers.inc()
    assert one.registry.get_sample_value("fanka_session_takeovers_total") == 1
    assert other.registry.get_sample_value("fanka_session_takeovers_total") == 0


async def test_no_peer_can_make_up_a_label_value(autojump_clock):
    async with open_host(pending_handshakes_per_source=2) as rig:
        till, quiet = rig.enrol(), rig.enrol()
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"FK" * 40, bytes(200), b"FK\x01\xff" + bytes(300)):
            await rig.connect().send_all(garbage)
            await trio.testing.wait_all_tasks_blocked()
        line = await rig.sign_on(till)
        for card, amount_fen in ((CARD, 1), (STRANGER, 1), (CARD, 49_999), (CARD, 60_000)):
            await line.sell(till.sale(card, amount_fen))
        await rig.sign_on(till)
        await rig.sign_on(quiet)
        streams = [rig.connect() for _ in range(4)]
        await trio.sleep(200)  # idle and handshake timeouts
        await streams[0].aclose()
        seen = 0
        for metric in families(rig.host.metrics.registry):
            for sample in metric.samples:
                labels = {name: value for name, value in sample.labels.items() if name != "le"}
                for name, value in labels.items():
                    assert value in LABELS[metric.name][name], sample
                seen += bool(labels)
        assert seen > 50
        assert rig.count("connections_refused_total", reason="source") == 2
        assert rig.count("handshakes_total", result="timeout") == 2
