"""Any bytes: pieces that cover each byte once, in order; the frames a receiver finds; no payer and no key is shown.

With keys or without. It never raises, and what it shows can be written as JSON and as text.
"""

from __future__ import annotations

import re

import msgspec

from protocol import Role
from protocol.dissect import Dissector, PieceKind
from protocol.framing import Framer
from protocol.messages import LAYOUTS
from protocol.messages.fields import Privacy
from tests.fuzz.target import Target, slices
from tests.fuzz.targets.framer import read_all, size_of
from tests.fuzz.wire import WORDS, golden_frames, mended
from tests.protocol.example import ENROL_CODE, ROOT_KEY
from tools.decode import piece_lines

PRIVATE = {
    column.name
    for layout in LAYOUTS.values()
    for field in layout.fields
    for column in field.columns or (field,)
    if column.privacy is not Privacy.OPEN
}
SENDERS = (None, Role.TERMINAL, Role.HOST, None)
MTI = re.compile(r" [0-9A-F]{4}$")
SECRETS = (ROOT_KEY.hex(), ENROL_CODE.hex())


def run(data: bytes) -> str:
    mode, stream = data[0] if data else 0, data[1:]
    if mode & 1:
        stream = mended(stream)
    dissector = Dissector([ROOT_KEY, ENROL_CODE] if mode & 2 else [])
    sender = SENDERS[mode >> 2 & 3]
    pieces = []
    for part in slices(stream, 1 + (mode >> 4) * 37 if mode >> 4 else len(stream) or 1):
        pieces += dissector.feed(part, sender)
    pieces += dissector.finish()
    at = 0
    for piece in pieces:
        assert piece.offset == at
        assert piece.size > 0
        at += piece.size
        for item in piece.items:
            assert item.field.rpartition(".")[2] not in PRIVATE or set(item.hex) <= {"*"}, item.field
        shown = "\n".join(piece_lines(piece, "1.5", "c"))
        assert not any(secret in shown for secret in SECRETS)
        msgspec.json.encode(msgspec.to_builtins(piece))
    assert at == len(stream)
    framer = Framer()
    framer.feed(stream)
    frames = [size_of(frame) for frame in read_all(framer)[0]]
    good = [piece.size for piece in pieces if piece.kind is PieceKind.FRAME]
    assert good[: len(frames)] == frames
    titles = {f"{MTI.sub('', piece.title)}{' ok' if piece.ok else ''}" for piece in pieces}
    return ", ".join(sorted(titles)[:2])


def seeds() -> list[bytes]:
    frames = golden_frames()
    found = [b"\2" + b"".join(frames[:14]), b"\x22" + b"".join(frames[:6]), b"\0noise" + frames[4] + b"GET / HTTP"]
    return found + [b"\5" + frame for frame in frames[14::3]]


TARGET = Target(run, seeds, words=WORDS, size_max=512, share=0.7)
