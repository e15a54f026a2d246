"""From what the cashier should see (`View`) to the LCD's four lines of 16 half-width columns.

One small function per screen, found through the table `SCREENS`; a new kind of screen is a function and a line in the
table. An amount is never cut: one that does not fit its place is shown as `####`, as spreadsheets do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from protocol.messages.money import TransactionKind
from protocol.messages.parameters import Profile
from terminal_emulator.columns import columns, cut, right, spread
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.offline import OfflineRefusal
from terminal_emulator.panels import PANEL_COLUMNS, PANEL_LINES
from terminal_emulator.printer import PrinterState
from terminal_emulator.texts import (
    COUNTS_POINTS,
    MOVED_TEXT,
    SHORT_TEXT,
    Advice,
    advice_about,
    figure_text,
    points_left,
    yuan,
)
from terminal_emulator.view import Link, Lock, Screen, Shut, UploadProgress, View

LCD_COLUMNS: Final = PANEL_COLUMNS
LCD_LINES: Final = PANEL_LINES

Lcd = tuple[str, str, str, str]
"""The four lines, top first, each of at most `LCD_COLUMNS` columns and without spaces at its end."""

BLANK: Final[Lcd] = ("", "", "", "")
INSUFFICIENT_FUNDS: Final = "51"

AT_REST: Final = frozenset({Screen.IDLE, Screen.APPROVED, Screen.OFFLINE_APPROVED, Screen.LAST_APPROVED})
"""Screens whose last line is advice: there the printer may ask for paper instead."""

PRINTER_TEXT: Final = {
    PrinterState.OUT_OF_PAPER: N_("Put in paper"),
    PrinterState.COVER_OPEN: N_("Printer is open"),
}

_FULL_WIDTH: Final = {ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789."}
"""ASCII to the full-width forms, twice as wide: the nearest thing to big digits that a character LCD has."""

LINK_STATE: Final = {
    Link.CONNECTING: N_("Connecting"),
    Link.ONLINE: N_("Online"),
    Link.UNREACHABLE: N_("No network"),
    Link.LOST: N_("Line lost"),
    Link.TIMEOUT: N_("No answer"),
    Link.BUSY: N_("Host is busy"),
    Link.REFUSED: N_("Refused"),
    Link.GARBLED: N_("Bad line"),
}
LINK_ACTION: Final = {
    Link.CONNECTING: N_("Please wait"),
    Link.UNREACHABLE: N_("Check the cable"),
    Link.LOST: N_("Check the cable"),
    Link.TIMEOUT: N_("Please wait"),
    Link.BUSY: N_("Please wait"),
    Link.REFUSED: N_("Register it"),
    Link.GARBLED: N_("Call the manager"),
}
LOCK_ADVICE: Final = {
    Lock.MEMORY_FULL: Advice(N_("Memory is full"), N_("Please settle")),
    Lock.NUMBERS_USED_UP: Advice(N_("Numbers used up"), N_("Register it anew")),
}


OFFLINE_ADVICE: Final = {
    OfflineRefusal.NOT_ALLOWED: Advice(N_("Not allowed here"), N_("Call the manager")),
    OfflineRefusal.NOT_A_CARD: Advice(N_("Only with a card"), N_("Use a card, cash")),
    OfflineRefusal.NO_STOP_LIST: Advice(N_("No stop list yet"), N_("Wait for network")),
    OfflineRefusal.STOPPED: Advice(N_("Card is stopped"), N_("Other card, cash")),
    OfflineRefusal.OVER_SALE: Advice(N_("Sale too large"), N_("Take cash")),
    OfflineRefusal.OVER_CARD: Advice(N_("Card limit used"), N_("Other card, cash")),
    OfflineRefusal.OVER_TOTAL: Advice(N_("Till limit used"), N_("Wait for network")),
    OfflineRefusal.OVER_COUNT: Advice(N_("Too many waiting"), N_("Wait for network")),
}


UNDONE: Final = Advice(N_("Did not happen"), N_("Do it again"))
_ORIGINAL_STANDS: Final = Advice(N_("Original stands"), N_("Do it again"))
UNDONE_ADVICE: Final = {
    TransactionKind.SALE: Advice(N_("Keep the meal"), N_("Key it in again")),
    TransactionKind.TOPUP: Advice(N_("Give cash back"), N_("Or do it again")),
    TransactionKind.VOID: _ORIGINAL_STANDS,
    TransactionKind.PREAUTH_VOID: _ORIGINAL_STANDS,
    TransactionKind.COMPLETION_VOID: _ORIGINAL_STANDS,
    TransactionKind.TOPUP_VOID: _ORIGINAL_STANDS,
    TransactionKind.POINTS_VOID: _ORIGINAL_STANDS,
}
"""What a transaction that did not happen means for meal, cash and original. Only a sale is collected again."""

LAST_ACTION: Final = {
    TransactionKind.SALE: N_("If unpaid: again"),
    TransactionKind.TOPUP: N_("Cash back if due"),
}
"""The same after a power cut: it may have been a moment ago or last night, and somebody may have seen to it."""


def render(view: View, _: Translate, printer: PrinterState = PrinterState.READY) -> Lcd:
    """The LCD of a view in the language of the translation. What is wrong with the printer is said where it may be."""
    lines: tuple[str, ...] = SCREENS[view.screen](view, _)
    if printer is not PrinterState.READY and view.screen in AT_REST:
        lines = (*lines[:3], _(PRINTER_TEXT[printer]))
    elif printer is not PrinterState.READY and view.screen is Screen.DIALOG:
        # The dialog has handed the slip over; it comes when there is paper.
        lines = tuple(_(PRINTER_TEXT[printer]) if line.strip() == _("Printed") else line for line in lines)
    first, second, third, fourth = (cut(line, LCD_COLUMNS).rstrip() for line in lines)
    return first, second, third, fourth


# ------------------------------------------------------------------------------------------------ the pieces


def _labelled(label: str, amount_fen: int | None) -> str:
    """A label at the left, an amount at the right edge; the label gives way, never the amount."""
    return spread(label, _money(amount_fen), LCD_COLUMNS)


def _sum(view: View, label: str, amount: int | None) -> str:
    """An amount of this transaction: money, or points where it counts them."""
    if view.kind not in COUNTS_POINTS or amount is None:
        return _labelled(label, amount)
    return spread(label, str(amount) if columns(str(amount)) <= LCD_COLUMNS else "#" * 4, LCD_COLUMNS)


def _points(points: int, _: Translate) -> str:
    label, number = points_left(points, _, N_("Pts.left"))
    return spread(label, number if columns(number) <= LCD_COLUMNS else "#" * 4, LCD_COLUMNS)


def _left(view: View, _: Translate) -> str:
    """What the payer has now."""
    if view.kind in COUNTS_POINTS and view.balance_fen is not None:
        return _points(view.balance_fen, _)
    return _labelled(_("Balance"), view.balance_fen)


def _money(amount_fen: int | None) -> str:
    text = "" if amount_fen is None else yuan(amount_fen)
    return text if columns(text) <= LCD_COLUMNS else "#" * 4


def _big(amount: str) -> str:
    """An amount at the right edge, in full-width digits if they fit."""
    wide = amount.translate(_FULL_WIDTH)
    return right(wide if columns(wide) <= LCD_COLUMNS else amount, LCD_COLUMNS)


def _head(view: View, _: Translate) -> str:
    """Who sells here, and the number of the terminal."""
    name = view.merchant.name if view.merchant else ""
    return spread(name or _("Canteen"), str(view.terminal), LCD_COLUMNS)


def _line_to_host(link: Link, _: Translate) -> str:
    """The state of the line, and what to do about it if there is room for both."""
    state = _(LINK_STATE[link])
    both = f"{state} {_(LINK_ACTION[link])}" if link in LINK_ACTION else state
    return both if columns(both) <= LCD_COLUMNS else state


def _restoring(upload: UploadProgress, _: Translate) -> str:
    """How much of what the host lost it has back; how much is left if there is no room for both numbers."""
    both = _("Restore {done}/{total}").format(done=upload.done, total=upload.total)
    if columns(both) <= LCD_COLUMNS:
        return both
    return _("Restoring {count}").format(count=upload.total - upload.done)


def _voucher(label: str, stan: int) -> str:
    return spread(label, f"{stan:06d}", LCD_COLUMNS)


# ------------------------------------------------------------------------------------------------ the screens


def _off(_view: View, _: Translate) -> Lcd:
    return BLANK


def _shut(view: View, _: Translate) -> Lcd:
    line = _line_to_host(view.link, _)
    if view.shut is Shut.LOCKED:
        operator = spread(_("Operator"), f"{view.operator:02d}", LCD_COLUMNS)
        return _head(view, _), _("Keypad is locked"), operator, _("Press any key")
    return _head(view, _), _("Please sign on"), _("Press any key"), line


def _dialog(view: View, _: Translate) -> Lcd:
    first, second, third, fourth = view.panel
    return first, second, third, fourth


def _what_to_do(view: View, _: Translate) -> str:
    """What sells something, and whether this terminal decides alone."""
    if view.fixed_fen:
        return _("Fixed, offline") if view.sells_offline else _("Fixed: tap card")
    if view.sells_offline:
        return _("Offline: amount") if view.profile is Profile.CANTEEN else _("Offline: menu")
    return _("Key in amount") if view.profile is Profile.CANTEEN else _("Enter: menu")


def _idle(view: View, _: Translate) -> Lcd:
    if view.is_armed:
        return _head(view, _), _("Clear and a key"), _("1-9, 0, Enter"), _("Clear: cancel")
    is_canteen = view.profile is Profile.CANTEEN
    amount = yuan(view.fixed_fen) if is_canteen else ""
    nothing_yet = _big(amount) if is_canteen else _("2top 3sale 4pts")
    if view.pending_reversals:
        waiting = _("Reversals {count}").format(count=view.pending_reversals)
        nothing_yet = spread(waiting, amount, LCD_COLUMNS)
    elif view.pending_repeats:
        waiting = _("Unclear {count}").format(count=view.pending_repeats)
        nothing_yet = spread(waiting, amount, LCD_COLUMNS)
    elif view.is_settling:
        nothing_yet = spread(_("Settle again"), amount, LCD_COLUMNS)
    elif view.offline_waiting or view.offline_unbooked:
        count = view.offline_waiting or view.offline_unbooked
        label = _("Waiting") if view.offline_waiting else _("Unbooked")
        nothing_yet = spread(f"{label} {count}", amount, LCD_COLUMNS)
    what = _what_to_do(view, _)
    line = _line_to_host(view.link, _)
    if view.sells_offline and view.link is Link.ONLINE:
        line = _("Clear 7: online") if is_canteen else _("Offline mode on")
    if view.host_rolled_back or view.records_differ:
        what = _("Host lost sales") if view.host_rolled_back else _("Records differ")
        if view.link is Link.ONLINE:
            line = _("Call the manager")
    if view.upload is not None and view.link is Link.ONLINE:
        line = _restoring(view.upload, _)
    return _head(view, _), what, nothing_yet, line


def _amount(view: View, _: Translate) -> Lcd:
    return _head(view, _), _("Amount in yuan"), _big(view.amount_text or "0"), _("Enter, then card")


def _no_link(view: View, _: Translate) -> Lcd:
    if view.stan:  # of a dialog, which is over: its card and its PIN have to be read again
        label = _("No sale") if view.kind is TransactionKind.SALE else _(SHORT_TEXT[view.kind])
        return _sum(view, label, view.amount_fen), _("Did not happen"), _(LINK_STATE[view.link]), _("Enter: go on")
    action = _(LINK_ACTION[view.link]) if view.link in LINK_ACTION else ""
    return _labelled(_("No sale"), view.amount_fen), _(LINK_STATE[view.link]), action, _("Enter: try again")


def _card(view: View, _: Translate) -> Lcd:
    """It says that this is a sale: whoever has cleared a top-up's amount and keys it again stands here."""
    how = _("Offline:tap card") if view.sells_offline else _("Sale: tap card")
    return _head(view, _), how, _big(yuan(view.amount_fen)), _("Clear: cancel")


