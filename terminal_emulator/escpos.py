"""Slips as the bytes a real slip printer understands: ESC/POS with Chinese characters in GBK.

ESC/POS is what nearly every 58 mm and 80 mm printer speaks. A GBK font draws every two-byte character two columns wide,
so a character is sent only if it takes as many columns on paper as `terminal_emulator.columns` counted for it; any
other is replaced by one that does. Names keep their true characters in the host's ledger; only the paper gives way.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from terminal_emulator.columns import char_columns, columns
from terminal_emulator.slip import SLIP_COLUMNS, Row, Slip, Style

ESC: Final = b"\x1b"
GS: Final = b"\x1d"
INIT: Final = ESC + b"@" + b"\x1c&"
"""Forget all earlier settings, then FS &: two bytes are a Chinese character."""

LEFT: Final = ESC + b"a\x00"
CENTER: Final = ESC + b"a\x01"
BOLD_ON: Final = ESC + b"E\x01"
BOLD_OFF: Final = ESC + b"E\x00"
PLAIN_SIZE: Final = GS + b"!\x00"
TALL: Final = GS + b"!\x01"
BIG: Final = GS + b"!\x11"
"""Twice as wide and twice as high: half as many columns fit."""

BIG_COLUMNS: Final = SLIP_COLUMNS // 2
FEED_LINES: Final = 4
"""From the print head to the knife."""

FEED_AND_CUT: Final = ESC + b"d" + bytes([FEED_LINES]) + GS + b"VB\x00"

QR_DOT_SIZE: Final = 6
QR_BYTES_MAX: Final = 512
"""Ours have under a hundred; the command's own limit is 7,089 digits."""

SUBSTITUTES: Final = {
    "\u00a5": "\uffe5",  # the yen sign of most catalogues; GBK knows the full-width one, gb18030 would print rubbish
    "\u00a0": " ",
    "\u00b7": ".",  # between the names of a person; a GBK font draws it two columns wide
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u2026": ".",
    "\u20ac": "E",
    "\u4dae": "\u9f91",  # 䶮: its full form stands in GBK
    "\U00020bb7": "\u5409",  # 𠮷: the usual form of the same character
}
"""Characters outside GBK, or wider there than on a screen, that names do have, and what is printed for them."""

WIDE_UNKNOWN: Final = "\u3013"
"""〓, which a Chinese printer sets for a character he has no type for."""

NARROW_UNKNOWN: Final = "?"


def escpos(slip: Slip) -> bytes:
    """The whole slip, from the printer's reset to the cut."""
    return INIT + b"".join(map(_row, slip.rows)) + (qr(slip.qr) if slip.qr else b"") + FEED_AND_CUT


def gbk(text: str) -> bytes:
    """The text in GBK, every character as wide as it was counted. Never fails, never holds a control character."""
    return b"".join(map(_char, text))


def qr(text: str) -> bytes:
    """A QR code in the middle of the paper: model 2, error correction M."""
    data = text.encode()
    if len(data) > QR_BYTES_MAX:
        raise ValueError(f"QR code: expected at most {QR_BYTES_MAX} bytes, got {len(data)}")
    store = _qr_command(0x50, b"0" + data)
    size, correction = _qr_command(0x43, bytes([QR_DOT_SIZE])), _qr_command(0x45, b"1")
    return CENTER + _qr_command(0x41, b"2\x00") + size + correction + store + _qr_command(0x51, b"0") + LEFT


def _qr_command(function: int, rest: bytes) -> bytes:
    """GS ( k with its length; code type 49 is QR."""
    return GS + b"(k" + (2 + len(rest)).to_bytes(2, "little") + b"1" + bytes([function]) + rest


def _row(row: Row) -> bytes:
    if row.style is Style.PLAIN:
        return gbk(row.text()) + b"\n"
    if row.style is Style.CENTER:
        return CENTER + gbk(row.left) + b"\n" + LEFT
    if row.style is Style.TITLE:
        size = BIG if columns(row.left) <= BIG_COLUMNS else TALL
        return CENTER + BOLD_ON + size + gbk(row.left) + b"\n" + PLAIN_SIZE + BOLD_OFF + LEFT
    is_short = columns(row.left) + 1 + columns(row.right) <= BIG_COLUMNS
    size, width = (BIG, BIG_COLUMNS) if is_short else (TALL, SLIP_COLUMNS)
    return BOLD_ON + size + gbk(row.text(width)) + b"\n" + PLAIN_SIZE + BOLD_OFF


def _char(char: str) -> bytes:
    if " " <= char <= "~":
        return char.encode("ascii")
    width = char_columns(char)
    for candidate in (SUBSTITUTES.get(char, char), unicodedata.normalize("NFKC", char), _base(char)):
        encoded = _encoded(candidate)
        if encoded and (len(encoded) == width or candidate == "\uffe5"):
            return encoded
    return (b"", NARROW_UNKNOWN.encode(), WIDE_UNKNOWN.encode("gbk"))[width]


def _base(char: str) -> str:
    """The letter below an accent, which a GBK font draws as wide as a Chinese character."""
    return unicodedata.normalize("NFD", char)[:1]


def _encoded(text: str) -> bytes:
    """In GBK; empty if there is no such text, or a control character in it."""
    if any(unicodedata.category(char) == "Cc" for char in text):
        return b""
    try:
        return text.encode("gbk")
    except UnicodeEncodeError:
        return b""
