"""One session, both ends: what goes well, and every way in which a peer or the line can be wrong afterwards.

Attacks on the handshake and on sealed frames stand in test_attacks.py.
"""

import msgspec
import pytest

from protocol import (
    NEED_DATA,
    PEER_CLOSED,
    Connection,
    Discarded,
    LocalProtocolError,
    Reason,
    Refused,
    RemoteProtocolError,
    Role,
    State,
    TerminalNumber,
)
from protocol.framing import Flag
from protocol.limits import MAX_BODY_SIZE, MAX_DISCARDED_BYTES, MAX_SESSION_FRAMES
from protocol.messages import (
    LAYOUTS,
    Auth,
    Challenge,
    EchoRequest,
    Layout,
    Message,
    QueryRequest,
    Reject,
    SaleAnswer,
    SignOffAnswer,
    SignOffRequest,
)
from protocol.security import root_key_from_enrol_code
from protocol.state import TRANSITIONS, Kind
from tests.protocol.example import ENROL_CODE, ROOT_KEY, TERMINAL
from tests.protocol.pair import (
    HANDSHAKE,
    ConnectionPair,
    count_checksums,
    forge,
    ready_pair,
    reason_of,
    refusal,
    state_of,
    with_good_crc,
)
from tests.protocol.samples import ALL_LAYOUTS, CHALLENGE, HELLO, READY, REJECT, SALE, SALE_ANSWER, SAMPLE_OF, layout_id

REQUESTS = [layout for layout in ALL_LAYOUTS if layout.kind is Kind.REQUEST]
ANSWERS = [layout for layout in ALL_LAYOUTS if layout.kind is Kind.ANSWER]


def answer_to(layout: Layout) -> Message:
    return SAMPLE_OF[LAYOUTS[layout.mti + 0x10, layout.processing_code].message]


