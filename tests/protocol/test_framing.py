"""Frames out of any slicing of any bytes; the property tests state what garbage may do: nothing but be dropped."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import NEED_DATA, Discarded, Frame, Framer, LocalProtocolError, Reason, TerminalNumber
from protocol.framing import Flag, build_header, close_frame, crc32c
from protocol.limits import CRC_SIZE, HEADER_SIZE, MAX_BODY_SIZE, MAX_DISCARDED_BYTES, MAX_FIRST_BODY_SIZE
from tests.protocol.pair import count_checksums

TERMINAL = TerminalNumber(3, 58)


def frame_of(body: bytes, *, flags: int = 0, mti: int = 0x0800, sequence: int = 0) -> bytes:
    return close_frame(build_header(flags, mti, len(body), TERMINAL, sequence), body)


EMPTY = frame_of(b"")
SMALL = frame_of(b"\x31\x00\x00\x00\x07", flags=Flag.SEALED, mti=0x0200, sequence=9)
# A body that holds sync words, and one that holds a whole frame: neither may be taken for a frame of its own.
TRICKY = frame_of(b"FKFFK\x01F")
NESTED = frame_of(SMALL)
LARGEST = frame_of(bytes(range(256)) * 16, flags=Flag.SEALED | Flag.RESPONSE)
SAMPLES = {"empty": EMPTY, "small": SMALL, "tricky": TRICKY, "nested": NESTED, "largest": LARGEST}


def drain(framer: Framer) -> list[Frame | Discarded]:
    """Everything there is. Fails when the framer goes on for ever."""
    found: list[Frame | Discarded] = []
    for _ in range(100_000):
        event = framer.next_frame()
        if event is NEED_DATA:
            return found
        assert isinstance(event, Frame | Discarded)
        found.append(event)
    raise AssertionError("the framer never asked for more")


def run(*pieces: bytes, limit: int = MAX_BODY_SIZE) -> tuple[list[Frame], int, int]:
    """What comes out of these pieces: frames, bytes dropped, bytes still held."""
    framer = Framer(limit)
    found = []
    for piece in pieces:
        framer.feed(piece)
        found += drain(framer)
    dropped = sum(event.size for event in found if isinstance(event, Discarded))
    return [event for event in found if isinstance(event, Frame)], dropped, framer.pending


def bytes_of(frame: Frame) -> bytes:
    return close_frame(frame.header, frame.body)


class TestChecksum:
    def test_check_value(self):
        assert crc32c(b"123456789") == 0xE3069283

    def test_stands_big_endian_behind_header_and_body(self):
        assert SMALL[-CRC_SIZE:] == crc32c(SMALL[:-CRC_SIZE]).to_bytes(4, "big")


@pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES)
class TestSamples:
    def test_whole(self, data):
        [frame], dropped, pending = run(data)
        assert (bytes_of(frame), dropped, pending) == (data, 0, 0)

    def test_byte_by_byte(self, data):
        framer = Framer()
        for byte in data[:-1]:
            framer.feed(bytes([byte]))
            assert framer.next_frame() is NEED_DATA
        framer.feed(data[-1:])
        frame = framer.next_frame()
        assert isinstance(frame, Frame)
        assert bytes_of(frame) == data
        assert framer.next_frame() is NEED_DATA
        assert framer.pending == 0

    @pytest.mark.parametrize("tail", [b"F", b"FK", b"FK\x01", SMALL[:-1]])
    def test_with_the_start_of_the_next(self, data, tail):
        [frame], dropped, pending = run(data + tail)
        assert (bytes_of(frame), dropped, pending) == (data, 0, len(tail))

    def test_twice(self, data):
        assert run(data + data) == run(data, data)
        assert len(run(data + data)[0]) == 2

    @pytest.mark.parametrize("junk", [b"\0", b"F", b"K", b"FF", b"FK", b"FKFK", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 500])
    def test_with_junk_before(self, data, junk):
        [frame], dropped, pending = run(junk + data)
        assert (bytes_of(frame), dropped, pending) == (data, len(junk), 0)

    def test_with_junk_between_and_behind(self, data):
        frames, dropped, pending = run(b"ab" + data + b"cde" + data + b"xyz")
        assert ([bytes_of(frame) for frame in frames], dropped, pending) == ([data, data], 8, 0)

    def test_damaged_anywhere_it_is_not_taken(self, data):
        for index in range(0, len(data), max(1, len(data) // 64)):
            damaged = bytearray(data)
            damaged[index] ^= 0x10
            frames, _, _ = run(bytes(damaged))
            assert bytes_of_all(frames) in ([], [SMALL])  # [SMALL]: the frame inside NESTED is a frame, after all


def bytes_of_all(frames: list[Frame]) -> list[bytes]:
    return [bytes_of(frame) for frame in frames]


def test_fields():
    [frame], _, _ = run(SMALL)
    assert frame == Frame(1, 0x0200, TERMINAL, 9, b"\x31\x00\x00\x00\x07", SMALL[:16])


class TestResynchronisation:
    def test_dropped_bytes_are_reported_before_the_frame_behind_them(self):
        framer = Framer()
        framer.feed(b"xyz" + SMALL)
        assert framer.next_frame() == Discarded(3, Reason.SYNC, "464b", "7879")
        frame = framer.next_frame()
        assert isinstance(frame, Frame)
        assert bytes_of(frame) == SMALL

    def test_one_report_carries_the_first_reason(self):
        framer = Framer()
        framer.feed(b"FK\x02" + bytes(20) + b"junk" + SMALL)
        assert framer.next_frame() == Discarded(27, Reason.VERSION, "1", "2")

    @pytest.mark.parametrize(
        ("offset", "value", "reason", "expected", "got"),
        [
            (0, b"X", Reason.SYNC, "464b", "584b"),
            (1, b"X", Reason.SYNC, "464b", "4658"),
            (2, b"\x00", Reason.VERSION, "1", "0"),
            (2, b"\x02", Reason.VERSION, "1", "2"),
            (3, b"\x08", Reason.FLAGS, "bits 3-7 zero", "00001000"),
            (3, b"\x81", Reason.FLAGS, "bits 3-7 zero", "10000001"),
            (6, b"\x10\x01", Reason.LENGTH, "at most 4096", "4097"),
            (6, b"\xff\xff", Reason.LENGTH, "at most 4096", "65535"),
            (20, b"\x08", Reason.CRC, "", ""),
            (24, b"\0", Reason.CRC, "", ""),
        ],
    )
    def test_reasons(self, offset, value, reason, expected, got):
        framer = Framer()
        framer.feed(SMALL[:offset] + value + SMALL[offset + len(value) :])
        event = framer.next_frame()
        assert isinstance(event, Discarded)
        assert event.size == len(SMALL)
        assert event.reason is reason
        if reason is not Reason.CRC:
            assert (event.expected, event.got) == (expected, got)
        else:
            assert event.expected != event.got

    def test_a_damaged_frame_does_not_take_the_next_with_it(self):
        damaged = bytearray(TRICKY)
        damaged[-1] ^= 1
        frames, dropped, pending = run(bytes(damaged) + SMALL)
        assert (bytes_of_all(frames), dropped, pending) == ([SMALL], len(TRICKY), 0)

    def test_a_last_F_is_kept(self):
        framer = Framer()
        framer.feed(b"x" * 30 + b"F")
        assert framer.next_frame() == Discarded(30, Reason.SYNC, "464b", "7878")
        framer.feed(SMALL[1:])
        frame = framer.next_frame()
        assert isinstance(frame, Frame)
        assert bytes_of(frame) == SMALL

    def test_a_wrong_start_is_known_before_a_whole_header_has_come(self):
        framer = Framer()
        framer.feed(b"Fx")
        assert framer.next_frame() == Discarded(2, Reason.SYNC, "464b", "4678")
        assert framer.pending == 0

    def test_a_wrong_length_waits_for_so_many_bytes_and_then_gives_the_frames_inside(self):
        # Documented: a plausible length cannot be told from a right one before its CRC has come.
        longer = SMALL[:6] + (100).to_bytes(2, "big") + SMALL[8:]
        framer = Framer()
        framer.feed(longer + EMPTY)
        assert framer.next_frame() is NEED_DATA
        framer.feed(EMPTY * 4)
        assert [type(event) for event in drain(framer)] == [Discarded] + [Frame] * 5


class TestLimits:
    def test_largest_body(self):
        assert len(LARGEST) == HEADER_SIZE + MAX_BODY_SIZE + CRC_SIZE

    @pytest.mark.parametrize("size", [-1, MAX_BODY_SIZE + 1])
    def test_a_body_too_large_is_not_built(self, size):
        with pytest.raises(LocalProtocolError, match=rf"body of {size} bytes: expected 0\.\.4096"):
            build_header(0, 0x0800, size, TERMINAL, 0)

    def test_first_body_limit(self):
        fits, too_large = frame_of(bytes(MAX_FIRST_BODY_SIZE)), frame_of(bytes(MAX_FIRST_BODY_SIZE + 1))
        assert len(fits) == 96
        assert bytes_of_all(run(fits, limit=MAX_FIRST_BODY_SIZE)[0]) == [fits]
        assert run(too_large, limit=MAX_FIRST_BODY_SIZE)[0] == []

    def test_limit_raised_for_what_is_buffered(self):
        framer = Framer(MAX_FIRST_BODY_SIZE)
        framer.feed(SMALL + LARGEST)
        assert isinstance(framer.next_frame(), Frame)
        framer.max_body_size = MAX_BODY_SIZE
        assert isinstance(framer.next_frame(), Frame)

    def test_a_stranger_is_not_waited_for_long(self):
        framer = Framer(MAX_FIRST_BODY_SIZE)
        framer.feed(LARGEST[:HEADER_SIZE])
        event = framer.next_frame()
        assert isinstance(event, Discarded)
        assert event.reason is Reason.LENGTH

    def test_one_report_never_covers_much_more_than_a_session_survives(self, monkeypatch):
        """So that one call has bounded work, however much was fed: each look at a false header may cost a CRC."""
        looked = count_checksums(monkeypatch)
        framer = Framer()
        false_header = b"FK\x01\0\x02\0\x10\0"  # the densest that can be: one every 8 bytes, each asking for the most
        framer.feed(false_header * 8192)
        event = framer.next_frame()
        assert isinstance(event, Discarded)
        assert MAX_DISCARDED_BYTES <= event.size <= MAX_DISCARDED_BYTES + 8
        assert len(looked) <= MAX_DISCARDED_BYTES // 8 + 1
        # 65,536 bytes in eight reports, not one of which was longer.
        assert max(event.size for event in drain(framer) if isinstance(event, Discarded)) <= MAX_DISCARDED_BYTES + 8

    def test_each_false_header_costs_one_crc_however_it_is_sliced(self, monkeypatch):
        looked = count_checksums(monkeypatch)
        framer = Framer()
        for byte in b"FK\x01\0\x02\0\x01\0" * 256:
            framer.feed(bytes([byte]))
            drain(framer)
        assert len(looked) <= 256


NOISE = st.lists(
    st.one_of(
        st.sampled_from([*SAMPLES.values(), b"F", b"K", b"FK", b"FK\x01\x00", SMALL[:-1], SMALL[:20], LARGEST[:16]]),
        st.binary(max_size=40),
    ),
    max_size=8,
).map(b"".join)


def sliced(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(NOISE, st.lists(st.integers(0, 2**16), max_size=20))
def test_any_slicing_gives_the_same(data, cuts):
    assert run(*sliced(data, cuts)) == run(data)


@given(NOISE)
def test_every_byte_is_in_a_frame_or_dropped_or_held(data):
    frames, dropped, pending = run(data)
    assert sum(len(bytes_of(frame)) for frame in frames) + dropped + pending == len(data)
    assert pending <= HEADER_SIZE + MAX_BODY_SIZE + CRC_SIZE
    assert all(bytes_of(frame) in data for frame in frames)


@given(st.binary(max_size=600))
def test_garbage_never_raises_and_is_never_kept(data):
    _, dropped, pending = run(data, limit=MAX_FIRST_BODY_SIZE)
    assert dropped + pending == len(data)
    assert pending < HEADER_SIZE + MAX_FIRST_BODY_SIZE + CRC_SIZE


@given(
    st.integers(0, 7), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=99)
)
def test_round_trip(flags, mti, group, device, body):
    terminal = TerminalNumber(group, device)
    data = close_frame(build_header(flags, mti, len(body), terminal, 2**32 - 1), body)
    [frame], _, _ = run(data)
    assert frame == Frame(flags, mti, terminal, 2**32 - 1, body, data[:HEADER_SIZE])


class TestTerminalNumber:
    @pytest.mark.parametrize(("text", "number"), [("3-58", (3, 58)), ("0-0", (0, 0)), ("65535-65535", (65535, 65535))])
    def test_parse(self, text, number):
        assert TerminalNumber.parse(text) == number
        assert str(TerminalNumber.parse(text)) == text

    @pytest.mark.parametrize(
        "text", ["", "-", "3", "3-", "-58", "3-65536", "65536-1", "3-5-8", "3 - 58", "+3-58", "³-58", "٣-58"]
    )
    def test_what_is_not_one(self, text):
        with pytest.raises(ValueError, match=r"expected GROUP-DEVICE, each 0\.\.65535, like 3-58; got "):
            TerminalNumber.parse(text)

    def test_as_one_integer(self):
        assert TerminalNumber(3, 58).to_int() == 0x0003003A
        assert TerminalNumber.from_int(0x0003003A) == TerminalNumber(3, 58)


def test_repr_of_the_sentinel():
    assert repr(NEED_DATA) == "NEED_DATA"
