"""Generated documentation: up to date, complete, and the tool that keeps it so."""

import re

import pytest

from protocol import limits
from protocol.messages import LAYOUTS
from protocol.response_codes import RESPONSE_CODES
from protocol.state import State
from tools import docs
from tools.docs import GENERATORS, ROOT, DocumentError, generate, main, renew

DOCUMENT = "# T\n\nabc\n\n<!-- generated: states -->\nold\n<!-- end generated -->\n\nxyz\n"


def fake(name: str) -> str:
    return {"states": "\nnew\n", "limits": "one\n\ntwo"}[name]


class TestRenew:
    def test_replaces_what_stands_between_the_markers(self):
        wanted = "# T\n\nabc\n\n<!-- generated: states -->\n\nnew\n\n<!-- end generated -->\n\nxyz\n"
        assert renew(DOCUMENT, "x.md", fake) == wanted
        assert renew(wanted, "x.md", fake) == wanted

    def test_leaves_other_documents_alone(self):
        assert renew("a\n<!-- note -->\nb\n", "x.md", fake) == "a\n<!-- note -->\nb\n"

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("<!-- generated: nonsense -->\n<!-- end generated -->", "x.md:1: expected one of header, limits,"),
            ("a\n<!-- generated: states -->\n", "x.md:2: expected `end generated`, got the end of the file"),
            ("<!-- end generated -->", "x.md:1: expected `generated: NAME` before this end"),
            (
                "<!-- generated: states -->\n<!-- generated: limits -->",
                "x.md:1: expected `end generated` before line 2",
            ),
            ("x <!-- generated: states -->", "x.md:1: expected a marker alone on its line"),
            ("<!--generated: states-->", "x.md:1: expected a marker alone on its line"),
            ("<!-- Generated: states -->", "x.md:1: expected a marker alone on its line"),
        ],
    )
    def test_markers_that_do_not_fit(self, text, complaint):
        with pytest.raises(DocumentError) as caught:
            renew(text, "x.md", fake)
        assert str(caught.value).startswith(complaint)


class TestCommand:
    @pytest.fixture
    def root(self, tmp_path):
        (tmp_path / "docs" / "deep").mkdir(parents=True)
        (tmp_path / "README.md").write_text("nothing generated\n", encoding="utf-8")
        (tmp_path / "docs" / "deep" / "a.md").write_text(DOCUMENT, encoding="utf-8")
        return tmp_path

    def test_check_shows_the_difference_and_changes_nothing(self, root, capsys):
        assert main(["--check"], root) == 1
        output = capsys.readouterr()
        assert "--- docs/deep/a.md\n+++ docs/deep/a.md (generated)\n" in output.out
        assert "\n-old\n" in output.out
        assert output.err == "out of date: run `make docs`\n"
        assert (root / "docs" / "deep" / "a.md").read_text(encoding="utf-8") == DOCUMENT

    def test_write_then_check(self, root, capsys):
        assert main(["--write"], root) == 0
        assert capsys.readouterr().out == "written: docs/deep/a.md\n"
        assert main(["--write"], root) == 0
        assert main(["--check"], root) == 0
        assert capsys.readouterr().out == ""

    def test_wrong_marker(self, root, capsys):
        (root / "README.md").write_text("<!-- end generated -->\n", encoding="utf-8")
        assert main(["--check"], root) == 2
        assert capsys.readouterr().err.startswith("README.md:1: ")

    def test_without_docs(self, tmp_path):
        assert main(["--check"], tmp_path) == 0

    @pytest.mark.parametrize("arguments", [[], ["--write", "--check"], ["--nonsense"]])
    def test_wrong_use(self, arguments):
        with pytest.raises(SystemExit):
            main(arguments)


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_makes_something_the_same_each_time(name):
    made = generate(name)
    assert made.strip()
    assert made == generate(name)
    assert not docs.LOOKS_LIKE_ONE.search(made)


def test_the_documents_are_up_to_date(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().out


class TestProtocolPage:
    """What docs/protocol.md must not leave out."""

    PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.title)
    def test_every_byte_of_every_message(self, layout):
        section = self.PAGE.split(f"### {layout.mti:04X}/{layout.processing_code:02X} {layout.title}\n")[1].split(
            "###"
        )[0]
        section, *_ = section.split("\nEach row of `")
        rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \|", section, re.MULTILINE)
        at = 16
        for offset, size, _ in rows:
            assert int(offset) == at
            at += int(size)
        assert at == 16 + layout.size
        assert [name for _, _, name in rows] == ["processing_code", *(field.name for field in layout.fields)]

    @pytest.mark.parametrize("code", RESPONSE_CODES)
    def test_every_response_code(self, code):
        assert f"| `{code}` |" in self.PAGE

    def test_every_state(self):
        assert all(f"`{state}`" in self.PAGE for state in State)

    def test_every_limit(self):
        names = [name for name in vars(limits) if name.isupper()]
        assert len(names) > 15
        for name in names:
            [row] = re.findall(rf"^\| `{name}` \| (.+) \| (.+) \|$", self.PAGE, re.MULTILINE)
            assert all(cell.strip() for cell in row)

    @pytest.mark.parametrize(
        "word",
        ["E3069283", "0x1EDC6F41", "FK1 mac", "FK1 t2h", "FK1 h2t", "FK1 enrol", "0620/00", "ISO 9564-1", "Takeover"],
    )
    def test_what_tables_do_not_say(self, word):
        assert word in self.PAGE

    def test_only_table_rows_and_hex_are_long(self):
        lines = [line for line in self.PAGE.splitlines() if len(line) > 120 and not line.startswith("|")]
        assert [line for line in lines if not re.match(r"[TH]>[TH] \*\*", line)] == []