def _sending(view: View, _: Translate) -> Lcd:
    return _head(view, _), _("Processing..."), _big(figure_text(view.kind, view.amount_fen)), _("Please wait")


def _resending(view: View, _: Translate) -> Lcd:
    again = _("Sending, try {attempt}").format(attempt=view.attempt)
    return _head(view, _), again, _big(figure_text(view.kind, view.amount_fen)), _("Do not tap again")


def _asking(view: View, _: Translate) -> Lcd:
    return _head(view, _), _("Asking the host"), _big(figure_text(view.kind, view.amount_fen)), _("Do not tap again")


def _what_next(view: View, _: Translate) -> str:
    """Advice below a sale that is done; what the cashier took off, if anything, is worth more."""
    if view.discount_fen:
        return _labelled(_("Discount"), -view.discount_fen)
    return _("Key next amount") if view.profile is Profile.CANTEEN else _("Enter: go on")


def _approved(view: View, _: Translate) -> Lcd:
    label = _("Approved") if view.kind is TransactionKind.SALE else _(SHORT_TEXT[view.kind])
    last = _what_next(view, _)
    if view.charged_fen is not None:  # the host's discount, or a bonus
        moved = MOVED_TEXT.get(view.kind)
        last = last if moved is None else _labelled(_(moved), view.charged_fen)
    if view.points_balance < 0 and view.kind not in COUNTS_POINTS:
        last = _points(view.points_balance, _)  # what the slip calls earned has paid a debt
    return (
        _voucher(label, view.stan),
        _sum(view, _("Amount"), view.amount_fen),
        _left(view, _),
        last,
    )


