"""Frames: 16-byte header, body, CRC-32C. Bytes in, whole frames out.

The layout stands in docs/protocol.md. A stream may deliver any slice of any number of frames; `Framer` holds what is
incomplete and never more than one frame's worth beyond what was fed to it.

Resynchronisation: where a frame should start and none does (wrong sync word, version, flag bits, length or CRC), one
byte is dropped and the search goes on at the next sync word. What was dropped is reported as one `Discarded`, with the
reason of the first fault; a report has a largest size, which bounds the work of one call. It
never guesses: a frame is only taken with a matching CRC.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import Final, NamedTuple, cast

import construct as c
import crcmod.predefined
import msgspec

from protocol.errors import LocalProtocolError, Reason
from protocol.flat import FlatPacker
from protocol.limits import CRC_SIZE, HEADER_SIZE, MAX_BODY_SIZE, MAX_DISCARDED_BYTES, SYNC, WIRE_VERSION

crc32c = cast(Callable[[bytes], int], crcmod.predefined.mkPredefinedCrcFun("crc-32c"))
"""CRC-32C (Castagnoli, as in RFC 3720): line noise only, security never depends on it."""


class Flag(IntFlag):
    """Byte 3 of the header."""

    SEALED = 1
    RESPONSE = 2
    PUSH = 4


KNOWN_FLAGS: Final = int(Flag.SEALED | Flag.RESPONSE | Flag.PUSH)

HEADER = c.Struct(
    "sync" / c.Bytes(2),
    "version" / c.Int8ub,
    "flags" / c.Int8ub,
    "mti" / c.Int16ub,
    "body_size" / c.Int16ub,
    "terminal_group" / c.Int16ub,
    "terminal_device" / c.Int16ub,
    "sequence" / c.Int32ub,
    c.Terminated,
)
_unpack_header = FlatPacker(HEADER).unpack_from
_pack_header = FlatPacker(HEADER).pack_values


class TerminalNumber(NamedTuple):
    """A terminal's number: canteen group and device, each 0..65535. People write it `3-58`."""

    group: int
    device: int

    def __str__(self) -> str:
        return f"{self.group}-{self.device}"

    @classmethod
    def parse(cls, text: str) -> TerminalNumber:
        """Read `3-58`; raises ValueError that says what was expected."""
        group, dash, device = text.partition("-")
        digits = group.isascii() and device.isascii() and group.isdigit() and device.isdigit()
        if not (dash and digits and int(group) <= 0xFFFF and int(device) <= 0xFFFF):
            raise ValueError(f"terminal number: expected GROUP-DEVICE, each 0..65535, like 3-58; got {text!r}")
        return cls(int(group), int(device))

    @classmethod
    def from_int(cls, value: int) -> TerminalNumber:
        """The 32-bit form, group in the high half."""
        return cls(value >> 16, value & 0xFFFF)

    def to_int(self) -> int:
        """The 32-bit form, group in the high half."""
        return self.group << 16 | self.device


class Frame(msgspec.Struct, frozen=True):
    """One whole frame whose CRC was right. `body` is still sealed if `flags` says so."""

    flags: int
    mti: int
    terminal: TerminalNumber
    sequence: int
    body: bytes
    header: bytes
    """The 16 header bytes as they came: associated data of the seal."""


class Discarded(msgspec.Struct, frozen=True):
    """Bytes dropped while looking for the next frame."""

    size: int
    reason: Reason
    expected: str
    got: str


class NeedData:
    """The one value that says: feed me more bytes."""

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = NeedData()


def build_header(flags: int, mti: int, body_size: int, terminal: TerminalNumber, sequence: int) -> bytes:
    """The 16 header bytes; `body_size` counts the tag in."""
    if not 0 <= body_size <= MAX_BODY_SIZE:
        raise LocalProtocolError(f"body of {body_size} bytes: expected 0..{MAX_BODY_SIZE}")
    return _pack_header(SYNC, WIRE_VERSION, flags, mti, body_size, terminal[0], terminal[1], sequence)