class TestGoodSession:
    def test_handshake(self):
        pair = ConnectionPair()
        for sender, message in HANDSHAKE:
            heard = pair.send(sender, message)
            if "cryptogram" not in message.__struct_fields__:
                assert heard == message
        assert state_of(pair) is State.READY
        assert pair.host.terminal == TERMINAL
        assert pair.host.hello == HELLO

    def test_cryptograms_are_filled_in(self):
        pair = ConnectionPair()
        heard = [pair.send(sender, message) for sender, message in HANDSHAKE]
        cryptograms = [message.cryptogram for message in heard if isinstance(message, Challenge | Auth)]
        assert len(set(cryptograms)) == 2
        assert bytes(16) not in cryptograms

    @pytest.mark.parametrize("layout", REQUESTS, ids=layout_id)
    def test_every_request_and_its_answer(self, layout):
        pair = ready_pair()
        for _ in range(3):
            assert pair.send(Role.TERMINAL, SAMPLE_OF[layout.message]) == SAMPLE_OF[layout.message]
            assert state_of(pair) is State.REQUESTED
            assert pair.send(Role.HOST, answer_to(layout)) == answer_to(layout)
            assert state_of(pair) is State.READY

    @pytest.mark.parametrize("layout", REQUESTS, ids=layout_id)
    def test_any_request_may_be_rejected(self, layout):
        pair = ready_pair()
        pair.send(Role.TERMINAL, SAMPLE_OF[layout.message])
        assert pair.send(Role.HOST, REJECT) == REJECT
        assert state_of(pair) is State.READY
        pair.say((Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER))

    def test_sign_off(self):
        pair = ready_pair().say((Role.TERMINAL, SignOffRequest()), (Role.HOST, SignOffAnswer()))
        for end in pair.ends.values():
            assert end.state is State.CLOSED
            assert end.next_event() is PEER_CLOSED

    def test_frames_are_numbered_per_direction(self):
        pair = ready_pair().say(*[(Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER)] * 3)
        for role in Role:
            numbers = [int.from_bytes(line.data[12:16], "big") for line in pair.lines if line.sender is role]
            assert numbers == list(range(5))

    def test_same_message_twice_gives_different_bytes(self):
        pair = ready_pair().say((Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER), (Role.TERMINAL, SALE))
        first, second = (line.data for line in pair.lines[-3::2])
        assert first[16:] != second[16:]

    def test_nothing_private_in_clear_after_the_handshake(self):
        pair = ready_pair().say((Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER))
        assert all(line.data[3] & Flag.SEALED for line in pair.lines[3:])
        assert SALE.payer not in b"".join(line.data for line in pair.lines)

    def test_byte_by_byte_with_frames_joined(self):
        """A terminal that has sent a request may find READY and answer in any slicing."""
        pair = ConnectionPair()
        for sender, message in [*HANDSHAKE, (Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER)]:
            data = pair.ends[sender].send(message)
            receiver = pair.ends[sender.peer]
            for byte in data[:-1]:
                receiver.receive_data(bytes([byte]))
                assert receiver.next_event() is NEED_DATA
                assert receiver.mid_frame
            receiver.receive_data(data[-1:])
            assert isinstance(receiver.next_event(), Message)
            assert receiver.next_event() is NEED_DATA
            assert not receiver.mid_frame
            if receiver.state is State.HELLO_SENT:
                pair.host.use_key(ROOT_KEY)

    def test_ready_and_a_request_behind_auth_in_one_piece(self):
        """The first sealed frame may arrive together with AUTH: keys and limits have to change in between."""
        pair = ConnectionPair().to_state(State.CHALLENGED)
        auth = pair.terminal.send(Auth())
        early = forge(pair.terminal, 0x0200, SALE.layout.encode(SALE), flags=Flag.SEALED)
        pair.host.receive_data(auth + early)
        assert isinstance(pair.host.next_event(), Auth)
        assert refusal(pair.host, b"\0").reason is Reason.STATE  # it came through the seal, but before READY

    def test_enrolment_session(self):
        key = root_key_from_enrol_code(ENROL_CODE, TERMINAL)
        pair = ConnectionPair(terminal_key=key, host_key=key)
        pair.send(Role.TERMINAL, msgspec.structs.replace(HELLO, key_version=0))
        assert pair.host.hello is not None
        assert pair.host.hello.key_version == 0
        pair.say((Role.HOST, CHALLENGE), (Role.TERMINAL, Auth()), (Role.HOST, READY))

    @pytest.mark.parametrize("number", [(0, 0), (65535, 65535), (0, 1)])
    def test_any_terminal_number(self, number):
        pair = ready_pair(terminal=TerminalNumber(*number))
        assert pair.host.terminal == number
        pair.say((Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER))

    def test_reprs(self):
        pair = ConnectionPair()
        assert repr(pair.host) == "<Connection host of None connected>"
        assert repr(ready_pair().terminal) == "<Connection terminal of 3-58 ready>"
        assert repr(PEER_CLOSED) == "PEER_CLOSED"

    def test_the_root_key_is_let_go_after_the_handshake(self):
        for end in ready_pair().ends.values():
            held = [getattr(end, name) for name in Connection.__slots__]
            assert ROOT_KEY not in held
            assert b"" in held  # the transcript


