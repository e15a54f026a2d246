"""`fanka admin` as it is typed: what is printed, written and refused."""

from __future__ import annotations

import json
import re
import stat
from datetime import datetime, timedelta, timezone

import pytest

from terminal_emulator.settings import read_settings


def test_from_nothing_to_a_card_with_money(fanka, tmp_path):
    assert fanka("admin", "merchant", "add", "一食堂") == 0
    assert fanka.out == "merchant 1: 一食堂\n"
    assert fanka("admin", "terminal", "enrol", "3-58", "--merchant", 1, "--out", tmp_path / "key.json") == 0
    assert fanka.out == f"terminal 3-58: key version 1 in {tmp_path / 'key.json'}\n"
    assert fanka("admin", "card", "issue", "04a1b2c3", "2023001", "张三") == 0
    assert fanka.out == "card 04A1B2C3: active, 2023001 张三, balance 0.00\n"
    assert fanka("admin", "account", "topup", "2023001", "50.05", "--request", "20261120-1") == 0
    assert fanka.out == "2023001 张三: 50.05, balance 50.05, RRN 1, request 20261120-1\n"
    assert fanka("admin", "account", "topup", "2023001", "50.05", "--request", "20261120-1") == 0
    assert fanka.out.endswith("request 20261120-1, posted before and not again\n")
    assert fanka("admin", "account", "correct", "2023001", "-0.05") == 0
    assert fanka.json("admin", "account", "show", "2023001")["balance_fen"] == 5000
    assert fanka("verify") == 0


def test_fresh_request_numbers_every_time(fanka):
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三")
    requests = {fanka.json("admin", "account", "topup", "S1", "1")["request"] for _ in range(3)}
    assert len(requests) == 3
    assert fanka.json("admin", "account", "show", "S1")["balance_fen"] == 300


def test_tables_line_up_with_chinese(fanka):
    fanka("admin", "merchant", "add", "一食堂")
    fanka("admin", "merchant", "add", "snack bar")
    assert fanka("admin", "merchant", "list") == 0
    rows = [line for line in fanka.out.splitlines() if "active" in line]

    def column(line: str) -> int:
        before = line[: line.index("active")]
        return len(before) + sum(ord(character) > 0x2E80 for character in before)

    assert len({column(row) for row in rows}) == 1
    assert all(row.rstrip().endswith("0.00") for row in rows)


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_in_a_narrow_window_nothing_is_cut_off(fanka, tmp_path, monkeypatch, columns):
    name = "第一学生食堂清真窗口"
    fanka("admin", "merchant", "add", name)
    fanka("admin", "terminal", "enrol", "3-58", "--merchant", 1, "--out", tmp_path / "key.json")
    monkeypatch.setattr("tools.listing.PIPE_WIDTH", columns)
    assert fanka("admin", "terminal", "list") == 0
    lines = [line.rstrip() for line in fanka.out.splitlines()]
    assert ["terminal", "3-58"] in [line.split() for line in lines]
    assert ["name", name] in [line.split() for line in lines]
    assert "…" not in fanka.out
    assert fanka("admin", "merchant", "list") == 0
    assert re.search(rf"1 +{name} +active +0\.00", fanka.out) is not None, "what fits is a table"


