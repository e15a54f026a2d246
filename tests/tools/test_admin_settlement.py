"""`fanka admin settlement` and `fanka admin clearing` as typed, on a ledger that a terminal has settled."""

from __future__ import annotations

import contextlib
import re

import pytest

from protocol.messages.money import TransactionKind
from server.ledger.sqlite import SqliteStore
from server.ledger.tariff import BonusTier, Tariff
from tests.server.ledger.campus import CARDS, DAY
from tests.server.settling import World, forged


def test_nothing_yet(fanka):
    assert fanka("admin", "settlement", "list") == 0
    assert fanka.out == "no settlements yet: terminals make them (F1 0 1)\n"
    assert fanka("admin", "settlement", "list", "--open") == 0
    assert fanka.out == "no settlement is open\n"
    assert fanka("admin", "settlement", "due") == 0
    assert fanka.out == "all is settled\n"
    assert fanka("admin", "clearing", "show") == 0
    assert fanka.out == "nothing was cleared so far\n"
    assert fanka("admin", "clearing", "show", DAY) == 0
    assert fanka.out == f"nothing was cleared for business day {DAY}\n"
    assert "expected the number of a settlement, got 1" in fanka.error("admin", "settlement", "show", 1)


@pytest.fixture
def settled(folder):
    """Batch 1 balanced, batch 2 closed with a difference, batch 3 on its way, and a sale after it; then a new day."""
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        world = World(store)
        with store.transaction():
            for account_id in CARDS:
                store.execute("INSERT INTO customers VALUES (?, ?, ?)", (account_id, f"S{account_id}", "Ann"))
        world.sell(1000, 250)
        world.settle()
        for batch in (2, 3):
            world.sell(300)
            world.till.save(forged(9, batch=batch))
            world.settle()
            if batch == 2:
                world.accept()
        world.ledger.open_day(DAY + 1, world.now_ms)


def test_settlements_as_a_table(fanka, settled):
    assert fanka("admin", "settlement", "list") == 0
    lines = fanka.out.splitlines()
    assert [line.split()[:4] for line in lines if " 3-58 " in line] == [
        ["3", "3-58", "3", "open"],
        ["2", "3-58", "2", "differences"],
        ["1", "3-58", "1", "balanced"],
    ]
    assert [row["settlement"] for row in fanka.json("admin", "settlement", "list", "--open")] == [3]
    assert [row["settlement"] for row in fanka.json("admin", "settlement", "list", "--limit", 2)] == [3, 2]


def test_the_witness_of_a_settlement_is_shown_as_verify_wants_it(fanka, settled):
    assert fanka("admin", "settlement", "show", 1) == 0
    [witness] = re.findall(r"\b\d+:[0-9A-F]{16}\b", fanka.out)
    assert fanka("verify", "--expect", witness) == 0
    assert fanka("verify", "--expect", f"9{witness}") == 1


def test_pages_of_the_list(fanka, settled, monkeypatch):
    monkeypatch.setattr("tools.options.PAGE", 1)
    assert [row["settlement"] for row in fanka.json("admin", "settlement", "list")] == [3, 2, 1]


def test_one_settlement_names_what_differs(fanka, settled):
    assert fanka("admin", "settlement", "show", 2) == 0
    assert "missing_at_host" in fanka.out
    assert "8.00" in fanka.out
    assert fanka("admin", "settlement", "show", 1) == 0
    assert "no differences" in fanka.out
    assert fanka("admin", "settlement", "show", 3) == 0
    assert "its terminal has not finished" in fanka.out
    assert fanka.json("admin", "settlement", "show", 2)["differing"][0]["stan"] == 9


def test_points_in_a_settlement_are_no_money(fanka, folder):
    """Neither in the totals, nor where they differ."""
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        world = World(store)
        world.ledger.tariff = Tariff(points_rates={0: 10}, bonus_tiers={0: (BonusTier(100, 10),)})
        world.sell(1000)
        world.transact(TransactionKind.POINTS_SALE, 42)
        world.transact(TransactionKind.TOPUP, 200)
        world.till.save(forged(9, kind=TransactionKind.POINTS_SALE, amount_fen=77))
        world.settle()
        world.accept()
    assert fanka("admin", "settlement", "show", 1) == 0
    lines = [line.split() for line in fanka.out.splitlines()]
    assert ["points_sale", "2", "119", "points", "1", "42", "points"] in lines
    assert ["topup", "1", "2.00", "2.10", "1", "2.00", "2.10"] in lines
    [differing] = [line for line in lines if "missing_at_host" in line]
    assert differing[:7] == ["9", "missing_at_host", "points_sale", "approved", "77", "points", "none"]


def test_what_is_due(fanka, settled):
    [due] = fanka.json("admin", "settlement", "due")
    assert (due["terminal"], due["batch"], due["transactions"]) == ("3-58", 3, 1)
    assert fanka("admin", "settlement", "due") == 0
    assert "3-58" in fanka.out


def test_a_day_is_cleared_once(fanka, settled):
    assert fanka("admin", "clearing", "run", DAY) == 0
    assert f"business day {DAY}: 1 merchant, 18.50 in all" in fanka.out
    [first] = fanka.json("admin", "clearing", "run", DAY)
    assert (first["merchant_id"], first["amount_fen"]) == (1, 1850)
    assert fanka.json("admin", "clearing", "show") == [first]
    assert [row["balance_fen"] for row in fanka.json("admin", "merchant", "list")] == [0, 0]
    assert "expected one that is over" in fanka.error("admin", "clearing", "run", DAY + 1)


def test_the_books_hold_afterwards(fanka, settled):
    assert fanka("admin", "clearing", "run", DAY) == 0
    assert [check["name"] for check in fanka.json("verify")["checks"] if not check["ok"]] == []
