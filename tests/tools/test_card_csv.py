"""The import file: encodings, header, and every bad line told with its number, field, expected and got."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tools.card_csv
from tools.card_csv import CsvError, LineError, errors_csv, harmless, read_card_file

HEADER = "student_number,name,card_uid,balance_yuan"
LONG_HEADER = HEADER + ",sale_limit_yuan,day_limit_yuan"


def read(text: str, encoding: str = "utf-8"):
    return read_card_file(text.encode(encoding), "cards.csv")


def test_lines_become_arguments():
    found = read(f"{LONG_HEADER}\n2023001,张三,04A1B2C3,12.50,,100\n2023002, 李四 ,04:D4:E5:F6,0,20.5,\n")
    assert found.errors == []
    assert found.lines == [
        {
            "line": 2,
            "student_number": "2023001",
            "name": "张三",
            "card_uid": "04A1B2C3",
            "balance_fen": 1250,
            "day_limit_fen": 10_000,
        },
        {
            "line": 3,
            "student_number": "2023002",
            "name": "李四",
            "card_uid": "04:D4:E5:F6",
            "balance_fen": 0,
            "sale_limit_fen": 2050,
        },
    ]


def test_a_limit_of_nought_is_said_an_empty_one_is_not():
    [line] = read(f"{LONG_HEADER}\nS1,张三,04,1,0,\n").lines
    assert line["sale_limit_fen"] == 0
    assert "day_limit_fen" not in line


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("gb18030", "GB18030"), ("gbk", "GB18030")]
)
def test_encodings(encoding, said):
    found = read(f"{HEADER}\r\n2023001,张三丰,04A1B2C3,1\r\n", encoding)
    assert (found.encoding, found.lines[0]["name"], found.lines[0]["student_number"]) == (said, "张三丰", "2023001")


def test_a_name_outside_gbk():
    assert read(f"{HEADER}\n1,䶮𠮷,04,1\n", "gb18030").lines[0]["name"] == "䶮𠮷"


def test_neither_encoding():
    with pytest.raises(
        CsvError, match=r"cards.csv: expected text in UTF-8 or GB18030, got neither \(UTF-8 fails at byte 0"
    ):
        read_card_file(b"\xff\xff\xff", "cards.csv")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "got missing 'student_number', 'name', 'card_uid', 'balance_yuan'"),
        ("student_number,name,card_uid", "got missing 'balance_yuan'"),
        (HEADER + ",sale_limit", "got unknown 'sale_limit'"),
        (HEADER + ",name", "got twice 'name'"),
        (HEADER + ",", "got unknown ''"),
        (HEADER.replace(",", ";"), "got missing"),
        (HEADER.upper(), "got missing"),
    ],
)
def test_the_header_is_checked(header, said):
    with pytest.raises(CsvError, match=r"cards.csv: line 1: expected the header student_number,") as caught:
        read(f"{header}\n1,张三,04,1\n")
    assert said in str(caught.value)


def test_columns_in_any_order_and_blank_lines():
    found = read("name, balance_yuan ,card_uid,student_number\n\n张三,1,04,1\n,,,\n李四,2,05,2\n")
    assert [(line["line"], line["name"]) for line in found.lines] == [(3, "张三"), (5, "李四")]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("1,张三,04", ("line", "4 fields", "3 fields")),
        ("1,张三,04,1,9", ("line", "4 fields", "5 fields")),
        (",张三,04,1", ("student_number", "a value", "nothing")),
        ("1, ,04,1", ("name", "a value", "nothing")),
        ("1,张三,,1", ("card_uid", "a value", "nothing")),
        ("1,张三,04,", ("balance_yuan", "yuan like 12 or 12.50, not below 0", "")),
        ("1,张三,04,1.005", ("balance_yuan", "yuan like 12 or 12.50, not below 0", "1.005")),
        ("1,张三,04,-1", ("balance_yuan", "yuan like 12 or 12.50, not below 0", "-1")),
        ("1,张三,04,1e2", ("balance_yuan", "yuan like 12 or 12.50, not below 0", "1e2")),
        ("1,张三,04,=1+1", ("balance_yuan", "yuan like 12 or 12.50, not below 0", "=1+1")),
    ],
)
def test_a_bad_line(row, error):
    found = read(f"{HEADER}\n9,李四,09,1\n{row}\n8,王五,08,1\n")
    assert found.errors == [LineError(3, *error)]
    assert [line["line"] for line in found.lines] == [2, 4]


def test_several_faults_of_one_line():
    assert [error.field for error in read(f"{HEADER}\n,,04,x\n").errors] == ["student_number", "name", "balance_yuan"]


def test_repeats_across_the_file():
    found = read(f"{HEADER}\n1,张三,04A1,1\n1,张三,05,1\n2,李四,04:a1,1\n")
    assert found.errors == [
        LineError(3, "student_number", "each once in the file", "1, also on line 2"),
        LineError(4, "card_uid", "each once in the file", "04:a1, also on line 2"),
    ]


def test_a_quote_that_never_ends_is_told_and_what_came_before_is_kept():
    found = read(f'{HEADER}\n1,张三,04,1\n2,"李四,05,1\n3,王五,06,1\n')
    assert [line["line"] for line in found.lines] == [2]
    assert [(error.line, error.field) for error in found.errors] == [(3, "line")]
    assert "the rest of the file was not read" in found.errors[0].got


def test_a_formula_is_just_text():
    assert read(f'{HEADER}\n1,"=HYPERLINK(""x"")",04,1\n').lines[0]["name"] == '=HYPERLINK("x")'


def test_a_value_on_two_lines_keeps_the_count_of_lines():
    found = read(f'{HEADER}\n1,"张\n三",04,1\n2,李四,05,x\n')
    assert [error.line for error in found.errors] == [4]


def test_too_large_a_file(monkeypatch):
    monkeypatch.setattr(tools.card_csv, "FILE_BYTES_MAX", 10)
    with pytest.raises(CsvError, match="expected at most 10 bytes, got"):
        read(HEADER)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_fall_over(data):
    for head in (b"", HEADER.encode() + b"\n"):
        try:
            found = read_card_file(head + data, "x")
        except CsvError:
            continue
        assert all(set(line) >= {"line", "student_number", "name", "card_uid", "balance_fen"} for line in found.lines)


def test_the_errors_file_opens_in_a_spreadsheet_as_text():
    data = errors_csv([LineError(2, "name", "a value", '=cmd|"calc"'), LineError(3, "balance_yuan", "yuan", "张")])
    assert data.startswith(b"\xef\xbb\xbf")
    rows = [*csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))]
    assert rows == [
        ["line", "field", "expected", "got"],
        ["2", "name", "a value", '\'=cmd|"calc"'],
        ["3", "balance_yuan", "yuan", "张"],
    ]


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_what_a_spreadsheet_would_run_is_disarmed(first):
    assert harmless(first + "1") == f"'{first}1"
    assert harmless("1" + first) == "1" + first
    assert harmless("") == ""


def test_a_class_is_a_number_or_not_spoken_of():
    header = b"student_number,name,card_uid,balance_yuan,class\n"
    found = read_card_file(header + b"S1,Ann,04,1,2\nS2,Ben,05,1,\nS3,Coy,06,1,staff\n", "cards.csv")
    assert [line.get("class_id") for line in found.lines] == [2, None]
    [error] = found.errors
    assert (error.line, error.field, error.expected, error.got) == (4, "class", "the number of a card class", "staff")
