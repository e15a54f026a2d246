"""Any bytes: exactly the frames docs/protocol.md finds, however sliced; each byte is a frame's, dropped, or held.

What is held is never more than one frame of the limit in force, and never a whole one. The dissector cuts at the same
places.
"""

from __future__ import annotations

from protocol.dissect import split
from protocol.framing import NEED_DATA, Discarded, Frame, Framer
from protocol.limits import CRC_SIZE, HEADER_SIZE, MAX_BODY_SIZE, MAX_FIRST_BODY_SIZE
from tests.fuzz.target import Target, slices
from tests.fuzz.wire import EVENTS_MAX, WORDS, golden_frames, mended
from tests.protocol import from_document

SLICES_MAX = 16
"""More of them cost time and find nothing: that every single split decodes the same is shown by a test of its own."""


def read_all(framer: Framer) -> tuple[list[Frame], int, list[str]]:
    """Frames, bytes dropped, and why, until more bytes are needed."""
    frames: list[Frame] = []
    dropped = 0
    reasons = []
    for _ in range(EVENTS_MAX):
        found = framer.next_frame()
        if found is NEED_DATA:
            return frames, dropped, reasons
        if isinstance(found, Frame):
            frames.append(found)
        else:
            assert isinstance(found, Discarded)
            assert found.size > 0
            dropped += found.size
            reasons.append(found.reason.value)
    raise AssertionError("no end to the events")


def size_of(frame: Frame) -> int:
    return HEADER_SIZE + len(frame.body) + CRC_SIZE


def run(data: bytes) -> str:
    mode, stream = data[0] if data else 0, data[1:]
    if mode & 1:
        stream = mended(stream)
    limit = MAX_FIRST_BODY_SIZE if mode & 2 else MAX_BODY_SIZE
    framer = Framer(limit, max_report_size=1 if mode & 4 else 8192)
    framer.feed(stream)
    frames, dropped, reasons = read_all(framer)
    assert sum(map(size_of, frames)) + dropped + framer.pending == len(stream)
    assert framer.pending < HEADER_SIZE + limit + CRC_SIZE

    expected = list(from_document.find_frames(stream, limit))
    assert [size_of(frame) for frame in frames] == [end - start for start, end in expected]
    for frame, (start, end) in zip(frames, expected, strict=True):
        assert frame.header + frame.body == stream[start : end - CRC_SIZE]
    if limit == MAX_BODY_SIZE:
        assert [(start, end) for start, end, good in split(stream, final=False) if good] == expected

    again = Framer(limit)
    found: list[Frame] = []
    lost = 0
    for part in slices(stream, max(1 + (mode >> 3), len(stream) // SLICES_MAX)):
        again.feed(part)
        more, dropped_here, _ = read_all(again)
        found += more
        lost += dropped_here
    assert found == frames
    assert lost + again.pending == dropped + framer.pending
    return f"{min(len(frames), 3)} {'+'.join(sorted(set(reasons)))} {'held' if framer.pending else ''}"


def seeds() -> list[bytes]:
    frames = golden_frames()
    stream = b"".join(frames[1:4])
    noisy = b"\0noise" + frames[4] + b"FFK" + frames[0] + b"F"
    return [
        b"\0" + frames[0],
        b"\x01" + frames[-1],
        b"\x58" + stream,
        b"\x37" + stream,
        b"\x02" + noisy,
        b"\x09" + noisy,
    ]


TARGET = Target(run, seeds, words=WORDS, size_max=200, share=2.0)
