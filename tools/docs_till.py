"""Generated part of docs/till.md: every menu of the keypad, with its words in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from terminal_emulator.functions import FUNCTIONS, Need
from terminal_emulator.i18n import translator
from terminal_emulator.menus import MENUS

OPENED_BY: Final = {"menu": "F1", "supervisor": "00", "card_first": "card"}
"""The menus that no other menu leads to."""
NEEDS: Final = {
    Need.ONLINE: "the line",
    Need.SELLING: "the line, or offline sales",
    Need.SUPERVISOR: "the supervisor's password",
}


def menus() -> str:
    """A row for each entry: the keys that lead to it, its name, and what it needs first."""
    rows = [row for menu, key in OPENED_BY.items() for row in _rows(menu, key, ())]
    return "\n".join(["| keys | 菜单 | menu | needs |", "|---|---|---|---|", *rows])


def _rows(menu: str, keys: str, path: tuple[str, ...]) -> Iterator[str]:
    for row in MENUS[menu].rows:
        labels, here = (*path, row.label), f"{keys} {row.key}"
        if row.target in MENUS:
            yield from _rows(row.target, here, labels)
        else:
            names = (" > ".join(map(translator(language), labels)) for language in ("zh", "en"))
            yield f"| `{here}` | {' | '.join(names)} | {_needs(row.target)} |"


def _needs(name: str) -> str:
    function = FUNCTIONS.get(name)
    if function is None:
        return "not in this version"
    return ", ".join(words for need, words in NEEDS.items() if need in function.needs) or "-"