class TestOurOwnMistakes:
    """`send` refuses, and nothing has changed by it."""

    @pytest.mark.parametrize(
        "options", [{}, {"terminal": TERMINAL}, {"root_key": ROOT_KEY}], ids=["neither", "no key", "no number"]
    )
    def test_a_terminal_needs_number_and_key(self, options):
        with pytest.raises(LocalProtocolError, match="expected terminal number and root key"):
            Connection(Role.TERMINAL, **options)

    @pytest.mark.parametrize("size", [0, 16, 31, 33])
    def test_a_root_key_has_32_bytes(self, size):
        """A key of 16 bytes would be an AES-128 key and quietly work, between two ends that both have it wrong."""
        with pytest.raises(LocalProtocolError, match=f"root key: expected 32 bytes, got {size}"):
            Connection(Role.TERMINAL, terminal=TERMINAL, root_key=bytes(size))
        host = ConnectionPair().to_state(State.HELLO_SENT).host
        with pytest.raises(LocalProtocolError, match=f"root key: expected 32 bytes, got {size}"):
            host.use_key(bytes(size))

    @pytest.mark.parametrize("number", [(-1, 0), (0, -1), (65536, 0), (0, 65536)])
    def test_a_terminal_number_fits_its_field(self, number):
        with pytest.raises(LocalProtocolError, match=r"terminal number: expected GROUP-DEVICE, each 0\.\.65535, got "):
            Connection(Role.TERMINAL, terminal=TerminalNumber(*number), root_key=ROOT_KEY)

    def test_challenge_without_a_key(self):
        pair = ConnectionPair()
        pair.host.receive_data(pair.terminal.send(HELLO))
        pair.host.next_event()
        with pytest.raises(LocalProtocolError, match="no root key yet: call use_key when Hello has come"):
            pair.host.send(CHALLENGE)
        pair.host.use_key(ROOT_KEY)
        pair.say((Role.HOST, CHALLENGE), (Role.TERMINAL, Auth()), (Role.HOST, READY))

    def test_an_answer_to_another_question(self):
        pair = ready_pair().say((Role.TERMINAL, SALE))
        for layout in ANSWERS:
            if layout.message in (SaleAnswer, Reject):
                continue
            with pytest.raises(LocalProtocolError, match=f"{layout.title} does not answer sale"):
                pair.host.send(SAMPLE_OF[layout.message])
        pair.say((Role.HOST, SALE_ANSWER), (Role.TERMINAL, SALE))

    def test_a_field_out_of_range_sends_nothing_and_changes_nothing(self):
        pair = ready_pair()
        with pytest.raises(LocalProtocolError, match=r"SaleRequest\.stan: expected 1\.\.999999, got 0"):
            pair.terminal.send(msgspec.structs.replace(SALE, stan=0))
        assert pair.terminal.state is State.READY
        pair.send(Role.TERMINAL, SAMPLE_OF[QueryRequest])
        with pytest.raises(LocalProtocolError, match=r"QueryAnswer\.rrn"):
            pair.host.send(msgspec.structs.replace(answer_to(QueryRequest.layout), rrn=-1))
        assert pair.host.state is State.REQUESTED
        # The question is still the same one: an answer to another is no answer.
        with pytest.raises(LocalProtocolError, match="sale answer does not answer transaction query"):
            pair.host.send(SALE_ANSWER)
        pair.say((Role.HOST, answer_to(QueryRequest.layout)), (Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER))

    def test_a_hello_out_of_range_leaves_no_trace(self):
        pair = ConnectionPair()
        with pytest.raises(LocalProtocolError, match=r"Hello\.firmware"):
            pair.terminal.send(msgspec.structs.replace(HELLO, firmware="x" * 17))
        assert pair.terminal.hello is None
        pair.to_state(State.READY)

    def test_at_the_limit_of_a_session_nothing_more_is_sent(self):
        pair = ready_pair()
        pair.terminal._sent = MAX_SESSION_FRAMES
        with pytest.raises(
            LocalProtocolError, match=f"a session ends after {MAX_SESSION_FRAMES} frames: connect again"
        ):
            pair.terminal.send(SALE)
        assert pair.terminal.state is State.READY


