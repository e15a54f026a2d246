"""Any handshake: events or RemoteProtocolError; a key is proved, and a session opens, by the one cryptogram only.

The input is frames for one end. Lengths, CRCs, cryptograms and the tag of READY are made right first (mode bits), by
code of its own, so that the search gets behind them.
"""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.cmac import CMAC

from protocol import Connection, RemoteProtocolError, Role, State
from protocol.framing import NeedData, crc32c
from protocol.messages import Auth, Challenge, Hello, Message, Ready
from tests.fuzz.target import Target, joined, pieces
from tests.fuzz.wire import WORDS, golden_frames
from tests.protocol.example import ROOT_KEY, TERMINAL
from tests.protocol.reference import sp_800_108
from tests.protocol.samples import CHALLENGE, HELLO, READY

MEND, PROVE = 2, 4
"""Mode bits: make length and CRC right; make cryptogram and tag right."""
_derived = cache(sp_800_108)


def proof(letter: bytes, number: bytes, transcript: bytes) -> bytes:
    """docs/protocol.md, section 6, in its own words."""
    mac = CMAC(algorithms.AES(_derived(ROOT_KEY, b"FK1 mac", number, 16)))
    mac.update(letter + transcript)
    return mac.finalize()


def closed(frame: bytes, mode: int) -> bytes:
    """The frame with its length and CRC, if they are to be right."""
    if not mode & MEND or len(frame) < 16:
        return frame
    whole = frame[:6] + (len(frame) - 16).to_bytes(2, "big") + frame[8:]
    return whole + crc32c(whole).to_bytes(4, "big")


def take(connection: Connection, data: bytes) -> Message | str:
    """What comes of one frame: a message, or a word for anything else."""
    if not data:
        return "silence"
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except RemoteProtocolError as error:
        assert connection.state is State.CLOSED
        return f"{error.reason} {error.field}"
    if isinstance(event, NeedData):
        return "waiting"
    assert isinstance(event, Message), event  # in a handshake nothing is forgiven and nothing is rejected
    return event


def at_host(parts: list[bytes], mode: int) -> str:
    """HELLO and AUTH from outside."""
    host = Connection(Role.HOST)
    first = closed(parts[0], mode)
    hello = take(host, first)
    if not isinstance(hello, Message):
        return hello
    assert isinstance(hello, Hello)
    host.use_key(ROOT_KEY)
    transcript = first[:-4] + host.send(CHALLENGE)[:-4]
    expected = proof(b"T", first[8:12], transcript)
    second = parts[1] if len(parts) > 1 else b""
    if mode & PROVE:
        second = second[:17].ljust(17, b"\0") + expected
    auth = take(host, second := closed(second, mode))
    if not isinstance(auth, Message):
        return f"hello, {auth}"
    assert isinstance(auth, Auth)
    assert auth.cryptogram == expected == second[17:33]
    host.send(READY)
    assert host.state is State.READY
    return "open"


def at_terminal(parts: list[bytes], mode: int) -> str:
    """CHALLENGE and READY from outside."""
    terminal = Connection(Role.TERMINAL, terminal=TERMINAL, root_key=ROOT_KEY)
    hello = terminal.send(HELLO)[:-4]
    first = closed(parts[0], mode)
    if mode & PROVE and len(first) == 66:
        first = first[:46] + proof(b"S", hello[8:12], hello + first[:46] + bytes(16)) + bytes(4)
        first = closed(first[:-4], MEND)
    challenge = take(terminal, first)
    if not isinstance(challenge, Message):
        return challenge
    assert isinstance(challenge, Challenge)
    assert challenge.cryptogram == proof(b"S", hello[8:12], hello + first[:46] + bytes(16))
    terminal.send(Auth())
    key = AESGCM(sp_800_108(ROOT_KEY, b"FK1 h2t", hello[8:12] + HELLO.terminal_challenge + first[18:34], 16))
    second = parts[1] if len(parts) > 1 else b""
    if mode & PROVE and len(second) >= 16:
        header = second[:6] + len(second).to_bytes(2, "big") + second[8:16]
        second = header + key.encrypt(bytes(8) + header[12:16], second[16:], header)
    ready = take(terminal, second := closed(second, mode))
    if not isinstance(ready, Message):
        return f"challenge, {ready}"
    assert isinstance(ready, Ready)
    assert terminal.state is State.READY
    key.decrypt(bytes(8) + second[12:16], second[16:-4], second[:16])
    return "open"


def run(data: bytes) -> str:
    mode = data[0] if data else 0
    parts = list(pieces(data[1:])) or [b""]
    return f"terminal: {at_terminal(parts, mode)}" if mode & 1 else f"host: {at_host(parts, mode)}"


def seeds() -> list[bytes]:
    hello, challenge, auth = (frame[:-4] for frame in golden_frames()[:3])
    body = READY.layout.encode(READY)
    ready = bytes.fromhex("464b01030810000000 03003a00000001".replace(" ", "")) + body
    found = [bytes([mode]) + joined([hello, auth]) for mode in (0, MEND, MEND | PROVE)]
    return found + [bytes([1 | mode]) + joined([challenge, ready]) for mode in (0, MEND, MEND | PROVE)]


TARGET = Target(run, seeds, words=WORDS, size_max=512, share=1.5)