def _declined(view: View, _: Translate) -> Lcd:
    reason, action = advice_about(view.kind, view.response_code)
    if view.response_code == INSUFFICIENT_FUNDS and view.balance_fen is not None:
        money = _left(view, _)
        if view.kind in COUNTS_POINTS:
            reason, action = N_("Too few points"), N_("Other card/cash")
    else:
        money = _sum(view, _("Amount"), view.amount_fen)
    return spread(_("Declined"), view.response_code, LCD_COLUMNS), _(reason), _(action), money


def _uncharged(view: View, _: Translate) -> Lcd:
    is_sale = view.kind is TransactionKind.SALE
    what, action = UNDONE_ADVICE.get(view.kind, UNDONE)
    return (
        _("Unpaid, reversal") if is_sale else _("Undone, reversal"),
        _sum(view, _("Amount") if is_sale else _(SHORT_TEXT[view.kind]), view.amount_fen),
        _(what),
        _(action),
    )


def _repeating(view: View, _: Translate) -> Lcd:
    return (
        _sum(view, _(SHORT_TEXT[view.kind]), view.amount_fen),
        _("Result unknown"),
        _("Repeated till ok"),
        _("Do not do again"),
    )


def _offline_approved(view: View, _: Translate) -> Lcd:
    waiting = spread(_("Waiting"), str(view.offline_waiting), LCD_COLUMNS)
    return _voucher(_("Offl. OK"), view.stan), _labelled(_("Amount"), view.amount_fen), waiting, _what_next(view, _)


