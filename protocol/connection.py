"""One end of one session, without I/O: bytes in, events out; messages in, bytes out.

    connection.receive_data(data)        b"" means the peer closed
    event = connection.next_event()      a Message, Refused, Discarded, PEER_CLOSED, or NEED_DATA
    data = connection.send(message)      what to write to the peer

`next_event` raises RemoteProtocolError and nothing else; the session is then over and the caller closes, without a word
to the peer: before authentication every refusal looks the same from outside. `send` raises LocalProtocolError, our bug.

Randomness and keys come from the caller: challenges stand in the Hello and Challenge messages, the root key is given to
the constructor (terminal) or to `use_key` once Hello has told which terminal it is (host).
"""

from __future__ import annotations

from typing import Final

import msgspec

from protocol import codec
from protocol.errors import LocalProtocolError, Reason, RemoteProtocolError
from protocol.framing import (
    NEED_DATA,
    Discarded,
    Flag,
    Frame,
    Framer,
    NeedData,
    TerminalNumber,
    build_header,
    close_frame,
)
from protocol.limits import (
    HEADER_SIZE,
    MAX_BODY_SIZE,
    MAX_DISCARDED_BYTES,
    MAX_FIRST_BODY_SIZE,
    MAX_SESSION_FRAMES,
    TAG_SIZE,
    WIRE_VERSION,
)
from protocol.messages import LAYOUTS, Auth, Challenge, Hello, Layout, Message, Reject
from protocol.messages.fields import UNSEALED_KINDS
from protocol.messages.link import NO_CRYPTOGRAM
from protocol.security import ROOT_KEY_SIZE, Seal, cryptogram, pin_key, saf_key, same_bytes, session_seals
from protocol.state import HANDSHAKE_STATES, TRANSITIONS, Kind, Role, State, expected_in

SEALED: Final = int(Flag.SEALED)
FORMAT_ERROR: Final = "30"
UNKNOWN_TYPE: Final = "40"


class Refused(msgspec.Struct, frozen=True):
    """An authentic request that cannot be read: answer it with `reject`; the session goes on."""

    error: RemoteProtocolError
    reject: Reject


class PeerClosed:
    """The peer closed, at the end of a frame."""

    def __repr__(self) -> str:
        return "PEER_CLOSED"


PEER_CLOSED: Final = PeerClosed()

Event = Message | Refused | Discarded | PeerClosed


