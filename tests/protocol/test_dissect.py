"""The dissector: any bytes, no exception, bounded work, the same frames as a receiver, and nothing private shown."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import Discarded, Frame, Framer, LocalProtocolError, NeedData, Role, State, TerminalNumber
from protocol.dissect import MAX_BROKEN_PIECES, MAX_KEYS, MAX_SESSIONS, MAX_STREAMS, Dissector, Piece, PieceKind
from protocol.framing import build_header, close_frame
from protocol.messages import Auth, EnrolAnswer, EnrolRequest, SignOffAnswer, SignOffRequest
from protocol.security import root_key_from_enrol_code
from tests.protocol.example import ENROL_CODE, OTHER_KEY, PAYER, ROOT_KEY, TERMINAL
from tests.protocol.pair import ConnectionPair, forge, ready_pair, with_good_crc
from tests.protocol.samples import CHALLENGE, HELLO, READY, REJECT, REVERSAL, SALE, SALE_ANSWER, SAMPLE_OF

SESSION = [
    (Role.TERMINAL, SALE),
    (Role.HOST, SALE_ANSWER),
    (Role.TERMINAL, SignOffRequest()),
    (Role.HOST, SignOffAnswer()),
]
LINES = ready_pair().say(*SESSION).lines
TITLES = ["HELLO", "CHALLENGE", "AUTH", "READY", "sale", "sale answer", "sign-off", "sign-off answer"]
BYTES = b"".join(line.data for line in LINES)
CLEAR_SALE = close_frame(build_header(0, 0x0200, SALE.layout.size, TERMINAL, 0), SALE.layout.encode(SALE))
CLEAR_REVERSAL = close_frame(
    build_header(0, 0x0400, REVERSAL.layout.size, TERMINAL, 0), REVERSAL.layout.encode(REVERSAL)
)
KEY_ANSWER = EnrolAnswer(response_code="00", key_version=2, root_key=OTHER_KEY)
CLEAR_KEY = close_frame(build_header(2, 0x0810, 37, TERMINAL, 0), KEY_ANSWER.layout.encode(KEY_ANSWER))


def dissect(*lines, keys=(ROOT_KEY,)) -> list[Piece]:
    """Pieces of (sender, bytes) lines, or of bytes in one stream."""
    dissector = Dissector(keys)
    pieces = []
    for line in lines:
        sender, data = line if isinstance(line, tuple) else (None, line)
        pieces += dissector.feed(data, sender)
    return pieces + dissector.finish()


def text_of(pieces: list[Piece]) -> str:
    return msgspec.json.encode(pieces).decode() + repr(pieces)


def items_of(piece: Piece) -> dict[str, tuple[str, str]]:
    return {item.field: (item.value, item.verdict) for item in piece.items}


class TestGoodSession:
    @pytest.mark.parametrize("lines", [LINES, [BYTES]], ids=["two streams", "one stream"])
    def test_with_the_key_everything_is_opened(self, lines):
        pieces = dissect(*lines)
        assert [piece.title for piece in pieces] == TITLES
        assert [piece.sender for piece in pieces] == [line.sender for line in LINES]
        assert all(piece.ok and piece.kind is PieceKind.FRAME for piece in pieces)

    def test_any_slicing(self):
        for size in (1, 2, 3, 50, 1000):
            slices = [BYTES[start : start + size] for start in range(0, len(BYTES), size)]
            assert dissect(*slices) == dissect(BYTES)

    def test_without_the_key_the_handshake_is_shown(self):
        pieces = dissect(*LINES, keys=())
        assert [piece.title for piece in pieces[:3]] == TITLES[:3]
        assert [piece.title for piece in pieces[3:]] == [f"sealed {line.data[4:6].hex()}" for line in LINES[3:]]
        assert all(piece.ok for piece in pieces)
        assert items_of(pieces[4])["tag"] == ("no key to check it with", "")

    def test_values_are_in_words(self):
        sale, answer = dissect(*LINES)[4:6]
        assert items_of(sale) == {
            "sync": ("'FK'", ""),
            "version": ("1", ""),
            "flags": ("sealed", ""),
            "mti": ("0200", ""),
            "body_size": ("75", ""),
            "terminal": ("3-58", ""),
            "sequence": ("2", ""),
            "processing_code": ("00 sale", ""),
            "stan": ("123", ""),
            "batch": ("17", ""),
            "amount_fen": ("1250 = 12.50 yuan", ""),
            "operator": ("5", ""),
            "entry_mode": ("1 card", ""),
            "payer": ("7 bytes **********e5f6", ""),
            "claimed_at_s": ("1795000000 = 2026-11-18 11:06:40 UTC", ""),
            "pin_block": ("not shown", ""),
            "tag": ("verifies", ""),
            "crc": ("right", ""),
        }
        assert items_of(answer)["response_code"] == ("00 approved", "")
        assert items_of(answer)["balance_fen"] == ("9000 = 90.00 yuan", "")
        assert items_of(answer)["posted_at_ms"] == ("1795000000123 = 2026-11-18 11:06:40 UTC", "")
        assert items_of(dissect(*LINES)[3])["merchant_name"] == ("'第二食堂\u3000面食窗口'", "")

    def test_offsets_and_hex_are_those_of_the_bytes(self):
        for piece in dissect(*LINES, keys=()):
            at = 0
            for item in piece.items:
                assert item.offset == at
                at += item.size
            assert at == piece.size
        hello = dissect(*LINES)[0]
        assert "".join(item.hex for item in hello.items) == LINES[0].data.hex()

    def test_odd_values(self):
        odd = msgspec.structs.replace(SALE_ANSWER, balance_fen=-5, posted_at_ms=0, response_code="ZZ")
        late = msgspec.structs.replace(SALE_ANSWER, posted_at_ms=2**64 - 1)
        lines = (
            ready_pair().say((Role.TERMINAL, SALE), (Role.HOST, odd), (Role.TERMINAL, SALE), (Role.HOST, late)).lines
        )
        first, second = dissect(*lines)[5::2]
        assert items_of(first)["balance_fen"] == ("-5 = -0.05 yuan", "")
        assert items_of(first)["posted_at_ms"] == ("0", "")
        assert items_of(first)["response_code"] == ("ZZ declined, reason unknown", "")
        assert items_of(second)["posted_at_ms"] == (f"{2**64 - 1} = no date", "")

    def test_text_cannot_turn_the_line_around(self):
        ready = msgspec.structs.replace(READY, merchant_name="\u202e\u200babc")
        lines = ConnectionPair().to_state(State.AUTH_SENT).say((Role.HOST, ready)).lines
        assert items_of(dissect(*lines)[3])["merchant_name"] == ("'\\u202e\\u200babc'", "")

    def test_reject(self):
        lines = ready_pair().say((Role.TERMINAL, SALE), (Role.HOST, REJECT)).lines
        assert items_of(dissect(*lines)[5])["rejected_mti"] == ("0200", "")


class TestEnrolment:
    def session(self):
        key = root_key_from_enrol_code(ENROL_CODE, TERMINAL)
        return ConnectionPair(terminal_key=key, host_key=key).say(
            (Role.TERMINAL, msgspec.structs.replace(HELLO, key_version=0)),
            (Role.HOST, CHALLENGE),
            (Role.TERMINAL, Auth()),
            (Role.HOST, READY),
            (Role.TERMINAL, SAMPLE_OF[EnrolRequest]),
            (Role.HOST, KEY_ANSWER),
        )

    def test_opened_with_the_code_and_the_key_not_shown(self):
        pieces = dissect(*self.session().lines, keys=(ENROL_CODE,))
        assert all(piece.ok for piece in pieces)
        assert items_of(pieces[-1])["root_key"] == ("not shown", "")
        assert OTHER_KEY.hex() not in text_of(pieces)

    def test_the_key_opens_the_sessions_that_follow(self):
        after = ready_pair(terminal_key=OTHER_KEY, host_key=OTHER_KEY).say(*SESSION)
        pieces = dissect(*self.session().lines, *after.lines, keys=(ENROL_CODE,))
        assert [piece.title for piece in pieces[-8:]] == TITLES
        assert all(piece.ok for piece in pieces)


class TestSeveralSessions:
    def test_of_several_terminals_mixed(self):
        other = ready_pair(terminal=TerminalNumber(3, 59), terminal_key=OTHER_KEY, host_key=OTHER_KEY).say(*SESSION)
        mixed = [line for both in zip(LINES, other.lines, strict=True) for line in both]
        pieces = dissect(*mixed, keys=(OTHER_KEY, ROOT_KEY))
        assert all(piece.ok for piece in pieces)
        assert [piece.title for piece in pieces[::2]] == TITLES

    def test_one_after_another(self):
        pieces = dissect(*LINES, *LINES)
        assert [piece.title for piece in pieces] == TITLES * 2
        assert all(piece.ok for piece in pieces)

    def test_takeover_with_named_connections(self):
        dissector = Dissector([ROOT_KEY])
        pieces = [piece for line in LINES[:5] for piece in dissector.feed(line.data, line.sender, "old")]
        pieces += [piece for line in LINES for piece in dissector.feed(line.data, line.sender, "new")]
        pieces += [piece for line in LINES[5:] for piece in dissector.feed(line.data, line.sender, "old")]
        assert all(piece.ok for piece in pieces)

    def test_only_so_many_are_followed(self):
        dissector = Dissector()
        hello = HELLO.layout.encode(HELLO)
        for device in range(MAX_SESSIONS + 10):
            frame = close_frame(build_header(0, 0x0800, len(hello), TerminalNumber(9, device), 0), hello)
            [piece] = dissector.feed(frame)
            assert piece.ok
        assert len(dissector._sessions) == MAX_SESSIONS

    def test_only_so_many_streams_are_followed(self):
        dissector = Dissector()
        for number in range(MAX_STREAMS):
            assert dissector.feed(b"FK\x01", None, str(number)) == []
        [piece] = dissector.feed(b"FK\x01", None, "one more")
        assert piece.verdicts == ("incomplete: 3 bytes of a header of 16",)
        assert len(dissector.finish()) == MAX_STREAMS


class TestVerdicts:
    def test_wrong_key(self):
        pieces = dissect(*LINES, keys=(OTHER_KEY, ENROL_CODE))
        assert items_of(pieces[1])["cryptogram"] == ("16 bytes", "not made with a key that was given")
        assert pieces[4].title == "sealed 0200"

    def test_terminals_proof(self):
        lines = [line.data for line in LINES]
        lines[2] = with_good_crc(lines[2][:-5] + bytes([lines[2][-5] ^ 1]) + lines[2][-4:])
        auth = dissect(*lines)[2]
        assert items_of(auth)["cryptogram"] == ("16 bytes", "does not prove the terminal's key: the host closes")
        assert not auth.ok

    def test_changed_under_the_seal(self):
        lines = [line.data for line in LINES]
        lines[4] = with_good_crc(lines[4][:20] + bytes([lines[4][20] ^ 1]) + lines[4][21:])
        sale = dissect(*lines)[4]
        assert items_of(sale)["tag"][1].startswith("does not verify: changed, out of place, or another key")

    def test_a_hello_that_cannot_be_read_begins_no_session(self):
        hello = bytearray(LINES[0].data)
        hello[17] = 0
        pieces = dissect(with_good_crc(bytes(hello)), LINES[1].data)
        assert items_of(pieces[0])["lowest_version"] == ("", "expected 1..255")
        assert items_of(pieces[1])["cryptogram"] == ("16 bytes", "")

    def test_sequence(self):
        pieces = dissect(*LINES[:5], LINES[4])
        assert pieces[5].verdicts[0] == "sequence: expected 3, got 2: a receiver closes"

    def test_wrong_moment(self):
        pair = ready_pair()
        early = forge(pair.host, 0x0210, SALE_ANSWER.layout.encode(SALE_ANSWER), flags=3)
        assert dissect(*pair.lines, early)[4].verdicts == ("sale answer while ready: expected push",)

    def test_wrong_sender_and_flags(self):
        pair = ready_pair()
        wrong = forge(pair.terminal, 0x0210, SALE_ANSWER.layout.encode(SALE_ANSWER), flags=1)
        assert dissect(*pair.lines, (Role.TERMINAL, wrong))[4].verdicts == (
            "flags: expected 00000011 for sale answer, got 00000001",
            "sale answer: expected from the host, came from the terminal",
        )

    def test_field_out_of_range(self):
        pair = ready_pair()
        body = SALE.layout.encode(SALE)
        wrong = forge(pair.terminal, 0x0200, body[:1] + bytes(3) + body[4:13] + b"\x09" + body[14:], flags=1)
        sale = dissect(*pair.lines, wrong)[4]
        assert items_of(sale)["stan"] == ("", "expected 1..999999")
        assert items_of(sale)["entry_mode"] == ("", "expected 1 card, 2 code")
        assert not sale.ok

    @pytest.mark.parametrize("size", [1, 10, 58, 60, 76])
    def test_body_of_the_wrong_size(self, size):
        pair = ready_pair()
        wrong = forge(pair.terminal, 0x0200, SALE.layout.encode(SALE).ljust(size, b"x")[:size], flags=1)
        sale = dissect(*pair.lines, wrong)[4]
        assert items_of(sale)["body"] == (
            f"{size - 1} bytes, not shown",
            f"expected 59 bytes for sale, got {size}",
        )

    @pytest.mark.parametrize("body", [b"", b"\x99", b"\x99" + bytes(9)])
    def test_unknown_message(self, body):
        pair = ready_pair()
        piece = dissect(*pair.lines, forge(pair.terminal, 0x0200, body, flags=1))[4]
        assert piece.title == "unknown 0200"
        assert items_of(piece)["body"] == (f"{len(body)} bytes, not shown", "unknown message type")
        clear = dissect(close_frame(build_header(0, 0x0999, len(body), TERMINAL, 0), body))[0]
        assert clear.title == "unknown 0999"
        assert items_of(clear)["mti"] == ("0999", "no message type of version 1")

    def test_sealed_too_short(self):
        pair = ready_pair()
        piece = dissect(*pair.lines, close_frame(build_header(1, 0x0200, 5, TERMINAL, 2), b"12345"))[4]
        assert piece.verdicts == ("sealed body: expected at least the 16 bytes of a tag, got 5",)

    @pytest.mark.parametrize(
        ("offset", "value", "field", "verdict"),
        [
            (2, b"\x02", "version", "expected 1"),
            (3, b"\x80", "flags", "expected bits 3-7 zero"),
            (6, b"\xff\xff", "body_size", "expected at most 4096"),
            (61, b"\0\0\0\0", "crc", "expected "),
        ],
    )
    def test_damaged_header_or_checksum(self, offset, value, field, verdict):
        hello = LINES[0].data
        piece = dissect(hello[:offset] + value + hello[offset + len(value) :])[0]
        assert piece.kind is PieceKind.DAMAGED
        assert items_of(piece)[field][1].startswith(verdict)
        assert not piece.ok

    def test_damage_does_not_hide_what_stands_behind_it(self):
        hello = bytearray(LINES[0].data)
        hello[7] = 0xFF  # a length of 255: a receiver waits for it and then drops it; here it is said at once
        pieces = dissect(bytes(hello) + LINES[1].data)
        assert [piece.title for piece in pieces] == ["damaged 0800", "CHALLENGE"]
        assert pieces[0].verdicts == ("incomplete: 65 of 275 bytes",)

    def test_a_wrong_checksum_alone_still_lets_the_seal_speak(self):
        lines = [line.data for line in LINES]
        lines[4] = lines[4][:-1] + bytes([lines[4][-1] ^ 1])
        pieces = dissect(*lines)
        assert pieces[4].kind is PieceKind.DAMAGED
        assert (pieces[4].title, items_of(pieces[4])["tag"]) == ("sale", ("verifies", ""))
        assert items_of(pieces[4])["crc"] == ("", f"expected {LINES[4].data[-4:].hex()}")

    @pytest.mark.parametrize("size", range(1, 65))
    def test_cut_short_anywhere(self, size):
        pieces = dissect(LINES[0].data[:size])
        assert sum(piece.size for piece in pieces) == size
        assert not any(piece.ok for piece in pieces)
        if size >= 16:
            assert pieces[0].verdicts == (f"incomplete: {size} of 65 bytes",)

    @pytest.mark.parametrize(
        ("data", "guess"),
        [
            (b"GET /metrics HTTP/1.1\r\n", "an HTTP request?"),
            (bytes.fromhex("16030100c8"), "the start of a TLS handshake? This port speaks the canteen protocol itself"),
            (b"KF\x01\x00", "the sync word with its bytes swapped?"),
            (b"\x60\x00", ""),
        ],
    )
    def test_noise(self, data, guess):
        [piece] = dissect(data)
        assert piece.kind is PieceKind.NOISE
        assert piece.items[0].verdict == guess
        assert piece.verdicts == (f"expected the sync word 464b, got {data[:2].hex()}",)


class TestNothingPrivate:
    PRIVATE = tuple(PAYER[index : index + 3].hex() for index in range(5))

    def assert_hidden(self, pieces: list[Piece], private) -> None:
        shown = text_of(pieces).lower()
        assert not [secret for secret in private if secret in shown]

    @pytest.mark.parametrize("clear", [CLEAR_SALE, CLEAR_REVERSAL], ids=["sale", "reversal"])
    def test_payer_in_clear(self, clear):
        pieces = dissect(clear)
        self.assert_hidden(pieces, self.PRIVATE)
        assert pieces[0].verdicts[0].startswith("flags: expected 00000001")
        assert items_of(pieces[0])["payer"][0] == "7 bytes **********e5f6"
        assert items_of(pieces[0])["crc"] == ("right", "")
        assert clear[-4:].hex() not in text_of(pieces)

    @pytest.mark.parametrize(
        ("clear", "private"),
        [(CLEAR_SALE, PRIVATE), (CLEAR_KEY, [OTHER_KEY[index : index + 3].hex() for index in range(30)])],
        ids=["payer", "root key"],
    )
    def test_however_damaged(self, clear, private):
        for index in range(len(clear)):
            for value in (0, 1, 0x46, 0x4B, 0x90, 0xFF):
                damaged = clear[:index] + bytes([value]) + clear[index + 1 :]
                for data in (damaged, with_good_crc(damaged), damaged[:index], damaged[index:], b"FK" + damaged):
                    self.assert_hidden(dissect(data), private)

    def test_sealed_flag_on_a_body_that_is_not(self):
        frame = bytearray(CLEAR_SALE)
        frame[3] = 1
        self.assert_hidden(dissect(with_good_crc(bytes(frame))), self.PRIVATE)
        self.assert_hidden(dissect(*LINES[:4], with_good_crc(bytes(frame))), self.PRIVATE)

    def test_payer_of_impossible_length(self):
        frame = CLEAR_SALE[:30] + b"\xff" + CLEAR_SALE[31:]
        [piece] = dissect(with_good_crc(frame))
        self.assert_hidden([piece], self.PRIVATE)
        assert items_of(piece)["payer"][1].startswith("expected length 1..24")

    @pytest.mark.parametrize("shift", [1, 2, 5, 13, 14, 30])
    def test_body_shifted(self, shift):
        pair = ready_pair()
        body = b"\0" * shift + SALE.layout.encode(SALE)
        for cut in (body, body[:59], SALE.layout.encode(SALE)[shift:]):
            for mti in (0x0200, 0x0800, 0x0400):
                pieces = dissect(*pair.lines, forge(pair.terminal, mti, b"\0" + cut, flags=1))
                self.assert_hidden(pieces, [PAYER[index : index + 4].hex() for index in range(4)])

    def test_keys_are_in_no_repr(self):
        dissector = Dissector([ROOT_KEY])
        dissector.feed(BYTES)
        assert ROOT_KEY.hex() not in repr(dissector)
        assert repr(ROOT_KEY)[2:10] not in repr(vars(dissector)["_sessions"])


NOISE = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([line.data for line in LINES]),
        st.sampled_from([b"FK", b"F", b"FK\x01\x00", LINES[4].data[:40], CLEAR_SALE, b"FK\x01\0\x08\0\0\x20"]),
    ),
    max_size=8,
)


@given(NOISE)
@example([b"F"])
@example([b"FK", b"FK"])
def test_any_bytes(pieces):
    data = b"".join(pieces)
    whole = dissect(data)
    assert "".join(f"{piece.offset}+{piece.size} " for piece in whole) == contiguous(whole)
    assert sum(piece.size for piece in whole) == len(data)
    for slices in (pieces, [bytes([byte]) for byte in data]):
        found = dissect(*slices)
        assert sum(piece.size for piece in found) == len(data)


def contiguous(pieces: list[Piece]) -> str:
    at, text = 0, ""
    for piece in pieces:
        text += f"{at}+{piece.size} "
        at += piece.size
    return text


@given(NOISE)
def test_same_frames_as_a_receiver(pieces):
    framer, dissector = Framer(), Dissector()
    received, shown = [], []
    for data in pieces:
        framer.feed(data)
        while not isinstance(found := framer.next_frame(), NeedData):
            if isinstance(found, Frame):
                received.append(20 + len(found.body))
            else:
                assert isinstance(found, Discarded)
        shown += [piece.size for piece in dissector.feed(data) if piece.kind is PieceKind.FRAME]
    assert shown == received


class TestBounds:
    def test_damaged_pieces(self):
        dissector = Dissector()
        pieces = dissector.feed(b"FK" * 30_000)
        assert len(pieces) == MAX_BROKEN_PIECES + 1
        assert pieces[-1].kind is PieceKind.NOISE
        assert sum(piece.size for piece in pieces + dissector.finish()) == 60_000

    def test_checksums_are_few(self, monkeypatch):
        """At most one per possible header, each over one frame at most: linear in the input."""
        looked: list[int] = []

        def counted(data: bytes) -> int:
            looked.append(len(data))
            return 1

        monkeypatch.setattr("protocol.dissect.crc32c", counted)
        dissect(b"FK\x01\0\x02\0\x10\0" * 2048)
        assert len(looked) <= 2048
        assert max(looked) <= 4112

    def test_a_handshake_message_repeated_for_ever(self):
        dissector = Dissector([ROOT_KEY])
        for line in LINES[:2]:
            dissector.feed(line.data, line.sender)
        for _ in range(100):
            [piece] = dissector.feed(LINES[1].data, Role.HOST)
            assert not piece.ok
        [session] = dissector._sessions.values()
        assert len(session.transcript) < 1024

    def test_keys(self):
        Dissector(index.to_bytes(32, "big") for index in range(MAX_KEYS))
        with pytest.raises(LocalProtocolError, match=f"keys: expected at most {MAX_KEYS}, got {MAX_KEYS + 1}"):
            Dissector(index.to_bytes(32, "big") for index in range(MAX_KEYS + 1))

    @pytest.mark.parametrize("size", [0, 15, 31, 33])
    def test_key_sizes(self, size):
        with pytest.raises(LocalProtocolError, match=f"expected a root key of 32 bytes or .* of 16, got {size} bytes"):
            Dissector([bytes(size)])

    def test_no_more_keys_are_learned(self):
        code_key = root_key_from_enrol_code(ENROL_CODE, TERMINAL)
        keys = [ENROL_CODE, *(index.to_bytes(32, "big") for index in range(MAX_KEYS - 1))]
        pair = ConnectionPair(terminal_key=code_key, host_key=code_key).to_state(State.READY)
        pair.say((Role.TERMINAL, SAMPLE_OF[EnrolRequest]), (Role.HOST, KEY_ANSWER))
        dissector = Dissector(keys)
        for line in pair.lines:
            dissector.feed(line.data, line.sender)
        assert len(dissector._keys) == MAX_KEYS