def _offline_refused(view: View, _: Translate) -> Lcd:
    reason, action = OFFLINE_ADVICE[view.offline_refusal or OfflineRefusal.NOT_ALLOWED]
    return _("No offline sale"), _labelled(_("Amount"), view.amount_fen), _(reason), _(action)


def _last(view: View, _: Translate) -> str:
    """What was found open after a power cut."""
    label = _("Last one") if view.kind is TransactionKind.SALE else _(SHORT_TEXT[view.kind])
    return _sum(view, label, view.amount_fen)


def _last_asking(view: View, _: Translate) -> Lcd:
    return _last(view, _), _("Power was lost"), _("Asking the host"), _("Please wait")


def _last_approved(view: View, _: Translate) -> Lcd:
    return (
        _last(view, _),
        _voucher(_("Approved"), view.stan),
        _left(view, _),
        _("Serve if not yet") if view.kind is TransactionKind.SALE else _("Enter: go on"),
    )


def _last_uncharged(view: View, _: Translate) -> Lcd:
    reason = _(advice_about(view.kind, view.response_code).reason) if view.response_code else _("Result unknown")
    what = _("Not charged") if view.kind is TransactionKind.SALE else _("Did not happen")
    action = LAST_ACTION.get(view.kind, UNDONE_ADVICE.get(view.kind, UNDONE).action)
    return _last(view, _), what, reason, _(action)


def _last_reversed(view: View, _: Translate) -> Lcd:
    amount = _sum(view, _(SHORT_TEXT[view.kind]), view.amount_fen)
    return amount, _voucher(_("Voucher"), view.stan), _("Reversed"), _("Enter: go on")


def _locked(view: View, _: Translate) -> Lcd:
    if view.lock is None:
        return _head(view, _), _("Locked"), "", _("Call the manager")
    reason, action = LOCK_ADVICE[view.lock]
    return _head(view, _), _("Locked"), _(reason), _(action)


SCREENS: Final[dict[Screen, Callable[[View, Translate], Lcd]]] = {
    Screen.OFF: _off,
    Screen.IDLE: _idle,
    Screen.SHUT: _shut,
    Screen.DIALOG: _dialog,
    Screen.AMOUNT: _amount,
    Screen.NO_LINK: _no_link,
    Screen.CARD: _card,
    Screen.SENDING: _sending,
    Screen.RESENDING: _resending,
    Screen.ASKING: _asking,
    Screen.APPROVED: _approved,
    Screen.DECLINED: _declined,
    Screen.UNCHARGED: _uncharged,
    Screen.REPEATING: _repeating,
    Screen.LAST_ASKING: _last_asking,
    Screen.LAST_APPROVED: _last_approved,
    Screen.LAST_REVERSED: _last_reversed,
    Screen.LAST_UNCHARGED: _last_uncharged,
    Screen.LAST_REPEATING: _repeating,
    Screen.OFFLINE_APPROVED: _offline_approved,
    Screen.OFFLINE_REFUSED: _offline_refused,
    Screen.LOCKED: _locked,
}
