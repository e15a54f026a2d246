"""The chain over offline records: what a tag covers, byte by byte, so that a terminal can be written from it."""

import msgspec
import pytest

from protocol.messages import EntryMode, OfflineSaleRequest
from protocol.messages.offline import NO_TAG, RECORD_SIZE, tag_of
from protocol.security import chain_tag, saf_key
from tests.protocol.example import NOW_S, OTHER_KEY, PAYER, ROOT_KEY, TERMINAL

KEY = saf_key(ROOT_KEY, TERMINAL)
RECORD = OfflineSaleRequest(
    stan=123,
    batch=17,
    amount_fen=1250,
    operator=5,
    entry_mode=EntryMode.CARD,
    payer=PAYER,
    claimed_at_s=NOW_S,
    stop_list_version=9,
    saf_sequence=4,
    previous_tag=bytes(range(16)),
    tag=NO_TAG,
)


def test_a_tag_covers_previous_tag_number_and_record():
    """The record written out by hand, as a terminal in C would."""
    record = bytes.fromhex(
        "00007b"  # stan 123
        "000011"  # batch 17
        "000004e2"  # 12.50
        "0005"  # operator
        "01"  # card
        "07 04a1b2c3d4e5f6 0000000000000000000000000000000000"  # payer
        + NOW_S.to_bytes(4, "big").hex()
        + "00000009"  # stop list version
    )
    assert len(record) == RECORD_SIZE
    assert tag_of(KEY, RECORD) == chain_tag(KEY, bytes(range(16)), 4, record)


OTHERS = {
    "stan": 124,
    "batch": 18,
    "amount_fen": 1251,
    "operator": 6,
    "entry_mode": EntryMode.CODE,
    "payer": PAYER + b"\x01",
    "claimed_at_s": NOW_S + 1,
    "stop_list_version": 10,
    "saf_sequence": 5,
    "previous_tag": bytes(16),
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_field_can_be_changed_without_the_tag_noticing(name):
    changed = msgspec.structs.replace(RECORD, **{name: OTHERS[name]})
    assert tag_of(KEY, changed) != tag_of(KEY, RECORD)
    assert {*OTHERS} == {field.name for field in OfflineSaleRequest.layout.fields} - {"tag"}, "every field is tried"


def test_a_tag_depends_on_the_key_and_not_on_the_tag_that_is_carried():
    assert tag_of(saf_key(OTHER_KEY, TERMINAL), RECORD) != tag_of(KEY, RECORD)
    assert tag_of(KEY, msgspec.structs.replace(RECORD, tag=bytes([255] * 16))) == tag_of(KEY, RECORD)
