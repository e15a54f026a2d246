"""An independent reader of frames and messages: it knows docs/protocol.md and nothing else.

The byte tables are read from the page itself, the rules around them (sections 1, 3 and 4) are written here a second
time. Whatever it and `protocol` make of the same bytes must be the same: else the code or the page is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import crcmod

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"

Reader = Callable[[bytes], Any]
"""Makes a value of a field's bytes; ValueError if they are none."""


class Column(NamedTuple):
    """One row of a byte table. `start` counts from the first byte of the body."""

    name: str
    start: int
    end: int
    read: Reader


class Table(NamedTuple):
    """One message."""

    title: str
    sender: str
    kind: str
    flags: int
    body_size: int
    columns: tuple[Column, ...]


# ------------------------------------------------------------------------------------------------ fields, section 1


def number_reader(size: int, allowed: str) -> Reader:
    """u8 .. u64: a range `1..5`, one value `0x90`, or a list `1 card, 2 code`."""
    if found := re.fullmatch(r"(\d+)\.\.(\d+)", allowed):
        known: Any = range(int(found[1]), int(found[2]) + 1)
    elif re.fullmatch(r"0x[0-9A-F]{2}", allowed):
        known = (int(allowed, 16),)
    else:
        known = tuple(int(choice.split()[0]) for choice in allowed.split(", "))

    def read(raw: bytes) -> int:
        value = int.from_bytes(raw, "big")
        if value not in known:
            raise ValueError
        return value

    return read


