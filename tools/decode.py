"""`fanka decode`: frames taken apart byte by byte, from hex, raw bytes, or a capture in JSON lines.

The work is done by `protocol.dissect`; here bytes are found in what people have at hand, and lines are laid out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from protocol import LocalProtocolError, Role
from protocol.annotate import Item
from protocol.dissect import Dissector, Piece, PieceKind
from tools.words import counted

MAX_INPUT_BYTES: Final = 64 * 1024 * 1024
"""Above it a capture is better cut: its annotation is some thirty times as long."""

DIRECTIONS: Final = {"T>H": Role.TERMINAL, "H>T": Role.HOST}
ARROWS: Final = {Role.TERMINAL: "T>H", Role.HOST: "H>T", None: "?"}
HEX_BYTES_PER_LINE: Final = 16

COMMENT = re.compile(r"#.*")
XXD_LINE = re.compile(r"^[0-9a-fA-F]{8}: ((?:[0-9a-fA-F]{2,4} )+) .*$", re.MULTILINE)
SEPARATORS = re.compile(r"0x|[\s:,;_-]")


class InputError(Exception):
    """What was given cannot be read at all. Says what was expected and what to do."""


class Chunk(msgspec.Struct, frozen=True):
    """Some bytes of one direction; `fault` says why a line of a capture gave none."""

    data: bytes = b""
    sender: Role | None = None
    at: str = ""
    connection: str = ""
    fault: str = ""


class CaptureLine(msgspec.Struct, frozen=True):
    """One line of a capture: {"t": seconds, "dir": "T>H" or "H>T", "hex": "464b..."}.

    "conn" may tell connections apart.
    """

    hex: str
    dir: str
    t: float | str = ""
    conn: int | str = ""


class Shown(msgspec.Struct, frozen=True):
    """A piece and when its last byte came, or a line that could not be read."""

    at: str = ""
    connection: str = ""
    piece: Piece | None = None
    fault: str = ""

    @property
    def ok(self) -> bool:
        return self.piece is not None and self.piece.ok


def decode(
    source: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-",
    *,
    key: Annotated[list[str] | None, Parameter(negative=())] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Take frames apart: offset, bytes, field, value, and what is wrong.

    Payers are shown by their last 4 hex digits and keys not at all, also in damaged frames. Exit code 0: nothing is
    wrong; 1: something is; 2: there was nothing to decode.

    Parameters
    ----------
    source
        A file, hex digits, or - for standard input. A file may hold raw bytes, hex text (also of xxd), or a capture
        with one JSON object per line: {"t": 1.5, "dir": "T>H", "hex": "464b..."}.
    key
        A terminal's root key or enrolment code, as hex or as a file (such as enrolment writes). Opens the sealed frames
        of sessions whose handshake is in the source. May be given several times.
    json
        Write one JSON document instead of text.
    """
    try:
        chunks = list(read_source(source))
        dissector = Dissector(read_key(text) for text in key or ())
    except (InputError, LocalProtocolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    shown = list(dissect(chunks, dissector))
    lines = [json_document(shown)] if json else text_lines(shown)
    for line in lines:
        print(line)
    return 0 if all(one.ok for one in shown) else 1


def dissect(chunks: Iterable[Chunk], dissector: Dissector) -> Iterator[Shown]:
    """Pieces in the order in which their last byte came."""
    last = Chunk()
    for chunk in chunks:
        if chunk.fault:
            yield Shown(chunk.at, chunk.connection, fault=chunk.fault)
            continue
        last = chunk
        for piece in dissector.feed(chunk.data, chunk.sender, chunk.connection):
            yield Shown(chunk.at, chunk.connection, piece)
    for piece in dissector.finish():
        yield Shown(last.at, "", piece)


# ---------------------------------------------------------------------------------------------- what comes in


def read_source(source: str) -> Iterator[Chunk]:
    """The bytes behind the argument; InputError if there are none."""
    if source == "-":
        return chunks_of(limited(sys.stdin.buffer.read(MAX_INPUT_BYTES + 1), "standard input"), "standard input")
    path = Path(source)
    try:
        if path.is_file():
            with path.open("rb") as file:
                return chunks_of(limited(file.read(MAX_INPUT_BYTES + 1), source), source)
    except OSError as error:
        if error.strerror and not from_hex(source):
            raise InputError(f"{source[:60]}: cannot be read: {error.strerror}") from None
    data = from_hex(source)
    if not data:
        raise InputError(f"expected a file, hex digits or -, got {source[:60]!r}, which is no file and no hex")
    return iter([Chunk(data)])


def limited(data: bytes, name: str) -> bytes:
    """The data, if there is some and not too much."""
    if not data.strip():
        raise InputError(f"{name}: expected frames, got nothing")
    if len(data) > MAX_INPUT_BYTES:
        raise InputError(f"{name}: expected at most {MAX_INPUT_BYTES} bytes; cut the capture")
    return data


def chunks_of(data: bytes, name: str) -> Iterator[Chunk]:
    """Whatever form the bytes come in: a capture, hex text, or just bytes."""
    if data.lstrip().startswith(b"{"):
        if is_key_file(data):
            raise InputError(f"{name}: expected frames, got a terminal's key file; it belongs after --key")
        return read_capture(data)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return iter([Chunk(data)])
    if (decoded := from_hex(text)) is not None:
        if not decoded:
            raise InputError(f"{name}: expected frames, got only comments")
        return iter([Chunk(decoded)])
    return iter([Chunk(data)])


def is_key_file(data: bytes) -> bool:
    """Whether it is what enrolment writes: easily mistaken for a capture, which is JSON too."""
    try:
        content: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(content, dict) and "root_key" in content


def from_hex(text: str) -> bytes | None:
    """Bytes from hex digits with the usual separators, comments behind #, or the output of xxd. None: not hex."""
    if dumped := XXD_LINE.findall(text):
        text = " ".join(dumped)
    try:
        return bytes.fromhex(SEPARATORS.sub("", COMMENT.sub("", text)))
    except ValueError:
        return None


def read_capture(data: bytes) -> Iterator[Chunk]:
    """One chunk for each line; a line that cannot be read is a fault, and the others go on."""
    decoder = msgspec.json.Decoder(CaptureLine)
    for number, raw in enumerate(data.splitlines(), 1):
        if not raw.strip():
            continue
        try:
            line = decoder.decode(raw)
            if line.dir not in DIRECTIONS:
                raise ValueError(f"dir: expected T>H or H>T, got {line.dir[:20]!r}")
            content = bytes.fromhex(line.hex)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield Chunk(fault=f"line {number}: {error}")
            continue
        yield Chunk(content, DIRECTIONS[line.dir], str(line.t), str(line.conn))


def read_key(text: str) -> bytes:
    """A key given as hex, or as a file with hex or JSON in it. InputError that never repeats what stands there."""
    path = Path(text)
    where = "key"
    try:
        if path.is_file():
            where = f"key file {path}"
            text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        # A key that is too long to be a file name ends here as well; it is hex, or refused below.
        pass
    if text.lstrip().startswith("{"):
        text = key_of_json(text, where)
    data = from_hex(text)
    if not data:
        raise InputError(f"{where}: expected 64 hex digits (root key) or 32 (enrolment code), or a file with them")
    return data


def key_of_json(text: str, where: str) -> str:
    """The key in a terminal's key file."""
    try:
        content: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        content = None
    if isinstance(content, dict):
        for name in ("root_key", "enrol_code", "code"):
            if isinstance(found := content.get(name), str):
                return found
    raise InputError(f"{where}: expected JSON with a root_key in it")


# ---------------------------------------------------------------------------------------------- what goes out


def json_document(shown: list[Shown]) -> str:
    """Everything as one JSON document."""
    pieces = [
        {"t": one.at, "conn": one.connection, "dir": ARROWS[one.piece.sender], **msgspec.to_builtins(one.piece)}
        if one.piece is not None
        else {"t": one.at, "fault": one.fault}
        for one in shown
    ]
    return msgspec.json.encode({"ok": all(one.ok for one in shown), "pieces": pieces}).decode()


def text_lines(shown: list[Shown]) -> Iterator[str]:
    """Everything as text: one block for each piece, then a summary."""
    for one in shown:
        if one.piece is None:
            yield f"!! {one.fault}"
        else:
            yield from piece_lines(one.piece, one.at, one.connection)
        yield ""
    yield summary(shown)


def piece_lines(piece: Piece, at: str, connection: str) -> Iterator[str]:
    """A headline, what is wrong with the whole, and a line for each field."""
    origin = " ".join(part for part in (at, f"[{connection}]" if connection else "", ARROWS[piece.sender]) if part)
    yield f"{origin}  {piece.title}, {piece.size} bytes at {piece.offset}"
    for verdict in piece.verdicts:
        yield f"  !! {verdict}"
    width = max(len(item.field) for item in piece.items)
    for item in piece.items:
        yield from item_lines(item, width)


def item_lines(item: Item, width: int) -> Iterator[str]:
    """offset, bytes, field, value, verdict; more bytes than fit go on below."""
    per_line = 2 * HEX_BYTES_PER_LINE
    parts = [item.hex[start : start + per_line] for start in range(0, len(item.hex), per_line)] or [""]
    verdict = f"  !! {item.verdict}" if item.verdict else ""
    yield f"  {item.offset:4}  {parts[0]:{per_line}}  {item.field:{width}}  {item.value}{verdict}".rstrip()
    for part in parts[1:]:
        yield f"        {part}"


def summary(shown: list[Shown]) -> str:
    """How much there was, and how much of it was wrong."""
    pieces = [one.piece for one in shown if one.piece is not None]
    frames = [piece for piece in pieces if piece.kind is PieceKind.FRAME]
    faulty = sum(not piece.ok for piece in frames)
    lost = sum(piece.size for piece in pieces if piece.kind is not PieceKind.FRAME)
    unread = sum(one.piece is None for one in shown)
    count = counted(len(frames), "frame")
    parts = [f"{count}, {faulty} with faults" if faulty else f"{count}, none with a fault"]
    if lost:
        parts.append(f"{counted(lost, 'byte')} outside any frame")
    if unread:
        parts.append(f"{counted(unread, 'line')} that could not be read")
    return "; ".join(parts)
