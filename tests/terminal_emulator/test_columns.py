"""Width in half-width columns, and never half a Chinese character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal_emulator.columns import beside, center, clean, columns, cut, fit, is_ambiguous, right, spread, wrap

TEXTS = st.text(st.sampled_from("a1 .食堂，０é\u0301\u200b\t\U00020bb7"), max_size=30)
WIDTHS = st.integers(0, 40)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("12.50", 5),
        ("食堂", 4),
        ("１２．５", 8),
        ("，", 2),
        ("e\u0301", 1),
        ("\U00020bb7", 2),
        ("￥", 2),
        ("\x07", 1),
    ],
)
def test_columns(text, width):
    assert columns(text) == width


def test_a_wide_character_is_not_cut_in_half():
    assert cut("一食堂", 3) == "一"
    assert fit("一食堂", 3) == "一 "
    assert cut("a一食堂", 3) == "a一"
    assert fit("", 2) == "  "


def test_right_and_center():
    assert right("元", 5) == "   元"
    assert right("12345", 3) == "123"
    assert center("元", 5) == " 元  "
    assert center("食堂食堂", 5) == "食堂 "


def test_spread_keeps_the_number_whole():
    assert spread("金额", "12.50", 16) == "金额       12.50"
    assert spread("第一食堂", "3-58", 10) == "第一  3-58"
    assert spread("label", "", 5) == "label"
    assert spread("label", "123456", 4) == "1234"


def test_wrap_breaks_at_spaces_or_between_chinese_characters():
    assert list(wrap("one two three", 8)) == ["one two", "three"]
    assert list(wrap("第一学生食堂", 8)) == ["第一学生", "食堂"]
    assert list(wrap("abcdefgh", 3)) == ["abc", "def", "gh"]
    assert list(wrap("a\n\nb", 3)) == ["a", "", "b"]
    assert list(wrap("ab 食堂", 4)) == ["ab", "食堂"]
    with pytest.raises(ValueError, match="at least 2 columns, got 1"):
        list(wrap("食", 1))


def test_clean_takes_out_what_upsets_a_printer():
    assert clean("a\x1b[2J食\n") == "a [2J食 "


def test_ambiguous_characters_are_known():
    assert is_ambiguous("处理中…")
    assert not is_ambiguous("处理中...，￥１")


@given(TEXTS, WIDTHS)
def test_filled_texts_have_exactly_the_width(text, width):
    assert columns(fit(text, width)) == columns(right(text, width)) == columns(center(text, width)) == width
    assert columns(cut(text, width)) <= width
    assert text.startswith(cut(text, width))


@given(TEXTS, TEXTS, WIDTHS)
def test_spread_has_exactly_the_width(left, number, width):
    line = spread(left, number, width)
    assert columns(line) == width
    assert line.endswith(cut(number, width))


@given(TEXTS, st.integers(2, 20))
def test_wrapping_loses_nothing_but_spaces(text, width):
    lines = list(wrap(text, width))
    assert all(columns(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_beside_each_other_the_left_one_gives_way():
    assert beside("剩余", "12.50", 16) == "剩余 12.50"
    assert beside("Complet. void", "000012", 16) == "Complet. 000012"
    assert beside("剩余", "RMB 9999999.99", 16) == "RMB 9999999.99"
    assert beside("Left", "9" * 16, 16) == "9" * 16
