"""From a dialog's prompt to the lines of the LCD: one small function a kind of prompt, found through a table.

A panel is made when somebody looks. Texts of prompts are translated already; what is added here is translated here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from terminal_emulator.columns import cut, right, spread
from terminal_emulator.dialog import (
    MENU_ROWS,
    Amount,
    Ask,
    Card,
    Confirm,
    Digits,
    Menu,
    Pages,
    Runner,
    Show,
)
from terminal_emulator.i18n import Translate
from terminal_emulator.texts import yuan

PANEL_COLUMNS: Final = 16
PANEL_LINES: Final = 4

Lines = tuple[str, ...]


def panel(runner: Runner, _: Translate) -> Lines:
    """Four lines for what the dialog waits for."""
    layout = PANELS.get(type(runner.prompt))
    lines = () if layout is None else layout(runner.prompt, runner, _)
    return tuple(cut(line, PANEL_COLUMNS) for line in (*lines, "", "", "", "")[:PANEL_LINES])


def _menu(prompt: Menu, runner: Runner, _: Translate) -> Lines:
    start = runner.page * MENU_ROWS
    pages = -(-len(prompt.rows) // MENU_ROWS)
    more = f"{runner.page + 1}/{pages}" if pages > 1 else ""
    rows = [f"{key}.{label}" for key, label in prompt.rows[start : start + MENU_ROWS]]
    return (spread(prompt.title, more, PANEL_COLUMNS).rstrip(), *rows)


def _digits(prompt: Digits, runner: Runner, _: Translate) -> Lines:
    shown = "*" * len(runner.text) if prompt.masked else runner.text
    return prompt.title, prompt.label, right(f"{shown}_", PANEL_COLUMNS), _("Enter / Clear")


def _amount(prompt: Amount, runner: Runner, _: Translate) -> Lines:
    return prompt.title, prompt.label, right(runner.keypad.text or "0", PANEL_COLUMNS), _("Enter / Clear")


def _card(prompt: Card, _runner: Runner, _: Translate) -> Lines:
    amount = "" if prompt.amount_fen is None else right(yuan(prompt.amount_fen), PANEL_COLUMNS)
    how = _("Card or code") if prompt.may_scan else _("Tap the card")
    return prompt.title, how, amount, _("Clear: cancel")


def _confirm(prompt: Confirm, _runner: Runner, _: Translate) -> Lines:
    return *(*prompt.lines, "", "", "")[: PANEL_LINES - 1], _("Enter / Clear")


def _show(prompt: Show, _runner: Runner, _: Translate) -> Lines:
    return prompt.lines


def _pages(prompt: Pages, runner: Runner, _: Translate) -> Lines:
    return prompt.pages[runner.page] if prompt.pages else ()


def _ask(prompt: Ask, _runner: Runner, _: Translate) -> Lines:
    return prompt.waiting_text, "", _("Please wait"), _("Clear: cancel")


PANELS: Final[dict[type | None, Callable[[Any, Runner, Translate], Lines]]] = {
    Menu: _menu,
    Digits: _digits,
    Amount: _amount,
    Card: _card,
    Confirm: _confirm,
    Show: _show,
    Pages: _pages,
    Ask: _ask,
}
