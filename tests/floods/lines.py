"""Sockets that come from a chosen loopback address, so that one machine looks like many devices."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

import trio

from server.stream import RequestStream

RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""Closing sends a reset: no port stays behind in TIME_WAIT, however many a flood uses."""

Address = tuple[str, int]


def source_of(net: int, number: int) -> str:
    """Loopback address `number` (0..64,000) of the second-byte network `net`: 127.NET.x.y."""
    return f"127.{net}.{number // 250}.{1 + number % 250}"


async def connected(address: Address, source: str, *, reset: bool = False) -> socket.socket:
    """A connected, non-blocking socket from `source`; raises OSError."""
    connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        if reset:
            connecting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        connecting.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        connecting.bind((source, 0))
        code = connecting.connect_ex(address)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(connecting)
            code = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, f"cannot connect to {address}: {errno.errorcode.get(code, code)}")
    except BaseException:
        connecting.close()
        raise
    return connecting


async def open_from(address: Address, source: str, *, reset: bool = False) -> RequestStream:
    """A stream to `address` from `source`; raises OSError."""
    return RequestStream(await connected(address, source, reset=reset))
