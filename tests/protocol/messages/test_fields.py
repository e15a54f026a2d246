"""What each kind of field refuses, on the way out and on the way in, and what the refusal says."""

from enum import IntEnum

import construct as c
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, Reason, RemoteProtocolError
from protocol.messages import LAYOUTS, EnrolAnswer, SaleRequest
from protocol.messages.fields import (
    Field,
    Layout,
    Message,
    Privacy,
    choice,
    code2,
    masked_hex,
    octets,
    payer,
    rows,
    signed64,
    text,
    unsigned,
)
from protocol.messages.money import TransactionKind
from protocol.state import Kind
from tests.protocol.example import PAYER, ROOT_KEY
from tests.protocol.samples import ALL_LAYOUTS, SALE, SAMPLE_OF, SAMPLES, layout_id, sample_id


class Colour(IntEnum):
    RED = 1
    DARK_BLUE = 7


class One(Message, frozen=True, kw_only=True):
    """A message of one field."""

    value: object


def only(field: Field) -> Layout:
    """A layout of this field alone; it does not enter the table of messages."""
    return Layout(One, 0x0999, 0x77, "one", [field], kind=Kind.REQUEST)


def read(field: Field, raw: bytes) -> object:
    message = only(field).decode(b"\x77" + raw)
    assert isinstance(message, One)
    return message.value


def write(field: Field, value: object) -> bytes:
    return only(field).encode(One(value=value))[1:]


class Dish(msgspec.Struct, frozen=True):
    """A row of rows."""

    price: int
    name: str
    colour: Colour
    payer: bytes


DISHES = rows(
    "value",
    Dish,
    [
        unsigned("price", 3, "", low=1, high=999),
        text("name", 6, ""),
        choice("colour", Colour, ""),
        payer("payer", ""),
    ],
    2,
    "",
)
SOUP = Dish(price=258, name="汤", colour=Colour.RED, payer=PAYER)
SOUP_HEX = "000102" + "e6b1a4000000" + "01" + "07" + PAYER.hex() + "00" * 17
RICE = Dish(price=999, name="", colour=Colour.DARK_BLUE, payer=b"\0")
RICE_HEX = "0003e7" + "00" * 6 + "07" + "01" + "00" * 24
NO_DISH = "00" * 35


# field, good (value, bytes) pairs, values that may not be sent, bytes that may not be taken
CASES = {
    "unsigned 1": (unsigned("value", 1, ""), [(0, "00"), (255, "ff")], [-1, 256, "1", 1.0, True, None, b"1"], []),
    "unsigned 2": (unsigned("value", 2, ""), [(0, "0000"), (65535, "ffff"), (258, "0102")], [-1, 65536], []),
    "unsigned 3": (unsigned("value", 3, ""), [(66051, "010203"), (2**24 - 1, "ffffff")], [-1, 2**24], []),
    "unsigned 4": (unsigned("value", 4, ""), [(2**32 - 1, "ffffffff")], [-1, 2**32], []),
    "unsigned 8": (unsigned("value", 8, ""), [(2**64 - 1, "ff" * 8)], [-1, 2**64], []),
    "unsigned in a range": (
        unsigned("value", 3, "", low=1, high=999_999),
        [(1, "000001"), (999_999, "0f423f")],
        [0, 1_000_000],
        ["000000", "0f4240", "ffffff"],
    ),
    "signed": (
        signed64("value", ""),
        [(-1, "ff" * 8), (2**63 - 1, "7f" + "ff" * 7), (-(2**63), "80" + "00" * 7)],
        [2**63, -(2**63) - 1, False, 0.5],
        [],
    ),
    "choice": (
        choice("value", Colour, ""),
        [(Colour.RED, "01"), (Colour.DARK_BLUE, "07")],
        [0, 2, 8, "RED", None],
        ["00", "02", "08", "ff"],
    ),
    "octets": (octets("value", 3, ""), [(b"\0\1\2", "000102")], [b"", b"ab", b"abcd", "abc", bytearray(3)], []),
    "code2": (
        code2("value", ""),
        [("00", "3030"), ("A7", "4137"), ("ZZ", "5a5a")],
        ["", "0", "000", "a7", "A ", "０１", "É1", 0, None],
        ["6137", "2041", "3000", "c9c9", "ffff", "302d"],
    ),
    "text": (
        text("value", 6, ""),
        [("", "00" * 6), ("ab", "616200000000"), ("食堂", "e9a39fe5a082"), ("\u3000", "e38080000000")],
        ["abcdefg", "食堂a", "a\0", "\0", "a\nb", "\x1b[2J", "\x7f", "\x9b", "\ud800", b"ab", None],
        # a hole, a control character, a character cut in half, an overlong form, a surrogate, not UTF-8
        ["610062000000", "0a0000000000", "616263e9a39f"[:10] + "e9", "c0afc0af0000", "eda080000000", "ff0000000000"],
    ),
    "rows": (
        DISHES,
        [
            ((), "00" + 2 * NO_DISH),
            ((SOUP,), "01" + SOUP_HEX + NO_DISH),
            ((RICE, SOUP), "02" + RICE_HEX + SOUP_HEX),
        ],
        [
            (SOUP,) * 3,
            [SOUP],
            SOUP,
            None,
            ((1, "", 1, b"x"),),
            (Dish(0, "", Colour.RED, b"x"),),
            (Dish(1, "a\n", 1, b""),),
        ],
        # more than there is room for, less or more than the count says, a bad cell of each kind
        [
            "03" + SOUP_HEX * 2,
            "ff" * 71,
            "00" + SOUP_HEX + NO_DISH,
            "01" + SOUP_HEX * 2,
            "02" + SOUP_HEX + NO_DISH,
            "01" + "000000" + SOUP_HEX[6:] + NO_DISH,
            "01" + SOUP_HEX[:6] + "0a" + SOUP_HEX[8:] + NO_DISH,
            "01" + SOUP_HEX[:6] + "e6b1" + "00" + SOUP_HEX[12:] + NO_DISH,
            "01" + SOUP_HEX[:18] + "02" + SOUP_HEX[20:] + NO_DISH,
            "01" + SOUP_HEX[:20] + "19" + SOUP_HEX[22:] + NO_DISH,
        ],
    ),
    "payer": (
        payer("value", ""),
        [(b"\0", "01" + "00" * 24), (b"\x04\xaa", "0204aa" + "00" * 22), (b"x" * 24, "18" + "78" * 24)],
        [b"", bytes(25), "0123", None],
        ["00" * 25, "19" + "78" * 24, "ff" * 25, "01" + "7878" + "00" * 22, "17" + "78" * 24],
    ),
}


