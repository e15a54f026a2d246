"""`fanka admin import`: all or nothing, errors to screen and file, safe to repeat."""

from __future__ import annotations

import csv

import pytest

HEADER = "student_number,name,card_uid,balance_yuan\n"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cards.csv"


def balances(fanka):
    return {row["student_number"]: row["balance_fen"] for row in fanka.json("admin", "account", "list")}


def test_imported(fanka, file):
    file.write_text(HEADER + "S1,张三,04A1,12.50\nS2,李四,04A2,0\n", "gb18030")
    assert fanka("admin", "import", file) == 0
    assert fanka.out.splitlines() == [
        f"{file}: read as GB18030",
        "2 lines: 2 new accounts, 2 new cards, 1 opening balance of 12.50 yuan",
    ]
    assert balances(fanka) == {"S1": 1250, "S2": 0}
    assert not file.with_name("cards.csv.errors.csv").exists()
    assert fanka("verify") == 0


def test_the_same_file_again(fanka, file):
    file.write_text(HEADER + "S1,张三,04A1,12.50\n")
    fanka("admin", "import", file)
    assert fanka("admin", "import", file) == 0
    assert (
        "1 line: 0 new accounts, 0 new cards, 0 opening balances of 0.00 yuan together; the rest was there" in fanka.out
    )
    assert balances(fanka) == {"S1": 1250}


def test_one_bad_line_and_nothing_is_imported(fanka, file):
    file.write_text(HEADER + "S1,张三,04A1,12.50\nS2,李四,zz,1\nS3,王五,04A3,1.005\n")
    assert fanka("admin", "import", file) == 1
    lines = fanka.out.splitlines()
    assert lines[1].startswith("line 3, card_uid: expected its UID as hex digits")
    assert lines[2] == "line 4, balance_yuan: expected yuan like 12 or 12.50, not below 0; got 1.005"
    assert lines[3] == f"2 errors on 2 lines; all in {file}.errors.csv"
    assert lines[4] == "nothing was imported; mend the lines, or import the others with --skip-bad"
    assert balances(fanka) == {}
    rows = [*csv.reader(file.with_name("cards.csv.errors.csv").read_text("utf-8-sig").splitlines())]
    assert [row[:2] for row in rows] == [["line", "field"], ["3", "card_uid"], ["4", "balance_yuan"]]


def test_the_good_ones_all_the_same(fanka, file):
    file.write_text(HEADER + "S1,张三,04A1,12.50\nS2,李四,zz,1\n")
    assert fanka("admin", "import", file, "--skip-bad") == 0
    assert "1 line: 1 new account," in fanka.out
    assert balances(fanka) == {"S1": 1250}


def test_mended_and_repeated(fanka, file):
    file.write_text(HEADER + "S1,张三,04A1,12.50\nS2,李四,zz,1\n")
    fanka("admin", "import", file, "--skip-bad")
    file.write_text(HEADER + "S1,张三,04A1,12.50\nS2,李四,04A2,1\n")
    assert fanka("admin", "import", file) == 0
    assert balances(fanka) == {"S1": 1250, "S2": 100}
    assert not file.with_name("cards.csv.errors.csv").exists()


def test_what_the_ledger_has_otherwise_is_a_bad_line(fanka, file):
    fanka("admin", "card", "issue", "04A1", "S9", "王五")
    file.write_text(HEADER + "S1,张三,04A1,12.50\n")
    assert fanka("admin", "import", file) == 1
    assert "line 2, card_uid: expected a card nobody else has; got 04A1, which is S9's" in fanka.out
    assert balances(fanka) == {"S9": 0}


def test_many_errors_the_first_twenty_on_screen_all_in_the_file(fanka, file):
    file.write_text(HEADER + "".join(f"S{number},张三,{number:08x},x\n" for number in range(250)))
    assert fanka("admin", "import", file) == 1
    assert fanka.out.count("line ") == 20
    assert "250 errors on 250 lines, the first 20 above; all in" in fanka.out
    assert len(file.with_name("cards.csv.errors.csv").read_text("utf-8-sig").splitlines()) == 251


def test_more_than_a_chunk(fanka, file):
    file.write_text(HEADER + "".join(f"S{number},张三,{number:08x},1\n" for number in range(450)))
    result = fanka.json("admin", "import", file)
    assert result["lines"] == result["cards_new"] == result["posted"] == 450
    assert result["posted_fen"] == 45_000
    assert (result["encoding"], result["errors"], result["errors_file"]) == ("UTF-8", [], None)


def test_a_file_that_cannot_be_taken(fanka, file):
    assert "No such file" in fanka.error("admin", "import", file)
    file.write_text("name;card\n")
    assert f"{file}: line 1: expected the header" in fanka.error("admin", "import", file)