class TestRefusedRequests:
    """A request that is authentic and cannot be read: the host says what is wrong with it, and the session goes on."""

    BODY = SALE.layout.encode(SALE)

    def refused(self, pair: ConnectionPair, mti: int, body: bytes, *, flags: int = Flag.SEALED) -> Refused:
        pair.terminal._outstanding = SALE.layout
        data = forge(pair.terminal, mti, body, flags=flags)
        pair.terminal._sent += 1
        pair.terminal.state = State.REQUESTED
        pair.host.receive_data(data)
        event = pair.host.next_event()
        assert isinstance(event, Refused)
        return event

    UNKNOWN = "a message type of version 1"
    PAYER_WORDS = "length 1..24, that many bytes, then zero bytes"
    TEXT_WORDS = "at most 24 bytes of UTF-8, zero padded, no control characters"
    CASES = (
        (0x0200, BODY[:1] + bytes(3) + BODY[4:], (0, "30", 17, "stan", "1..999999", "0")),
        (0x0200, BODY[:13] + b"\x09" + BODY[14:], (0, "30", 29, "entry_mode", "1 card, 2 code", "9")),
        (0x0200, BODY[:14] + b"\x19" + BODY[15:], (0, "30", 30, "payer", PAYER_WORDS, "25 bytes that do not fit")),
        (0x0200, BODY[:-1], (0, "30", 16, "body", "59 bytes for sale", "58 bytes")),
        (0x0200, BODY + b"\0", (0, "30", 16, "body", "59 bytes for sale", "60 bytes")),
        (0x0200, b"", (0, "40", 16, "processing_code", UNKNOWN, "0200 with an empty body")),
        (0x0200, b"\x99", (0x99, "40", 16, "processing_code", UNKNOWN, "0200/99")),
        (0x1234, b"\x56" + bytes(99), (0x56, "40", 16, "processing_code", UNKNOWN, "1234/56")),
        (
            0x0210,
            SALE_ANSWER.layout.encode(SALE_ANSWER),
            (0, "40", 4, "mti", "a message sent by the terminal", "sale answer, sent by the host"),
        ),
        (
            0x0800,
            b"\x92\xff" + bytes(23),
            (0x92, "30", 17, "serial_number", TEXT_WORDS, "24 bytes that do not fit"),
        ),
    )

    @pytest.mark.parametrize(("mti", "body", "reject"), CASES)
    def test_is_answered_with_what_was_wrong(self, mti, body, reject):
        pair = ready_pair()
        event = self.refused(pair, mti, body)
        names = Reject.__struct_fields__
        assert event.reject == Reject(**dict(zip(names, (mti, *reject), strict=True)))
        assert event.error.field == event.reject.field
        assert pair.host.state is State.REQUESTED
        assert pair.send(Role.HOST, event.reject) == event.reject
        assert state_of(pair) is State.READY
        pair.say((Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER))

    def test_every_refusal_fits_into_a_reject(self):
        """Each field of each request wrong in turn: the host can always say so."""
        for layout in REQUESTS:
            body = layout.encode(SAMPLE_OF[layout.message])
            for field in layout.fields:
                start = layout.offset_of(field.name) - 16
                for wrong in (bytes(field.size), b"\xff" * field.size):
                    data = body[:start] + wrong + body[start + field.size :]
                    pair = ready_pair()
                    pair.host.receive_data(forge(pair.terminal, layout.mti, data, flags=Flag.SEALED))
                    event = pair.host.next_event()
                    if isinstance(event, Refused):
                        pair.host.send(event.reject)

    def test_only_the_reject_answers_it(self):
        pair = ready_pair()
        event = self.refused(pair, 0x0200, self.BODY[:-1])
        for layout in ANSWERS:
            if layout.message is not Reject:
                with pytest.raises(LocalProtocolError, match=f"{layout.title} does not answer a refused request"):
                    pair.host.send(SAMPLE_OF[layout.message])
        pair.send(Role.HOST, event.reject)

    def test_nothing_else_may_come_before_the_reject(self):
        pair = ready_pair()
        self.refused(pair, 0x0200, self.BODY[:-1])
        assert reason_of(pair.host, forge(pair.terminal, 0x0200, self.BODY, flags=Flag.SEALED)) is Reason.STATE

    def test_twice_in_a_row_ends_the_session(self):
        pair = ready_pair()
        self.refused(pair, 0x0200, self.BODY[:-1])
        assert reason_of(pair.host, forge(pair.terminal, 0x0200, self.BODY[:-1], flags=Flag.SEALED)) is Reason.FIELD

    def test_a_terminal_refuses_nothing_it_ends_the_session(self):
        pair = ready_pair().say((Role.TERMINAL, SALE))
        body = SALE_ANSWER.layout.encode(SALE_ANSWER)
        error = refusal(pair.terminal, forge(pair.host, 0x0210, body[:-1], flags=3))
        assert (error.reason, error.field) == (Reason.FIELD, "body")

    def test_wrong_flags_under_the_seal_end_the_session(self):
        for flags in (Flag.SEALED | Flag.RESPONSE, Flag.SEALED | Flag.PUSH):
            pair = ready_pair()
            error = refusal(pair.host, forge(pair.terminal, 0x0200, self.BODY, flags=flags))
            assert (error.reason, error.expected, error.got) == (Reason.FLAGS, "00000001", f"{flags:08b}")

    def test_private_bytes_stand_in_no_reject(self):
        pair = ready_pair()
        event = self.refused(pair, 0x0200, self.BODY[:14] + b"\xff" + self.BODY[15:])
        shown = repr(event) + str(event.error)
        assert SALE.payer.hex() not in shown
        assert repr(SALE.payer)[2:-1] not in shown


