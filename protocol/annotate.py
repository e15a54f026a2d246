"""Bytes as lines for people: offset, hex, field, value, and what is wrong with it. Used by `protocol.dissect`.

What it shows may end up in a bug report, so payers are shown by their last 4 hex digits, and keys not at all. It masks
more, not less, when something cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

import msgspec

from protocol.framing import KNOWN_FLAGS, Flag, TerminalNumber, crc32c
from protocol.limits import CRC_SIZE, HEADER_SIZE, MAX_BODY_SIZE, SYNC, WIRE_VERSION
from protocol.messages import LAYOUTS, Layout
from protocol.messages.fields import ROW_COUNT_SIZE, Field, Privacy, masked_hex
from protocol.response_codes import meaning

HEADER_FIELDS: Final = (
    ("sync", 2),
    ("version", 1),
    ("flags", 1),
    ("mti", 2),
    ("body_size", 2),
    ("terminal", 4),
    ("sequence", 4),
)
KNOWN_MTIS: Final = {mti for mti, _ in LAYOUTS}
STARS: Final = "********"


class Item(msgspec.Struct, frozen=True):
    """One line: a field. `offset` counts from the sync word; in a sealed body, as if it were in clear."""

    offset: int
    size: int
    hex: str
    field: str
    value: str
    verdict: str = ""
    """What is wrong with it; empty if nothing is."""


def split_header(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Header fields by name, the last one as far as it came."""
    at = 0
    for name, size in HEADER_FIELDS:
        if at >= len(data):
            return
        yield name, data[at : at + size]
        at += size


def header_items(header: dict[str, bytes]) -> Iterator[Item]:
    """The lines of a header, whole or not."""
    at = 0
    for name, size in HEADER_FIELDS:
        if (raw := header.get(name)) is None:
            return
        value, verdict = ("", f"cut short: {len(raw)} of {size} bytes") if len(raw) < size else header_value(name, raw)
        yield Item(at, len(raw), raw.hex(), name, value, verdict)
        at += size


def header_value(name: str, raw: bytes) -> tuple[str, str]:
    """A header field in words, and what is wrong with it."""
    number = int.from_bytes(raw, "big")
    if name == "sync":
        return repr(raw)[1:], "" if raw == SYNC else f"expected {SYNC.hex()}"
    if name == "version":
        return str(number), "" if number == WIRE_VERSION else f"expected {WIRE_VERSION}"
    if name == "flags":
        words = " ".join(flag.name.lower() for flag in Flag if number & flag and flag.name) or "none"
        return words, "" if not number & ~KNOWN_FLAGS else "expected bits 3-7 zero"
    if name == "mti":
        return f"{number:04X}", "" if number in KNOWN_MTIS else "no message type of version 1"
    if name == "body_size":
        return str(number), "" if number <= MAX_BODY_SIZE else f"expected at most {MAX_BODY_SIZE}"
    if name == "terminal":
        return str(TerminalNumber.from_int(number)), ""
    return str(number), ""


def crc_items(data: bytes, size: int, *, private: bool) -> Iterator[Item]:
    """The line of the checksum. Behind a body that is not shown it is not shown either: it could be guessed from it."""
    at = HEADER_SIZE + size
    raw = data[at : at + CRC_SIZE]
    if not raw:
        return
    expected = crc32c(data[:at]).to_bytes(CRC_SIZE, "big")
    right = raw == expected
    verdict = "" if right else "wrong" if private else f"expected {expected.hex()}"
    yield Item(at, len(raw), STARS if private else raw.hex(), "crc", "right" if right else "", verdict)


def not_shown(offset: int, raw: bytes, field: str, verdict: str) -> Item:
    """A line that only counts."""
    return Item(offset, len(raw), STARS if raw else "", field, f"{len(raw)} bytes, not shown", verdict)


def body_items(layout: Layout, body: bytes, checks: dict[str, str]) -> Iterator[Item]:
    """The lines of a body in clear. `checks`: what is wrong with a field beyond its own bytes."""
    yield Item(HEADER_SIZE, 1, body[:1].hex(), "processing_code", f"{body[0]:02X} {layout.title}")
    if len(body) != layout.size:
        wrong = f"expected {layout.size} bytes for {layout.title}, got {len(body)}"
        yield not_shown(HEADER_SIZE + 1, body[1:], "body", wrong)
        return
    at = 1
    for field in layout.fields:
        raw = body[at : at + field.size]
        value, readable = field_value(field, raw)
        if field.row is not None and readable:
            yield from row_items(field, raw, HEADER_SIZE + at)
            at += field.size
            continue
        verdict = checks.get(field.name, "") if readable else f"expected {field.expected}"
        shown = raw.hex() if field.privacy is Privacy.OPEN else STARS
        yield Item(HEADER_SIZE + at, field.size, shown, field.name, value, verdict)
        at += field.size


def row_items(field: Field, raw: bytes, offset: int) -> Iterator[Item]:
    """The lines of a good field of rows: the count, each cell, and how much is left empty."""
    yield Item(offset, ROW_COUNT_SIZE, raw[:ROW_COUNT_SIZE].hex(), field.name, f"{raw[0]} rows")
    at = ROW_COUNT_SIZE
    for number in range(1, raw[0] + 1):
        for column in field.columns:
            cell = raw[at : at + column.size]
            shown = cell.hex() if column.privacy is Privacy.OPEN else STARS
            name = f"{field.name}[{number}].{column.name}"
            yield Item(offset + at, column.size, shown, name, field_value(column, cell)[0])
            at += column.size
    if at < len(raw):
        yield Item(offset + at, len(raw) - at, "", field.name, f"{len(raw) - at} bytes of no row, all zero")


def field_value(field: Field, raw: bytes) -> tuple[str, bool]:
    """A field in words, and whether it holds a value it may hold."""
    value: Any = field.kind.parse(raw)
    try:
        value = value if field.from_wire is None else field.from_wire(value)
    except (ValueError, KeyError):
        return "", False
    if not field.accepts(value):
        return "", False
    return describe(field, value), True


def describe(field: Field, value: Any) -> str:
    """A good value as people read it."""
    if field.privacy is Privacy.HIDDEN:
        return "not shown"
    if field.privacy is Privacy.PERSONAL:
        return f"{len(value)} bytes {masked_hex(value)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        if field.name == "response_code":
            return f"{value} {meaning(value)}"
        return quoted(value)
    if isinstance(value, IntEnum):
        return f"{int(value)} {value.name.lower()}"
    if field.name.endswith("_fen"):
        return f"{value} = {'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d} yuan"
    if field.name.endswith("_at_s"):
        return f"{value} = {utc_time(value)}"
    if field.name.endswith("_ms"):
        return f"{value} = {utc_time(value / 1000)}" if value else "0"
    return f"{value:04X}" if field.name == "rejected_mti" else str(value)


def utc_time(at_s: float) -> str:
    """Seconds since 1970 as a date, or that there is no such date."""
    try:
        return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return "no date"


def quoted(value: str) -> str:
    """Text between quotes; what would not print, or would turn the line around, as an escape."""
    return "'" + "".join(char if char.isprintable() or char == "\u3000" else ascii(char)[1:-1] for char in value) + "'"
