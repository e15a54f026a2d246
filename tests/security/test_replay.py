"""A1: frames of real sessions at another moment, in another session, to another end, spliced: never accepted.

Everything a session can say is recorded, in several sessions that differ in as little as sessions can. Each recorded
frame then meets each waiting end, as it was and with number, terminal and CRC made to fit. An end takes what was said
to it then and there, and nothing else.
"""

from functools import cache
from typing import NamedTuple

import msgspec
import pytest

from protocol import Connection, Role, State, TerminalNumber
from protocol.framing import close_frame
from protocol.messages import LAYOUTS, Auth, Message
from protocol.security import root_key_from_enrol_code
from protocol.state import Kind
from tests.protocol.example import ENROL_CODE, OTHER_KEY, ROOT_KEY, TERMINAL
from tests.protocol.moments import fate_of, fitted, fork, moments
from tests.protocol.pair import ConnectionPair
from tests.protocol.samples import CHALLENGE, HELLO, READY, SALE, SAMPLE_OF, SAMPLES

OTHER_CHALLENGE = bytes(range(0xA0, 0xB0))
OTHER_TERMINAL = TerminalNumber(3, 59)
ENROL_KEY = root_key_from_enrol_code(ENROL_CODE, TERMINAL)


def everything() -> list[tuple[Role, Message]]:
    """Every request with its answer, the rejected one too, and the sign-off at last."""
    said = []
    for message in SAMPLES:
        layout = message.layout
        if layout.kind in (Kind.REQUEST, Kind.SIGN_OFF):
            answer = SAMPLE_OF[LAYOUTS[layout.mti + 0x10, layout.processing_code].message]
            said.append((layout.kind is Kind.SIGN_OFF, [(Role.TERMINAL, message), (Role.HOST, answer)]))
    rejected = (False, [(Role.TERMINAL, SALE), (Role.HOST, next(m for m in SAMPLES if m.layout.title == "reject"))])
    return [line for _, lines in sorted([*said, rejected], key=lambda entry: entry[0]) for line in lines]


class Variant(NamedTuple):
    """A session that differs from the first one in one thing."""

    terminal_challenge: bytes = HELLO.terminal_challenge
    host_challenge: bytes = CHALLENGE.host_challenge
    terminal: TerminalNumber = TERMINAL
    key: bytes = ROOT_KEY
    key_version: int = 1


VARIANTS = {
    "first": Variant(),
    "terminal's challenge": Variant(terminal_challenge=OTHER_CHALLENGE),
    "host's challenge": Variant(host_challenge=OTHER_CHALLENGE),
    "terminal": Variant(terminal=OTHER_TERMINAL),
    "key": Variant(key=OTHER_KEY),
    "enrolment": Variant(key=ENROL_KEY, key_version=0),
}


@cache
def recorded(name: str) -> tuple[tuple[bytes, Role], ...]:
    """The whole session as an eavesdropper has it: every frame, and who sent it."""
    variant = VARIANTS[name]
    pair = ConnectionPair(terminal=variant.terminal, terminal_key=variant.key, host_key=variant.key)
    hello = msgspec.structs.replace(
        HELLO, terminal_challenge=variant.terminal_challenge, key_version=variant.key_version
    )
    challenge = msgspec.structs.replace(CHALLENGE, host_challenge=variant.host_challenge)
    pair.say((Role.TERMINAL, hello), (Role.HOST, challenge), (Role.TERMINAL, Auth()), (Role.HOST, READY), *everything())
    assert pair.host.state is pair.terminal.state is State.CLOSED
    return tuple((line.data, line.sender) for line in pair.lines)


@cache
def waiting() -> tuple[tuple[Connection, bytes | None], ...]:
    """Both ends of the first session at every moment of it, with the frame that is due there."""
    pair = ConnectionPair()
    found = []
    for sender, message in [
        (Role.TERMINAL, HELLO),
        (Role.HOST, CHALLENGE),
        (Role.TERMINAL, Auth()),
        (Role.HOST, READY),
        *everything(),
    ]:
        before = {role: fork(end) for role, end in pair.ends.items()}
        pair.send(sender, message)
        found.append((before[sender.peer], pair.lines[-1].data))
        found.append((before[sender], None))
    return tuple(found)


def as_if_now(frame: bytes, receiver: Connection) -> bytes:
    """The frame with the receiver's terminal number and the sequence number it waits for."""
    terminal = (receiver.terminal or TERMINAL).to_int().to_bytes(4, "big")
    return close_frame(frame[:8] + terminal + receiver._received.to_bytes(4, "big"), frame[16:-4])


