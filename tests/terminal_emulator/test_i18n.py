"""Both catalogues are complete, compiled, and fit the places they are shown in."""

import gettext
import io

import pytest

from terminal_emulator.columns import is_ambiguous
from terminal_emulator.i18n import LANGUAGES, translator
from tools.catalogues import build_mo, catalogue_path, complaints, parse_po, texts_in_source


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_is_complete_and_compiled(language):
    assert list(complaints(language)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_installed_says_what_the_po_says(language):
    entries = parse_po(catalogue_path(language).read_text(encoding="utf-8"))
    _ = translator(language)
    assert len(texts_in_source()) > 50
    for text in texts_in_source():
        assert _(text) == entries[text]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_has_characters_of_doubtful_width(language):
    entries = parse_po(catalogue_path(language).read_text(encoding="utf-8"))
    assert [text for text in entries.values() if is_ambiguous(text)] == []


def test_chinese_texts_can_be_printed_by_a_gbk_printer():
    for text in parse_po(catalogue_path("zh").read_text(encoding="utf-8")).values():
        assert text.encode("gbk").decode("gbk") == text


def test_chinese_is_chinese_and_english_is_english():
    assert translator("zh")("Tap the card") == "请刷卡"
    assert translator("en")("Tap the card") == "Tap the card"


def test_an_unknown_language_is_refused_by_name():
    with pytest.raises(ValueError, match="expected one of zh, en, got 'fr'"):
        translator("fr")


def test_the_compiled_form_is_read_by_gettext():
    entries = {"": "Content-Type: text/plain; charset=UTF-8\n", "b": "乙", "a": "甲", "untranslated": ""}
    catalogue = gettext.GNUTranslations(io.BytesIO(build_mo(entries)))
    assert [catalogue.gettext(text) for text in ("a", "b", "untranslated")] == ["甲", "乙", "untranslated"]
