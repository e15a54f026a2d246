"""What stands in a terminal's journal: one entry a line, as text.

A line is the CRC-32 of the JSON behind it as eight hex digits, a space, the JSON.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from protocol import TerminalNumber
from terminal_emulator.keepsakes import Kept
from terminal_emulator.record import Record
from terminal_emulator.settled import Settlement


class Used(msgspec.Struct, frozen=True, gc=False, tag="used"):
    """The newest numbers used, or skipped because the host knows newer ones than we do."""

    batch: int
    stan: int


class History(msgspec.Struct, frozen=True, gc=False, tag="history"):
    """The history of the host, and when it began, for which everything has been uploaded."""

    history: int
    restored_at_s: int


class Epoch(msgspec.Struct, frozen=True, gc=False, tag="epoch"):
    """The host's epoch, seen last."""

    epoch: int


class ChainEnd(msgspec.Struct, frozen=True, gc=False, tag="chain"):
    """Number and tag of the newest record ever made offline; the record itself may be gone."""

    sequence: int
    tag: bytes


class StopChanges(msgspec.Struct, frozen=True, gc=False, tag="stop_list"):
    """What leads to a version of the stop list. Version 0: everything before is forgotten."""

    version: int
    stopped: tuple[bytes, ...] = ()
    allowed: tuple[bytes, ...] = ()


class Archived(msgspec.Struct, frozen=True, gc=False, tag="archived"):
    """A record of a batch that is settled: kept for a host that is restored from a backup."""

    record: Record


class RecentSales(msgspec.Struct, frozen=True, gc=False, tag="recent_sales"):
    """The last sales, newest first: when the journal is written anew their records may be settled and gone."""

    sales: tuple[Record, ...]


class Owner(msgspec.Struct, frozen=True, gc=False, tag="owner"):
    """The terminal that everything behind this line is about."""

    terminal: TerminalNumber


class Forgotten(msgspec.Struct, frozen=True, gc=False, tag="forgotten"):
    """The terminal became another one: nothing before this line is its own."""


Numbers = Used | Epoch | History | ChainEnd
Entry = Record | RecentSales | Owner | Forgotten | Archived | Numbers | StopChanges | Settlement | Kept
"""One line of the journal; a later line about the same sale replaces the earlier one."""


_decoder: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)
_encode: Final = msgspec.json.Encoder().encode


def to_line(entry: Entry) -> bytes:
    """The entry as a whole line."""
    text = _encode(entry)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def from_line(line: bytes) -> Entry | None:
    """The entry in a whole line without its end, None if the line is damaged. ValueError if it is not damaged and
    cannot be read all the same: a newer version has written it. Such a line is never to be dropped."""
    crc, space, text = line.partition(b" ")
    if not space or crc != b"%08x" % zlib.crc32(text):
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"is whole, but this version cannot read it ({error}): a newer one wrote it. Start that one"
        ) from None