class TestAnswers:
    @pytest.mark.parametrize("asked", REQUESTS, ids=layout_id)
    def test_an_answer_to_another_request_ends_the_session(self, asked):
        for layout in ANSWERS:
            if layout.message is Reject or layout.message is type(answer_to(asked)):
                continue
            pair = ready_pair().say((Role.TERMINAL, SAMPLE_OF[asked.message]))
            body = layout.encode(SAMPLE_OF[layout.message])
            error = refusal(pair.terminal, forge(pair.host, layout.mti, body, flags=layout.flags))
            assert error.reason is Reason.STATE
            assert (error.expected, error.got) == (answer_to(asked).layout.title, layout.title)

    def test_a_second_answer_ends_the_session(self):
        pair = ready_pair().say((Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER))
        data = forge(pair.host, 0x0210, SALE_ANSWER.layout.encode(SALE_ANSWER), flags=3)
        assert reason_of(pair.terminal, data) is Reason.STATE

    def test_an_answer_nobody_asked_for_ends_the_session(self):
        pair = ready_pair()
        data = forge(pair.host, 0x0620, REJECT.layout.encode(REJECT), flags=3)
        assert reason_of(pair.terminal, data) is Reason.STATE

    def test_a_second_request_before_the_answer_ends_the_session(self):
        pair = ready_pair().say((Role.TERMINAL, SALE))
        data = forge(pair.terminal, 0x0800, EchoRequest.layout.encode(SAMPLE_OF[EchoRequest]), flags=1)
        error = refusal(pair.host, data)
        assert (error.reason, error.expected) == (Reason.STATE, "nothing while requested")


class Push(Message, frozen=True, kw_only=True):
    """A message the host sends unasked. None exists in version 1."""


@pytest.fixture
def push(monkeypatch):
    layout = Layout(Push, 0x0820, 0x00, "push", [], kind=Kind.PUSH)
    monkeypatch.setitem(LAYOUTS, (0x0820, 0x00), layout)
    return Push()


class TestPush:
    def test_between_requests(self, push):
        pair = ready_pair()
        assert push.layout.flags == Flag.SEALED | Flag.PUSH
        assert pair.send(Role.HOST, push) == push
        pair.say((Role.HOST, push), (Role.TERMINAL, SALE), (Role.HOST, SALE_ANSWER), (Role.HOST, push))

    def test_never_in_front_of_an_answer(self, push):
        pair = ready_pair().say((Role.TERMINAL, SALE))
        with pytest.raises(LocalProtocolError, match="push while requested: the host may send answer"):
            pair.host.send(push)