@pytest.mark.parametrize(("field", "good", "unfit", "unreadable"), CASES.values(), ids=CASES)
class TestEveryKind:
    def test_good_values(self, field, good, unfit, unreadable):
        for value, raw in good:
            assert write(field, value) == bytes.fromhex(raw)
            assert read(field, bytes.fromhex(raw)) == value
            assert type(read(field, bytes.fromhex(raw))) is type(value)

    def test_unfit_values_are_not_sent(self, field, good, unfit, unreadable):
        for value in unfit:
            with pytest.raises(LocalProtocolError) as caught:
                write(field, value)
            assert str(caught.value).startswith(f"One.value: expected {field.expected}, got ")

    def test_unreadable_bytes_are_refused(self, field, good, unfit, unreadable):
        for raw in unreadable:
            with pytest.raises(RemoteProtocolError) as caught:
                read(field, bytes.fromhex(raw))
            error = caught.value
            assert (error.reason, error.field, error.offset) == (Reason.FIELD, "value", 17)
            assert error.expected == field.expected
            assert error.got
            assert len(error.got) <= 48

    @given(data=st.data())
    def test_any_bytes_are_read_in_one_way_or_refused(self, field, good, unfit, unreadable, data):
        raw = data.draw(st.binary(min_size=field.size, max_size=field.size))
        try:
            value = read(field, raw)
        except RemoteProtocolError:
            return
        assert write(field, value) == raw


def out_of_range(field: Field) -> list[bytes]:
    """Raw bytes this field may not hold, if there are any: at the edges, and all bits set or clear."""
    candidates = [bytes(field.size), b"\xff" * field.size, b"\x01" * field.size, b"\x20" * field.size]
    if ".." in field.expected:
        low, high = map(int, field.expected.removeprefix("length ").removeprefix("a count ").split(",")[0].split(".."))
        edges = [value for value in (low - 1, high + 1) if 0 <= value < 256**field.size]
        candidates += [value.to_bytes(field.size, "big") for value in edges]
    return [raw for raw in candidates if not holds(field, raw)]


def holds(field: Field, raw: bytes) -> bool:
    value = field.kind.parse(raw)
    try:
        return field.accepts(value if field.from_wire is None else field.from_wire(value))
    except (ValueError, KeyError):
        return False


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=layout_id)
def test_every_field_out_of_range_is_named_with_its_offset(layout):
    body = layout.encode(SAMPLE_OF[layout.message])
    offset = 17
    for field in layout.fields:
        assert layout.offset_of(field.name) == offset
        for raw in out_of_range(field):
            with pytest.raises(RemoteProtocolError) as caught:
                layout.decode(body[: offset - 16] + raw + body[offset - 16 + field.size :])
            error = caught.value
            assert (error.reason, error.field, error.offset) == (Reason.FIELD, field.name, offset)
            assert error.expected == field.expected
        offset += field.size
    assert offset == 16 + layout.size


FREE_FIELDS = [field for layout in ALL_LAYOUTS for field in layout.fields if field.takes_any_bytes]


