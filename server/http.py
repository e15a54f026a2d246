"""GET /metrics, /healthz and /readyz over HTTP/1.1, one request per connection. Nothing else is served here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from server.metrics import Metrics

MAX_REQUEST_SIZE: Final = 8192
REQUEST_TIMEOUT_S: Final = 5.0
MAX_HTTP_CONNECTIONS: Final = 32
"""A scraper and some health checks need few; more are closed at once."""
TEXT: Final = "text/plain; charset=utf-8"


class HttpPort:
    """Serves the three pages. `unready` gives the reasons why the host should get no traffic; none = ready."""

    def __init__(self, metrics: Metrics, unready: Callable[[], list[str]]) -> None:
        self._metrics = metrics
        self._unready = unready
        self._open = 0

    async def serve(self, stream: trio.abc.Stream, _source: str = "") -> None:
        """Answer one request and close."""
        self._open += 1
        try:
            if self._open <= MAX_HTTP_CONNECTIONS:
                with trio.move_on_after(REQUEST_TIMEOUT_S):
                    await stream.send_all(self.respond(await _read_head(stream)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client left before its answer: nothing is owed to it
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)

    def respond(self, head: bytes) -> bytes:
        """The whole response to a request head. Never raises."""
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", b"expected: GET /path HTTP/1.1\n")
        if words[0] not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", b"expected GET\n")
        response = self._page(words[1].split(b"?")[0])
        return response.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n" if words[0] == b"HEAD" else response

    def _page(self, path: bytes) -> bytes:
        if path == b"/metrics":
            return _response("200 OK", generate_latest(self._metrics.registry), CONTENT_TYPE_LATEST)
        if path == b"/healthz":
            return _response("200 OK", b"ok\n")
        if path == b"/readyz":
            reasons = self._unready()
            if reasons:
                return _response("503 Service Unavailable", ("\n".join(reasons) + "\n").encode())
            return _response("200 OK", b"ready\n")
        return _response("404 Not Found", b"here are /metrics, /healthz and /readyz\n")


async def _read_head(stream: trio.abc.Stream) -> bytes:
    head = bytearray()
    while b"\r\n\r\n" not in head and len(head) < MAX_REQUEST_SIZE:
        data = await stream.receive_some(MAX_REQUEST_SIZE)
        if not data:
            break
        head += data
    return bytes(head)


def _response(status: str, body: bytes, content_type: str = TEXT) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
