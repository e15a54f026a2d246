"""Response codes as advice; amounts, times and card numbers as text."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.messages.money import TransactionKind
from terminal_emulator.columns import columns
from terminal_emulator.i18n import LANGUAGES, translator
from terminal_emulator.lcd import LCD_COLUMNS
from terminal_emulator.texts import ADVICE, KIND_TEXT, SHORT_TEXT, UNKNOWN_CODE, advice, date_time, masked, yuan


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_advice_fits_the_lcd_and_says_what_to_do(language):
    _ = translator(language)
    for code, (reason, action) in {**ADVICE, "other": UNKNOWN_CODE}.items():
        assert 0 < columns(_(reason)) <= LCD_COLUMNS, (code, _(reason))
        assert 0 < columns(_(action)) <= LCD_COLUMNS, (code, _(action))


def test_the_codes_a_canteen_meets():
    _ = translator("zh")
    assert [_(text) for text in advice("51")] == ["余额不足", "请充值"]
    assert [_(text) for text in advice("41")] == ["此卡已挂失", "请收回此卡"]
    assert advice("ZZ") == UNKNOWN_CODE
    assert "00" not in ADVICE


@pytest.mark.parametrize(
    ("amount_fen", "text"),
    [(0, "0.00"), (5, "0.05"), (1250, "12.50"), (999_999_999, "9999999.99"), (-5, "-0.05"), (-12345, "-123.45")],
)
def test_yuan(amount_fen, text):
    assert yuan(amount_fen) == text


@given(st.integers(-(10**18), 10**18))
def test_yuan_loses_nothing(amount_fen):
    assert int(yuan(amount_fen).replace(".", "")) == amount_fen


def test_date_time():
    assert date_time(1_795_000_000.9) == "2026-11-18 19:06:40"
    assert date_time(1_795_000_000, UTC) == "2026-11-18 11:06:40"
    assert date_time(1e300) == date_time(float("nan")) == ""


@pytest.mark.parametrize(
    ("payer", "text"),
    [(b"\x04\xa2\xbe\xef", "****BEEF"), (b"\xbe\xef", "****"), (b"", "****"), (b"134567890123456789", "****3839")],
)
def test_a_card_number_is_masked(payer, text):
    assert masked(payer) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_a_name_that_leaves_room_for_a_number(language):
    _ = translator(language)
    assert SHORT_TEXT.keys() == KIND_TEXT.keys() == set(TransactionKind)
    assert {_(text) for text in SHORT_TEXT.values() if columns(_(text)) > 8} == set()
    assert len({_(text) for text in SHORT_TEXT.values()}) == len(TransactionKind)
