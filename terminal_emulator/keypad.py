"""Keying an amount in yuan: digits, one point, at most two decimals, at most what the LCD can show."""

from __future__ import annotations

from typing import Final

from protocol.limits import MAX_AMOUNT_FEN
from terminal_emulator.effects import Key

DECIMALS_MAX: Final = 2
DIGITS: Final = frozenset((Key.D0, Key.D1, Key.D2, Key.D3, Key.D4, Key.D5, Key.D6, Key.D7, Key.D8, Key.D9))


class Keypad:
    """`text` is the amount as it stands on the screen ("", "0", "12", "12.", "12.5"), `amount_fen` what it is worth."""

    __slots__ = ("amount_fen", "text")

    def __init__(self) -> None:
        self.text = ""
        self.amount_fen = 0

    def clear(self) -> None:
        """Forget what was keyed."""
        self.text = ""
        self.amount_fen = 0

    def press(self, key: Key) -> bool:
        """A digit or the point; False if it may not stand here, and then nothing changes."""
        text = self.text
        if key in DIGITS:
            text = key.value if text == "0" else text + key.value
        elif key is Key.DOT and "." not in text:
            text = (text or "0") + "."
        else:
            return False
        return self._take(text)

    def delete(self) -> None:
        """Take the last key back."""
        self._take(self.text[:-1])

    def _take(self, text: str) -> bool:
        yuan, _, decimals = text.partition(".")
        if len(decimals) > DECIMALS_MAX:
            return False
        amount_fen = int(yuan or "0") * 100 + int(decimals.ljust(DECIMALS_MAX, "0"))
        if amount_fen > MAX_AMOUNT_FEN:
            return False
        self.text = text
        self.amount_fen = amount_fen
        return True
