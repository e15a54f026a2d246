"""Any file for `fanka decode`: InputError, or pieces and faults that make text and a JSON document; all are counted."""

from __future__ import annotations

import msgspec

from protocol.dissect import Dissector
from tests.fuzz.target import Target
from tests.fuzz.wire import WORDS, golden_frames
from tests.protocol.example import ROOT_KEY
from tools.decode import InputError, chunks_of, dissect, json_document, limited, read_key, text_lines

TEXT_FACTOR_MAX = 300
"""Characters of annotation for a byte of input: what is shown is bounded by what came."""


def run(data: bytes) -> str:
    try:
        chunks = list(chunks_of(limited(data, "x"), "x"))
    except InputError as error:
        assert str(error).startswith("x: expected")
        return "refused"
    shown = list(dissect(chunks, Dissector([ROOT_KEY])))
    document = msgspec.json.decode(json_document(shown))
    assert len(document["pieces"]) == len(shown)
    lines = list(text_lines(shown))
    assert sum(map(len, lines)) < TEXT_FACTOR_MAX * (len(data) + 10)
    fed = sum(len(chunk.data) for chunk in chunks)
    assert sum(one.piece.size for one in shown if one.piece is not None) == fed
    faults = sum(bool(chunk.fault) for chunk in chunks)
    assert sum(one.piece is None for one in shown) == faults
    try:
        read_key(data[:200].decode("latin-1").replace("\0", ""))
    except InputError as error:
        # What may be a key is never repeated; two digits may stand in any sentence.
        assert len(data) < 8 or data[:200].hex() not in str(error)
    kinds = sorted({str(one.piece.kind) for one in shown if one.piece is not None})
    return f"{' '.join(kinds)} {'faults' if faults else ''} {'ok' if document['ok'] else ''}"


def seeds() -> list[bytes]:
    frames = golden_frames()
    lines = [
        b'{"t": 1.5, "dir": "%s", "hex": "%s", "conn": 3}' % (arrow, frame.hex().encode())
        for arrow, frame in zip((b"T>H", b"H>T") * 2, frames[:4], strict=True)
    ]
    xxd = b"00000000: 464b 0100 0800 002d 0003 003a 0000 0000  FK.....-...:....\n"
    return [
        frames[0],
        frames[0].hex().encode(),
        frames[4].hex(" ").encode() + b"  # a sale\n",
        xxd,
        b"\n".join(lines),
        b'{"t": "x", "dir": "?", "hex": "zz"}\n' + lines[0],
        b'{"terminal": "3-58", "root_key": "00"}',
        b"# nothing\n",
    ]


JSON = (
    b'{"',
    b'"}',
    b'"dir": "T>H"',
    b'"hex": "',
    b'"t": 1e999',
    b"\n",
    b"null",
    b"[" * 40,
    b"0x",
    b"#",
    b"\xef\xbb\xbf",
)
TARGET = Target(run, seeds, words=(*WORDS, *JSON), share=0.5)