class TestNoise:
    @pytest.mark.parametrize("state", [State.CONNECTED, State.CHALLENGED], ids=str)
    def test_before_authentication_the_first_byte_of_it_ends_the_session(self, state):
        pair = ConnectionPair().to_state(state)
        error = refusal(pair.host, b"GET / HTTP/1.1\r\n\r\n" + pair.terminal.send(dict(HANDSHAKE_BY_STATE)[state]))
        assert error.reason is Reason.SYNC

    def test_before_authentication_no_work_is_spent_on_it(self, monkeypatch):
        looked = count_checksums(monkeypatch)
        assert reason_of(Connection(Role.HOST), b"FK\x01\0\x08\0\0\x08" * 8192) is Reason.CRC
        assert len(looked) == 1

    def test_a_first_frame_is_short(self):
        assert reason_of(Connection(Role.HOST), b"FK\x01\0\x08\0\0\x4d" + bytes(8)) is Reason.LENGTH

    def test_a_terminal_waits_for_ready_in_silence(self):
        pair = ConnectionPair().to_state(State.AUTH_SENT)
        assert reason_of(pair.terminal, b"xxxx") is Reason.SYNC

    @pytest.mark.parametrize("role", Role)
    def test_between_frames_it_is_discarded(self, role):
        pair = ready_pair()
        if role is Role.TERMINAL:
            pair.say((Role.TERMINAL, SALE))
        receiver, sender = pair.ends[role], pair.ends[role.peer]
        receiver.receive_data(b"noise" + sender.send(SALE_ANSWER if role is Role.TERMINAL else SALE))
        event = receiver.next_event()
        assert isinstance(event, Discarded)
        assert (event.size, event.reason) == (5, Reason.SYNC)
        assert isinstance(receiver.next_event(), Message)

    def test_up_to_a_limit_for_the_whole_session(self):
        host = ready_pair().host
        for _ in range(MAX_DISCARDED_BYTES // 64):
            host.receive_data(b"x" * 64)
            assert isinstance(host.next_event(), Discarded)
            assert host.next_event() is NEED_DATA
        error = refusal(host, b"x")
        assert (error.expected, error.got) == (f"at most {MAX_DISCARDED_BYTES} bytes of noise", "8193")

    def test_all_of_it_at_once_has_bounded_cost(self, monkeypatch):
        host = ready_pair().host
        looked = count_checksums(monkeypatch)
        host.receive_data(b"FK\x01\0\x02\0\x10\0" * 8192)
        assert isinstance(host.next_event(), Discarded)
        with pytest.raises(RemoteProtocolError):
            host.next_event()
        assert len(looked) <= 2 * (MAX_DISCARDED_BYTES // 8 + 1)

    def test_a_damaged_frame_is_discarded_and_the_next_one_out_of_sequence(self):
        pair = ready_pair()
        damaged = bytearray(pair.terminal.send(SALE))
        damaged[30] ^= 1
        pair.host.receive_data(bytes(damaged))
        event = pair.host.next_event()
        assert isinstance(event, Discarded)
        assert (event.reason, event.size) == (Reason.CRC, len(damaged))
        following = forge(pair.terminal, 0x0200, SALE.layout.encode(SALE), flags=1)
        assert reason_of(pair.host, following) is Reason.SEQUENCE


HANDSHAKE_BY_STATE = {State.CONNECTED: HELLO, State.CHALLENGED: Auth()}


class TestEnds:
    def test_peer_closes_between_frames(self):
        for state in (State.CONNECTED, State.CHALLENGED, State.READY):
            host = ConnectionPair().to_state(state).host
            host.receive_data(b"")
            assert host.next_event() is PEER_CLOSED
            assert host.state is State.CLOSED
            assert host.next_event() is PEER_CLOSED

    def test_peer_closes_behind_a_whole_frame(self):
        pair = ready_pair()
        pair.host.receive_data(pair.terminal.send(SALE))
        pair.host.receive_data(b"")
        assert pair.host.next_event() == SALE
        assert pair.host.next_event() is PEER_CLOSED

    def test_peer_closes_anywhere_in_a_frame(self):
        pair = ready_pair()
        data = pair.terminal.send(SALE)
        for size in range(1, len(data)):
            host = ready_pair().host
            host.receive_data(data[:size])
            assert host.next_event() is NEED_DATA
            error = refusal(host, b"")
            assert (error.reason, error.got) == (Reason.TRUNCATED, f"{size} bytes, then the end")

    def test_peer_closes_behind_noise(self):
        host = ready_pair().host
        host.receive_data(b"zz")
        host.receive_data(b"")
        assert isinstance(host.next_event(), Discarded)
        assert host.next_event() is PEER_CLOSED

    def test_after_the_end_nothing_is_kept(self):
        pair = ready_pair().say((Role.TERMINAL, SignOffRequest()), (Role.HOST, SignOffAnswer()))
        for end in pair.ends.values():
            for _ in range(100):
                end.receive_data(bytes(MAX_BODY_SIZE))
            assert not end.mid_frame
            assert end.next_event() is PEER_CLOSED

    def test_after_an_error_nothing_is_kept_or_read(self):
        pair = ready_pair()
        good = pair.terminal.send(SALE)
        other = ready_pair().host
        refusal(other, with_good_crc(good[:16] + bytes([good[16] ^ 1]) + good[17:]) + good * 9)
        assert not other.mid_frame

    def test_session_frame_limit(self):
        pair = ready_pair()
        pair.terminal._sent = pair.host._received = MAX_SESSION_FRAMES - 1
        pair.send(Role.TERMINAL, SALE)
        pair.send(Role.HOST, SALE_ANSWER)
        data = forge(pair.terminal, 0x0200, SALE.layout.encode(SALE), flags=1)
        error = refusal(pair.host, data)
        assert (error.reason, error.expected) == (Reason.SEQUENCE, f"a new session after {MAX_SESSION_FRAMES} frames")


def test_transitions_and_connection_agree_on_a_refused_request():
    assert TRANSITIONS[State.READY][Role.TERMINAL, Kind.REQUEST] is State.REQUESTED
