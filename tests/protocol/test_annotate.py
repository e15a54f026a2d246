"""Bodies as lines for people: every byte in one line, rows cell by cell, nothing private in any."""

import pytest

from protocol.annotate import STARS, Item, body_items
from protocol.messages.fields import Privacy
from tests.protocol.example import PAYER
from tests.protocol.messages.test_fields import DISHES, RICE, SOUP, One, only
from tests.protocol.samples import SAMPLES, sample_id

LAYOUT = only(DISHES)


def lines(body: bytes) -> dict[str, Item]:
    return {item.field: item for item in body_items(LAYOUT, body, {})}


def column_of(field: str) -> str:
    """The name of a field, or of the column a line of rows is about."""
    return field.rpartition(".")[2]


@pytest.mark.parametrize("message", SAMPLES, ids=sample_id)
def test_every_byte_of_a_body_stands_in_one_line(message):
    layout, at = message.layout, 16
    for item in body_items(layout, layout.encode(message), {}):
        assert item.offset == at
        assert not item.verdict
        at += item.size
    assert at == 16 + layout.size


@pytest.mark.parametrize("message", SAMPLES, ids=sample_id)
def test_nothing_private_stands_in_any(message):
    layout = message.layout
    columns = [column for field in layout.fields for column in field.columns or (field,)]
    private = {column.name for column in columns if column.privacy is not Privacy.OPEN}
    for item in body_items(layout, layout.encode(message), {}):
        assert item.hex == STARS or column_of(item.field) not in private


class TestRows:
    def test_cell_by_cell(self):
        shown = lines(LAYOUT.encode(One(value=(RICE, SOUP))))
        assert {name: item.value for name, item in shown.items()} == {
            "processing_code": "77 one",
            "value": "2 rows",
            "value[1].price": "999",
            "value[1].name": "''",
            "value[1].colour": "7 dark_blue",
            "value[1].payer": "1 bytes **",
            "value[2].price": "258",
            "value[2].name": "'汤'",
            "value[2].colour": "1 red",
            "value[2].payer": "7 bytes **********e5f6",
        }
        assert shown["value[2].price"].hex == "000102"
        assert shown["value[2].price"].offset == 17 + 1 + 35

    def test_what_is_left_empty_is_one_line(self):
        items = list(body_items(LAYOUT, LAYOUT.encode(One(value=(SOUP,))), {}))
        assert items[-1].value == "35 bytes of no row, all zero"
        assert sum(item.size for item in items) == LAYOUT.size

    def test_unreadable_ones_are_counted_only(self):
        body = bytearray(LAYOUT.encode(One(value=(SOUP,))))
        body[1] = 3
        item = lines(bytes(body))["value"]
        assert item.verdict == f"expected {DISHES.expected}"
        assert (item.hex, item.value) == (STARS, "")
        assert PAYER.hex() not in repr(item)
