"""Keying an amount in yuan: digits, one point, at most two decimals, at most what the LCD can show."""

from __future__ import annotations

from typing import Final

from protocol.limits import MAX_AMOUNT_FEN
from terminal_emulator.effects import Key

DECIMALS_MAX: Final = 2
YUAN_DIGITS_MAX: Final = len(str(MAX_AMOUNT_FEN // 100))
assert str(MAX_AMOUNT_FEN) == "9" * (YUAN_DIGITS_MAX + DECIMALS_MAX), "else counting digits is not enough"

DIGITS: Final = {key: key.value for key in Key if key.value.isdigit()}


class Keypad:
    """`text` is the amount as it stands on the screen: "", "0", "12", "12.", "12.5"."""

    __slots__ = ("text",)

    def __init__(self) -> None:
        self.text = ""

    @property
    def amount_fen(self) -> int:
        """What it is worth, in fen."""
        yuan, _, decimals = self.text.partition(".")
        return int(yuan or "0") * 100 + int(decimals.ljust(DECIMALS_MAX, "0"))

    def clear(self) -> None:
        """Forget what was keyed."""
        self.text = ""

    def press(self, key: Key) -> bool:
        """A digit or the point; False if it may not stand here, and then nothing changes."""
        text = self.text
        point = text.find(".")
        digit = DIGITS.get(key)
        if digit is None:
            if key is not Key.DOT or point >= 0:
                return False
            self.text = (text or "0") + "."
        elif text == "0":
            self.text = digit
        elif (len(text) >= YUAN_DIGITS_MAX) if point < 0 else (len(text) > point + DECIMALS_MAX):
            return False
        else:
            self.text = text + digit
        return True

    def delete(self) -> None:
        """Take the last key back."""
        self.text = self.text[:-1]
