"""`fanka admin report` and `unresolved` as typed."""

from __future__ import annotations

import contextlib
import getpass

import pytest

from server.ledger.ledger import Ledger
from server.ledger.model import Decision, Identity, Kind, PointsSale, Reversal, Sale, SaleLimits, Void
from server.ledger.sqlite import SqliteStore
from server.ledger.tariffs import read_tariff
from server.operations.desk import parse_terminal
from tests.server.ledger.records import Recorder

TILL = "3-58"
CARD = b"\x04\xa1\xb2\xc3"
WEEK_MS = 7 * 24 * 3_600_000


@pytest.fixture
def sold(fanka, folder, tmp_path):
    """A merchant has sold for 12.50, reversed what nobody saw, and brought two offline sales that cannot be booked."""
    fanka("admin", "merchant", "add", "一食堂")
    fanka("admin", "terminal", "enrol", TILL, "--merchant", 1, "--out", tmp_path / "key.json")
    fanka("admin", "card", "issue", CARD.hex(), "S1", "张三")
    fanka("admin", "account", "topup", "S1", "50")
    till = Recorder(parse_terminal(TILL))
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        ledger = Ledger(store, SaleLimits(0, 0))
        posted_at_ms = store.execute("SELECT posted_at_ms FROM transfers")[0][0]
        outcomes = ledger.apply(
            [
                Sale(Identity(till.terminal_id, 1, 1), b"s" * 16, CARD, 1_250, 7, 1),
                Reversal(Identity(till.terminal_id, 1, 2), b"r" * 16, CARD, 300, 7, 1),
                till.sold(3, 400, token=b"\x09"),
                till.sold(4, 500, token=CARD, is_authentic=False),
            ],
            posted_at_ms - WEEK_MS,
        )
    assert outcomes[0].decision == outcomes[1].decision == Decision.APPROVED
    assert outcomes[2].decision == Decision.CARD_UNKNOWN
    return fanka


def test_a_day_by_merchant_meal_and_type(sold):
    sold("admin", "meal", "set", 1, "全天", "0:00", "24:00")
    [line] = [row for row in sold.json("admin", "report", "day") if row["type"] == "sale"]
    assert (line["merchant_name"], line["meal"], line["count"], line["amount_fen"], line["charged_fen"]) == (
        "一食堂",
        "全天",
        1,
        1_250,
        1_250,
    )
    assert sold("admin", "report", "day") == 0
    assert "12.50" in sold.out
    assert sold.out.splitlines()[-1] == "一食堂: net 12.50"
    assert sold.json("admin", "report", "day", "--merchant", 2) == []
    assert sold("admin", "report", "day", 20200101) == 0
    assert sold.out == "nothing was done on business day 20200101\n"


def test_a_void_that_was_reversed_and_points_on_a_day(sold, folder):
    """What stands can be read off: what was reversed, what the merchant got and gave, and points as points."""
    sold("admin", "points", "set", "1")
    terminal_id = parse_terminal(TILL)
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        ledger = Ledger(store, SaleLimits(0, 0))
        ledger.tariff = read_tariff(store, 480)
        eaten = Identity(terminal_id, 1, 10)
        gone = Identity(terminal_id, 1, 11)
        outcomes = ledger.apply(
            [
                Sale(eaten, b"s" * 16, CARD, 1_600, 7, 1),
                Void(gone, b"v" * 16, CARD, 1_600, 7, 1, kind=Kind.VOID, original=eaten),
                Reversal(gone, b"r" * 16, CARD, 1_600, 7, 1),
                PointsSale(Identity(terminal_id, 1, 12), b"p" * 16, CARD, 2, 7, 1),
            ],
            1,
        )
    assert {outcome.decision for outcome in outcomes} == {Decision.APPROVED}
    names = ("count", "undone", "amount_fen", "net_fen", "points")
    found = {row["type"]: tuple(row[name] for name in names) for row in sold.json("admin", "report", "day")}
    assert found["void"] == (1, 1, 1_600, -1_600, -16)
    assert found["reversal of void"] == (1, 0, 1_600, 1_600, 16)
    assert found["points sale"] == (1, 0, 0, 0, -2)
    assert sold("admin", "report", "day") == 0
    [line] = [line.split() for line in sold.out.splitlines() if "points sale" in line]
    assert line[-6:] == ["1", "0", "0.00", "0.00", "0.00", "-2"]
    assert sold.out.splitlines()[-1] == "一食堂: net 28.50"


