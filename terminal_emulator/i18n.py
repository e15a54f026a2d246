"""The languages a terminal speaks: Simplified Chinese, its own, and English on request.

The msgids are the English texts. The catalogues stand in locale/; `python -m tools.catalogues --write` compiles them,
and a test holds them complete. Functions that show something take a `Translate` and call it `_`; a text that stands in
a table and is translated later is marked with `N_`, so that it is found in the source.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

Translate = Callable[[str], str]
"""From the English text to the same in the terminal's language."""

DOMAIN: Final = "terminal"
LOCALE_FOLDER: Final = Path(__file__).resolve().parent / "locale"

LANGUAGES: Final = {"zh": "zh_CN", "en": "en"}
"""What settings and command line call a language, and the name of its catalogue."""


def N_(text: str) -> str:
    """Mark a text for translation without translating it."""
    return text


@cache
def translator(language: str) -> Translate:
    """The translation into a language of `LANGUAGES`; ValueError for any other."""
    catalogue = LANGUAGES.get(language)
    if catalogue is None:
        raise ValueError(f"language: expected one of {', '.join(LANGUAGES)}, got {language!r}")
    return gettext.translation(DOMAIN, LOCALE_FOLDER, [catalogue]).gettext
