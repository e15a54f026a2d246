"""History of the configuration: what was noted is found, newest first; its version only grows."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.changes import Changes
from tests.server.ledger.stores import BOTH, new_store


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store:
        yield store


def test_changes_are_found_newest_first_and_by_what_they_are_about(store):
    changes = Changes(store)
    assert changes.newest(before=1 << 62, limit=5) == []
    with store.transaction():
        changes.note(1000, "ann", "meal.set", "meal 1", "", "lunch")
        changes.note(2000, "ben", "meal.set", "meal 10", "", "dinner")
        changes.note(3000, "ann", "meal.delete", "meal 1", "lunch", "")
    found = changes.newest(before=1 << 62, limit=5)
    assert [(change.number, change.who, change.what) for change in found] == [
        (3, "ann", "meal 1"),
        (2, "ben", "meal 10"),
        (1, "ann", "meal 1"),
    ]
    assert (found[0].at_ms, found[0].operation, found[0].old, found[0].new) == (3000, "meal.delete", "lunch", "")
    assert [change.number for change in changes.newest(before=3, limit=1)] == [2]
    assert [change.number for change in changes.newest(before=1 << 62, limit=5, what="meal 10")] == [2]
    assert changes.newest(before=1 << 62, limit=5, what="bonus") == []


def test_the_version_grows_with_every_change_and_above_what_a_lost_host_gave(store):
    changes = Changes(store)
    versions = [changes.config_version(1)]
    for _ in range(3):
        with store.transaction():
            changes.raise_config_version()
        versions.append(changes.config_version(1))
    assert versions == sorted(set(versions))
    assert changes.config_version(2) > versions[-1]
