"""The building blocks of message bodies: what a field looks like on the wire and which values it may hold.

Every body of wire version 1 has a fixed size. That keeps a C implementation to one struct per message, and it is what
lets `protocol.flat` turn construct's description into a packer that refuses any other size.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, Final

import construct as c
import msgspec

from protocol.errors import LocalProtocolError, Reason, RemoteProtocolError
from protocol.flat import FlatPacker
from protocol.framing import Flag
from protocol.limits import HEADER_SIZE
from protocol.state import Kind, Role

SENDERS: Final = {
    Kind.HELLO: Role.TERMINAL,
    Kind.CHALLENGE: Role.HOST,
    Kind.AUTH: Role.TERMINAL,
    Kind.READY: Role.HOST,
    Kind.REQUEST: Role.TERMINAL,
    Kind.ANSWER: Role.HOST,
    Kind.PUSH: Role.HOST,
    Kind.SIGN_OFF: Role.TERMINAL,
    Kind.SIGNED_OFF: Role.HOST,
}

UNSEALED_KINDS: Final = frozenset({Kind.HELLO, Kind.CHALLENGE, Kind.AUTH})
"""The only frames that travel in clear: there are no session keys yet. READY is the first sealed frame."""


class Privacy(StrEnum):
    """How much of a field may appear in logs, traces and dumps."""

    OPEN = "open"
    PERSONAL = "personal"  # the end of it, to compare with what stands on a card
    HIDDEN = "hidden"  # nothing but its size


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages. Subclasses say what they are on the wire through their `Layout`."""

    layout: ClassVar[Layout]

    def __repr__(self) -> str:
        """For logs and failed tests, so without anything private."""
        values = (f"{field.name}={field.show(getattr(self, field.name))}" for field in self.layout.fields)
        return f"{type(self).__name__}({', '.join(values)})"


