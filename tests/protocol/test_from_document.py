"""docs/protocol.md is complete: a reader that knows nothing else reads every message exactly as `protocol` does."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.messages import LAYOUTS
from tests.protocol import from_document, reference
from tests.protocol.samples import SAMPLES, any_message, rows_in, sample_id


def test_every_message_stands_on_the_page_and_no_other():
    assert from_document.tables().keys() == LAYOUTS.keys()


@pytest.mark.parametrize("key", LAYOUTS, ids=lambda key: f"{key[0]:04X}/{key[1]:02X}")
def test_what_the_page_says_of_it(key):
    table, layout = from_document.tables()[key], LAYOUTS[key]
    names = ["processing_code", *(field.name for field in layout.fields)]
    assert [column.name for column in table.columns] == names
    assert (table.title, table.sender, table.kind, table.flags, table.body_size) == (
        layout.title,
        layout.sender,
        layout.kind,
        layout.flags,
        layout.size,
    )


@given(any_message())
def test_reads_what_we_write(message):
    values = from_document.read_body(message.layout.mti, encode(message))
    assert values == msgspec.structs.asdict(message) | rows_in(message)


@pytest.mark.parametrize("message", SAMPLES, ids=sample_id)
def test_refuses_what_we_refuse(message):
    """Every byte of every message set to the values at which ranges end."""
    body = encode(message)
    for index in range(len(body)):
        for byte in (0, 1, 0x19, 0x1F, 0x7F, 0x80, 0x9F, 0xFF):
            changed = body[:index] + bytes([byte]) + body[index + 1 :]
            try:
                ours = decode(message.layout.mti, changed)
            except Exception:
                ours = None
            theirs = from_document.read_body(message.layout.mti, changed)
            assert (ours is None) == (theirs is None), changed.hex()


@given(st.binary(max_size=80))
def test_its_checksum_is_that_of_the_standard(data):
    assert from_document.crc32c(data) == reference.crc32c(data)


def test_check_value_of_the_page():
    assert from_document.crc32c(b"123456789") == 0xE3069283