def test_what_was_lost_offline(sold):
    lost = {row["reason"]: row["amount_fen"] for row in sold.json("admin", "report", "losses")}
    assert lost["card unknown"] == 400
    assert sold("admin", "report", "losses", 20200101) == 0
    assert sold.out == "no offline sale was lost on business day 20200101\n"


def test_who_owes_the_campus(sold, folder):
    assert sold("admin", "report", "debts") == 0
    assert sold.out == "nobody owes the campus anything\n"
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        till = Recorder(parse_terminal("3-58"))
        till.sequence, till.tag = store.execute("SELECT saf_sequence, saf_tag FROM terminals")[0]
        Ledger(store, SaleLimits(0, 0)).apply([till.sold(9, 4_000, token=CARD)], 1)
    [owed] = sold.json("admin", "report", "debts")
    assert (owed["student_number"], owed["debt_fen"], owed["points"]) == ("S1", 250, 0)


def test_who_owes_points(sold, folder):
    sold("admin", "points", "set", "1")
    terminal_id = parse_terminal(TILL)
    with contextlib.closing(SqliteStore(folder.ledger_path)) as store:
        ledger = Ledger(store, SaleLimits(0, 0))
        ledger.tariff = read_tariff(store, 480)
        eaten = Identity(terminal_id, 1, 10)
        ledger.apply(
            [
                Sale(eaten, b"s" * 16, CARD, 1_600, 7, 1),
                PointsSale(Identity(terminal_id, 1, 11), b"p" * 16, CARD, 16, 7, 1),
                Void(Identity(terminal_id, 1, 12), b"v" * 16, CARD, 1_600, 7, 1, kind=Kind.VOID, original=eaten),
            ],
            1,
        )
    [owed] = sold.json("admin", "report", "debts")
    assert (owed["student_number"], owed["debt_fen"], owed["points"]) == ("S1", 0, 16)
    account = sold.json("admin", "account", "show", "S1")
    assert (account["points"], account["held_fen"]) == (-16, 0)
    assert sold("admin", "account", "show", "S1") == 0
    assert "-16" in sold.out


def test_the_quarantine(sold, monkeypatch):
    monkeypatch.setattr("tools.options.PAGE", 1)
    [record] = sold.json("admin", "offline", "quarantine")
    assert (record["reason"], record["card"], record["amount_fen"]) == ("tampered", CARD.hex().upper(), 500)
    sold("admin", "unresolved", "resolve", "quarantine", record["number"], "假的")
    assert sold("admin", "offline", "quarantine") == 0
    assert "假的" in sold.out


def test_unresolved_until_somebody_has_looked(sold):
    found = {row["kind"]: row for row in sold.json("admin", "unresolved", "list")}
    assert set(found) == {"reversal", "quarantine"}
    assert (found["reversal"]["terminal"], found["reversal"]["age_hours"]) == (TILL, 168)
    assert found["quarantine"]["owner"] == "一食堂, terminal 3-58"
    assert sold("admin", "unresolved", "list") == 0
    assert "7 days" in sold.out
    assert "tampered" in sold.out
    [only] = sold.json("admin", "unresolved", "list", "--kind", "quarantine")
    for kind, number in (("quarantine", only["number"]), ("reversal", found["reversal"]["number"])):
        assert sold("admin", "unresolved", "resolve", kind, number, "看过了") == 0
        assert sold.out == f"{kind} {number}: resolved: 看过了\n"
    assert sold("admin", "unresolved", "resolve", "quarantine", only["number"], "again") == 0
    assert sold.out == f"quarantine {only['number']}: resolved before by {getpass.getuser()}: 看过了\n"
    assert sold("admin", "unresolved", "list") == 0
    assert sold.out == "nothing is unresolved\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["unresolved", "list", "--kind", "debts"],
            "kind: expected one of hold, reversal, batch, settlement, late, quarant",
        ),
        (["unresolved", "resolve", "hold", 1, "x"], "a hold goes by completion, void or expiry"),
        (["unresolved", "resolve", "reversal", 999, "x"], "expected the number of a reversal, got 999"),
    ],
)
def test_refused_in_one_line(sold, words, said):
    assert said in sold.error("admin", *words)
