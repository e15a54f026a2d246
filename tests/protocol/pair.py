"""Both ends of one session, joined without a network: the tool of every test of `protocol.Connection`."""

from typing import NamedTuple

import pytest

from protocol import Connection, Reason, RemoteProtocolError, Role, State, TerminalNumber
from protocol.framing import build_header, close_frame
from protocol.limits import TAG_SIZE
from protocol.messages import Auth, Message
from tests.protocol.example import ROOT_KEY, TERMINAL
from tests.protocol.samples import CHALLENGE, HELLO, READY

HANDSHAKE = [(Role.TERMINAL, HELLO), (Role.HOST, CHALLENGE), (Role.TERMINAL, Auth()), (Role.HOST, READY)]


class Line(NamedTuple):
    """One frame that went over the line."""

    sender: Role
    data: bytes


class ConnectionPair:
    """A terminal and a host. `send` lets one of them speak; what it said is in `lines`, and the other has heard it."""

    def __init__(
        self,
        *,
        terminal: TerminalNumber = TERMINAL,
        terminal_key: bytes = ROOT_KEY,
        host_key: bytes = ROOT_KEY,
    ) -> None:
        self.ends = {
            Role.TERMINAL: Connection(Role.TERMINAL, terminal=terminal, root_key=terminal_key),
            Role.HOST: Connection(Role.HOST),
        }
        self.host_key = host_key
        self.lines: list[Line] = []

    @property
    def terminal(self) -> Connection:
        return self.ends[Role.TERMINAL]

    @property
    def host(self) -> Connection:
        return self.ends[Role.HOST]

    def send(self, sender: Role, message: Message) -> Message:
        """What the other end makes of the message."""
        data = self.ends[sender].send(message)
        self.lines.append(Line(sender, data))
        receiver = self.ends[sender.peer]
        receiver.receive_data(data)
        event = receiver.next_event()
        if receiver is self.host and self.host.state is State.HELLO_SENT:
            self.host.use_key(self.host_key)
        assert isinstance(event, Message), event
        return event

    def say(self, *conversation: tuple[Role, Message]) -> "ConnectionPair":
        for sender, message in conversation:
            self.send(sender, message)
        return self

    def to_state(self, state: State) -> "ConnectionPair":
        """Handshake up to a state of it."""
        for sender, message in HANDSHAKE:
            if self.host.state is state:
                return self
            self.send(sender, message)
        assert self.host.state is state
        return self


def state_of(pair: ConnectionPair) -> State:
    """The state both ends are in; a failure if they differ."""
    [state] = {pair.terminal.state, pair.host.state}
    return state


def count_checksums(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on no checksum is right, and the sizes of what was summed up are in the list: the work, in bytes."""
    sizes: list[int] = []

    def wrong_checksum(data: bytes) -> int:
        sizes.append(len(data))
        return 1

    monkeypatch.setattr("protocol.framing.crc32c", wrong_checksum)
    return sizes


def ready_pair(**options: bytes) -> ConnectionPair:
    return ConnectionPair(**options).to_state(State.READY)


def with_good_crc(frame: bytes) -> bytes:
    """The frame with its CRC made right again: what an attacker does who has changed something."""
    return close_frame(frame[:16], frame[16:-4])


def forge(sender: Connection, mti: int, body: bytes, *, flags: int) -> bytes:
    """The next frame of `sender` with any content: sealed with its key, as only it could, but not by its rules."""
    seal, sequence, terminal = sender._send_seal, sender._sent, sender.terminal or TERMINAL
    header = build_header(flags, mti, len(body) + (TAG_SIZE if seal else 0), terminal, sequence)
    return close_frame(header, seal.close(sequence, header, body) if seal else body)


def refusal(receiver: Connection, data: bytes) -> RemoteProtocolError:
    """The error that `data` raises. The session must be over by it, for good."""
    receiver.receive_data(data)
    try:
        event = receiver.next_event()
    except RemoteProtocolError as error:
        assert receiver.state is State.CLOSED
        assert repr(receiver.next_event()) == "PEER_CLOSED"
        return error
    raise AssertionError(f"not refused but {event!r}")


def reason_of(receiver: Connection, data: bytes) -> Reason:
    return refusal(receiver, data).reason
