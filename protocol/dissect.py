"""Takes bytes apart for people: offset, hex, field, value, and what is wrong, for any bytes at all.

`Dissector` follows both directions of any number of sessions. Whole frames are found by the same rule a receiver uses;
whatever lies between them is shown too, as far as it can be understood. It never raises, whatever the bytes: a fault is
a verdict. With the root key of a terminal it opens the sealed frames of sessions whose handshake it has seen.

What it shows may end up in a bug report, so payers are shown by their last 4 hex digits, and keys not at all. It masks
more, not less, when something cannot be parsed: bytes that may hold a payer or a key and are not surely something else
are counted, never printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from protocol.annotate import STARS, Item, body_items, crc_items, header_items, not_shown, split_header
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.framing import KNOWN_FLAGS, Flag, TerminalNumber, crc32c
from protocol.limits import CRC_SIZE, HEADER_SIZE, MAX_BODY_SIZE, SYNC, TAG_SIZE, WIRE_VERSION
from protocol.messages import LAYOUTS, Auth, Challenge, EnrolAnswer, Hello, Layout, Message
from protocol.messages.fields import UNSEALED_KINDS
from protocol.messages.link import NO_CRYPTOGRAM
from protocol.security import (
    ENROL_CODE_SIZE,
    ROOT_KEY_SIZE,
    Seal,
    cryptogram,
    root_key_from_enrol_code,
    same_bytes,
    session_seals,
)
from protocol.state import TRANSITIONS, Role, State, expected_in

MAX_SESSIONS: Final = 1024
"""Sessions followed at once; past it the oldest is forgotten, and its later frames stay sealed."""
MAX_STREAMS: Final = 4096
"""Directions of connections followed at once; past it the oldest is shown as if it had ended."""
MAX_TRANSCRIPT: Final = 512
"""Twice the three frames of a handshake."""
MAX_KEYS: Final = 64
"""Keys tried on each CHALLENGE, so that one is cheap; a canteen has fewer terminals than that."""
MAX_BROKEN_PIECES: Final = 64
"""Damaged frames shown apart between two good ones; then the rest is one piece, however many sync words are in it."""

VERIFIES: Final = "verifies"

FOREIGN: Final = {
    b"\x16\x03": "the start of a TLS handshake? This port speaks the canteen protocol itself",
    b"GET ": "an HTTP request?",
    b"POST": "an HTTP request?",
    b"HTTP": "an HTTP answer?",
    b"SSH-": "an SSH client?",
    b"KF": "the sync word with its bytes swapped?",
    b"\x00\x00": "padding?",
}
"""What people send to the wrong port."""


class PieceKind(StrEnum):
    """What a run of bytes is."""

    FRAME = "frame"  # a receiver takes it
    DAMAGED = "damaged"  # starts like a frame, and a receiver does not take it
    NOISE = "noise"  # no sync word at its start


class Piece(msgspec.Struct, frozen=True):
    """One frame, or one run of bytes that is none. `offset` counts from the start of its stream."""

    kind: PieceKind
    sender: Role | None
    offset: int
    size: int
    title: str
    items: tuple[Item, ...]
    verdicts: tuple[str, ...] = ()
    """What is wrong with it as a whole."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.verdicts and not any(item.verdict for item in self.items)


class Session:
    """What is known of one session: keys, sequence numbers, state."""

    __slots__ = ("hello", "root_key", "seals", "sequences", "state", "transcript")

    def __init__(self, hello: Hello) -> None:
        self.hello = hello
        self.transcript = b""
        self.root_key: bytes | None = None
        self.seals: dict[Role, Seal] | None = None
        self.sequences = {Role.TERMINAL: 0, Role.HOST: 0}
        self.state = State.CONNECTED


class Stream:
    """The bytes of one direction that have not been shown yet, and where they stand."""

    __slots__ = ("buffer", "offset", "sender")

    def __init__(self, sender: Role | None) -> None:
        self.sender = sender
        self.buffer = b""
        self.offset = 0


