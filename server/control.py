"""The control socket: how `fanka admin` reaches a running host. A unix socket in the data folder, for its owner alone.

JSON lines, one answer per request, in order:

    {"op": "card.freeze", "args": {"uid": "04A1B2C3"}, "who": "ann"}
    {"ok": {...}}   or   {"error": "what was expected, what came, what to do"}

Every operation runs in the ledger's thread between two batches of sales.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

import msgspec
import structlog
import trio

from server.ledger.store import StoreError
from server.operations.desk import AdminError, Fields

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log = structlog.get_logger("control")

LINE_BYTES_MAX: Final = 1 << 20
"""Longest request: an import chunk with the longest names takes a tenth of it."""
CONNECTIONS_MAX: Final = 16
"""A few people and scripts at a time; more are told so and closed."""
IDLE_TIMEOUT_S: Final = 60.0
"""A client silent for so long is gone: between two requests of one command there are milliseconds."""
ANSWER_TIMEOUT_S: Final = 10.0
"""A client that does not read its answer for so long is gone."""
BACKLOG: Final = 16
SUN_PATH_MAX: Final = 107
"""What the kernel takes for the address of a unix socket, in bytes."""
READING: Final = ("listing", ".show", ".check")
"""Operations that change nothing are not logged: a listing of many pages would fill the log."""
WHO_MAX: Final = 64
"""Characters of a name that are kept."""
READ_SIZE: Final = 65_536


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line from a client."""

    op: str
    args: Fields = {}
    who: str = ""
    """Who asks, for the history of the configuration: as the client says, for the socket is its owner's alone."""


class Performer(Protocol):
    """`server.admin.Admin`."""

    def perform(self, operation: str, arguments: Fields, who: str = "") -> Any:
        """A JSON-able result, or AdminError."""


class Caller(Protocol):
    """`server.gate.Gate`."""

    async def call(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The function's result, from the ledger's thread."""


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for the socket at `path` that fits the kernel's limit, however deep the folder lies."""
    if len(os.fsencode(path)) <= SUN_PATH_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[trio.SocketListener]:
    """A listener with mode 0600 from the first moment; its file goes with it.

    By the folder's lock, a socket found here is a dead host's.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(f"{path}: expected a socket or nothing, found another file; move it away")
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        os.fchmod(listener.fileno(), 0o600)  # before bind: Linux gives the file the socket's own mode
        with short_address(path) as address:
            listener.bind(address)
        try:
            listener.listen(BACKLOG)
            yield trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


async def serve_control(
    path: Path,
    admin: Performer,
    gate: Caller,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the socket's file is gone afterwards. An operation under way is finished, its answer lost:
    every operation may be repeated, and money is posted once per request number.
    """
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        try:
            async with stream:
                if connections > CONNECTIONS_MAX:
                    await _answer(
                        stream, {"error": f"control: {CONNECTIONS_MAX} connections are open; try again later"}
                    )
                else:
                    await _converse(stream, admin, gate)
        except (trio.BrokenResourceError, trio.TooSlowError):
            log.info("control connection lost")
        except Exception:  # whatever one client has brought about, the others and the tills go on
            log.exception("control connection failed")
        finally:
            connections -= 1

    with _listening(path) as listener:
        async with trio.open_nursery() as nursery:
            task_status.started()
            await trio.serve_listeners(serve, [listener], handler_nursery=nursery)


async def _converse(stream: trio.SocketStream, admin: Performer, gate: Caller) -> None:
    """Answer requests until the client goes away, is silent too long, or sends what is no line."""
    buffer = bytearray()
    while True:
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > LINE_BYTES_MAX:
                await _answer(
                    stream, {"error": f"request: expected at most {LINE_BYTES_MAX} bytes on a line, got more"}
                )
                return
            with trio.fail_after(IDLE_TIMEOUT_S):
                data = await stream.receive_some(READ_SIZE)
            if not data:
                return
            buffer += data
            continue
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        await _answer(stream, await _perform(line, admin, gate))


async def _perform(line: bytes, admin: Performer, gate: Caller) -> Fields:
    try:
        request = msgspec.json.decode(line, type=Request)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return {"error": f'request: expected {{"op": "...", "args": {{...}}}} on one line, as JSON in UTF-8: {error}'}
    try:
        result = await gate.call(admin.perform, request.op, request.args, request.who[:WHO_MAX])
    except AdminError as error:
        return {"error": str(error)}
    except StoreError as error:
        return {"error": f"{request.op}: nothing was changed: {error}"}
    except Exception as error:
        log.exception("operation failed", operation=request.op)
        return {"error": f"{request.op}: a fault of the host, see its log: {type(error).__name__}"}
    if not request.op.endswith(READING):
        log.info("operation", operation=request.op)
    return {"ok": result}


async def _answer(stream: trio.SocketStream, answer: Fields) -> None:
    with trio.fail_after(ANSWER_TIMEOUT_S):
        await stream.send_all(msgspec.json.encode(answer) + b"\n")
