"""The catalogue compiler: what it reads, what it refuses, and that it notices a catalogue that is not up to date."""

import pytest

from tools import catalogues
from tools.catalogues import CatalogueError, parse_po, texts_in


def test_a_po_file_is_read():
    text = '# head\nmsgid ""\nmsgstr ""\n"Language: x\\n"\n\nmsgid "one "\n"line"\nmsgstr "\\"quoted\\" 引号"\n'
    assert parse_po(text) == {"": "Language: x\n", "one line": '"quoted" 引号'}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('msgid "a"\nmsgid "b"\n', "x.po:2: expected msgstr"),
        ('msgid "a"\n', "x.po:1: expected msgstr"),
        ('msgstr_plural "a"\n', "x.po:1: expected msgid"),
        ('"a"\n', "x.po:1: expected msgid first"),
        ('msgid "a"\nmsgstr "b"\n' * 2, "x.po:4: msgid 'a' stands here twice"),
    ],
)
def test_a_bad_po_file_is_refused_with_file_and_line(text, complaint):
    with pytest.raises(CatalogueError, match=complaint):
        parse_po(text, "x.po")


def test_marked_texts_are_found():
    assert list(texts_in('a = N_("one")\ndef f(_): return _("two"), _(a), other("three")')) == ["one", "two"]
    with pytest.raises(ValueError, match="malformed node"):
        list(texts_in("N_(variable)"))


@pytest.fixture
def small_house(tmp_path, monkeypatch):
    """A package with one text and one language; returns the path of its .po file."""
    package = tmp_path / "emulator"
    path = package / "locale" / "zh_CN" / "LC_MESSAGES" / "terminal.po"
    path.parent.mkdir(parents=True)
    (package / "a.py").write_text('N_("{n} left")\n')
    monkeypatch.setattr(catalogues, "LOCALE_FOLDER", package / "locale")
    monkeypatch.setattr(catalogues, "LANGUAGES", {"zh": "zh_CN"})
    monkeypatch.setattr(catalogues.texts_in_source, "__defaults__", (package,))
    return path


@pytest.mark.parametrize(
    ("po", "complaint"),
    [
        ("", "has no translation"),
        ('msgid "{n} left"\nmsgstr ""\n', "has no translation"),
        ('msgid "{n} left"\nmsgstr "余{m}"\n', "expected the placeholders {'n'}"),
        ('msgid "{n} left"\nmsgstr "余{n}"\nmsgid "gone"\nmsgstr "旧"\n', "not in the source any more"),
    ],
)
def test_a_wrong_catalogue_is_noticed(small_house, capsys, po, complaint):
    small_house.write_text(po, encoding="utf-8")
    assert catalogues.main(["--write"]) == 1
    assert complaint in capsys.readouterr().err


def test_a_stale_compiled_catalogue_is_noticed_and_written(small_house, capsys):
    small_house.write_text('msgid "{n} left"\nmsgstr "余{n}"\n', encoding="utf-8")
    assert catalogues.main([]) == 1
    assert "run python -m tools.catalogues --write" in capsys.readouterr().err
    assert catalogues.main(["--write"]) == 0
    assert catalogues.main(["--check"]) == 0
    assert catalogues.main(["--help"]) == 2