class Connection:
    """See the module's docstring. `state` is public to read; the state table alone moves it."""

    __slots__ = (
        "_closed_by_peer",
        "_discarded",
        "_framer",
        "_outstanding",
        "_peer",
        "_receive_seal",
        "_received",
        "_root_key",
        "_seals",
        "_send_seal",
        "_sent",
        "_transcript",
        "hello",
        "pin_key",
        "role",
        "saf_key",
        "state",
        "terminal",
    )

    def __init__(self, role: Role, *, terminal: TerminalNumber | None = None, root_key: bytes | None = None) -> None:
        if role is Role.TERMINAL and (terminal is None or root_key is None):
            raise LocalProtocolError(
                "a terminal's connection: expected terminal number and root key, got neither or one"
            )
        if terminal is not None and not (0 <= terminal.group <= 0xFFFF and 0 <= terminal.device <= 0xFFFF):
            raise LocalProtocolError(f"terminal number: expected GROUP-DEVICE, each 0..65535, got {terminal}")
        self.role = role
        self.state = State.CONNECTED
        self.terminal = terminal
        self.hello: Hello | None = None
        self._peer = role.peer
        self._root_key: bytes | None = None
        if root_key is not None:
            self.use_key(root_key)
        # A stranger's first wrong byte ends the session, so the host need not look any further.
        self._framer = Framer(MAX_FIRST_BODY_SIZE, max_report_size=1) if role is Role.HOST else Framer()
        self._sent = 0
        self._received = 0
        self._discarded = 0
        self._outstanding: Layout | None = None
        self._transcript = b""
        self._seals: dict[Role, Seal] | None = None
        self._send_seal: Seal | None = None
        self._receive_seal: Seal | None = None
        self._closed_by_peer = False
        self.pin_key = b""
        """K_pin of the session and K_saf of the terminal, from the agreement of keys on; secrets."""
        self.saf_key = b""

    def __repr__(self) -> str:
        return f"<Connection {self.role} of {self.terminal} {self.state}>"

    @property
    def mid_frame(self) -> bool:
        """Whether part of a frame has come: its rest must follow within FRAME_TIMEOUT_S."""
        return self._framer.pending > 0 and self.state is not State.CLOSED

    def use_key(self, root_key: bytes) -> None:
        """Host: the root key of the terminal that said hello.

        For an unknown terminal it is 32 random bytes, so that neither timing nor answer tells that it is unknown.
        """
        if len(root_key) != ROOT_KEY_SIZE:
            raise LocalProtocolError(f"root key: expected {ROOT_KEY_SIZE} bytes, got {len(root_key)}")
        self._root_key = root_key

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer; b"" says that it closed. Once the session is over they are dropped."""
        if not data:
            self._closed_by_peer = True
        elif self.state is not State.CLOSED:
            self._framer.feed(data)

    def next_event(self) -> Event | NeedData:
        """The next event, or NEED_DATA. After RemoteProtocolError the session is over."""
        if self.state is State.CLOSED:
            return PEER_CLOSED
        try:
            return self._next_event()
        except RemoteProtocolError:
            self.state = State.CLOSED
            raise

    def _next_event(self) -> Event | NeedData:
        found = self._framer.next_frame()
        if isinstance(found, Frame):
            return self._take(found)
        if isinstance(found, Discarded):
            self._discarded += found.size
            if self.state in HANDSHAKE_STATES:
                raise RemoteProtocolError(found.reason, expected=found.expected, got=found.got)
            if self._discarded > MAX_DISCARDED_BYTES:
                raise RemoteProtocolError(
                    found.reason, expected=f"at most {MAX_DISCARDED_BYTES} bytes of noise", got=str(self._discarded)
                )
            return found
        if not self._closed_by_peer:
            return NEED_DATA
        if self._framer.pending:
            raise RemoteProtocolError(
                Reason.TRUNCATED, expected="a whole frame", got=f"{self._framer.pending} bytes, then the end"
            )
        self.state = State.CLOSED
        return PEER_CLOSED

    def _take(self, frame: Frame) -> Event:
        """One frame with a good CRC: check the session's rules, open, decode, move the state."""
        if frame.sequence != self._received:
            raise RemoteProtocolError(
                Reason.SEQUENCE, field="sequence", offset=12, expected=str(self._received), got=str(frame.sequence)
            )
        if self._received >= MAX_SESSION_FRAMES:
            raise RemoteProtocolError(
                Reason.SEQUENCE,
                field="sequence",
                offset=12,
                expected=f"a new session after {MAX_SESSION_FRAMES} frames",
                got=str(frame.sequence),
            )
        if frame.terminal != self.terminal and self.terminal is not None:
            raise RemoteProtocolError(
                Reason.TERMINAL, field="terminal", offset=8, expected=str(self.terminal), got=str(frame.terminal)
            )
        if (seal := self._receive_seal) is not None:
            body = self._open(frame, seal)
        elif frame.flags & SEALED:
            raise RemoteProtocolError(
                Reason.FLAGS,
                field="flags",
                offset=3,
                expected="not sealed before keys are agreed",
                got=f"{frame.flags:08b}",
            )
        else:
            body = frame.body
        self._received += 1
        try:
            layout = codec.find_layout(frame.mti, body)
            if layout.sender is self.role:
                raise RemoteProtocolError(
                    Reason.TYPE,
                    field="mti",
                    offset=4,
                    expected=f"a message sent by the {self._peer}",
                    got=f"{layout.title}, sent by the {self.role}",
                )
            message = layout.decode(body)
        except RemoteProtocolError as error:
            return self._refuse(error, frame, body)
        if frame.flags != layout.flags:
            raise RemoteProtocolError(
                Reason.FLAGS, field="flags", offset=3, expected=f"{layout.flags:08b}", got=f"{frame.flags:08b}"
            )
        state = TRANSITIONS[self.state].get((self._peer, layout.kind))
        if state is None:
            raise RemoteProtocolError(
                Reason.STATE,
                field="mti",
                offset=4,
                expected=f"{expected_in(self.state, self._peer)} while {self.state}",
                got=layout.title,
            )
        if layout.kind is Kind.REQUEST:
            self._outstanding = layout
        elif layout.kind is Kind.ANSWER:
            self._check_answers(layout)
        elif layout.kind is not Kind.PUSH:
            self._advance_handshake(message, frame)
        self.state = state
        return message

    def _open(self, frame: Frame, seal: Seal) -> bytes:
        if not frame.flags & SEALED:
            raise RemoteProtocolError(
                Reason.FLAGS, field="flags", offset=3, expected="a sealed frame", got=f"{frame.flags:08b}"
            )
        if len(frame.body) < TAG_SIZE:
            raise RemoteProtocolError(
                Reason.LENGTH,
                field="body_size",
                offset=6,
                expected=f"at least the {TAG_SIZE} bytes of a tag",
                got=str(len(frame.body)),
            )
        body = seal.open(frame.sequence, frame.header, frame.body)
        if body is None:
            raise RemoteProtocolError(
                Reason.TAG,
                field="tag",
                offset=HEADER_SIZE + len(frame.body) - TAG_SIZE,
                expected="a tag made with this session's key",
                got="another",
            )
        return body

    def _refuse(self, error: RemoteProtocolError, frame: Frame, body: bytes) -> Refused:
        """Only a host may answer what it cannot read, if it is an authentic request; in all other cases it is over."""
        if self.role is not Role.HOST or self.state is not State.READY:
            raise error
        self.state = State.REQUESTED
        self._outstanding = None
        reject = Reject(
            rejected_mti=frame.mti,
            rejected_processing_code=body[0] if body else 0,
            response_code=UNKNOWN_TYPE if error.reason is Reason.TYPE else FORMAT_ERROR,
            offset=error.offset,
            field=error.field[:24],
            expected=error.expected[:64],
            got=error.got.encode("ascii", "replace").decode()[:48],
        )
        return Refused(error, reject)

    def _check_answers(self, layout: Layout) -> None:
        """An answer belongs to the request outstanding, or it is a reject."""
        asked = self._outstanding
        assert asked is not None  # the state is REQUESTED, and at a terminal only `send` leads there
        if layout.message is not Reject and not layout.answers(asked):
            answer = LAYOUTS[asked.answer_key]
            raise RemoteProtocolError(Reason.STATE, field="mti", offset=4, expected=answer.title, got=layout.title)
        self._outstanding = None

    def send(self, message: Message) -> bytes:
        """The frame of a message, and the state it leads to. LocalProtocolError if it may not be sent now."""
        layout = message.layout
        state = TRANSITIONS[self.state].get((self.role, layout.kind))
        if state is None:
            raise LocalProtocolError(
                f"{layout.title} while {self.state}: the {self.role} may send {expected_in(self.state, self.role)}"
            )
        if self._sent >= MAX_SESSION_FRAMES:
            raise LocalProtocolError(f"a session ends after {MAX_SESSION_FRAMES} frames: connect again")
        kind = layout.kind
        if kind is Kind.ANSWER and layout.message is not Reject:
            asked = self._outstanding
            if asked is None:
                raise LocalProtocolError(f"{layout.title} does not answer a refused request: send its reject")
            if not layout.answers(asked):
                raise LocalProtocolError(f"{layout.title} does not answer {asked.title}")
        if kind in UNSEALED_KINDS:
            data = self._send_handshake(message, layout)
        else:
            data = self._frame(layout, codec.encode(message))
        # Nothing changes before this line: whatever was wrong with the message, it can be sent anew.
        self._outstanding = layout if kind is Kind.REQUEST else None
        self.state = state
        return data

    def _frame(self, layout: Layout, body: bytes) -> bytes:
        assert self.terminal is not None
        sequence = self._sent
        seal = self._send_seal
        header = build_header(
            layout.flags, layout.mti, len(body) if seal is None else len(body) + TAG_SIZE, self.terminal, sequence
        )
        self._sent = sequence + 1
        return close_frame(header, body if seal is None else seal.close(sequence, header, body))

    # --- The handshake. The transcript is every header and body so far; a cryptogram counts as zeros in its own.

    def _send_handshake(self, message: Message, layout: Layout) -> bytes:
        if isinstance(message, Challenge):
            message = msgspec.structs.replace(message, cryptogram=NO_CRYPTOGRAM)
            blank = self._transcript + self._handshake_bytes(message, layout)
            message = msgspec.structs.replace(message, cryptogram=self._cryptogram(Role.HOST, blank))
            self._agree_keys(message)
        elif isinstance(message, Auth):
            message = Auth(cryptogram=self._cryptogram(Role.TERMINAL, self._transcript))
        self._transcript += self._handshake_bytes(message, layout)
        data = self._frame(layout, codec.encode(message))
        if isinstance(message, Hello):
            self.hello = message
        elif isinstance(message, Auth):
            self._seal_from_now_on()
        return data

    def _handshake_bytes(self, message: Message, layout: Layout) -> bytes:
        assert self.terminal is not None
        body = codec.encode(message)
        return build_header(layout.flags, layout.mti, len(body), self.terminal, self._sent) + body

    def _advance_handshake(self, message: Message, frame: Frame) -> None:
        seen = frame.header + frame.body
        if isinstance(message, Hello):
            if not message.lowest_version <= WIRE_VERSION <= message.highest_version:
                raise RemoteProtocolError(
                    Reason.VERSION,
                    field="lowest_version",
                    offset=HEADER_SIZE + 1,
                    expected=f"a range with {WIRE_VERSION}",
                    got=f"{message.lowest_version}..{message.highest_version}",
                )
            self.hello = message
            self.terminal = frame.terminal
        elif isinstance(message, Challenge):
            if message.version != WIRE_VERSION:
                raise RemoteProtocolError(
                    Reason.VERSION, field="version", offset=17, expected=str(WIRE_VERSION), got=str(message.version)
                )
            self._check_cryptogram(message, Role.HOST, self._transcript + seen[: -len(NO_CRYPTOGRAM)] + NO_CRYPTOGRAM)
            self._agree_keys(message)
        elif isinstance(message, Auth):
            self._check_cryptogram(message, Role.TERMINAL, self._transcript)
            self._seal_from_now_on()
            self._framer.max_body_size = MAX_BODY_SIZE
            self._framer.max_report_size = MAX_DISCARDED_BYTES
        if self._receive_seal is None:
            self._transcript += seen

    def _agree_keys(self, challenge: Challenge) -> None:
        assert self._root_key is not None
        assert self.terminal is not None
        assert self.hello is not None
        self._seals = session_seals(
            self._root_key, self.terminal, self.hello.terminal_challenge, challenge.host_challenge
        )
        self.pin_key = pin_key(self._root_key, self.terminal, self.hello.terminal_challenge, challenge.host_challenge)
        self.saf_key = saf_key(self._root_key, self.terminal)

    def _seal_from_now_on(self) -> None:
        """After AUTH everything is sealed, and what only the handshake needed is let go."""
        assert self._seals is not None
        self._send_seal, self._receive_seal = self._seals[self.role], self._seals[self._peer]
        self._seals = self._root_key = None
        self._transcript = b""

    def _cryptogram(self, sender: Role, transcript: bytes) -> bytes:
        if self._root_key is None or self.terminal is None:
            raise LocalProtocolError("no root key yet: call use_key when Hello has come")
        return cryptogram(self._root_key, self.terminal, sender, transcript)

    def _check_cryptogram(self, message: Challenge | Auth, sender: Role, transcript: bytes) -> None:
        if not same_bytes(self._cryptogram(sender, transcript), message.cryptogram):
            raise RemoteProtocolError(
                Reason.TAG,
                field="cryptogram",
                offset=message.layout.offset_of("cryptogram"),
                expected=f"proof of the {sender}'s key",
                got="another",
            )