class Dissector:
    """Bytes in, annotated pieces out.

    `keys`: root keys (32 bytes) and enrolment codes (16 bytes); LocalProtocolError for any other size or too many.
    """

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._keys = list(dict.fromkeys(keys))
        if len(self._keys) > MAX_KEYS:
            raise LocalProtocolError(f"keys: expected at most {MAX_KEYS}, got {len(self._keys)}")
        for key in self._keys:
            if len(key) not in (ROOT_KEY_SIZE, ENROL_CODE_SIZE):
                raise LocalProtocolError(
                    f"key: expected a root key of {ROOT_KEY_SIZE} bytes or an enrolment code of {ENROL_CODE_SIZE},"
                    f" got {len(key)} bytes"
                )
        self._streams: dict[tuple[str, Role | None], Stream] = {}
        self._sessions: dict[tuple[str, TerminalNumber], Session] = {}

    def feed(self, data: bytes, sender: Role | None = None, name: str = "") -> list[Piece]:
        """The pieces these bytes complete. `sender` None: both directions in one stream, told apart by their flags.

        `name` keeps connections apart that were captured together.
        """
        ended = []
        if (name, sender) not in self._streams:
            if len(self._streams) >= MAX_STREAMS:
                oldest = next(iter(self._streams))
                ended = self._pieces(self._streams.pop(oldest), oldest[0], final=True)
            self._streams[name, sender] = Stream(sender)
        stream = self._streams[name, sender]
        stream.buffer += data
        return [*ended, *self._pieces(stream, name, final=False)]

    def finish(self) -> list[Piece]:
        """The pieces left when nothing more comes: frames cut short by the end of each stream."""
        left = [
            piece for (name, _), stream in self._streams.items() for piece in self._pieces(stream, name, final=True)
        ]
        self._streams.clear()
        return left

    def _pieces(self, stream: Stream, name: str, *, final: bool) -> list[Piece]:
        data = stream.buffer
        shown: list[Piece] = []
        end = 0
        for start, end, good in split(data, final=final):
            if good:
                shown.append(self._frame(data[start:end], stream, start, name, good=True))
            else:
                shown += self._broken(data, start, end, stream, name)
        stream.buffer = data[end:]
        stream.offset += end
        return shown

    def _broken(self, data: bytes, start: int, end: int, stream: Stream, name: str) -> Iterator[Piece]:
        """Bytes no receiver takes: cut at the sync words in them, as long as that makes sense."""
        for count, (first, last) in enumerate(cut_broken(data, start, end)):
            if count == MAX_BROKEN_PIECES:
                yield self._noise(data[first:end], stream, first)
                return
            if data.startswith(SYNC, first):
                yield self._frame(data[first:last], stream, first, name, good=False)
            else:
                yield self._noise(data[first:last], stream, first)

    def _noise(self, data: bytes, stream: Stream, start: int) -> Piece:
        guess = next((guess for prefix, guess in FOREIGN.items() if data.startswith(prefix)), "")
        # Two bytes tell TLS from text; four could be all of a card's number.
        item = Item(0, len(data), data[:2].hex() + STARS, "", f"{len(data)} bytes that start no frame", guess)
        verdict = f"expected the sync word {SYNC.hex()}, got {data[:2].hex()}"
        return Piece(PieceKind.NOISE, stream.sender, stream.offset + start, len(data), "noise", (item,), (verdict,))

    def _frame(self, data: bytes, stream: Stream, start: int, name: str, *, good: bool) -> Piece:
        """A frame, or what looks like one."""
        header = dict(split_header(data))
        items = list(header_items(header))
        verdicts: list[str] = []
        title = "damaged frame"
        sender = stream.sender
        if len(data) >= HEADER_SIZE:
            flags = header["flags"][0]
            sender = sender or (Role.HOST if flags & (Flag.RESPONSE | Flag.PUSH) else Role.TERMINAL)
            size = int.from_bytes(header["body_size"], "big")
            body = data[HEADER_SIZE : HEADER_SIZE + size]
            title, more = self._body(data[:HEADER_SIZE], body, sender, name, verdicts, good=good)
            items += more
            # The checksum of a clear body that is masked would let its last bytes be guessed; that of a seal does not.
            opened = any(item.value == VERIFIES for item in more)
            items += crc_items(data, size, private=not opened and any(STARS in item.hex for item in more))
            if len(body) < size or len(data) < HEADER_SIZE + size + CRC_SIZE:
                verdicts.append(f"incomplete: {len(data)} of {HEADER_SIZE + size + CRC_SIZE} bytes")
        else:
            verdicts.append(f"incomplete: {len(data)} bytes of a header of {HEADER_SIZE}")
        kind = PieceKind.FRAME if good else PieceKind.DAMAGED
        return Piece(kind, sender, stream.offset + start, len(data), title, tuple(items), tuple(verdicts))

    # --- Bodies, and the session they belong to. Only what a receiver takes (`good`) moves a session.

    def _body(
        self, header: bytes, body: bytes, sender: Role, name: str, verdicts: list[str], *, good: bool
    ) -> tuple[str, list[Item]]:
        """Title and lines of a body; what is wrong with the frame as a whole goes into `verdicts`."""
        flags, mti = header[3], int.from_bytes(header[4:6], "big")
        terminal = TerminalNumber.from_int(int.from_bytes(header[8:12], "big"))
        sequence = int.from_bytes(header[12:16], "big")
        layout = LAYOUTS.get((mti, body[0])) if body and not flags & Flag.SEALED else None
        if good and layout is not None and layout.message is Hello and sequence == 0:
            self._begin(name, terminal, layout, body)
        session = self._sessions.get((name, terminal))
        if good and session is not None:
            expected = session.sequences[sender]
            if sequence != expected:
                verdicts.append(f"sequence: expected {expected}, got {sequence}: a receiver closes")
            session.sequences[sender] = sequence + 1
        if flags & Flag.SEALED:
            return self._sealed(header, body, sender, session, verdicts, good=good)
        if layout is None:
            return f"unknown {mti:04X}", [not_shown(HEADER_SIZE, body, "body", "")] if body else []
        if not good:
            # Damage may have made a sale look like this: only what is exactly a handshake message is shown.
            if layout.kind not in UNSEALED_KINDS or len(body) != layout.size:
                return f"damaged {mti:04X}", [not_shown(HEADER_SIZE, body, "body", "")]
            return f"damaged {layout.title}", list(body_items(layout, body, {}))
        checks = {} if session is None else self._follow_handshake(session, layout, header, body, terminal)
        self._check_layout(layout, flags, sender, session, verdicts)
        return layout.title, list(body_items(layout, body, checks))

    def _begin(self, name: str, terminal: TerminalNumber, layout: Layout, body: bytes) -> None:
        message = read(layout, body)
        if not isinstance(message, Hello):
            return
        self._sessions.pop((name, terminal), None)
        self._sessions[name, terminal] = Session(message)
        if len(self._sessions) > MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def _follow_handshake(
        self, session: Session, layout: Layout, header: bytes, body: bytes, terminal: TerminalNumber
    ) -> dict[str, str]:
        """Add a frame in clear to the transcript, and check its cryptogram with every key there is."""
        checks: dict[str, str] = {}
        if len(session.transcript) > MAX_TRANSCRIPT:
            return checks  # far more than a handshake: somebody repeats himself, and it will not verify anyway
        seen = session.transcript + header + body
        message = read(layout, body)
        if isinstance(message, Challenge) and self._keys:
            blank = seen[: -len(NO_CRYPTOGRAM)] + NO_CRYPTOGRAM
            for key in self._keys:
                root = root_key_from_enrol_code(key, terminal) if len(key) == ENROL_CODE_SIZE else key
                if same_bytes(cryptogram(root, terminal, Role.HOST, blank), message.cryptogram):
                    session.root_key = root
                    session.seals = session_seals(
                        root, terminal, session.hello.terminal_challenge, message.host_challenge
                    )
                    break
            else:
                checks["cryptogram"] = "not made with a key that was given"
        elif isinstance(message, Auth) and session.root_key is not None:
            expected = cryptogram(session.root_key, terminal, Role.TERMINAL, session.transcript)
            if not same_bytes(expected, message.cryptogram):
                checks["cryptogram"] = "does not prove the terminal's key: the host closes"
        session.transcript = seen
        return checks

    def _check_layout(
        self, layout: Layout, flags: int, sender: Role, session: Session | None, verdicts: list[str]
    ) -> None:
        """Flags, sender and moment of a message."""
        if flags != layout.flags:
            verdicts.append(f"flags: expected {layout.flags:08b} for {layout.title}, got {flags:08b}")
        if sender is not layout.sender:
            verdicts.append(f"{layout.title}: expected from the {layout.sender}, came from the {sender}")
        elif session is not None:
            state = TRANSITIONS[session.state].get((sender, layout.kind))
            if state is None:
                expected = expected_in(session.state, sender)
                verdicts.append(f"{layout.title} while {session.state}: expected {expected}")
            else:
                session.state = state

    def _sealed(
        self, header: bytes, body: bytes, sender: Role, session: Session | None, verdicts: list[str], *, good: bool
    ) -> tuple[str, list[Item]]:
        """A sealed body: opened if the session's keys are known, else only counted, for it may not be sealed at all."""
        size = max(0, len(body) - TAG_SIZE)
        flags, mti = header[3], int.from_bytes(header[4:6], "big")
        if len(body) < TAG_SIZE:
            verdicts.append(f"sealed body: expected at least the {TAG_SIZE} bytes of a tag, got {len(body)}")
        tag = Item(HEADER_SIZE + size, len(body) - size, STARS, "tag", "")
        sealed = Item(HEADER_SIZE, size, STARS, "sealed body", f"{size} bytes")
        if session is None or session.seals is None:
            return f"sealed {mti:04X}", [sealed, msgspec.structs.replace(tag, value="no key to check it with")]
        clear = session.seals[sender].open(int.from_bytes(header[12:16], "big"), header, body)
        if clear is None:
            wrong = "does not verify: changed, out of place, or another key; a receiver closes"
            return f"sealed {mti:04X}", [sealed, msgspec.structs.replace(tag, verdict=wrong)]
        tag = msgspec.structs.replace(tag, value=VERIFIES)
        layout = LAYOUTS.get((mti, clear[0])) if clear else None
        if layout is None:
            return f"unknown {mti:04X}", [not_shown(HEADER_SIZE, clear, "body", "unknown message type"), tag]
        if good:
            self._check_layout(layout, flags, sender, session, verdicts)
        answer = read(layout, clear)
        if isinstance(answer, EnrolAnswer) and any(answer.root_key) and len(self._keys) < MAX_KEYS:
            self._keys.append(answer.root_key)  # the sessions that follow are made with it
        return layout.title, [*body_items(layout, clear, {}), tag]


