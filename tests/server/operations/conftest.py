"""Every test of an operation leaves a ledger that holds."""

from __future__ import annotations

import pytest

from tests.server.office import Office


@pytest.fixture
def office():
    office = Office()
    yield office
    office.audit()
    office.store.close()