def test_a_virtual_card_is_called_by_its_number(fanka):
    number = fanka.json("admin", "card", "issue-virtual", "S1", "张三")["number"]
    assert fanka("admin", "account", "show", "S1") == 0
    assert f"card V{number}: active" in fanka.out
    assert fanka("admin", "card", "list") == 0
    assert f"V{number}" in fanka.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "day", "2026"], "day: expected a date as YYYYMMDD, like 20261130; got 2026"),
        (["report", "losses", "20260230"], "day: expected a date as YYYYMMDD"),
        (["day", "totals", "99999999"], "day: expected a date as YYYYMMDD"),
        (["clearing", "show", "-1"], "day: expected a date as YYYYMMDD"),
        (["card", "list", "--limit", "-1"], "limit: expected 0 for all, or more; got -1"),
        (["settlement", "list", "--limit", "-1"], "limit: expected 0 for all, or more; got -1"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_answered_with_nothing(fanka, words, said):
    assert said in fanka.error("admin", *words)


def test_names_are_shown_as_they_are(fanka):
    fanka("admin", "merchant", "add", "[bold]x[/]")
    fanka("admin", "merchant", "list")
    assert "[bold]x[/]" in fanka.out


@pytest.mark.parametrize("listing", ["merchant", "terminal", "card", "account"])
def test_an_empty_listing_says_what_to_do(fanka, listing):
    assert fanka("admin", listing, "list") == 0
    assert "fanka admin" in fanka.out
    assert fanka.json("admin", listing, "list") == []


def test_listings_page_through_everything(fanka, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    assert fanka("admin", "terminal", "enrol", "3-1..3-501", "--merchant", 1, "--out", tmp_path / "keys") == 0
    assert fanka.out == f"501 terminals: keys in {tmp_path / 'keys'}\n"
    assert len(fanka.json("admin", "terminal", "list")) == 501
    assert len([*(tmp_path / "keys").iterdir()]) == 501
    lines = "".join(f"S{number},张三,{number:08x},0\n" for number in range(501))
    (tmp_path / "cards.csv").write_text("student_number,name,card_uid,balance_yuan\n" + lines)
    assert fanka("admin", "import", tmp_path / "cards.csv") == 0
    assert len({row["uid"] for row in fanka.json("admin", "card", "list")}) == 501
    assert len({row["account_id"] for row in fanka.json("admin", "account", "list")}) == 501
    assert len(fanka.json("admin", "card", "list", "--limit", 7)) == 7
    assert len(fanka.json("admin", "account", "list", "--limit", 500)) == 500


# ---------------------------------------------------------------------------------------------- key files


def test_a_key_file_is_what_a_terminal_reads(fanka, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    path = tmp_path / "key.json"
    fanka("admin", "terminal", "enrol", "3-58", "--merchant", 1, "--out", path, "--host", "10.1.1.1", "--serial", "SN1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = read_settings(path)
    assert (str(settings.terminal), settings.key_version, settings.host) == ("3-58", 1, "10.1.1.1")
    assert (settings.port, settings.serial_number, len(settings.root_key)) == (4105, "SN1", 32)
    written = fanka.json("admin", "terminal", "enrol", "3-58", "--out", path)
    assert written == [{"terminal": "3-58", "key_version": 2, "file": str(path)}]
    assert read_settings(path).root_key != settings.root_key


def test_keys_are_never_printed(fanka, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    path = tmp_path / "key.json"
    fanka("admin", "terminal", "enrol", "3-58", "--merchant", 1, "--out", path)
    key = json.loads(path.read_text())["root_key"]
    for words in (["terminal", "list"], ["terminal", "list", "--json"]):
        fanka("admin", *words)
        assert key not in fanka.out


def test_a_one_time_code(fanka):
    fanka("admin", "merchant", "add", "一食堂")
    assert fanka("admin", "terminal", "enrol", "4-1", "--merchant", 1, "--code", "--serial", "SN1", "--qr") == 0
    assert "terminal 4-1: code " in fanka.out
    assert "only for serial number SN1" in fanka.out
    assert "█" in fanka.out
    offered = fanka.json("admin", "terminal", "enrol", "4-1", "--code")
    assert len(bytes.fromhex(offered["code"])) == 16


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["3-58"], "expected either --out FILE for a key file or --code for a one-time code"),
        (["3-58", "--code", "--out", "x.json"], "expected either --out"),
        (["3-1..3-5", "--code"], "expected --out FOLDER for a range"),
        (["3-5..3-1", "--out", "x"], "expected growing device numbers of one group"),
        (["3-1..4-5", "--out", "x"], "expected growing device numbers of one group"),
        (["3", "--out", "x"], "expected GROUP-DEVICE"),
        (["0-0", "--out", "x.json"], "expected any but 0-0"),
        (["3-58", "--out", "no/such/x.json"], "expected the name of a key file in a folder that exists"),
        (["3-58", "--out", "."], "expected the name of a key file"),
    ],
)
def test_enrolment_refused_before_anything_is_done(fanka, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    fanka("admin", "merchant", "add", "一食堂")
    assert said in fanka.error("admin", "terminal", "enrol", *words, "--merchant", 1)
    assert fanka.json("admin", "terminal", "list") == []


def test_revoked_and_reinstated(fanka, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    fanka("admin", "terminal", "enrol", "3-58", "--merchant", 1, "--out", tmp_path / "key.json")
    assert fanka("admin", "terminal", "revoke", "3-58") == 0
    assert fanka.json("admin", "terminal", "list")[0]["state"] == "revoked"
    assert fanka("admin", "terminal", "reinstate", "3-58") == 0
    assert fanka.out == "terminal 3-58: enrolled\n"


# ---------------------------------------------------------------------------------------------- the rest


def test_a_cards_life(fanka):
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三", "--sale-limit", "20", "--day-limit", "100.5")
    assert fanka.json("admin", "card", "show", "04A1B2C3")["card"]["day_limit_fen"] == 10_050
    for verb, status in [("freeze", "frozen"), ("unfreeze", "active"), ("lost", "lost"), ("found", "active")]:
        assert fanka("admin", "card", verb, "04A1B2C3") == 0
        assert fanka.out.startswith(f"card 04A1B2C3: {status}, S1")
    assert fanka.json("admin", "card", "limit", "04A1B2C3", "--sale", "0")["sale_limit_fen"] == 0
    assert fanka("admin", "card", "replace", "04A1B2C3", "05") == 0
    assert fanka("admin", "card", "close", "05") == 0
    assert "expected it active" in fanka.error("admin", "card", "freeze", "05")
    assert [row["status"] for row in fanka.json("admin", "card", "list", "--student-number", "S1")] == [
        "closed",
        "closed",
    ]
    assert fanka("admin", "account", "rename", "S1", "张三丰") == 0
    assert fanka.out == "S1: 张三丰\n"


def test_a_cards_history_is_shown(fanka):
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三")
    fanka("admin", "account", "topup", "S1", "12.34")
    for words in (["card", "show", "04a1b2c3"], ["account", "show", "S1"]):
        assert fanka("admin", *words) == 0
        assert "adjustment" in fanka.out
        assert fanka.out.count("12.34") == 3


def test_movements_fit_a_narrow_window(fanka, folder, monkeypatch):
    monkeypatch.setattr("tools.listing.PIPE_WIDTH", 80)
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三")
    fanka("admin", "account", "topup", "S1", "99999.99")
    fanka("admin", "account", "show", "S1")
    [row] = [line for line in fanka.out.splitlines() if "adjustment" in line]
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*99999\.99 .*99999\.99 .*office$", row.rstrip())
    assert len(row) <= 80


def test_times_are_the_folders(fanka, folder):
    [day] = fanka.json("admin", "day", "show")
    for minutes, name in ((480, "UTC+08:00"), (-210, "UTC-03:30"), (0, "UTC")):
        text = folder.config_path.read_text("utf-8")
        folder.config_path.write_text(re.sub("utc_offset_minutes = .*", f"utc_offset_minutes = {minutes}", text))
        fanka("admin", "day", "show")
        local = datetime.fromtimestamp(day["opened_at_ms"] / 1000, timezone(timedelta(minutes=minutes)))
        assert f"opened ({name})" in fanka.out
        assert f"{local:%Y-%m-%d %H:%M:%S}" in fanka.out


def test_merchants_change(fanka):
    fanka("admin", "merchant", "add", "一食堂")
    assert fanka("admin", "merchant", "rename", 1, "二食堂") == 0
    assert fanka.json("admin", "merchant", "close", 1)["status"] == "closed"
    assert fanka("admin", "merchant", "reopen", 1) == 0
    assert fanka.out == "merchant 1: 二食堂: active\n"


def test_days(fanka):
    [today] = fanka.json("admin", "day", "show")
    assert fanka("admin", "day", "open", today["day"]) == 0
    assert "is open already" in fanka.out
    assert "days never go back" in fanka.error("admin", "day", "open", today["day"] - 10_000)
    assert fanka.json("admin", "day", "totals") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["account", "topup", "S1", "1.005"], "amount: expected yuan like 12 or 12.50"),
        (["account", "topup", "S1", "-1"], "amount: expected 0.01 to"),
        (["account", "topup", "S1", "1000000000"], "up to 9999999.99 with"),
        (["import", "nope.csv"], 'nope.csv: expected something by this name, got "No such file or directory"; check'),
        (["import", "/"], '/: expected a file, got "Is a directory"; name a file in it'),
        (["account", "topup", "S9", "1"], "which nobody has"),
        (["account", "topup", "S1", "1", "--request", "x"], "--request: expected BATCH-LINE"),
        (["account", "topup", "S1", "1", "--request", "1-1"], "request: expected BATCH-LINE with batch 2.."),
        (["card", "freeze", "0909"], "expected one that was issued"),
        (["terminal", "revoke", "9-9"], "expected an enrolled one"),
        (["merchant", "close", 7], "which none has"),
    ],
)
def test_refused_in_one_line(fanka, words, said):
    fanka("admin", "card", "issue", "04a1b2c3", "S1", "张三")
    assert said in fanka.error("admin", *words)


def test_no_data_folder(fanka, tmp_path, monkeypatch):
    monkeypatch.delenv("FANKA_DATA")
    monkeypatch.chdir(tmp_path / "data" / "..")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "expected one data folder here" in fanka.error("admin", "merchant", "list")
    assert "fanka init" in fanka.error("admin", "merchant", "list", "--data", tmp_path / "empty")


def test_the_wrong_kek_is_told(fanka, folder):
    fanka("admin", "merchant", "list")
    folder.kek_path.write_text("00" * 32)
    assert "put back the kek.key that belongs to this ledger" in fanka.error("admin", "merchant", "list")
