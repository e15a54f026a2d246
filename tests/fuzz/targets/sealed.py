"""Any frame but the genuine next one, byte for byte, CRC made right: not taken, not answered, and the session closes.

This is the campaign of random mutations of R8: its executions are tampered frames with a valid CRC.
"""

from __future__ import annotations

from functools import cache

from protocol.framing import close_frame
from tests.fuzz.target import Target
from tests.fuzz.wire import WORDS, golden_frames
from tests.protocol.moments import fate_of, fork, moments

KEEP_HEADER = 0x80
"""Mode bit: the header is the genuine one but for its length, so that the tag decides."""


@cache
def said() -> frozenset[bytes]:
    """Frames that somebody with the keys has made: the moments share them with the golden session."""
    return frozenset({*golden_frames(), *(moment.frame for moment in moments())})


def run(data: bytes) -> str:
    mode, frame = data[0] if data else 0, data[1:]
    known = moments()
    moment = known[(mode & 0x7F) % len(known)]
    genuine = moment.frame
    if mode & KEEP_HEADER:
        frame = genuine[:16] + frame[16:]
        if len(frame) >= 20:
            frame = frame[:6] + (len(frame) - 20).to_bytes(2, "big") + frame[8:]
    if len(frame) >= 20:
        frame = close_frame(frame[:16], frame[16:-4])
    if not frame:
        return "nothing"
    try:
        fate = fate_of(fork(moment.receiver), frame)
    except AssertionError:
        if any(whole in frame for whole in said()):
            return "genuine"  # or with something in front of it or behind it
        raise
    return f"{moment.title}: {fate.reason or 'closed'} {' '.join(fate.dropped[:2])}"


def seeds() -> list[bytes]:
    found = []
    for index, moment in enumerate(moments()):
        found += [bytes([index]) + moment.frame, bytes([KEEP_HEADER | index]) + moment.frame]
    others = [frame for frame in golden_frames() if len(frame) > 20 and frame[3] & 1]
    return found + [bytes([KEEP_HEADER | index]) + frame for index, frame in enumerate(others[:12])]


TARGET = Target(run, seeds, words=WORDS, size_max=256, share=3.0)