def read_code(raw: bytes) -> str:
    """ASCII: exactly as many characters as the size says, 0-9 A-Z."""
    if not all(byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" for byte in raw):
        raise ValueError
    return raw.decode("ascii")


def read_text(raw: bytes) -> str:
    """UTF-8, padded at its end with zero bytes; no U+0000..U+001F and no U+007F..U+009F."""
    text = raw.rstrip(b"\0").decode("utf-8")
    if any(char <= "\x1f" or "\x7f" <= char <= "\x9f" for char in text):
        raise ValueError
    return text


def payer_reader(allowed: str) -> Reader:
    """One length byte, that many bytes, then zero bytes."""
    [(low, high)] = re.findall(r"length (\d+)\.\.(\d+)", allowed)

    def read(raw: bytes) -> bytes:
        size = raw[0]
        if not int(low) <= size <= int(high) or any(raw[1 + size :]):
            raise ValueError
        return raw[1 : 1 + size]

    return read


def rows_reader(allowed: str, columns: tuple[Column, ...]) -> Reader:
    """One count byte, that many rows, then zero bytes: a tuple of what stands in each row, by name."""
    [(most, row_size)] = [
        (int(a), int(b)) for a, b in re.findall(r"count 0\.\.(\d+), that many rows of (\d+)", allowed)
    ]
    assert columns
    assert columns[-1].end == row_size

    def read(raw: bytes) -> tuple[dict[str, Any], ...]:
        end = 1 + raw[0] * row_size
        if raw[0] > most or any(raw[end:]):
            raise ValueError
        return tuple(
            {column.name: column.read(raw[at + column.start : at + column.end]) for column in columns}
            for at in range(1, end, row_size)
        )

    return read


def reader_of(kind: str, size: int, allowed: str, rows: tuple[Column, ...] = ()) -> Reader:
    """The rule of section 1 for a field."""
    if re.fullmatch(r"u\d+", kind):
        assert int(kind[1:]) == 8 * size
        return number_reader(size, allowed)
    if kind == "i64":
        return lambda raw: int.from_bytes(raw, "big", signed=True)
    if kind == "bytes":
        assert allowed == f"{size} bytes"
        return bytes
    if kind == "ASCII":
        return read_code
    if kind == "UTF-8":
        return read_text
    if kind == "u8, rows":
        return rows_reader(allowed, rows)
    assert kind == "u8, bytes", kind
    return payer_reader(allowed)


# --------------------------------------------------------------------------------------------- messages, section 11

HEADING = re.compile(r"### ([0-9A-F]{4})/([0-9A-F]{2}) (.+)")
ABOUT = re.compile(
    r"(host|terminal) to (?:host|terminal); kind `(\w+)`; flags 0x(\d\d) \([a-z ]+\); "
    r"body (\d+) bytes, frame (\d+) bytes\."
)
ROW = re.compile(r"\| (\d+) \| (\d+) \| `(\w+)` \| ([^|]+) \| ([^|]+) \| [^|]* \|")
ROWS = re.compile(r"\nEach row of `(\w+)`, \d+ bytes:\n")


def columns_of(lines: str, first: int, rows: dict[str, tuple[Column, ...]]) -> tuple[Column, ...]:
    """The rows of one byte table; they must follow each other without a gap. `first`: the offset it starts with."""
    columns = tuple(
        Column(
            name,
            int(offset) - first,
            int(offset) - first + int(size),
            reader_of(form, int(size), allowed, rows.get(name, ())),
        )
        for offset, size, name, form, allowed in ROW.findall(lines)
    )
    assert [column.start for column in columns] == [0, *(column.end for column in columns)][:-1], lines
    return columns


def tables_of(page: str) -> dict[tuple[int, int], Table]:
    """Every message of the page, by (MTI, processing code)."""
    section = page.split("<!-- generated: messages -->")[1].split("<!-- end generated -->", maxsplit=1)[0]
    found = {}
    for part in section.split("\n### ")[1:]:
        part = "### " + part
        mti, code, title = HEADING.findall(part)[0]
        [(sender, kind, flags, body_size, frame_size)] = ABOUT.findall(part)
        sealed = int(flags, 16) & 1
        assert int(frame_size) == 16 + int(body_size) + 16 * sealed + 4
        fields, *more = ROWS.split(part)
        rows = {name: columns_of(lines, 0, {}) for name, lines in zip(more[::2], more[1::2], strict=True)}
        columns = columns_of(fields, 16, rows)
        assert columns[-1].end == int(body_size)
        found[int(mti, 16), int(code, 16)] = Table(title, sender, kind, int(flags, 16), int(body_size), columns)
    return found


@cache
def tables() -> dict[tuple[int, int], Table]:
    """The messages of docs/protocol.md."""
    return tables_of(PAGE.read_text(encoding="utf-8"))


def read_body(mti: int, body: bytes) -> dict[str, Any] | None:
    """Name and value of every field behind the processing code; None if the body has to be refused."""
    table = tables().get((mti, body[0])) if body else None
    if table is None or len(body) != table.body_size:
        return None
    try:
        values = {column.name: column.read(body[column.start : column.end]) for column in table.columns}
    except ValueError:
        return None
    del values["processing_code"]
    return values


# ------------------------------------------------------------------------------------------- frames, sections 3 and 4


crc32c = cast(
    Callable[[bytes], int], crcmod.mkCrcFun(0x1_1EDC_6F41, initCrc=0xFFFFFFFF ^ 0xFFFFFFFF, rev=True, xorOut=0xFFFFFFFF)
)
"""Polynomial 0x1EDC6F41, initial value 0xFFFFFFFF (crcmod counts it in after the final XOR), reflected."""


def find_frames(data: bytes, limit: int = 4096) -> Iterator[tuple[int, int]]:
    """(start, end) of every frame a receiver takes of these bytes, by the four steps of section 4."""
    at = 0
    while len(data) - at >= 16:
        size = int.from_bytes(data[at + 6 : at + 8], "big")
        if data[at : at + 2] == b"FK" and data[at + 2] == 1 and data[at + 3] < 8 and size <= limit:
            end = at + size + 20
            if end > len(data):
                return
            if crc32c(data[at : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
                yield at, end
                at = end
                continue
        following = data.find(b"FK", at + 1)
        if following < 0:
            return
        at = following
