"""What a cashier looks up with a combination of keys: sales before, totals of day and meal, the journal, the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Final

from protocol.messages.money import EntryMode, TransactionKind
from terminal_emulator.columns import beside, columns, spread
from terminal_emulator.dialog import Dialog, Pages, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import HAPPENED, Record, RecordState
from terminal_emulator.settings import FIRMWARE
from terminal_emulator.texts import (
    COUNTS_POINTS,
    SHORT_TEXT,
    STATE_TEXT,
    date_time,
    day_text,
    masked,
    sum_text,
    yuan,
)
from terminal_emulator.till import Till

JOURNAL_PAGES: Final = 200
"""Pages of the journal at the keypad, newest first: a day of one counter. Older ones are looked up by number."""

SOLD: Final = frozenset({TransactionKind.SALE, TransactionKind.OFFLINE_SALE})
GIVEN_BACK: Final = frozenset({TransactionKind.VOID, TransactionKind.REFUND})

VOIDS: Final = frozenset(
    {
        TransactionKind.VOID,
        TransactionKind.PREAUTH_VOID,
        TransactionKind.COMPLETION_VOID,
        TransactionKind.TOPUP_VOID,
        TransactionKind.POINTS_VOID,
    }
)
TAKES_BACK: Final = VOIDS | {TransactionKind.REFUND}


def standing(record: Record, followers: Sequence[Record], _: Translate) -> str:
    """Where a transaction stands by now: as it was decided, or what has been taken back of it since."""
    if record.state is RecordState.DECLINED:
        return f"{_(STATE_TEXT[record.state])} {record.response_code}".strip()
    if any(follower.kind in VOIDS for follower in followers):
        return _("Is voided")
    refunded_fen = sum(follower.moved_fen for follower in followers if follower.kind is TransactionKind.REFUND)
    if refunded_fen:
        return beside(_("Paid back"), yuan(refunded_fen), PANEL_COLUMNS)
    return _(STATE_TEXT[record.state])


def sale_back(back: int) -> Callable[[Till], Dialog]:
    """The function that shows the last sale but `back`."""
    titles = (N_("Last sale"), N_("2nd-last sale"), N_("3rd-last sale"))

    def show(till: Till) -> Dialog:
        _ = till.translate
        recent = till.storage.recent_sales
        if back >= len(recent):
            yield Show((_(titles[back]), _("There is none")), BeepKind.ERROR)
            return
        sale = recent[back]
        followers = till.undone_by(sale)
        sold_at = date_time(sale.claimed_at_s, till.parameters.zone)[5:16]
        yield Show(
            (
                spread(_(titles[back]), f"{sale.stan:06d}", PANEL_COLUMNS),
                f"RMB {yuan(sale.amount_fen if sale.state is RecordState.REFUSED else sale.moved_fen)}",
                masked(sale.payer, is_code=sale.entry_mode is EntryMode.CODE),
                standing(sale, followers, _) if followers or sale.state is not RecordState.APPROVED else sold_at,
            )
        )

    return show


def day_total(till: Till) -> Dialog:
    """日累: what this terminal has sold today, in batches settled since as well."""
    _ = till.translate
    parameters = till.parameters
    today = parameters.local_day(till.clock_s)
    records = [one for one in till.remembered if parameters.local_day(one.claimed_at_s) == today]
    yield Show(total_lines(_("Day total"), records, _))


def meal_total(till: Till) -> Dialog:
    """餐累: the same of the meal that is on now."""
    _ = till.translate
    parameters, now_s = till.parameters, till.clock_s
    meal = parameters.meal_at(now_s)
    if meal is None:
        yield Show((_("Meal total"), _("No meal is on")), BeepKind.ERROR)
        return
    began_s = now_s - 60 * ((parameters.local_minute(now_s) - meal.start_minute) % (24 * 60)) - now_s % 60
    records = [one for one in till.remembered if one.claimed_at_s >= began_s]
    yield Show(total_lines(meal.name or _("Meal total"), records, _))


def total_lines(title: str, records: Iterable[Record], _: Translate) -> tuple[str, ...]:
    """How many sales, what they come to, and what was given back."""
    sold = back = count = 0
    for record in records:
        if record.state in HAPPENED:
            if record.kind in SOLD:
                count += 1
                sold += record.moved_fen
            elif record.kind in GIVEN_BACK:
                back += record.moved_fen
    return (
        title,
        spread(_("Sales"), str(count), PANEL_COLUMNS),
        spread(_("Amount"), yuan(sold), PANEL_COLUMNS),
        spread(_("Returned"), yuan(back), PANEL_COLUMNS) if back else _("Enter: go on"),
    )


def journal(till: Till) -> Dialog:
    """Every transaction that is kept, the newest first, one a page."""
    _ = till.translate
    records, followers = till.storage.records, till.follow_ups()
    newest = islice(sorted(records, reverse=True), JOURNAL_PAGES)
    pages = tuple(journal_page(records[identity], till, followers.get(identity, ())) for identity in newest)
    yield Pages(pages or ((_("Sales journal"), _("It is empty"), "", _("Enter: go on")),))


def journal_page(record: Record, till: Till, followers: Sequence[Record] = ()) -> tuple[str, ...]:
    """One transaction in four lines."""
    _ = till.translate
    time = date_time(record.claimed_at_s, till.parameters.zone)[11:16]
    fen = record.moved_fen if record.state in HAPPENED else record.amount_fen
    amount = yuan(fen)
    if record.kind in COUNTS_POINTS:
        amount = sum_text(record.kind, record.amount_fen, _)
        if columns(time) + 1 + columns(amount) > PANEL_COLUMNS:
            amount = str(record.amount_fen)
    return (
        spread(_(SHORT_TEXT[record.kind]), f"{record.stan:06d}", PANEL_COLUMNS),
        spread(time, amount, PANEL_COLUMNS),
        masked(record.payer, is_code=record.entry_mode is EntryMode.CODE),
        standing(record, followers, _),
    )


def date_and_time(till: Till) -> Dialog:
    """The terminal's clock, and the host's business day."""
    _ = till.translate
    now = date_time(till.clock_s, till.parameters.zone)
    day = spread(_("Day"), day_text(till.business_day) if till.business_day else "", PANEL_COLUMNS)
    yield Show((_("Date and time"), now[:10], now[11:], day))


def terminal_version(till: Till) -> Dialog:
    """Terminal number and version."""
    _ = till.translate
    settings = till.settings
    yield Show(
        (
            spread(_("Terminal"), str(settings.terminal), PANEL_COLUMNS),
            FIRMWARE,
            settings.serial_number,
            spread(_("Params"), till.parameters.version_text, PANEL_COLUMNS),
        )
    )
