"""Three readings of one description: construct as it is, construct compiled, and FlatPacker. They must not differ."""

import struct

import construct as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.flat import FlatPacker
from protocol.framing import HEADER
from tests.protocol.samples import ALL_LAYOUTS, layout_id

STRUCTS = {layout_id(layout): layout.struct for layout in ALL_LAYOUTS} | {"header": HEADER}
every_struct = pytest.mark.parametrize("described", STRUCTS.values(), ids=STRUCTS)


def plain(container) -> list:
    return [value for name, value in container.items() if name is not None and not name.startswith("_")]


def names_of(described) -> list[str]:
    return [subcon.name for subcon in described.subcons if subcon.name]


@every_struct
class TestAgainstConstruct:
    @given(data=st.data())
    def test_same_values_of_the_same_bytes(self, described, data):
        packer = FlatPacker(described)
        raw = data.draw(st.binary(min_size=packer.size, max_size=packer.size))
        values = packer.unpack(raw)
        assert values == plain(described.parse(raw))
        assert values == plain(described.compile().parse(raw))

    @given(data=st.data())
    def test_same_bytes_of_the_same_values(self, described, data):
        packer = FlatPacker(described)
        raw = data.draw(st.binary(min_size=packer.size, max_size=packer.size))
        values = packer.unpack(raw)
        assert packer.pack(list(values)) == raw
        assert described.build(dict(zip(names_of(described), values, strict=True))) == raw

    def test_size(self, described):
        assert FlatPacker(described).size == c.Struct(*described.subcons[:-1]).sizeof()

    def test_closed(self, described):
        assert described.subcons[-1] is c.Terminated

    def test_short_and_long_input_is_refused(self, described):
        packer = FlatPacker(described)
        for size in {0, 1, packer.size - 1, packer.size + 1, 2 * packer.size} - {packer.size}:
            with pytest.raises(struct.error):
                packer.unpack(bytes(size))
            with pytest.raises(c.ConstructError):
                described.parse(bytes(size))


def test_compiled_construct_is_no_alternative():
    """Why FlatPacker exists: the day this fails, construct's compiler has become safe and may be looked at again."""
    described = c.Struct("size" / c.Int8ub, "data" / c.Bytes(c.this.size))
    assert described.compile().parse(b"\x05ab").data == b"ab"


@pytest.mark.parametrize(
    "kind",
    [
        c.Int16ul,
        c.Int24ul,
        c.Int24sb,
        c.BytesInteger(5),
        c.Bytes(c.this.size),
        c.GreedyBytes,
        c.Const(b"FK"),
        c.Enum(c.Int8ub, one=1),
        c.Struct("a" / c.Int8ub),
    ],
)
def test_what_it_cannot_pack_is_refused_when_the_program_starts(kind):
    with pytest.raises(TypeError, match=r"odd: expected a big-endian integer or Bytes\(n\), got "):
        FlatPacker(c.Struct("size" / c.Int8ub, "odd" / kind))


def test_unpack_from_anywhere():
    packer = FlatPacker(HEADER)
    assert packer.unpack_from(b"xx" + bytes(range(16)), 2)[1:3] == (2, 3)
