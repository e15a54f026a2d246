"""LCDs side by side, in columns that stay columns."""

from terminal_emulator.columns import columns
from terminal_emulator.film import FILM_COLUMNS, Frame, boxed, film_strip
from tests.terminal_emulator.slips import plain_slip

LCD = ("一食堂      3-58", "请刷卡", "      １２．５０", "")


def test_a_film_of_one():
    assert film_strip([Frame("[1]", LCD)]) == [
        "[1]",
        "┌────────────────┐",
        "│一食堂      3-58│",
        "│请刷卡          │",
        "│      １２．５０│",
        "│                │",
        "└────────────────┘",
    ]


def test_four_fit_beside_each_other_and_the_fifth_goes_below():
    lines = film_strip([Frame(f"[{number}]", LCD) for number in range(5)])
    assert len(lines) == 14
    assert lines[0].split() == ["[0]", "[1]", "[2]", "[3]"]
    assert lines[7] == "[4]"
    assert {columns(line) for line in lines[1:7]} == {78}
    assert max(map(columns, lines)) <= FILM_COLUMNS


def test_no_film_is_no_lines():
    assert film_strip([]) == []


def test_a_slip_in_a_box():
    slip = plain_slip("消费", "12345")
    assert boxed(slip) == ["╭╌╌╌╌╌╌╌╮", "┆ 消费  ┆", "┆ 12345 ┆", "╰╌╌╌╌╌╌╌╯"]
