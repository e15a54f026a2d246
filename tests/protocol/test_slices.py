"""N2: every message type, cut at every place, decodes the same; so do whole sessions, in clear and sealed."""

import json
from itertools import pairwise

import pytest

from protocol import NEED_DATA, Connection, Discarded, Framer, Role, TerminalNumber
from protocol.codec import decode
from protocol.framing import Frame
from protocol.messages import LAYOUTS, Hello, Message
from protocol.security import Seal
from tests.protocol.make_vectors import FILES, FOLDER

VECTORS = {name: json.loads((FOLDER / name).read_text(encoding="utf-8")) for name in FILES}
MESSAGES = VECTORS["messages.json"]
FRAMES = {
    f"{vector['message']} {form}": bytes.fromhex(vector[form])
    for vector in MESSAGES["messages"]
    for form in ("frame_in_clear", "frame_sealed")
}
SESSIONS = {name: VECTORS[name] for name in ("session.json", "enrolment.json")}
JUNK = [b"\x00", b"F", b"FK", b"FK\x01", b"noise on the line\xff", b"FK\x01\x00\x02\x00\xff\xff" + bytes(12)]


def messages_in(*pieces):
    """Every message in these pieces, and how many bytes were dropped and are still held."""
    framer, messages, dropped = Framer(), [], 0
    for piece in pieces:
        framer.feed(piece)
        while (found := framer.next_frame()) is not NEED_DATA:
            if isinstance(found, Discarded):
                dropped += found.size
                continue
            assert isinstance(found, Frame)
            body = found.body
            if found.flags & 1:
                opened = Seal(bytes.fromhex(MESSAGES["key"])).open(found.sequence, found.header, body)
                assert opened is not None
                body = opened
            messages.append(decode(found.mti, body))
    return messages, dropped, framer.pending


def test_every_message_type_is_here():
    assert {name.split()[0] for name in FRAMES} == {layout.message.__name__ for layout in LAYOUTS.values()}


@pytest.mark.parametrize("name", FRAMES)
def test_one_cut_anywhere(name):
    """N2: in two pieces, cut at every place."""
    frame = FRAMES[name]
    whole = messages_in(frame)
    assert len(whole[0]) == 1
    assert whole[1:] == (0, 0)
    for at in range(1, len(frame)):
        assert messages_in(frame[:at], frame[at:]) == whole, f"cut at {at}"


@pytest.mark.parametrize("name", FRAMES)
def test_pieces_of_every_size(name):
    """N2: byte by byte, two by two, and so on."""
    frame = FRAMES[name]
    whole = messages_in(frame)
    for size in range(1, len(frame)):
        assert messages_in(*[frame[start : start + size] for start in range(0, len(frame), size)]) == whole


@pytest.mark.parametrize("name", FRAMES)
def test_two_cuts_around_every_byte(name):
    """N2: each byte alone, with everything before and behind it in one piece each."""
    frame = FRAMES[name]
    whole = messages_in(frame)
    for at in range(len(frame)):
        assert messages_in(frame[:at], frame[at : at + 1], frame[at + 1 :]) == whole


def test_merged_and_cut_anywhere():
    """N2: all of them in one piece, and that piece cut at every place."""
    frames = list(FRAMES.values())
    whole = messages_in(*frames)
    assert len(whole[0]) == len(frames)
    for first, second in pairwise(frames):
        pair = first + second
        expected = messages_in(first, second)
        for at in range(len(pair) + 1):
            assert messages_in(pair[:at], pair[at:]) == expected
    assert messages_in(b"".join(frames)) == whole


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: junk.hex()[:16])
@pytest.mark.parametrize("name", FRAMES)
def test_trailing_junk(name, junk):
    """N2: bytes behind a frame never change it, wherever the line is cut; the next frame is found all the same."""
    frame = FRAMES[name]
    stream = frame + junk + frame
    expected = messages_in(frame)[0] * 2
    for at in range(len(frame) - 1, len(frame) + len(junk) + 2):
        messages, dropped, pending = messages_in(stream[:at], stream[at:])
        assert (messages, dropped, pending) == (expected, len(junk), 0), f"cut at {at}"


def replay(session, cut):
    """Every event both ends hear, each frame in the pieces that `cut` makes of it."""
    key = bytes.fromhex(session["root_key"])
    ends = {
        Role.TERMINAL: Connection(Role.TERMINAL, terminal=TerminalNumber.parse(session["terminal"]), root_key=key),
        Role.HOST: Connection(Role.HOST),
    }
    heard = []
    for vector in session["frames"]:
        sender = Role(vector["sender"])
        layout = LAYOUTS[int(vector["mti"], 16), int(vector["processing_code"], 16)]
        message = layout.decode(bytes.fromhex(vector["body"]))
        frame = ends[sender].send(message)
        assert frame.hex() == vector["frame"]
        receiver = ends[sender.peer]
        events = []
        for piece in cut(frame):
            assert piece
            receiver.receive_data(piece)
            event = receiver.next_event()
            if event is not NEED_DATA:
                events.append(event)
        [event] = events
        assert isinstance(event, Message)
        if isinstance(event, Hello):
            receiver.use_key(key)
        heard.append(event)
    return heard


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_a_whole_session_in_any_pieces(session):
    """N2: handshake and sealed conversation, each frame cut at the same place, at every place there is."""
    whole = replay(session, lambda frame: [frame])
    for at in range(1, max(len(vector["frame"]) // 2 for vector in session["frames"])):
        assert replay(session, lambda frame, at=at: [part for part in (frame[:at], frame[at:]) if part]) == whole
    assert replay(session, lambda frame: [bytes([byte]) for byte in frame]) == whole
