"""The byte layout of wire version 1, pinned: terminals are in walls for ten years. A failure here is a new version."""

import json

import pytest

from protocol.messages import LAYOUTS
from tests.protocol.make_vectors import FOLDER, pinned

PINNED = json.loads((FOLDER / "layouts.json").read_text(encoding="utf-8"))["layouts"]


@pytest.mark.parametrize("key", LAYOUTS, ids=lambda key: f"{key[0]:04X}/{key[1]:02X}")
def test_layout(key):
    assert pinned(LAYOUTS[key]) in PINNED


def test_no_other_is_pinned():
    assert len(PINNED) == len(LAYOUTS)
