"""The audit is the judge of every load test: each way in which money can be wrong must be seen by it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from server.ledger.batch import Batch
from server.ledger.ledger import Ledger
from server.ledger.model import Adjustment, Identity, Outcome, Reversal, Sale, SaleLimits, Upload
from server.ledger.rules import RULES
from server.ledger.rules import sale as sale_rule
from server.ledger.sqlite import SqliteStore
from tools.audit import Acknowledged, audit, mark

TERMINAL = 3 << 16 | 58
OTHER = 3 << 16 | 59
TOKEN = bytes.fromhex("04a1b2c3")
OTHER_TOKEN = bytes.fromhex("04d4e5f6")
ANN, BEN = 1_000_000, 1_000_001
HASH = bytes(16)


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    """A ledger with one merchant, two terminals and two cards with 100.00 each."""
    path = tmp_path / "ledger.db"
    store = SqliteStore(path)
    with store.transaction():
        store.execute("INSERT INTO merchants VALUES (1, 'm', 0, 1000)")
        store.execute("INSERT INTO accounts (account_id, kind) VALUES (1000, 3), (1000000, 2), (1000001, 2)")
        for token, account_id in ((TOKEN, ANN), (OTHER_TOKEN, BEN)):
            store.execute("INSERT INTO cards (token, account_id) VALUES (?, ?)", (token, account_id))
        store.execute("INSERT INTO terminals (terminal_id, merchant_id) VALUES (?, 1), (?, 1)", (TERMINAL, OTHER))
    ledger = Ledger(store, SaleLimits(0, 0))
    ledger.open_day(20261120, 0)
    ledger.apply([Adjustment(Identity(0, 1, account), HASH, account, 10_000, 0) for account in (ANN, BEN)], 1)
    store.close()
    return path


def sell(path: Path, stan: int, amount_fen: int, terminal_id: int = TERMINAL, token: bytes = TOKEN) -> Acknowledged:
    """Book one sale; what its terminal would have been told."""
    store = SqliteStore(path)
    sale = Sale(Identity(terminal_id, 1, stan), HASH, token, amount_fen, 0, 0)
    outcome = Ledger(store, SaleLimits(0, 0)).apply([sale], 2)[0]
    store.close()
    return Acknowledged(terminal_id, 1, stan, amount_fen, outcome.rrn, token)


def test_all_well(ledger_path: Path) -> None:
    sell(ledger_path, 1, 100)
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 2, 250), sell(ledger_path, 3, 300)]
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert found.ok
    assert (found.acknowledged, found.in_ledger, found.missing, found.duplicated, found.balanced) == (2, 2, 0, 0, True)


def test_a_sale_that_was_told_but_is_not_there(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100), Acknowledged(TERMINAL, 1, 2, 100, 99, TOKEN)]
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


def test_a_sale_told_for_one_card_and_recorded_for_another(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [msgspec.structs.replace(sell(ledger_path, 1, 100), payer=OTHER_TOKEN)]
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.balanced, found.ok) == (1, True, False)
    assert "stan=1" in found.examples[0]
    assert f"charged account {ANN}" in found.examples[0]


def test_another_customer_charged_than_the_owner_of_the_card(
    ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger with this bug balances, and what it holds follows from itself: only who showed which card tells."""

    def charge_somebody_else(batch: Batch, command: Sale) -> Outcome:
        batch.cards[TOKEN] = msgspec.structs.replace(batch.cards[TOKEN], account_id=BEN)
        batch.accounts |= SqliteStore(ledger_path, readonly=True).load_accounts({BEN})
        return sale_rule.apply(batch, command)

    monkeypatch.setitem(RULES, Sale, charge_somebody_else)
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100)]
    found = audit(ledger_path, before, {TERMINAL}, told)
    assert (found.missing, found.duplicated, found.balanced, found.ok) == (1, 0, True, False)
    assert f"charged account {BEN}" in found.examples[0]
    assert f"is account {ANN}'s" in found.examples[0]


def test_a_card_the_ledger_does_not_know(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    told = [sell(ledger_path, 1, 100)]
    store = SqliteStore(ledger_path)
    with store.transaction():
        store.execute("DELETE FROM cards WHERE token = ?", (TOKEN,))
    store.close()
    assert audit(ledger_path, before, {TERMINAL}, told).missing == 1


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


def test_a_sale_brought_back_after_a_restore_goes_by_the_number_its_terminal_knows(ledger_path: Path) -> None:
    before = mark(ledger_path, {TERMINAL})
    store = SqliteStore(ledger_path)
    ledger = Ledger(store, SaleLimits(0, 0))
    ledger.open_history(3)
    ledger.apply([Upload(Identity(TERMINAL, 1, 1), HASH, TOKEN, 100, 0, 0, 900)], 3)
    store.close()
    assert audit(ledger_path, before, {TERMINAL}, [Acknowledged(TERMINAL, 1, 1, 100, 900, TOKEN)]).ok
    found = audit(ledger_path, before, {TERMINAL}, [Acknowledged(TERMINAL, 1, 1, 100, 3, TOKEN)])
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