def close_frame(header: bytes, body: bytes) -> bytes:
    """Header and body (sealed already, if it is to be) closed by their CRC."""
    covered = header + body
    return covered + crc32c(covered).to_bytes(CRC_SIZE, "big")


class Framer:
    """Incremental frame decoder. Both limits may be raised once the peer is authenticated.

    `max_report_size`: dropped bytes after which a report is made and the search pauses.
    """

    def __init__(self, max_body_size: int = MAX_BODY_SIZE, max_report_size: int = MAX_DISCARDED_BYTES) -> None:
        self.max_body_size = max_body_size
        self.max_report_size = max_report_size
        self._buffer = bytearray()
        self._dropped = 0
        self._fault: tuple[Reason, str, str] | None = None

    @property
    def pending(self) -> int:
        """Bytes held that do not make a whole frame yet."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray) -> None:
        """Add bytes as they came from the stream."""
        self._buffer += data

    def next_frame(self) -> Frame | Discarded | NeedData:
        """The next whole frame, a report of dropped bytes, or NEED_DATA. Never raises."""
        buffer = self._buffer
        while len(buffer) >= HEADER_SIZE:
            sync, version, flags, mti, body_size, group, device, sequence = _unpack_header(buffer)
            if (
                sync == SYNC
                and version == WIRE_VERSION
                and not flags & ~KNOWN_FLAGS
                and body_size <= self.max_body_size
            ):
                size = HEADER_SIZE + body_size
                if len(buffer) < size + CRC_SIZE:
                    return self._report() or NEED_DATA
                covered = bytes(buffer[:size])
                expected = crc32c(covered)
                got = int.from_bytes(buffer[size : size + CRC_SIZE], "big")
                if got == expected:
                    # Dropped bytes are reported before the frame behind them; the frame stays in the buffer until then.
                    if self._fault is not None:
                        return self._report() or NEED_DATA
                    del buffer[: size + CRC_SIZE]
                    header = covered[:HEADER_SIZE]
                    return Frame(flags, mti, TerminalNumber(group, device), sequence, covered[HEADER_SIZE:], header)
                self._resynchronise((Reason.CRC, f"{expected:08X}", f"{got:08X}"))
            else:
                self._resynchronise(self._header_fault(sync, version, flags, body_size))
            if self._dropped >= self.max_report_size:
                break  # one call has bounded work: a false header may stand every 8 bytes, and each costs a CRC
        return self._check_short_start() or self._report() or NEED_DATA

    def _header_fault(self, sync: bytes, version: int, flags: int, body_size: int) -> tuple[Reason, str, str]:
        if sync != SYNC:
            return Reason.SYNC, SYNC.hex(), sync.hex()
        if version != WIRE_VERSION:
            return Reason.VERSION, str(WIRE_VERSION), str(version)
        if flags & ~KNOWN_FLAGS:
            return Reason.FLAGS, "bits 3-7 zero", f"{flags:08b}"
        return Reason.LENGTH, f"at most {self.max_body_size}", str(body_size)

    def _check_short_start(self) -> Discarded | None:
        """Fewer than 16 bytes are held: they may already be known not to start a frame."""
        if not self._buffer:
            return None
        start = bytes(self._buffer[:2])
        if not SYNC.startswith(start):
            self._resynchronise((Reason.SYNC, SYNC.hex(), start.hex()))
        return None

    def _resynchronise(self, fault: tuple[Reason, str, str]) -> None:
        """Drop the byte that cannot start a frame and all up to the next place that could."""
        self._fault = self._fault or fault
        found = self._buffer.find(SYNC, 1)
        if found < 0:
            # Keep a last `F`: it may be the first half of a sync word.
            found = len(self._buffer) - (len(self._buffer) > 1 and self._buffer.endswith(SYNC[:1]))
        del self._buffer[:found]
        self._dropped += found

    def _report(self) -> Discarded | None:
        if self._fault is None:
            return None
        report = Discarded(self._dropped, *self._fault)
        self._dropped, self._fault = 0, None
        return report
