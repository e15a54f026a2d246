"""What a printer gets: GBK that it can draw, in columns that stay in line, and commands it knows.

The bytes are read back by a small printer of our own, which refuses any command it does not know.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal_emulator.columns import columns
from terminal_emulator.escpos import FEED_AND_CUT, INIT, QR_BYTES_MAX, escpos, gbk, qr
from terminal_emulator.i18n import LANGUAGES
from terminal_emulator.slip import SLIP_COLUMNS, Copy, Row, Slip, Style
from tests.terminal_emulator.slips import MERCHANTS, RECORDS, plain_slip, slip

COMMAND = re.compile(rb"\x1b@|\x1c&|\x1b[aEd].|\x1d!.|\x1dVB\x00|\x1d\(k(?P<length>..)", re.DOTALL)


class Paper:
    """Reads a printer's bytes: lines as (text, size, is bold, is centred), QR codes, and whether it was cut."""

    def __init__(self, data: bytes) -> None:
        self.lines: list[tuple[str, int, bool, bool]] = []
        self.codes: list[str] = []
        self.is_cut = False
        self._size, self._bold, self._centred = 0, False, False
        text, at = b"", 0
        while at < len(data):
            if data[at] == 0x0A:
                self.lines.append((text.decode("gbk"), self._size, self._bold, self._centred))
                text, at = b"", at + 1
            elif data[at] < 0x20:
                assert not text, "a command in the middle of a row"
                at = self._obey(data, at)
            else:
                step = 2 if data[at] >= 0x80 else 1
                text, at = text + data[at : at + step], at + step
        assert not text, "a row without its end"

    def _obey(self, data: bytes, at: int) -> int:
        found = COMMAND.match(data, at)
        assert found is not None, f"no such command: {data[at : at + 4]!r}"
        command, end = found[0], found.end()
        if command[:2] == b"\x1d!":
            self._size = command[2]
        elif command[:2] == b"\x1bE":
            self._bold = bool(command[2])
        elif command[:2] == b"\x1ba":
            self._centred = bool(command[2])
        elif command[:2] == b"\x1dV":
            self.is_cut = True
        elif found["length"]:
            rest = data[end : end + int.from_bytes(found["length"], "little")]
            end += len(rest)
            if rest[:3] == b"1P0":
                self.codes.append(rest[3:].decode())
        return end

    @property
    def text(self) -> list[str]:
        return [line for line, *_ in self.lines]


def test_a_sale_on_paper():
    paper = Paper(escpos(slip(copy=Copy.CUSTOMER)))
    assert ("一食堂", 0, False, True) in paper.lines
    assert ("消费", 0x11, True, True) in paper.lines
    assert ("金额   RMB 12.50", 0x11, True, False) in paper.lines
    assert ("终端号                      3-58", 0, False, False) in paper.lines
    assert paper.codes == ["000000004711"]
    assert paper.is_cut


def test_begins_with_a_reset_and_ends_with_the_knife():
    data = escpos(plain_slip("x"))
    assert data.startswith(INIT)
    assert data.endswith(FEED_AND_CUT)
    assert Paper(data).lines == [("x", 0, False, False)]


def test_what_is_too_wide_to_be_doubled_is_only_made_taller():
    rows = (Row("一二三四五六七八九", style=Style.TITLE), Row("充值金额", "RMB 9999999.99", Style.AMOUNT))
    lines = Paper(escpos(Slip(copy=Copy.MERCHANT, stan=1, rows=rows))).lines
    assert lines == [
        ("一二三四五六七八九", 0x01, True, True),
        ("充值金额          RMB 9999999.99", 0x01, True, False),
    ]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("中文 abc", "中文 abc"),
        ("￥5 \u00a55", "￥5 ￥5"),
        ("䶮 𠮷", "龑 吉"),
        ("㛃", "〓"),
        ("买买提·艾力", "买买提.艾力"),
        ("é—…“", 'e-."'),
        ("\u0416", "?"),
        ("e\u0301", "e"),
        ("a\x1b@b\n", "a?@b?"),
        ("\U0001f35a", "〓"),
    ],
)
def test_characters_outside_gbk(text, printed):
    assert gbk(text).decode("gbk") == printed


@given(st.text().map(lambda text: text.replace("\u00a5", "")))
def test_any_text_is_printed_as_wide_as_it_was_counted(text):
    data = gbk(text)
    assert len(data) == columns(text)
    assert all(byte >= 0x20 for byte in data)
    data.decode("gbk")


@given(RECORDS, MERCHANTS, st.sampled_from(sorted(LANGUAGES)))
def test_any_slip_fits_the_paper(record, merchant, language):
    for copy in Copy:
        made = slip(record, copy, language, merchant)
        paper = Paper(escpos(made))
        assert len(paper.lines) == len(made.rows)
        for line, size, _bold, _centred in paper.lines:
            assert len(line.encode("gbk")) <= (SLIP_COLUMNS // 2 if size & 0x10 else SLIP_COLUMNS)


def test_a_qr_code_is_stored_and_printed():
    assert Paper(qr("FANKA:1")).codes == ["FANKA:1"]
    with pytest.raises(ValueError, match=f"at most {QR_BYTES_MAX} bytes, got 513"):
        qr("x" * 513)