def test_the_recording_holds_every_message():
    assert len(recorded("first")) == 4 + len(everything())
    said = {type(message) for _, message in everything()}
    assert said == {
        layout.message for layout in LAYOUTS.values() if layout.kind not in (Kind.HELLO, Kind.CHALLENGE, Kind.AUTH)
    } - {type(READY)}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_frame_at_every_moment(name):
    """A1: replay, reordering, reflection, other sessions and terminals; as recorded, and with numbers that fit."""
    tried = 0
    for receiver, due in waiting():
        for frame, _ in recorded(name):
            for data in (frame, as_if_now(frame, receiver)):
                # A HELLO proves nothing yet; what it is good for the other tests show. A CHALLENGE made for this very
                # Rt is a genuine one: no terminal draws an Rt twice.
                hello = receiver.state is State.CONNECTED and receiver.role is Role.HOST and frame[3] == 0
                made_for_it = receiver.state is State.HELLO_SENT and name == "host's challenge" and frame[3] == 2
                if data == due or hello or made_for_it or receiver.state is State.CLOSED:
                    continue
                fate_of(fork(receiver), data)
                tried += 1
    assert tried > 1500


def test_header_of_one_and_body_of_another():
    """A1: splicing within a session: every header with every other body, numbers, length and CRC made to fit."""
    frames = [frame for frame, _ in recorded("first") if frame[3] & 1]
    for receiver, due in waiting():
        if due is None or not due[3] & 1:
            continue
        for frame in frames:
            for header in (due, frame, as_if_now(frame, receiver)):
                for body in (frame[16:-4], due[16:-20] + frame[-20:-4], frame[16:-20] + due[-20:-4]):
                    data = fitted(header[:16], body)
                    if data != due:
                        fate_of(fork(receiver), data)


def test_the_same_body_twice_in_one_frame_or_one_after_the_other():
    """A1: the genuine frame followed by itself: taken once."""
    for moment in moments():
        receiver = fork(moment.receiver)
        receiver.receive_data(moment.frame)
        assert isinstance(receiver.next_event(), Message)
        if receiver.state is not State.CLOSED:
            assert fate_of(fork(receiver), moment.frame).reason == "sequence"
            assert fate_of(receiver, as_if_now(moment.frame, receiver)).reason == "tag"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_recorded_terminal_against_a_fresh_host(name):
    """A1: all that a terminal ever said, to a host that has drawn another challenge: it is not believed at AUTH."""
    frames = [frame for frame, sender in recorded(name) if sender is Role.TERMINAL]
    host = Connection(Role.HOST)
    host.receive_data(frames[0])
    assert isinstance(host.next_event(), Message)
    host.use_key(VARIANTS[name].key)
    host.send(msgspec.structs.replace(CHALLENGE, host_challenge=bytes(range(0xC0, 0xD0))))
    assert fate_of(host, b"".join(frames[1:])).reason == "tag"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_recorded_host_against_a_fresh_terminal(name):
    """A1: all that a host ever said, to a terminal that has drawn another challenge: not believed at CHALLENGE."""
    variant = VARIANTS[name]
    terminal = Connection(Role.TERMINAL, terminal=variant.terminal, root_key=variant.key)
    terminal.send(msgspec.structs.replace(HELLO, terminal_challenge=bytes(range(0xC0, 0xD0))))
    frames = [frame for frame, sender in recorded(name) if sender is Role.HOST]
    assert fate_of(terminal, b"".join(frames)).reason == "tag"


def test_no_nonce_is_used_twice():
    """I18: in a whole session no (key, sequence) closes two frames; and no two sessions share a key."""
    seen = set()
    for name in VARIANTS:
        for frame, sender in recorded(name):
            if frame[3] & 1:
                assert (name, sender, frame[12:16]) not in seen
                seen.add((name, sender, frame[12:16]))
    # The same message at the same number, in sessions that differ in one thing: never the same bytes.
    for index in range(3, len(recorded("first"))):
        assert len({recorded(name)[index][0][16:-4] for name in VARIANTS}) == len(VARIANTS)


def test_the_same_message_never_looks_the_same_twice():
    """I18: each frame has a nonce of its own: what is said twelve times in a session is twelve different ciphertexts.

    Two frames under one nonce would give away how their contents differ: the first bytes are compared as such, too.
    """
    pair = ConnectionPair().to_state(State.READY)
    for _ in range(6):
        pair.say((Role.TERMINAL, SALE), (Role.HOST, SAMPLE_OF[LAYOUTS[SALE.layout.answer_key].message]))
    for role in Role:
        bodies = [line.data[16:-4] for line in pair.lines if line.sender is role and line.data[3] & 1][-6:]
        assert len(bodies) == 6
        assert len({body[:16] for body in bodies}) == 6
        assert len({body[-16:] for body in bodies}) == 6


def test_a_refused_send_uses_up_no_number():
    """I18: what could not be encoded was not sealed: its number is the next frame's, once."""
    pair = ConnectionPair().to_state(State.READY)
    bad = msgspec.structs.replace(SALE, amount_fen=0)
    with pytest.raises(Exception, match="amount_fen"):
        pair.terminal.send(bad)
    first = pair.terminal.send(SALE)
    assert first[12:16] == bytes([0, 0, 0, 2])
