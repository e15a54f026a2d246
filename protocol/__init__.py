"""The wire between terminal and host.

Pure: bytes in, typed messages out; no I/O, clock, randomness, threads or logging. docs/protocol.md tells it all.
"""

from protocol.connection import PEER_CLOSED, Connection, Event, PeerClosed, Refused
from protocol.errors import LocalProtocolError, ProtocolError, Reason, RemoteProtocolError
from protocol.framing import NEED_DATA, Discarded, Frame, Framer, NeedData, TerminalNumber
from protocol.state import Role, State

__all__ = [
    "NEED_DATA",
    "PEER_CLOSED",
    "Connection",
    "Discarded",
    "Event",
    "Frame",
    "Framer",
    "LocalProtocolError",
    "NeedData",
    "PeerClosed",
    "ProtocolError",
    "Reason",
    "Refused",
    "RemoteProtocolError",
    "Role",
    "State",
    "TerminalNumber",
]
