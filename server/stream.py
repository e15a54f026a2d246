"""Listening, accepting, and a socket as a trio stream, for thousands of connections that mostly wait for a request.

trio's SocketStream tries to receive before it waits, and yields to the scheduler after every send. A terminal's next
request is almost never there yet, and an answer of a hundred bytes almost always fits the send buffer; so this waits
first, and yields in a send only if the buffer is full. Each request still passes through the scheduler twice (when it
arrives and when it is committed), so no connection can starve another.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import trio

log = structlog.get_logger("stream")

BACKLOG: Final = 4096
"""Connections the kernel holds while accepting is paced: a whole site may reconnect at once."""
ACCEPT_PAUSE_S: Final = 0.1
"""Rest after the system ran out of files, as trio's own server does."""
OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ALREADY_LOST: Final = (
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.EPROTO,
    errno.EPERM,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.ETIMEDOUT,
)
"""accept(2) on Linux also reports what has befallen the new connection already: its peer is gone, the listener well."""


NOT_LISTENING: Final = {
    errno.EADDRINUSE: "another program listens there; change the port in fanka.toml",
    errno.EADDRNOTAVAIL: "expected an address of this machine, got another's; change the host in fanka.toml",
    errno.EACCES: "this user may not; take a port above 1023 in fanka.toml",
}
"""Why a socket cannot be had, and what to do."""


class RequestStream(trio.abc.Stream):
    """A connected TCP socket. Errors are those of `trio.abc.Stream`."""

    __slots__ = ("_socket",)

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for bytes; b"" at the peer's end."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return self._socket.recv(max_bytes or 65536)
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise self._lost(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand all bytes to the system; waits only while its buffer is full."""
        while True:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise self._lost(error) from error
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            await self.wait_send_all_might_not_block()

    def _lost(self, error: Exception) -> Exception:
        """What a failed call means: closed by us, or lost by the system or the peer."""
        if self._socket.fileno() == -1:
            return trio.ClosedResourceError("this stream was closed here")
        return trio.BrokenResourceError(f"connection lost: {error}")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room in the send buffer."""
        await trio.lowlevel.wait_writable(self._socket)

    async def aclose(self) -> None:
        """Close at once; whoever waits on this stream gets ClosedResourceError."""
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()


async def open_request_stream(host: str, port: int) -> RequestStream:
    """Connect to a numeric address; raises OSError. For clients with thousands of connections."""
    connecting = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        if connecting.connect_ex((host, port)) == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(connecting)
        failed = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, f"cannot connect to {host}:{port}: {errno.errorcode.get(failed, failed)}")
    except BaseException:
        connecting.close()
        raise
    return RequestStream(connecting)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError that names the address and what to do."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        what = NOT_LISTENING.get(error.errno or 0, f"{error.strerror or error}; change host or port in fanka.toml")
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {what}") from error
    return listening


async def accept(
    listening: socket.socket,
    serve: Callable[[RequestStream, str], Awaitable[None]],
    connections: trio.Nursery,
    wait_ready: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint,
) -> None:
    """Accept until cancelled, each connection as a task of `connections`, which outlives the listener.

    `wait_ready` paces: while it waits, new connections stay in the kernel's backlog. A system that is out of files or
    memory for a moment makes it rest, never end.
    """
    try:
        while True:
            await wait_ready()
            await trio.lowlevel.wait_readable(listening)
            try:
                connected, address = listening.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in ALREADY_LOST:
                    continue
                if error.errno not in OUT_OF_RESOURCES:
                    raise
                log.error("cannot accept: out of files or memory", error=str(error))
                await trio.sleep(ACCEPT_PAUSE_S)
                continue
            connections.start_soon(serve, RequestStream(connected), address[0])
    finally:
        listening.close()
