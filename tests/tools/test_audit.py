"""The audit is the judge of every load test: each way in which money can be wrong must be seen by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.ledger.ledger import Ledger
from server.ledger.model import Adjustment, Identity, Reversal, Sale, SaleLimits
from server.ledger.sqlite import SqliteStore
from tools.audit import Acknowledged, audit, mark

TERMINAL = 3 << 16 | 58
OTHER = 3 << 16 | 59
TOKEN = bytes.fromhex("04a1b2c3")
HASH = bytes(16)


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    """A ledger with one merchant, two terminals and one card with 100.00 on it."""
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    with store.transaction():
        store.execute("INSERT INTO merchants VALUES (1, 'm', 0, 1000)")
        store.execute("INSERT INTO accounts (account_id, kind) VALUES (1000, 3), (1000000, 2)")
        store.execute("INSERT INTO cards (token, account_id) VALUES (?, 1000000)", (TOKEN,))
        store.execute("INSERT INTO terminals (terminal_id, merchant_id) VALUES (?, 1), (?, 1)", (TERMINAL, OTHER))
    ledger = Ledger(store, SaleLimits(0, 0))
    ledger.open_day(20261120, 0)
    ledger.apply([Adjustment(Identity(0, 1, 1), HASH, 1_000_000, 10_000, 0)], 1)
    store.close()
    return path


def sell(path: Path, stan: int, amount_fen: int, terminal_id: int = TERMINAL) -> Acknowledged:
    """Book one sale; what its terminal would have been told."""
    store = SqliteStore(path)
    sale = Sale(Identity(terminal_id, 1, stan), HASH, TOKEN, amount_fen, 0, 0)
    outcome = Ledger(store, SaleLimits(0, 0)).apply([sale], 2)[0]
    store.close()
    return Acknowledged(terminal_id, 1, stan, amount_fen, outcome.rrn)


def test_all_well(ledger_path: Path) -> None:
    sell(ledger_path, 1, 100)
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 2, 250), sell(ledger_path, 3, 300)]
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert found.ok
    assert (found.acknowledged, found.in_ledger, found.missing, found.duplicated, found.balanced) == (2, 2, 0, 0, True)


def test_a_sale_that_was_told_but_is_not_there(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100), Acknowledged(TERMINAL, 1, 2, 100, 99)]
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.balanced, found.ok) == (1, False, False)
    assert "stan=2" in found.examples[0]


@pytest.mark.parametrize("field", ["amount_fen", "rrn"])
def test_a_sale_that_is_there_with_other_content(ledger_path: Path, field: str) -> None:
    before = mark(ledger_path, {TERMINAL})
    real = sell(ledger_path, 1, 100)
    fields = {name: getattr(real, name) for name in real.__struct_fields__}
    told = [Acknowledged(**(fields | {field: fields[field] + 1}))]
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.ok) == (1, False)


def test_a_charge_nobody_was_told_of(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100)]
    sell(ledger_path, 2, 100)
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.duplicated, found.balanced, found.ok) == (0, 1, False, False)


def test_a_reversed_sale_is_no_charge_but_must_not_count_as_approved(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100)]
    store = SqliteStore(ledger_path)
    reversal = Reversal(Identity(TERMINAL, 1, 1), HASH, TOKEN, 100, 0, 0)
    Ledger(store, SaleLimits(0, 0)).apply([reversal], 3)
    store.close()
    assert audit(ledger_path, before, {TERMINAL}, []).ok
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.ok) == (1, False)


def test_other_terminals_are_not_ours_but_share_the_merchant(ledger_path: Path) -> None:
    """Money a merchant gained elsewhere makes the books look uneven: a load test wants its own merchants."""
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100)]
    sell(ledger_path, 1, 100, OTHER)
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.duplicated, found.balanced) == (0, 0, False)


def test_an_edited_balance(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100)]
    store = SqliteStore(ledger_path)
    with store.transaction():
        store.execute("UPDATE accounts SET balance_fen = balance_fen + 1 WHERE account_id = 1000000")
    store.close()
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.duplicated, found.balanced) == (0, 0, False)
