"""What is told of a change: of one that was committed always, of one that was not never."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from server.ledger.parameters import Parameters
from server.ledger.store import StoreAway, StoreFull
from server.operations import desk


def test_rules_and_terminals_know_of_a_change_when_it_is_committed(office):
    before = office.admin.config_version()
    office.call("parameter.set", name="pin_sale_fen", value=1_000)
    assert office.ledger.tariff.pin_above_fen == 1_000
    assert office.admin.config_version() == before + 1
    office.call("parameter.set", name="pin_sale_fen", value=1_000)  # nothing new
    assert office.admin.config_version() == before + 1


def test_rules_are_read_once_for_a_change_and_not_for_every_password_after_it(office, monkeypatch):
    def read_again(*_):
        raise AssertionError("nothing has changed since")

    office.call("parameter.set", name="pin_sale_fen", value=1_000)
    monkeypatch.setattr(desk, "read_tariff", read_again)
    with office.admin.desk.transaction():
        pass
    assert office.ledger.tariff.pin_above_fen == 1_000


def test_a_change_whose_rules_cannot_be_read_is_not_committed(office, monkeypatch):
    def away(*_):
        raise StoreAway("gone for a moment")

    before, state = office.contents(), (office.ledger.tariff, office.admin.config_version())
    monkeypatch.setattr(desk, "read_tariff", away)
    with pytest.raises(StoreAway):
        office.call("parameter.set", name="pin_sale_fen", value=1_000)
    monkeypatch.undo()
    assert office.contents() == before
    assert (office.ledger.tariff, office.admin.config_version()) == state
    assert office.call("parameter.show")["pin_sale_fen"] == Parameters().pin_sale_fen == 0


def test_a_commit_that_fails_tells_nobody(office, monkeypatch):
    real = type(office.store).transaction

    @contextmanager
    def full(store):
        with real(store):
            yield
            raise StoreFull("disk full")

    state = office.ledger.tariff, office.admin.config_version()
    monkeypatch.setattr(type(office.store), "transaction", full)
    with pytest.raises(StoreFull):
        office.call("parameter.set", name="pin_sale_fen", value=1_000)
    monkeypatch.undo()
    assert (office.ledger.tariff, office.admin.config_version()) == state
