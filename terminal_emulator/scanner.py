"""The code scanner of a terminal on a screen: what is typed after `s` and ended with Enter, or what is pasted.

A text that begins with @ names a picture of a code; who reads pictures is passed in, for it takes a library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

ReadPicture = Callable[[str], str]
"""From the name of a picture file to the text of the code in it; ValueError or OSError says why there is none."""

SCAN_KEY: Final = "s"
BEGIN_PASTE: Final = "begin paste"
END_PASTE: Final = "end paste"

MAX_SCAN_CHARS: Final = 500
"""More than any code for payments holds, and than anybody types."""


class Scanner:
    """Collects keys while `is_reading`. `text` is what was typed so far."""

    def __init__(self, read_picture: ReadPicture | None = None) -> None:
        self.is_reading = False
        self.text = ""
        self._read_picture = read_picture
        self._pasting = False

    def begin(self, key: str) -> bool:
        """Whether this key of the keyboard starts a scan."""
        self.is_reading = key in (SCAN_KEY, BEGIN_PASTE)
        self._pasting = key == BEGIN_PASTE
        self.text = ""
        return self.is_reading

    def press(self, key: str) -> str:
        """One more key; the code if it ends the scan, else nothing. ValueError or OSError: the picture has no code."""
        if key == BEGIN_PASTE:
            return ""
        if key == END_PASTE or (key == "enter" and not self._pasting):
            self.is_reading = self._pasting = False
            return self._scanned(self.text.strip())
        if key == "esc":
            self.is_reading = False
        elif key == "backspace":
            self.text = self.text[:-1]
        elif len(key) == 1 and len(self.text) < MAX_SCAN_CHARS:
            self.text += key
        return ""

    def _scanned(self, text: str) -> str:
        if not text.startswith("@"):
            return text
        if self._read_picture is None:
            raise ValueError("pictures of codes cannot be read here")
        return self._read_picture(text[1:])