class Field:
    """One field of a body: its construct type and the values it may hold.

    `accepts` tells whether a value may be sent or taken; `expected` says the same in words. `to_wire` / `from_wire`
    turn the message's value into the construct type's and back; None where the two are the same.
    """

    def __init__(
        self,
        name: str,
        kind: c.Construct[Any, Any],
        note: str,
        *,
        expected: str,
        accepts: Callable[[Any], bool],
        to_wire: Callable[[Any], Any] | None = None,
        from_wire: Callable[[Any], Any] | None = None,
        privacy: Privacy = Privacy.OPEN,
        takes_any_bytes: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.size = kind.sizeof()
        self.note = note
        self.expected = expected
        self.accepts = accepts
        self.to_wire = to_wire
        self.from_wire = from_wire
        self.privacy = privacy
        self.takes_any_bytes = takes_any_bytes
        """Whether no bytes of this size can say what it may not hold: then what comes need not be looked at."""
        self.columns: tuple[Field, ...] = ()
        """Of a field made by `rows`: what stands in each row."""
        self.row: type[msgspec.Struct] | None = None

    def show(self, value: object) -> str:
        """A value in words, as far as its privacy allows."""
        if self.row is not None and isinstance(value, tuple):
            return f"({', '.join(self._show_row(one) for one in value)})"
        if self.privacy is Privacy.OPEN:
            return repr(value)
        if self.privacy is Privacy.PERSONAL and isinstance(value, bytes):
            return masked_hex(value)
        return "..."

    def _show_row(self, row: object) -> str:
        if type(row) is not self.row:
            return "..."
        cells = (f"{column.name}={column.show(getattr(row, column.name))}" for column in self.columns)
        return f"{type(row).__name__}({', '.join(cells)})"


def masked_hex(value: bytes) -> str:
    """The last 4 hex digits of a payer, the rest as stars; all as stars if no more than that would stay hidden."""
    shown = value[-2:].hex() if len(value) >= 4 else ""
    return "*" * (2 * len(value) - len(shown)) + shown


_UNSIGNED: Final = {1: c.Int8ub, 2: c.Int16ub, 3: c.Int24ub, 4: c.Int32ub, 8: c.Int64ub}


def unsigned(name: str, size: int, note: str, *, low: int = 0, high: int | None = None) -> Field:
    """Big-endian unsigned integer of `size` bytes within low..high (default: all it can hold)."""
    top = (1 << 8 * size) - 1 if high is None else high
    return Field(
        name,
        _UNSIGNED[size],
        note,
        expected=f"{low}..{top}",
        accepts=lambda value: type(value) is int and low <= value <= top,
        takes_any_bytes=low == 0 and high is None,
    )


def signed64(name: str, note: str) -> Field:
    """Big-endian two's complement integer of 8 bytes."""
    return Field(
        name,
        c.Int64sb,
        note,
        expected="a signed 64-bit integer",
        accepts=lambda value: type(value) is int and -(1 << 63) <= value < 1 << 63,
        takes_any_bytes=True,
    )


EXPECTED_SIZE: Final = 64
"""Bytes a reject has for the words of what a field may hold."""


def choice(name: str, values: type[IntEnum], note: str) -> Field:
    """One byte holding a value of an enumeration; any other value is refused, never passed on as a number."""
    known = {int(value): value for value in values}
    words = ", ".join(f"{value.value} {value.name.lower()}" for value in values)
    if len(words) > EXPECTED_SIZE:
        note, words = f"{note}: {words}", ", ".join(str(value.value) for value in values)
    return Field(
        name,
        c.Int8ub,
        note,
        expected=words,
        accepts=lambda value: value in known,
        to_wire=int,
        from_wire=known.__getitem__,
    )


def octets(name: str, size: int, note: str, *, privacy: Privacy = Privacy.OPEN) -> Field:
    """Exactly `size` bytes."""
    return Field(
        name,
        c.Bytes(size),
        note,
        expected=f"{size} bytes",
        accepts=lambda value: isinstance(value, bytes) and len(value) == size,
        privacy=privacy,
        takes_any_bytes=True,
    )


def code2(name: str, note: str) -> Field:
    """Two ASCII characters 0-9 A-Z, as ISO 8583 field 39. Unknown codes are legal: a terminal shows "failed"."""
    return Field(
        name,
        c.Bytes(2),
        note,
        expected="two characters 0-9 A-Z",
        accepts=lambda value: (
            isinstance(value, str)
            and len(value) == 2
            and value.isascii()
            and value.isalnum()
            and value == value.upper()
        ),
        to_wire=lambda value: value.encode("ascii"),
        from_wire=lambda raw: raw.decode("latin-1"),
    )


_CONTROL: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""What text may not hold: U+0000..U+001F, U+007F..U+009F, and surrogates, which are no characters.

Not `isprintable`: it refuses the ideographic space of Chinese shop signs, and changes with every Unicode version.
"""


def text(name: str, size: int, note: str, *, privacy: Privacy = Privacy.OPEN) -> Field:
    """UTF-8 text in a field of `size` bytes, padded with zero bytes; no control characters."""
    return Field(
        name,
        c.Bytes(size),
        note,
        expected=f"at most {size} bytes of UTF-8, zero padded, no control characters",
        accepts=lambda value: (
            isinstance(value, str) and _CONTROL.search(value) is None and len(value.encode("utf-8")) <= size
        ),
        to_wire=lambda value: value.encode("utf-8").ljust(size, b"\0"),
        from_wire=lambda raw: raw.rstrip(b"\0").decode("utf-8"),
        privacy=privacy,
    )


ROW_COUNT_SIZE: Final = 1


def rows(name: str, row: type[msgspec.Struct], columns: list[Field], count_max: int, note: str) -> Field:
    """A count byte and `count_max` rows of fixed size, those behind the count all zero: a tuple of `row` values.

    `row` is a frozen Struct whose fields are named and ordered as `columns`. As a whole it is as private as the most
    private of them; shown row by row, each cell by its own rule.
    """
    struct = c.Struct(*(column.name / column.kind for column in columns))
    packer = FlatPacker(struct)
    size = packer.size

    def accepts(value: object) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) <= count_max
            and all(
                type(one) is row and all(column.accepts(getattr(one, column.name)) for column in columns)
                for one in value
            )
        )

    def to_wire(value: tuple[msgspec.Struct, ...]) -> bytes:
        packed = bytearray([len(value)])
        for one in value:
            cells = [getattr(one, column.name) for column in columns]
            packed += packer.pack(
                [
                    cell if column.to_wire is None else column.to_wire(cell)
                    for column, cell in zip(columns, cells, strict=True)
                ]
            )
        return bytes(packed).ljust(ROW_COUNT_SIZE + count_max * size, b"\0")

    def from_wire(raw: bytes) -> tuple[msgspec.Struct, ...]:
        count, end = raw[0], ROW_COUNT_SIZE + raw[0] * size
        if count > count_max or raw[end:].strip(b"\0"):
            raise ValueError
        found = []
        for start in range(ROW_COUNT_SIZE, end, size):
            cells = packer.unpack(raw[start : start + size])
            found.append(
                row(
                    **{
                        column.name: cell if column.from_wire is None else column.from_wire(cell)
                        for column, cell in zip(columns, cells, strict=True)
                    }
                )
            )
        return tuple(found)

    field = Field(
        name,
        c.Bytes(ROW_COUNT_SIZE + count_max * size),
        note,
        expected=f"a count 0..{count_max}, that many rows of {size} bytes, then zero bytes",
        accepts=accepts,
        to_wire=to_wire,
        from_wire=from_wire,
        privacy=max((column.privacy for column in columns), key=list(Privacy).index),
    )
    field.columns = tuple(columns)
    field.row = row
    return field


SHOWN_TEXT_MAX: Final = 2
"""Characters of a text that may be shown as evidence: those of a response code."""
PAYER_SIZE: Final = 24


def payer(name: str, note: str) -> Field:
    """A length byte and 24 bytes, zero padded: 1..24 bytes of card UID or payment code."""

    def from_wire(raw: bytes) -> bytes:
        size, value = raw[0], raw[1:]
        if not 1 <= size <= PAYER_SIZE or value[size:].strip(b"\0"):
            raise ValueError
        return value[:size]

    return Field(
        name,
        c.Bytes(1 + PAYER_SIZE),
        note,
        expected=f"length 1..{PAYER_SIZE}, that many bytes, then zero bytes",
        accepts=lambda value: isinstance(value, bytes) and 1 <= len(value) <= PAYER_SIZE,
        to_wire=lambda value: bytes([len(value)]) + value.ljust(PAYER_SIZE, b"\0"),
        from_wire=from_wire,
        privacy=Privacy.PERSONAL,
    )


class Layout:
    """What one message class is on the wire: its key (MTI, processing code), who sends it, and its fields in order.

    The processing code is the first byte of every body; the `Struct` ends in `Terminated`: no trailing bytes.
    """

    def __init__(
        self, message: type[Message], mti: int, processing_code: int, title: str, fields: list[Field], *, kind: Kind
    ) -> None:
        self.message = message
        self.mti = mti
        self.processing_code = processing_code
        self.title = title
        self.fields = fields
        self.kind = kind
        self.sender = SENDERS[kind]
        self.flags = 0 if kind in UNSEALED_KINDS else int(Flag.SEALED)
        if kind is Kind.PUSH:
            self.flags |= Flag.PUSH
        elif self.sender is Role.HOST:
            self.flags |= Flag.RESPONSE
        self.struct = c.Struct(
            "processing_code" / c.Int8ub, *(field.name / field.kind for field in fields), c.Terminated
        )
        self._packer = FlatPacker(self.struct)
        self.size = self._packer.size
        self._names = tuple(field.name for field in fields)
        self._outgoing = [(field.name, field.accepts, field.to_wire, field) for field in fields]
        self._incoming = [
            (index, field.from_wire, field.accepts, field)
            for index, field in enumerate(fields, 1)
            if not field.takes_any_bytes
        ]
        self.answer_key = (mti + 0x10, processing_code)
        """For a request: the key of its answer."""
        message.layout = self

    def answers(self, asked: Layout) -> bool:
        """Whether this is the answer to that request."""
        return self.mti == asked.mti + 0x10 and self.processing_code == asked.processing_code

    def encode(self, message: Message) -> bytes:
        """The body bytes; raises LocalProtocolError naming the field that may not be sent."""
        values: list[Any] = [self.processing_code]
        for name, accepts, to_wire, field in self._outgoing:
            value = getattr(message, name)
            if not accepts(value):
                raise LocalProtocolError(
                    f"{self.message.__name__}.{name}: expected {field.expected}, got {_show(value)}"
                )
            values.append(value if to_wire is None else to_wire(value))
        return self._packer.pack(values)

    def decode(self, body: bytes) -> Message:
        """The message; raises RemoteProtocolError(FIELD) naming offset, field, expected and got."""
        if len(body) != self.size:
            raise RemoteProtocolError(
                Reason.FIELD,
                field="body",
                offset=HEADER_SIZE,
                expected=f"{self.size} bytes for {self.title}",
                got=f"{len(body)} bytes",
            )
        values = self._packer.unpack(body)
        for index, from_wire, accepts, field in self._incoming:
            value = values[index]
            if from_wire is not None:
                try:
                    value = values[index] = from_wire(value)
                except (ValueError, KeyError):
                    raise self._refusal(field, value) from None
            if not accepts(value):
                raise self._refusal(field, value)
        return self.message(**dict(zip(self._names, values[1:], strict=True)))

    def offset_of(self, name: str) -> int:
        """Offset of a field from the first byte of the frame."""
        offset = HEADER_SIZE + 1
        for field in self.fields:
            if field.name == name:
                return offset
            offset += field.size
        raise KeyError(name)

    def _refusal(self, field: Field, value: Any) -> RemoteProtocolError:
        return RemoteProtocolError(
            Reason.FIELD,
            field=field.name,
            offset=self.offset_of(field.name),
            expected=field.expected,
            got=_show(value),
        )


def _show(value: object) -> str:
    """A value as evidence, short; bytes and longer texts only by their size, for they may be a card, a PIN or a key:
    whoever cannot fill a field may have put anything into it."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes that do not fit"
    if isinstance(value, tuple):
        return f"{len(value)} rows that do not fit"
    if isinstance(value, str) and len(value) > SHOWN_TEXT_MAX:
        found = _CONTROL.search(value)
        which = "that do not fit" if found is None else f"of which number {found.start() + 1} is U+{ord(found[0]):04X}"
        return f"{len(value)} characters {which}"
    return repr(value)[:40]
