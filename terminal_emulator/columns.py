"""Text measured in half-width columns, as LCDs, slip printers and character terminals count it.

A Chinese character or full-width form takes two columns, a letter or digit one, a combining mark none. Nothing here
ever cuts a character in half: where only one column of a wide character would fit, a space stands instead.

Characters whose width depends on the font ("ambiguous" in Unicode, such as the ellipsis and box drawing) count as one
column, as terminals draw them; a GB2312 font draws them in two. So the texts of LCD and slips do without them, and a
test holds them to that; here they are only measured.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

_WIDE: Final = frozenset("WF")
_MARKS: Final = frozenset({"Mn", "Me", "Cf"})


def char_columns(char: str) -> int:
    """0, 1 or 2 columns. Control characters count as one: `clean` is for getting rid of them."""
    if " " <= char <= "~":
        return 1
    if unicodedata.east_asian_width(char) in _WIDE:
        return 2
    return 0 if unicodedata.category(char) in _MARKS else 1


def columns(text: str) -> int:
    """How many half-width columns the text takes."""
    return sum(map(char_columns, text))


def is_ambiguous(text: str) -> bool:
    """Does the text hold a character that some fonts draw in one column and others in two?"""
    return any(unicodedata.east_asian_width(char) == "A" for char in text)


def clean(text: str) -> str:
    """The text without what would upset a screen or printer: control characters become spaces.

    The narrow yen sign, which Chinese fonts do not have, becomes the wide one.
    """
    text = text.replace("\u00a5", "\uffe5")
    return "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)


def cut(text: str, width: int) -> str:
    """The longest beginning of the text that fits `width` columns."""
    used = 0
    for index, char in enumerate(text):
        used += char_columns(char)
        if used > width:
            return text[:index]
    return text


def fit(text: str, width: int) -> str:
    """The text cut or padded with spaces on the right to exactly `width` columns."""
    text = cut(text, width)
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    """The text at the right edge of `width` columns; cut at its end if it is longer."""
    text = cut(text, width)
    return " " * (width - columns(text)) + text


def center(text: str, width: int) -> str:
    """The text in the middle of `width` columns; an odd column goes to the right."""
    text = cut(text, width)
    free = width - columns(text)
    return " " * (free // 2) + text + " " * (free - free // 2)


def spread(left: str, right: str, width: int) -> str:
    """`left` at the left edge and `right` at the right one, with at least a space between them.

    The right side is whole if it can be: it holds the number, the left side what the number is called.
    """
    right = cut(right, width)
    room = width - columns(right)
    left = cut(left, max(0, room - 1)) if right else cut(left, width)
    return left + " " * (width - columns(left) - columns(right)) + right


def beside(left: str, right: str, width: int) -> str:
    """Both with a space between; if that is too wide the left side gives way, for the right one holds the number."""
    room = width - columns(right) - 1
    return f"{cut(left, max(0, room)).rstrip()} {right}".strip()


def wrap(text: str, width: int) -> Iterator[str]:
    """The text in lines of at most `width` columns, broken at spaces where there are any, else between characters.

    A line break in the text is kept. Chinese has no spaces: it breaks after any character.
    """
    for paragraph in text.split("\n"):
        rest = paragraph.strip()
        if not rest:
            yield ""
        while rest:
            line = cut(rest, width)
            if not line:
                raise ValueError(f"wrap: expected a width of at least {columns(rest[0])} columns, got {width}")
            if len(line) < len(rest) and rest[len(line)] != " " and char_columns(line[-1]) == 1:
                space = line.rfind(" ")
                line = line[:space] if space > 0 else line
            yield line.rstrip()
            rest = rest[len(line) :].strip()
