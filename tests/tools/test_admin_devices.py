"""`fanka admin terminal find|show|events`, `parameter` and `stoplist` as typed."""

from __future__ import annotations

import pytest

from server.ledger.parameters import Parameters


@pytest.fixture(autouse=True)
def hall(fanka, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    fanka("admin", "terminal", "enrol", "3-58", "--merchant", 1, "--out", tmp_path / "key.json", "--serial", "SN-17")


def test_is_this_machine_registered(fanka):
    assert fanka("admin", "terminal", "find", "SN-1") == 0
    assert "3-58" in fanka.out
    assert [row["terminal"] for row in fanka.json("admin", "terminal", "find", "SN-17")] == ["3-58"]
    assert fanka("admin", "terminal", "find", "17") == 0
    assert fanka.out == "no terminal has a serial number that begins with 17\n"


def test_all_about_one_terminal(fanka):
    fanka("admin", "terminal", "revoke", "3-58")
    assert fanka("admin", "terminal", "show", "3-58") == 0
    for expected in ("SN-17", "revoked", "clock: unknown", "offline-sale", "canteen", "key version 1 for merchant 1"):
        assert expected in fanka.out
    shown = fanka.json("admin", "terminal", "show", "3-58", "--events", 1)
    assert [row["event"] for row in shown["events"]] == ["revoked"]
    assert shown["parameters"]["offline_count"] == Parameters().offline_count
    assert [row["event"] for row in fanka.json("admin", "terminal", "events", "3-58")] == ["revoked", "enrolled"]
    fanka("admin", "terminal", "events", "3-58", "--limit", 1)
    assert "enrolled" not in fanka.out


def test_parameters_for_all_or_one(fanka):
    assert fanka("admin", "parameter", "list") == 0
    assert "nothing was set" in fanka.out
    for words, said in (
        (["offline-sale", "15.50"], "offline-sale of the campus: 15.50\n"),
        (["profile", "member", "--merchant", 1], "profile of merchant 1: member\n"),
        (["repeat-guard", "off", "--terminal", "3-58"], "repeat-guard of terminal 3-58: off\n"),
        (["pin-count", "none"], "pin-count of the campus: none\n"),
    ):
        assert fanka("admin", "parameter", "set", *words) == 0
        assert fanka.out == said
    fanka("admin", "parameter", "list")
    assert fanka.out.count("the campus") == 2
    shown = fanka.json("admin", "parameter", "show", "--terminal", "3-58")
    assert (shown["profile"], shown["repeat_guard"], shown["offline_sale_fen"]) == (1, 0, 1_550)
    assert fanka("admin", "parameter", "unset", "profile", "--merchant", 1) == 0
    assert fanka.out == "profile of merchant 1: taken back\n"
    fanka("admin", "parameter", "show", "--merchant", 1)
    assert "canteen" in fanka.out
    assert len(fanka.json("admin", "parameter", "list")) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["parameter", "set", "colour", "1"], "parameter: expected one of profile,"),
        (["parameter", "set", "profile", "kiosk"], "profile: expected canteen or member, got 'kiosk'"),
        (["parameter", "set", "profile", "1"], "profile: expected canteen or member, got '1'"),
        (["parameter", "set", "offline-count", "-1"], "offline-count: expected a number, got '-1'"),
        (["parameter", "set", "pin-sale", "x"], "amount: expected yuan like"),
        (["parameter", "set", "pin-sale", "1", "--merchant", 1], "for the whole campus"),
        (["parameter", "unset", "profile"], "expected a value that was set for the campus"),
        (["terminal", "show", "9-9"], "expected an enrolled one, got 9-9"),
        (["terminal", "events", "9-9"], "expected an enrolled one, got 9-9"),
    ],
)
def test_refused_in_one_line(fanka, words, said):
    assert said in fanka.error("admin", *words)


def test_the_stop_list(fanka, monkeypatch):
    monkeypatch.setattr("tools.options.PAGE", 1)
    assert fanka("admin", "stoplist", "show") == 0
    assert fanka.out == "version 0, 0 cards stopped\nno card was ever stopped\n"
    for uid in ("04", "05"):
        fanka("admin", "card", "issue", uid, f"S{uid}", "张三")
        fanka("admin", "card", "lost", uid)
    fanka("admin", "card", "found", "04")
    assert fanka("admin", "stoplist", "show") == 0
    assert "version 3, 1 cards stopped" in fanka.out
    assert "taken again" in fanka.out
    found = fanka.json("admin", "stoplist", "show")
    assert (found["version"], found["stopped"]) == (3, 1)
    assert [(row["version"], row["stopped"]) for row in found["cards"]] == [(2, True), (3, False)]
