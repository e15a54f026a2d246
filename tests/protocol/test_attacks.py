"""A1: what an attacker on the network can do: read, change, repeat, reorder, reflect, splice. It ends in nothing.

Each test plays the attacker with real frames of real sessions, and repairs the CRC: it is no defence.
"""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import (
    Connection,
    Discarded,
    NeedData,
    PeerClosed,
    Reason,
    Refused,
    RemoteProtocolError,
    Role,
    State,
    TerminalNumber,
)
from protocol.framing import close_frame
from protocol.messages import Auth, Challenge, Hello, Message
from protocol.security import root_key_from_enrol_code
from tests.protocol.example import ENROL_CODE, HOST_CHALLENGE, OTHER_KEY, ROOT_KEY, TERMINAL, TERMINAL_CHALLENGE
from tests.protocol.pair import HANDSHAKE, ConnectionPair, forge, ready_pair, reason_of, refusal, with_good_crc
from tests.protocol.samples import CHALLENGE, HELLO, READY, SALE, SALE_ANSWER

OTHER_CHALLENGE = bytes(range(0xA0, 0xB0))
SALES = [(Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER)]


def session(
    terminal_challenge: bytes = TERMINAL_CHALLENGE,
    host_challenge: bytes = HOST_CHALLENGE,
    terminal: TerminalNumber = TERMINAL,
    key: bytes = ROOT_KEY,
) -> ConnectionPair:
    """An open session; with other challenges it has other keys."""
    return ConnectionPair(terminal=terminal, terminal_key=key, host_key=key).say(
        (Role.TERMINAL, msgspec.structs.replace(HELLO, terminal_challenge=terminal_challenge)),
        (Role.HOST, msgspec.structs.replace(CHALLENGE, host_challenge=host_challenge)),
        (Role.TERMINAL, Auth()),
        (Role.HOST, READY),
    )


def nothing_comes_of(receiver: Connection, data: bytes) -> None:
    """However it ends, no message and nothing to answer reaches the program."""
    before = receiver.state
    receiver.receive_data(data)
    receiver.receive_data(b"")
    try:
        while not isinstance(event := receiver.next_event(), NeedData | PeerClosed):
            assert isinstance(event, Discarded), event
    except RemoteProtocolError:
        pass
    assert receiver.state is State.CLOSED, before


def test_the_helper_can_fail():
    pair = session()
    with pytest.raises(AssertionError):
        nothing_comes_of(pair.host, pair.terminal.send(SALE))
    pair = session()
    with pytest.raises(AssertionError):
        nothing_comes_of(pair.host, forge(pair.terminal, 0x0200, b"", flags=1))  # Refused is something, too


class TestWrongKey:
    def test_terminal_notices_first(self):
        pair = ConnectionPair(host_key=OTHER_KEY).to_state(State.HELLO_SENT)
        error = refusal(pair.terminal, pair.host.send(CHALLENGE))
        assert (error.reason, error.field, error.offset) == (Reason.TAG, "cryptogram", 46)
        assert (error.expected, error.got) == ("proof of the host's key", "another")

    @pytest.mark.parametrize("key", [OTHER_KEY, bytes(32)], ids=["other", "dummy of an unknown terminal"])
    def test_host_notices(self, key):
        """A terminal that does not look at the host's proof, with a key of its own making."""
        pair = ConnectionPair(host_key=key).to_state(State.HELLO_SENT)
        pair.host.send(CHALLENGE)
        auth = Auth(cryptogram=bytes(range(16)))
        error = refusal(pair.host, forge(pair.terminal, 0x0800, auth.layout.encode(auth), flags=0))
        assert (error.reason, error.field, error.offset) == (Reason.TAG, "cryptogram", 17)

    def test_every_bit_of_the_key_counts(self):
        for bit in range(256):
            wrong = (int.from_bytes(ROOT_KEY, "big") ^ 1 << bit).to_bytes(32, "big")
            pair = ConnectionPair(host_key=wrong).to_state(State.HELLO_SENT)
            assert reason_of(pair.terminal, pair.host.send(CHALLENGE)) is Reason.TAG

    def test_enrolment_code_of_another_terminal(self):
        pair = ConnectionPair(
            terminal_key=root_key_from_enrol_code(ENROL_CODE, TERMINAL),
            host_key=root_key_from_enrol_code(ENROL_CODE, TerminalNumber(3, 59)),
        ).to_state(State.HELLO_SENT)
        assert reason_of(pair.terminal, pair.host.send(CHALLENGE)) is Reason.TAG


