"""How numbers and bytes travel to PostgreSQL and back: every number as int8, and whole columns as binary arrays.

psycopg's own list dumper writes each element as text in Python: measured with 64 sales a batch, that alone costs 2.5 ms
of 3.3 ms in the ledger's thread. These two write a column with one `struct.pack` or one join.
"""

from __future__ import annotations

from struct import error as PackError
from struct import pack
from typing import Any, Final

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.numeric import Int8Dumper

INT8_OID: Final = 20
BYTEA_OID: Final = 17
INT8_ARRAY_OID: Final = 1016
BYTEA_ARRAY_OID: Final = 1001
# Array on the wire: dimensions, whether there are nulls, element type, then size and lower bound of each dimension.
_HEAD: Final = ">iiIii"
_INT8_SIZE: Final = 8


class Numbers(list[int]):
    """A column of 64-bit numbers."""


class Strings(list[bytes]):
    """A column of byte strings."""


class _NumbersDumper(Dumper):
    format = Format.BINARY
    oid = INT8_ARRAY_OID

    def dump(self, obj: Any) -> Buffer | None:
        flat = [_INT8_SIZE] * (2 * len(obj))
        flat[1::2] = obj
        try:
            return pack(f"{_HEAD}{'iq' * len(obj)}", 1, 0, INT8_OID, len(obj), 1, *flat)
        except PackError as error:
            raise OverflowError(f"expected numbers of 64 bits: {error}") from None


class _StringsDumper(Dumper):
    format = Format.BINARY
    oid = BYTEA_ARRAY_OID

    def dump(self, obj: Any) -> Buffer | None:
        parts = [pack(_HEAD, 1, 0, BYTEA_OID, len(obj), 1)]
        for item in obj:
            parts += len(item).to_bytes(4, "big"), item
        return b"".join(parts)


class _WholeNumberLoader(Loader):
    """sum() of int8 is numeric in PostgreSQL; every number of ours is whole. ValueError for one that is not."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


def adapt(connection: Connection[Any]) -> None:
    """Teach a connection the module's docstring."""
    adapters = connection.adapters
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(Numbers, _NumbersDumper)
    adapters.register_dumper(Strings, _StringsDumper)
    adapters.register_loader("numeric", _WholeNumberLoader)
