"""A ledger of its own for every test of a rule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.ledger.ledger import Ledger
from server.ledger.sqlite import SqliteStore
from tests.server.ledger import audit
from tests.server.ledger.campus import open_campus


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """In memory, without limits; every invariant is checked when the test is done."""
    store = SqliteStore(":memory:")
    yield open_campus(store)
    audit.check(store)
    store.close()