@given(field=st.sampled_from(FREE_FIELDS), data=st.data())
def test_a_field_that_is_not_looked_at_can_say_nothing_wrong(field, data):
    edges = st.sampled_from([bytes(field.size), b"\xff" * field.size])
    raw = data.draw(edges | st.binary(min_size=field.size, max_size=field.size))
    assert holds(field, raw)


def test_which_fields_have_a_range():
    """Guards the test above against proving nothing."""
    assert sum(bool(out_of_range(field)) for layout in ALL_LAYOUTS for field in layout.fields) >= 30


def test_an_unknown_field_has_no_offset():
    with pytest.raises(KeyError):
        LAYOUTS[0x0200, 0x00].offset_of("nonsense")


def test_a_size_there_is_no_integer_for():
    with pytest.raises(KeyError):
        unsigned("value", 5, "")


def test_a_field_construct_cannot_size_is_refused_at_start():
    with pytest.raises(c.SizeofError):
        Field("value", c.GreedyBytes, "", expected="", accepts=bool)


PRIVATE = {
    "payer": Privacy.PERSONAL,
    "pin_block": Privacy.HIDDEN,
    "password": Privacy.HIDDEN,
    "old_password": Privacy.HIDDEN,
    "new_password": Privacy.HIDDEN,
    "supervisor_password": Privacy.HIDDEN,
    "root_key": Privacy.HIDDEN,
    "wrapped_key": Privacy.HIDDEN,
}


class TestPrivacy:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (b"", ""),
            (b"\x01", "**"),
            (b"\x01\x02", "****"),
            (b"\x01\x02\x03", "******"),
            (b"\x01\x02\x03\x04", "****0304"),
            (PAYER, "**********e5f6"),
        ],
    )
    def test_masked_hex(self, value, shown):
        assert masked_hex(value) == shown

    def test_repr_shows_the_end_of_a_payer(self):
        shown = repr(SALE)
        assert shown.startswith(
            "SaleRequest(stan=123, batch=17, amount_fen=1250, operator=5, entry_mode=<EntryMode.CARD"
        )
        assert "payer=**********e5f6" in shown
        assert repr(PAYER)[1:-1] not in shown

    def test_repr_shows_nothing_of_a_key(self):
        assert repr(EnrolAnswer(response_code="00", key_version=1, root_key=ROOT_KEY)) == (
            "EnrolAnswer(response_code='00', key_version=1, root_key=...)"
        )

    def test_repr_shows_rows_cell_by_cell(self):
        only(DISHES)
        assert repr(One(value=(SOUP,))) == (
            "One(value=(Dish(price=258, name='汤', colour=<Colour.RED: 1>, payer=**********e5f6)))"
        )
        assert repr(One(value=(PAYER,))) == "One(value=(...))"

    def test_rows_are_as_private_as_their_most_private_column(self):
        hidden = octets("key", 2, "", privacy=Privacy.HIDDEN)
        assert DISHES.privacy is Privacy.PERSONAL
        assert rows("value", Dish, [*DISHES.columns, hidden], 1, "").privacy is Privacy.HIDDEN
        assert rows("value", Dish, [DISHES.columns[0]], 1, "").privacy is Privacy.OPEN

    def test_rows_stand_in_no_error(self):
        with pytest.raises(LocalProtocolError, match="got 3 rows that do not fit"):
            write(DISHES, (SOUP,) * 3)
        with pytest.raises(RemoteProtocolError, match="got 71 bytes that do not fit"):
            read(DISHES, bytes.fromhex("03" + SOUP_HEX * 2))

    def test_words_too_long_for_a_reject_go_into_the_note(self):
        field = choice("value", TransactionKind, "what it is")
        assert field.expected == "1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"
        assert field.note.startswith("what it is: 1 sale, 5 void, 6 refund, ")

    def test_a_value_of_the_wrong_type_is_not_shown_either(self):
        assert "payer=..." in repr(SaleRequest(stan=1, batch=1, amount_fen=1, payer="04a1b2c3", claimed_at_s=0))

    @pytest.mark.parametrize("message", SAMPLES, ids=sample_id)
    def test_private_bytes_stand_in_no_error(self, message):
        private = [field for field in message.layout.fields if field.privacy is not Privacy.OPEN]
        for field in private:
            body = bytearray(message.layout.encode(message))
            start = message.layout.offset_of(field.name) - 16
            body[start] = 0xEE  # a payer of impossible length
            if field.privacy is Privacy.HIDDEN:
                continue  # any 32 bytes may be a key
            with pytest.raises(RemoteProtocolError) as caught:
                message.layout.decode(bytes(body))
            assert caught.value.got == f"{field.size} bytes that do not fit"

    def test_which_fields_are_private(self):
        """Whatever a field of these names stands in, and no other."""
        private = {
            (column.name, column.privacy)
            for layout in ALL_LAYOUTS
            for field in layout.fields
            for column in field.columns or (field,)
            if column.privacy is not Privacy.OPEN or column.name in PRIVATE
        }
        assert private == set(PRIVATE.items())
