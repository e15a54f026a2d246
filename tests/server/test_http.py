"""Three pages over HTTP, whatever is thrown at the port: bounded in size, time and number."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from server.http import MAX_HTTP_CONNECTIONS, MAX_REQUEST_SIZE, REQUEST_TIMEOUT_S, HttpPort
from server.metrics import Metrics
from tests.server.host import open_host


def http_port(*reasons):
    return HttpPort(Metrics(CollectorRegistry()), lambda: list(reasons))


def get(path, port=None, method="GET"):
    """Status line, headers and body of the answer."""
    return parse((port or http_port()).respond(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))


def parse(response):
    head, body = response.split(b"\r\n\r\n", 1)
    status, *headers = head.decode().split("\r\n")
    return status, dict(header.split(": ", 1) for header in headers), body


# --- Pages


def test_metrics_are_served_in_the_text_format():
    status, headers, body = get("/metrics")
    assert status == "HTTP/1.1 200 OK"
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert headers["Content-Length"] == str(len(body))
    assert headers["Connection"] == "close"
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert {"fanka_connections", "fanka_authorizations", "fanka_ledger_queue_depth"} <= names


def test_health_is_that_it_answers():
    assert get("/healthz", http_port("something is wrong"))[::2] == ("HTTP/1.1 200 OK", b"ok\n")


def test_readiness_names_every_reason_against_it():
    assert get("/readyz")[::2] == ("HTTP/1.1 200 OK", b"ready\n")
    status, _, body = get("/readyz", http_port("shutting down", "disk full"))
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert body == b"shutting down\ndisk full\n"


def test_a_query_string_is_let_pass():
    assert get("/healthz?probe=1&x")[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/"])
def test_head_is_get_without_the_body(path):
    status, headers, body = get(path, method="HEAD")
    assert body == b""
    assert (status, headers) == get(path)[:2]


@pytest.mark.parametrize("path", ["/", "/metricsx", "/metrics/", "//metrics", "http://x/metrics", "/../metrics", "*"])
def test_other_paths_are_not_found_and_told_what_is_here(path):
    status, _, body = get(path)
    assert status == "HTTP/1.1 404 Not Found"
    assert body == b"here are /metrics, /healthz and /readyz\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get", "OPTIONS"])
def test_other_methods_are_not_allowed(method):
    assert get("/metrics", method=method)[0] == "HTTP/1.1 405 Method Not Allowed"


@pytest.mark.parametrize(
    "head", [b"", b"\r\n\r\n", b"GET /", b"GET / HTTP/2", b"GET  / HTTP/1.1", b"FK\x01\0", b"\xff"]
)
def test_what_is_no_request_is_a_bad_one(head):
    assert parse(http_port().respond(head))[0] == "HTTP/1.1 400 Bad Request"


@given(st.binary(max_size=200))
def test_any_bytes_get_one_whole_response(head):
    """Nothing may leave `respond` but a response."""
    status, headers, body = parse(http_port().respond(head))
    assert status.startswith("HTTP/1.1 ")
    assert int(headers["Content-Length"]) == len(body) or head.startswith(b"HEAD ")


# --- Connections


class Visitor:
    """A client of the port on a memory stream, and whether it is still being served."""

    def __init__(self, nursery, port):
        self.stream, far = memory_stream_pair()
        self.done = trio.Event()
        nursery.start_soon(self._serve, port, far)

    async def _serve(self, port, far):
        await port.serve(far, "10.0.0.1")
        self.done.set()

    async def rest(self):
        received = b""
        while data := await self.stream.receive_some():
            received += data
        return received


async def test_a_request_in_pieces_is_answered_and_the_connection_closed(nursery):
    visitor = Visitor(nursery, http_port())
    for piece in (b"GET /hea", b"lthz HTTP/1.1\r", b"\nHost: x\r\n\r", b"\n"):
        await visitor.stream.send_all(piece)
        await wait_all_tasks_blocked()
    assert parse(await visitor.rest())[2] == b"ok\n"
    await visitor.done.wait()


async def test_a_client_that_ends_early_is_answered_what_it_has_said(nursery):
    visitor = Visitor(nursery, http_port())
    await visitor.stream.send_all(b"GET /healthz HTTP/1.1")
    await visitor.stream.send_eof()
    assert parse(await visitor.rest())[2] == b"ok\n"


async def test_an_endless_head_is_cut(nursery):
    visitor = Visitor(nursery, http_port())
    await visitor.stream.send_all(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * MAX_REQUEST_SIZE)
    assert parse(await visitor.rest())[0] == "HTTP/1.1 200 OK"
    await visitor.done.wait()


async def test_a_slow_client_is_closed_without_an_answer(nursery, autojump_clock):
    visitor = Visitor(nursery, http_port())
    started_s = trio.current_time()
    nursery.start_soon(drip, visitor.stream)
    assert await visitor.rest() == b""
    assert trio.current_time() - started_s == REQUEST_TIMEOUT_S


async def drip(stream):
    """One byte a second of a head that never ends."""
    with pytest.raises(trio.BrokenResourceError):  # noqa: PT012
        while True:
            await stream.send_all(b"x")
            await trio.sleep(1)


async def test_a_client_that_never_reads_is_closed(nursery, autojump_clock):
    near, far = memory_stream_pair()
    far.send_stream.send_all_hook = trio.sleep_forever  # as if the client's window were closed
    await near.send_all(b"GET /metrics HTTP/1.1\r\n\r\n")
    started_s = trio.current_time()
    await http_port().serve(far)
    assert trio.current_time() - started_s == REQUEST_TIMEOUT_S


async def test_a_client_that_leaves_costs_nothing(nursery):
    visitor = Visitor(nursery, http_port())
    await visitor.stream.aclose()
    await visitor.done.wait()


async def test_more_visitors_than_a_few_are_closed_at_once(nursery, autojump_clock):
    port = http_port()
    visitors = [Visitor(nursery, port) for _ in range(MAX_HTTP_CONNECTIONS)]
    await wait_all_tasks_blocked()
    started_s = trio.current_time()
    assert await Visitor(nursery, port).rest() == b""
    assert trio.current_time() == started_s
    # One leaves, and there is room for one.
    await visitors[0].stream.aclose()
    await wait_all_tasks_blocked()
    visitor = Visitor(nursery, port)
    await visitor.stream.send_all(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert parse(await visitor.rest())[2] == b"ok\n"


async def test_the_host_says_why_it_is_not_ready():
    async with open_host() as rig:
        assert get("/readyz", rig.host.http)[2] == b"ready\n"
        rig.host.gate.healthy = False
        rig.host.draining = True
        assert get("/readyz", rig.host.http)[2].decode().splitlines() == rig.host.unready()
        assert len(rig.host.unready()) == 2
