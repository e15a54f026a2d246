"""Any request head on the metrics port: one whole HTTP/1.1 response of a known status, and its length is right."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry

from server.http import HttpPort
from server.metrics import Metrics
from tests.fuzz.target import Target

STATUSES = (b"200 OK", b"400 Bad Request", b"404 Not Found", b"405 Method Not Allowed", b"503 Service Unavailable")


@cache
def port(*reasons: str) -> HttpPort:
    return HttpPort(Metrics(CollectorRegistry(), lambda: 0), lambda: list(reasons))


def run(data: bytes) -> str:
    mode, head = data[0] if data else 0, data[1:]
    response = (port("a disk is full") if mode & 1 else port()).respond(head)
    start, _, body = response.partition(b"\r\n\r\n")
    first, *lines = start.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 ")
    assert first[9:] in STATUSES
    headers = dict(line.split(b": ", 1) for line in lines)
    assert headers.keys() == {b"Content-Type", b"Content-Length", b"Connection"}
    assert int(headers[b"Content-Length"]) == len(body) or not body
    return first[9:].decode() + (" without body" if not body else "")


def seeds() -> list[bytes]:
    paths = (b"/metrics", b"/healthz", b"/readyz", b"/", b"/metrics?x=1")
    found = [b"\0GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths]
    return [
        *found,
        b"\1GET /readyz HTTP/1.0\r\n\r\n",
        b"\0HEAD /metrics HTTP/1.1\r\n\r\n",
        b"\0POST / HTTP/1.1\r\n\r\n",
        b"\0",
    ]


TARGET = Target(run, seeds, words=(b"GET ", b"HEAD ", b"/readyz", b"/healthz", b" HTTP/1.1", b"\r\n", b"?"), share=0.2)
