"""Yuan to fen and back, exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.money import parse_yuan, show_yuan


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("0", 0),
        ("12", 1200),
        ("12.5", 1250),
        ("12.50", 1250),
        ("0.01", 1),
        (" 7 ", 700),
        ("-3.05", -305),
        ("00.10", 10),
    ],
)
def test_read(text, fen):
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".5",
        "5.",
        "1.234",
        "1e3",
        "+5",
        "1,000",
        "￥5",
        "12 .5",
        "１２",
        "NaN",
        "0x10",
        "1_0",
        "--1",
        "9" * 10,
        "5\n6",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(
        ValueError, match=r"amount: expected yuan like 12 or 12\.50, up to 9999999\.99 with at most two decimals, got"
    ):
        parse_yuan(text)


@given(st.integers(min_value=-99_999_999_999, max_value=99_999_999_999))
def test_there_and_back(fen):
    assert parse_yuan(show_yuan(fen)) == fen
