"""Everything a cashier does but the plain sale is a dialog: a generator that yields prompts and is sent their replies.

    stan = yield Digits(_("Void"), _("Voucher no."), 1, 6)
    payer = yield Card(_("Tap the card"), amount_fen=1250)
    record = yield Transact(till.new_record(...))

A dialog does no I/O and knows no screen: `panels` turns a prompt into lines, the brain carries out what is no question
(Transact, Ask, Print). Clear ends a dialog wherever it stands, so it always leads home: nothing a dialog holds may
be needed afterwards. Records are stored by the brain before anything is sent; they do not depend on their dialog.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

import msgspec

from protocol import TerminalNumber
from protocol.messages import EntryMode, Message
from terminal_emulator.effects import BeepKind, Key
from terminal_emulator.keypad import DIGITS, Keypad
from terminal_emulator.record import Record

MENU_ROWS: Final = 3
"""Rows of a menu or page under its title."""


class Payer(msgspec.Struct, frozen=True, gc=False):
    """Who was read: the token of a card, or the digits of a payment code as ASCII."""

    token: bytes
    entry_mode: EntryMode = EntryMode.CARD

    @property
    def may_pay(self) -> bool:
        """What was scanned and is no number is no payment code."""
        return self.entry_mode is EntryMode.CARD or self.token.isdigit()


class Menu(msgspec.Struct, frozen=True):
    """Choose one of the rows (key, label) by its key. The reply is the key, or None for Delete: one level up."""

    title: str
    rows: tuple[tuple[str, str], ...]


class Digits(msgspec.Struct, frozen=True, kw_only=False):
    """Key between `low` and `high` digits, or none if `optional`. The reply is the text. `masked` shows stars;
    `may_scan` lets the scanner key them: a scan of a fitting length is the digits and Enter."""

    title: str
    label: str
    low: int
    high: int
    masked: bool = False
    optional: bool = False
    may_scan: bool = False


class Amount(msgspec.Struct, frozen=True):
    """Key an amount in yuan, not 0. The reply is in fen."""

    title: str
    label: str


class Card(msgspec.Struct, frozen=True):
    """Read who pays. The reply is a Payer. `may_scan`: a payment code will do as well."""

    title: str
    amount_fen: int | None = None
    may_scan: bool = False


class Confirm(msgspec.Struct, frozen=True):
    """Show up to three lines and wait for Enter. The reply is True; there is no other: Clear ends the dialog."""

    lines: tuple[str, ...]


class Show(msgspec.Struct, frozen=True):
    """Say something in up to four lines, until Enter. The reply is None."""

    lines: tuple[str, ...]
    beep: BeepKind | None = None


class Pages(msgspec.Struct, frozen=True):
    """Leaf through pages of up to four lines with up and down, until Enter. The reply is None."""

    pages: tuple[tuple[str, ...], ...]


class Transact(msgspec.Struct, frozen=True):
    """Store the record and have the host decide. The reply is the record in its new state: APPROVED, DECLINED,
    REVERSED, or open still (REVERSING, REPEATING: people are told, and the brain goes on by itself). If the dialog ends
    right behind it, the screen shows what came of it. The slip of an approved one is printed in any case."""

    record: Record
    pin: str = ""
    online_only: bool = False
    """Never to be decided here alone, as after a wrong PIN: nobody here can check the next one."""

    def __repr__(self) -> str:
        return f"Transact({self.record!r}{', with PIN' if self.pin else ''})"


class Ask(msgspec.Struct, frozen=True):
    """Ask the host what moves no money. The reply is its answer, or None: no answer, no line, or a reject."""

    message: Message
    waiting_text: str
    pin: str = ""

    def __repr__(self) -> str:
        return f"Ask({self.message!r})"


class Print(msgspec.Struct, frozen=True):
    """Print a slip, or whatever else the shell can lay out. The reply is None, whatever the printer does."""

    slip: msgspec.Struct


class Open(msgspec.Struct, frozen=True):
    """Go on with another function or menu: this dialog ends here."""

    name: str


class Renumber(msgspec.Struct, frozen=True):
    """Be another terminal from now on. The reply is None: the shell stores it and connects anew."""

    terminal: TerminalNumber


Question = Menu | Digits | Amount | Card | Confirm | Show | Pages
Prompt = Question | Transact | Ask | Print | Open | Renumber
Dialog = Generator[Prompt, Any, None]


class Stop(Exception):
    """Raised inside a dialog to end it: whoever raises it has said why on the screen."""


class Runner:
    """One dialog under way. `prompt` is what it waits for; None: it has ended.

    `text` is what was keyed so far at a Digits prompt, `keypad` at an Amount prompt, `page` where one stands in a Menu
    or in Pages. Anything that is not for the prompt is refused with False and changes nothing.
    """

    __slots__ = ("_dialog", "keypad", "page", "prompt", "text")

    def __init__(self, dialog: Dialog) -> None:
        self._dialog = dialog
        self.prompt: Prompt | None = None
        self.keypad = Keypad()
        self.text = ""
        self.page = 0
        self.reply(None)

    def reply(self, value: object) -> None:
        """The prompt is answered: go on to the next."""
        self.keypad.clear()
        self.text, self.page = "", 0
        try:
            self.prompt = self._dialog.send(value)
        except (StopIteration, Stop):
            self.prompt = None

    def close(self) -> None:
        """Nobody wants it any more."""
        self._dialog.close()
        self.prompt = None

    def press(self, key: Key) -> bool:
        """A key other than Clear."""
        handle = PRESSES.get(type(self.prompt))
        return handle is not None and handle(self, self.prompt, key)

    def read(self, payer: Payer) -> bool:
        """A card was tapped, or a code scanned."""
        prompt = self.prompt
        if isinstance(prompt, Card):
            if payer.entry_mode is EntryMode.CARD or (prompt.may_scan and payer.may_pay):
                self.reply(payer)
                return True
        elif isinstance(prompt, Digits) and prompt.may_scan and payer.entry_mode is EntryMode.CODE:
            text = payer.token.decode("ascii")
            if text.isdigit() and prompt.low <= len(text) <= prompt.high:
                self.reply(text)
                return True
        return False

    # --- One function a kind of question

    def _menu(self, prompt: Menu, key: Key) -> bool:
        if key is Key.DELETE:
            self.reply(None)
            return True
        if any(key.value == row for row, _ in prompt.rows):
            self.reply(key.value)
            return True
        return self._turn(key, -(-len(prompt.rows) // MENU_ROWS))

    def _pages(self, prompt: Pages, key: Key) -> bool:
        return self._turn(key, len(prompt.pages)) or self._enter(key, None)

    def _turn(self, key: Key, count: int) -> bool:
        """Up and down, round at the ends."""
        if key not in (Key.UP, Key.DOWN) or count < 2:
            return False
        self.page = (self.page + (1 if key is Key.DOWN else -1)) % count
        return True

    def _digits(self, prompt: Digits, key: Key) -> bool:
        if key is Key.DELETE and self.text:
            self.text = self.text[:-1]
        elif key in DIGITS and len(self.text) < prompt.high:
            self.text += key.value
        elif key is Key.ENTER and (len(self.text) >= prompt.low or (prompt.optional and not self.text)):
            self.reply(self.text)
        else:
            return False
        return True

    def _amount(self, _prompt: Amount, key: Key) -> bool:
        if key is Key.DELETE and self.keypad.text:
            self.keypad.delete()
        elif key is Key.ENTER and self.keypad.amount_fen:
            self.reply(self.keypad.amount_fen)
        else:
            return self.keypad.press(key)
        return True

    def _confirm(self, _prompt: Confirm, key: Key) -> bool:
        return self._enter(key, True)

    def _show(self, _prompt: Show, key: Key) -> bool:
        return self._enter(key, None)

    def _enter(self, key: Key, value: object) -> bool:
        if key is not Key.ENTER:
            return False
        self.reply(value)
        return True


PRESSES: Final[dict[type | None, Callable[[Runner, Any, Key], bool]]] = {
    Menu: Runner._menu,
    Digits: Runner._digits,
    Amount: Runner._amount,
    Confirm: Runner._confirm,
    Show: Runner._show,
    Pages: Runner._pages,
}
"""Card is answered by the reader alone; what is no question, by the brain."""