class TestHandshakeChanged:
    def frames(self) -> list[bytes]:
        return [line.data for line in session().lines]

    @pytest.mark.slow
    @pytest.mark.parametrize("step", range(4), ids=["hello", "challenge", "auth", "ready"])
    def test_every_bit(self, step):
        """One bit changed anywhere in any handshake frame: READY is never reached on both sides."""
        frames = self.frames()
        for bit in range(8 * (len(frames[step]) - 4)):
            changed = bytearray(frames[step])
            changed[bit // 8] ^= 1 << bit % 8
            pair = ConnectionPair()
            with pytest.raises((RemoteProtocolError, AssertionError)):
                self.play(pair, step, with_good_crc(bytes(changed)))
            # Neither end takes a sale from the other.
            assert State.CLOSED in (pair.terminal.state, pair.host.state) or self.stuck(pair)

    def play(self, pair: ConnectionPair, step: int, changed: bytes) -> None:
        for index, (sender, message) in enumerate(HANDSHAKE):
            data = pair.ends[sender].send(message)
            receiver = pair.ends[sender.peer]
            receiver.receive_data(changed if index == step else data)
            event = receiver.next_event()
            assert isinstance(event, Message)
            if receiver.state is State.HELLO_SENT:
                receiver.use_key(ROOT_KEY)

    def stuck(self, pair: ConnectionPair) -> bool:
        """A longer length leaves the receiver waiting for bytes that never come; the frame timer ends it."""
        ends = [end for end in pair.ends.values() if end.mid_frame]
        return len(ends) == 1

    def test_downgrade_offered_to_the_host(self):
        """T8: the terminal speaks 1..2, the attacker makes it 1..1: the transcripts differ, and both ends notice."""
        pair = ConnectionPair()
        hello = pair.terminal.send(msgspec.structs.replace(HELLO, highest_version=2))
        changed = bytearray(hello)
        changed[Hello.layout.offset_of("highest_version")] = 1
        pair.host.receive_data(with_good_crc(bytes(changed)))
        assert isinstance(pair.host.next_event(), Hello)
        pair.host.use_key(ROOT_KEY)
        assert reason_of(pair.terminal, pair.host.send(CHALLENGE)) is Reason.TAG

    @pytest.mark.parametrize(("lowest", "highest"), [(2, 2), (2, 3), (255, 255), (2, 1)])
    def test_no_common_version(self, lowest, highest):
        pair = ConnectionPair()
        hello = msgspec.structs.replace(HELLO, lowest_version=lowest, highest_version=highest)
        error = refusal(pair.host, pair.terminal.send(hello))
        assert (error.reason, error.field, error.offset) == (Reason.VERSION, "lowest_version", 17)
        assert (error.expected, error.got) == ("a range with 1", f"{lowest}..{highest}")

    def test_a_version_the_terminal_did_not_offer(self):
        pair = ConnectionPair().to_state(State.HELLO_SENT)
        error = refusal(pair.terminal, pair.host.send(msgspec.structs.replace(CHALLENGE, version=2)))
        assert (error.reason, error.field, error.offset, error.got) == (Reason.VERSION, "version", 17, "2")

    def test_reflected_handshake(self):
        pair = ConnectionPair()
        hello = pair.terminal.send(HELLO)
        assert reason_of(pair.terminal, hello) is Reason.TYPE

    def test_the_hosts_proof_is_not_the_terminals(self):
        """Same transcript, same key: only the role letter differs."""
        pair = ConnectionPair().to_state(State.HELLO_SENT)
        pair.host.receive_data(b"")
        pair = ConnectionPair().to_state(State.HELLO_SENT)
        challenge = pair.host.send(CHALLENGE)
        stolen = Auth(cryptogram=challenge[-20:-4])
        assert reason_of(pair.host, forge(pair.terminal, 0x0800, Auth.layout.encode(stolen), flags=0)) is Reason.TAG

    def test_replayed_handshake_to_a_host_with_a_fresh_challenge(self):
        recorded = session().lines
        host = Connection(Role.HOST)
        host.receive_data(recorded[0].data)
        assert isinstance(host.next_event(), Hello)
        host.use_key(ROOT_KEY)
        host.send(msgspec.structs.replace(CHALLENGE, host_challenge=OTHER_CHALLENGE))
        assert reason_of(host, recorded[2].data) is Reason.TAG

    def test_replayed_challenge_to_a_terminal_with_a_fresh_challenge(self):
        recorded = session().lines
        terminal = Connection(Role.TERMINAL, terminal=TERMINAL, root_key=ROOT_KEY)
        terminal.send(msgspec.structs.replace(HELLO, terminal_challenge=OTHER_CHALLENGE))
        assert reason_of(terminal, recorded[1].data) is Reason.TAG

    def test_two_handshakes_crossed(self):
        """A man in the middle between two terminals and two host connections, swapping the proofs."""
        first = ConnectionPair().to_state(State.HELLO_SENT)
        second = ConnectionPair()
        second.send(Role.TERMINAL, msgspec.structs.replace(HELLO, terminal_challenge=OTHER_CHALLENGE))
        assert reason_of(first.terminal, second.host.send(CHALLENGE)) is Reason.TAG
        challenge = first.host.send(CHALLENGE)
        assert isinstance(Challenge.layout.decode(challenge[16:-4]), Challenge)
        assert reason_of(second.terminal, challenge) is Reason.TAG

    def test_sealed_frames_before_there_are_keys(self):
        sealed = session().say(*SALES).lines[4].data
        at_first = sealed[:12] + bytes(4) + sealed[16:]
        error = refusal(Connection(Role.HOST), with_good_crc(at_first))
        assert (error.reason, error.expected) == (Reason.LENGTH, "at most 76") or error.reason is Reason.FLAGS

    def test_a_session_cannot_be_skipped_into(self):
        """A sale in clear as the very first frame, or straight behind the challenge."""
        for state in (State.CONNECTED, State.CHALLENGED):
            pair = ConnectionPair().to_state(state)
            data = forge(pair.terminal, 0x0200, SALE.layout.encode(SALE), flags=0)
            assert reason_of(pair.host, data) in (Reason.FLAGS, Reason.STATE)


class TestSealedFrameChanged:
    @pytest.mark.slow
    def test_every_bit_of_a_sale(self):
        frame = session().say(*SALES).lines[4].data
        for bit in range(8 * len(frame)):
            changed = bytearray(frame)
            changed[bit // 8] ^= 1 << bit % 8
            nothing_comes_of(session().host, bytes(changed))  # as line noise, the CRC wrong
            if bit < 8 * (len(frame) - 4):
                nothing_comes_of(session().host, with_good_crc(bytes(changed)))

    @pytest.mark.slow
    def test_every_bit_of_an_answer(self):
        frame = session().say(*SALES).lines[5].data
        for bit in range(8 * (len(frame) - 4)):
            changed = bytearray(frame)
            changed[bit // 8] ^= 1 << bit % 8
            nothing_comes_of(session().say(SALES[0]).terminal, with_good_crc(bytes(changed)))

    def test_truncated_anywhere_with_length_and_crc_made_to_fit(self):
        frame = session().say(*SALES).lines[4].data
        for size in range(len(frame) - 20):
            header = frame[:6] + size.to_bytes(2, "big") + frame[8:16]
            error = refusal(session().host, close_frame(header, frame[16 : 16 + size]))
            assert error.reason is (Reason.LENGTH if size < 16 else Reason.TAG)

    def test_lengthened(self):
        frame = session().say(*SALES).lines[4].data
        header = frame[:6] + (len(frame) - 19).to_bytes(2, "big") + frame[8:16]
        assert reason_of(session().host, close_frame(header, frame[16:-4] + b"\0")) is Reason.TAG

    @given(st.binary(max_size=200))
    def test_any_body_under_a_good_header(self, body):
        pair = session()
        header = pair.terminal.send(SALE)[:6] + len(body).to_bytes(2, "big") + bytes.fromhex("0003003a00000002")
        nothing_comes_of(pair.host, close_frame(header, body))

    def test_clear_body_in_an_open_session(self):
        pair = session()
        body = SALE.layout.encode(SALE)
        header = bytes.fromhex("464b0100 0200") + len(body).to_bytes(2, "big") + bytes.fromhex("0003003a00000002")
        error = refusal(pair.host, close_frame(header, body))
        assert (error.reason, error.expected) == (Reason.FLAGS, "a sealed frame")


class TestReplay:
    def test_within_the_session(self):
        pair = session().say(*SALES)
        error = refusal(pair.host, pair.lines[4].data)
        assert (error.reason, error.field, error.offset) == (Reason.SEQUENCE, "sequence", 12)
        assert (error.expected, error.got) == ("3", "2")

    def test_within_the_session_with_the_number_made_to_fit(self):
        pair = session().say(*SALES)
        again = pair.lines[4].data[:12] + (3).to_bytes(4, "big") + pair.lines[4].data[16:]
        assert reason_of(pair.host, with_good_crc(again)) is Reason.TAG

    def test_of_an_answer(self):
        pair = session().say(*SALES, SALES[0])
        again = pair.lines[5].data[:12] + (3).to_bytes(4, "big") + pair.lines[5].data[16:]
        assert reason_of(pair.terminal, with_good_crc(again)) is Reason.TAG

    def test_reordered(self):
        pair = session()
        first, second = (session().say(*SALES, *SALES).lines[index].data for index in (4, 6))
        assert first != second
        assert reason_of(pair.host, second) is Reason.SEQUENCE

    def test_dropped(self):
        pair = session().say(*SALES)
        pair.terminal.send(SALE)
        pair.terminal.state = State.READY  # as if the frame had been sent, and swallowed
        assert reason_of(pair.host, pair.terminal.send(SALE)) is Reason.SEQUENCE

    @pytest.mark.parametrize(
        "other",
        [
            {"terminal_challenge": OTHER_CHALLENGE},
            {"host_challenge": OTHER_CHALLENGE},
            {"key": OTHER_KEY},
        ],
        ids=["terminal's challenge", "host's challenge", "key"],
    )
    def test_across_sessions(self, other):
        """The same moment of another session, however little that session differs."""
        recorded = session().say(*SALES).lines
        assert reason_of(session(**other).host, recorded[4].data) is Reason.TAG
        assert reason_of(session(**other).say(SALES[0]).terminal, recorded[5].data) is Reason.TAG

    def test_across_terminals(self):
        """Two terminals with one key by mistake: still not the same session keys."""
        other = TerminalNumber(3, 59)
        recorded = session(terminal=other).say(*SALES).lines[4].data
        assert reason_of(session().host, recorded) is Reason.TERMINAL
        renumbered = recorded[:8] + TERMINAL.to_int().to_bytes(4, "big") + recorded[12:]
        assert reason_of(session().host, with_good_crc(renumbered)) is Reason.TAG

    @pytest.mark.parametrize("role", Role)
    def test_reflected(self, role):
        pair = session()
        pair.say(*SALES)
        own = [line.data for line in pair.lines if line.sender is role][-1]
        renumbered = own[:12] + (3).to_bytes(4, "big") + own[16:]
        assert reason_of(pair.ends[role], with_good_crc(renumbered)) is Reason.TAG

    def test_spliced_halves(self):
        """Header and body of two genuine frames of the same session."""
        pair = session().say(*SALES, *SALES)
        first, second = pair.lines[4].data, pair.lines[6].data
        fresh = session()
        assert reason_of(fresh.host, close_frame(first[:16], second[16:-4])) is Reason.TAG


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"FK\x01\0\x08\0\0\x2d", b"FK\x01\1\x02\0\0\x10"]))))
def test_garbage_raises_nothing_but_the_documented_error(pieces):
    """A5: in any state, from anyone: an event, NEED_DATA or RemoteProtocolError."""
    for receiver in (Connection(Role.HOST), ConnectionPair().to_state(State.CHALLENGED).host, ready_pair().host):
        for piece in pieces:
            receiver.receive_data(piece)
            for _ in range(200):
                try:
                    event = receiver.next_event()
                except RemoteProtocolError:
                    assert receiver.state is State.CLOSED
                    break
                if isinstance(event, NeedData | PeerClosed):
                    break
                assert isinstance(event, Discarded | Refused)
            else:
                raise AssertionError("no end to the events")


@given(st.integers(0, 0xFFFF), st.binary(max_size=200), st.sampled_from([0, 1, 2, 3, 4, 5, 7]))
def test_any_authentic_content_raises_nothing_but_the_documented_error(mti, body, flags):
    """A4, A5: from a terminal that has the keys and says what it likes."""
    pair = ready_pair()
    pair.host.receive_data(forge(pair.terminal, mti, body, flags=flags))
    try:
        event = pair.host.next_event()
    except RemoteProtocolError:
        assert pair.host.state is State.CLOSED
        return
    assert isinstance(event, Message | Refused)
    if isinstance(event, Refused):
        pair.terminal.state, pair.terminal._outstanding = State.REQUESTED, SALE.layout
        assert pair.send(Role.HOST, event.reject) == event.reject