def split(data: bytes, *, final: bool) -> Iterator[tuple[int, int, bool]]:
    """Cut into (start, end, whether it is a good frame), in order and without gaps.

    Not final: what may still become a frame is left at the end. Finds exactly the frames a `Framer` finds, and with
    `final` also those behind a false length that a receiver would still be waiting for.
    """
    done = 0
    at = data.find(SYNC)
    while at >= 0:
        size = frame_size(data, at)
        if size is None or at + size > len(data):
            if not final:
                break
        elif size and crc_is_right(data, at, size):
            if done < at:
                yield done, at, False
            yield at, at + size, True
            done = at + size
            at = data.find(SYNC, done)
            continue
        at = data.find(SYNC, at + 1)
    if final:
        at = len(data)
    elif at < 0:
        at = len(data) - data.endswith(SYNC[:1])
    if done < at:
        yield done, at, False


def frame_size(data: bytes, at: int) -> int | None:
    """Size of the frame that starts here; 0 if none does; None if its header has not come."""
    if len(data) - at < HEADER_SIZE:
        return None
    size = int.from_bytes(data[at + 6 : at + 8], "big")
    good = data[at + 2] == WIRE_VERSION and not data[at + 3] & ~KNOWN_FLAGS and size <= MAX_BODY_SIZE
    return HEADER_SIZE + size + CRC_SIZE if good else 0


def crc_is_right(data: bytes, at: int, size: int) -> bool:
    """Whether the last four bytes of the frame are the checksum of the others."""
    end = at + size - CRC_SIZE
    return crc32c(data[at:end]) == int.from_bytes(data[end : end + CRC_SIZE], "big")


def cut_broken(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Runs that start with the sync word end where their length says, or else at the next one."""
    while start < end:
        following = data.find(SYNC, start + 1, end)
        last = end if following < 0 else following
        if data.startswith(SYNC, start) and end - start >= HEADER_SIZE:
            size = int.from_bytes(data[start + 6 : start + 8], "big")
            declared = start + HEADER_SIZE + size + CRC_SIZE
            last = declared if size <= MAX_BODY_SIZE and declared <= end else last
        yield start, last
        start = last


def read(layout: Layout, body: bytes) -> Message | None:
    """The message in a body, or None."""
    try:
        return layout.decode(body)
    except RemoteProtocolError:
        return None
