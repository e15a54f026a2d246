"""Every message of the table, there and back, and everything that is not one of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import LocalProtocolError, Reason, RemoteProtocolError, Role
from protocol.codec import decode, encode, find_layout
from protocol.limits import HEADER_SIZE, MAX_BODY_SIZE, MAX_FIRST_BODY_SIZE, TAG_SIZE
from protocol.messages import CAPABILITIES, LAYOUTS, Message, Reject
from protocol.state import Kind
from tests.protocol.samples import ALL_LAYOUTS, SAMPLES, any_message, layout_id, messages_of, sample_id

every_layout = pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=layout_id)
every_sample = pytest.mark.parametrize("message", SAMPLES, ids=sample_id)


def outcome(mti: int, body: bytes) -> Message | Reason:
    """The message, or why there is none; any other exception is a bug."""
    try:
        return decode(mti, body)
    except RemoteProtocolError as error:
        assert HEADER_SIZE <= error.offset < HEADER_SIZE + MAX_BODY_SIZE  # noqa: PT017 - both outcomes are good
        return error.reason


class TestRoundTrip:
    @every_sample
    def test_sample(self, message):
        assert decode(message.layout.mti, encode(message)) == message

    @every_layout
    @given(data=st.data())
    def test_any_message(self, layout, data):
        message = data.draw(messages_of(layout))
        body = encode(message)
        assert len(body) == layout.size
        assert body[0] == layout.processing_code
        assert decode(layout.mti, body) == message
        assert layout.struct.parse(body)  # construct, undisguised, agrees that this is one

    @every_layout
    @given(data=st.data())
    def test_what_can_be_read_has_one_form_only(self, layout, data):
        """Canonical: no two bodies mean the same, so a request can be compared and hashed as bytes."""
        body = bytes([layout.processing_code]) + data.draw(
            st.binary(min_size=layout.size - 1, max_size=layout.size - 1)
        )
        read = outcome(layout.mti, body)
        assert read is Reason.FIELD or encode(read) == body

    @every_sample
    @given(data=st.data())
    def test_a_changed_byte_is_another_message_or_none(self, message, data):
        body = bytearray(encode(message))
        index = data.draw(st.integers(0, len(body) - 1))
        body[index] ^= data.draw(st.integers(1, 255))
        other = outcome(message.layout.mti, bytes(body))
        assert other != message
        assert other in (Reason.FIELD, Reason.TYPE) or encode(other) == body

    def test_messages_are_values(self):
        for message in SAMPLES:
            assert hash(message) == hash(decode(message.layout.mti, encode(message)))
            if message.__struct_fields__:
                with pytest.raises(AttributeError, match="immutable"):
                    setattr(message, message.__struct_fields__[0], 0)
            msgspec.json.encode(msgspec.structs.asdict(message))  # nothing of construct in it


class TestWrongSize:
    @every_sample
    def test_truncated_anywhere(self, message):
        body = encode(message)
        for size in range(1, len(body)):
            with pytest.raises(RemoteProtocolError) as caught:
                decode(message.layout.mti, body[:size])
            assert caught.value.reason is Reason.FIELD
            assert str(caught.value) == (
                f"field: body at offset 16: expected {len(body)} bytes for {message.layout.title}, got {size} bytes"
            )

    @every_sample
    def test_trailing_bytes(self, message):
        body = encode(message)
        for tail in (b"\0", body, bytes(MAX_BODY_SIZE - len(body))):
            with pytest.raises(RemoteProtocolError, match="field: body at offset 16: expected") as caught:
                decode(message.layout.mti, body + tail)
            assert caught.value.got == f"{len(body) + len(tail)} bytes"


class TestUnknownType:
    @pytest.mark.parametrize(
        ("mti", "body", "got"),
        [
            (0x0200, b"", "0200 with an empty body"),
            (0x0200, b"\x99", "0200/99"),
            (0x0300, b"\0", "0300/00"),
            (0xFFFF, b"\xff\xff", "FFFF/FF"),
            (0x0220, b"\x99" + bytes(40), "0220/99"),
        ],
    )
    def test_is_refused(self, mti, body, got):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(mti, body)
        error = caught.value
        assert (error.reason, error.field, error.offset, error.got) == (Reason.TYPE, "processing_code", 16, got)

    @given(st.integers(0, 0xFFFF), st.binary(max_size=80))
    def test_any_bytes_are_a_message_or_a_refusal(self, mti, body):
        read = outcome(mti, body)
        assert read in (Reason.TYPE, Reason.FIELD) or encode(read) == body


class TestTable:
    def test_every_capability_is_in_it_once(self):
        listed = [layout for module in CAPABILITIES for layout in module.LAYOUTS]
        assert len(listed) == len(LAYOUTS) == len({layout.message for layout in listed}) == len(SAMPLES)

    @every_layout
    def test_found_by_its_key(self, layout):
        assert find_layout(layout.mti, bytes([layout.processing_code])) is layout
        assert layout.message.layout is layout

    @every_layout
    def test_fields_are_those_of_the_class_in_the_same_order(self, layout):
        assert tuple(field.name for field in layout.fields) == layout.message.__struct_fields__

    @every_layout
    def test_fits(self, layout):
        assert layout.size + TAG_SIZE <= MAX_BODY_SIZE
        if layout.kind in (Kind.HELLO, Kind.AUTH):
            assert layout.size <= MAX_FIRST_BODY_SIZE

    @every_layout
    def test_numbers_follow_iso_8583(self, layout):
        assert f"{layout.mti:04X}".isdigit()
        assert f"{layout.processing_code:02X}".isdigit()
        assert bool(layout.mti & 0x10) is (layout.sender is Role.HOST) or layout.message is Reject

    @every_layout
    def test_every_request_has_its_answer(self, layout):
        """`Connection` finds the answer by adding 0x10 to the MTI."""
        if layout.kind is Kind.REQUEST:
            answer = LAYOUTS[layout.mti + 0x10, layout.processing_code]
            assert answer.kind is Kind.ANSWER

    @every_layout
    def test_a_complaint_about_any_field_fits_into_a_reject(self, layout):
        for field in layout.fields:
            assert len(field.name.encode("ascii")) <= 24
            if layout.sender is Role.TERMINAL:
                assert len(field.expected.encode("ascii")) <= 64


@given(any_message(), st.data())
def test_a_field_that_may_not_be_sent_is_named(message, data):
    if not message.__struct_fields__:
        return
    name = data.draw(st.sampled_from(message.__struct_fields__))
    wrong = msgspec.structs.replace(message, **{name: object()})
    with pytest.raises(LocalProtocolError, match=rf"{type(message).__name__}\.{name}: expected .+, got <object"):
        encode(wrong)
