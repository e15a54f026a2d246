"""结算: the batch is held against the host's journal; what differs is shown, and closed with a supervisor's password.

Every step but the pages of a list is stored before the next one is made, so the dialog may be left or cut off
anywhere: pressed again, it goes on where it stood. Only a settlement that is done clears the journal.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from protocol.messages.settlement import DifferenceRow, totals_of
from terminal_emulator.columns import columns, spread
from terminal_emulator.dialog import Ask, Confirm, Dialog, Pages, Print, Prompt, Show, Stop
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows.echo import claimed_time_s
from terminal_emulator.flows.settlement import accept, answered, begin, oldest_batch, request_of, rows_of, unsettled
from terminal_emulator.functions.passwords import check_password
from terminal_emulator.i18n import N_
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.settled import Settlement, Stage, report
from terminal_emulator.slip_day import DIFFERENCE_TEXT, both_sides
from terminal_emulator.texts import KIND_TEXT, SHORT_TEXT
from terminal_emulator.till import Till

WAITING_TEXT: Final = {
    Stage.TOTALS: N_("Settling..."),
    Stage.UPLOAD: N_("Sending records"),
    Stage.END: N_("Comparing..."),
    Stage.DIFFERENCES: N_("Comparing..."),
    Stage.CLOSE: N_("Closing..."),
}


def settlement(till: Till) -> Dialog:
    """Settle what there is, one batch after another, the oldest first."""
    _ = till.translate
    storage = till.storage
    state = storage.settlement
    # One that is to go on as well: a host restored meanwhile has to get its records back first.
    if not till.may_settle:
        yield from _still_open(till)
    if till.refused:
        yield from _past_refused(till)
    if state is None:
        batch = oldest_batch(storage)
        rows = rows_of(storage.acknowledged(), batch)
        count = sum(row.count for row in totals_of(rows))
        yield Confirm((_("Settlement"), f"{_('Batch')} {batch:06d}", f"{_('Count')} {count}"))
    newest = storage.used[0] if state is None else state.batch
    while True:
        if state is None:
            if not till.may_settle:
                yield from _still_open(till)
            state = begin(storage, till.operator, claimed_time_s(till.clock_s))
        done = yield from _settled(till, state)
        yield Print(report(done, str(till.settings.terminal), till.merchant))
        word = _("Balanced") if done.is_balanced else _("Not balanced")
        next_batch = f"{_('Next')} {storage.used[0]:06d}"
        yield Show((_("Settlement"), f"{_('Batch')} {done.batch:06d}", word, next_batch), BeepKind.OK)
        state = None
        if not any(batch <= newest for batch in unsettled(storage)):
            return


def _settled(till: Till, state: Settlement) -> Generator[Prompt, Any, Settlement]:
    """Lead one settlement to its end; Stop where it cannot go on now."""
    storage = till.storage
    while state.is_open:
        records = [] if state.stage is Stage.DIFFERENCES else storage.acknowledged()
        request = request_of(state, records)
        if request is None:
            yield from _ask_supervisor(till, state)
            state = accept(state)
        else:
            answer = yield Ask(request, till.translate(WAITING_TEXT[state.stage]))
            after = state if answer is None else answered(state, answer, records)
            if after == state:
                yield from _not_now(till)
            state = after
        # The pages of a list of differences are kept here until there are all: stored one by one, each with those
        # before it, a long list would fill the memory. After a cut it is read again from its first page.
        if state.stage is not Stage.DIFFERENCES or state.page == 1:
            storage.save_settlement(state)
    return state


def _still_open(till: Till) -> Generator[Prompt, Any, None]:
    """The host lacks what it needs to compare; nothing goes up while the cashier wants to be offline."""
    _ = till.translate
    if till.holds_back and till.storage.waiting:
        yield Show((_("Settlement"), _("Offline mode"), _("is still on"), _("Switch it off")), BeepKind.ERROR)
        raise Stop
    yield Show((_("Settlement"), _("Something is"), _("still open"), _("Try again soon")), BeepKind.ERROR)
    raise Stop


def _past_refused(till: Till) -> Generator[Prompt, Any, None]:
    """What the host refuses to reverse, it may refuse for ever: a supervisor may settle without it. It stays open."""
    _ = till.translate
    for record in till.refused:
        head = spread(_(SHORT_TEXT[record.kind]), f"{record.stan:06d}", PANEL_COLUMNS)
        yield Show((head, _("Host refuses it"), _("It stays open"), _("Enter: go on")), BeepKind.ERROR)
    yield from check_password(till)


def _not_now(till: Till) -> Generator[Prompt, Any, None]:
    """No answer, or one that decides nothing. What has been done is stored."""
    _ = till.translate
    yield Show((_("Not yet settled"), _("Nothing is lost"), _("Settle again"), _("to go on")), BeepKind.ERROR)
    raise Stop


def _ask_supervisor(till: Till, state: Settlement) -> Generator[Prompt, Any, None]:
    """What differs, for a supervisor to look at; the password accepts it."""
    _ = till.translate
    if state.stage is Stage.ELSEWHERE:
        batch = f"{_('Batch')} {state.batch:06d}"
        yield Show((batch, _("Closed already"), _("by another"), _("settlement")), BeepKind.ERROR)
    else:
        count = len(state.differences)
        yield Show((_("Not balanced"), f"{_('Differences')} {count}", _("Look at each")), BeepKind.ERROR)
        yield Pages(tuple(_page(till, row, f"{at}/{count}") for at, row in enumerate(state.differences, 1)))
        yield Confirm((_("Close the batch"), _("with these"), f"{_('Differences')} {count}"))
    yield from check_password(till)


def _page(till: Till, row: DifferenceRow, where: str) -> tuple[str, ...]:
    _ = till.translate
    head, kind, what = f"{row.stan:06d} {where}", _(KIND_TEXT[row.kind]), _(DIFFERENCE_TEXT[row.difference])
    here, there = both_sides(row, _)
    if columns(both := f"{here}/{there}") <= PANEL_COLUMNS:
        return head, kind, what, both
    return head, what, spread(_("Till"), here, PANEL_COLUMNS), spread(_("Host"), there, PANEL_COLUMNS)


def reprint_settlement(till: Till) -> Dialog:
    """The slip of the newest settlement once more."""
    _ = till.translate
    last = till.storage.last_settlement
    if last is None:
        yield Show((_("Settlement"), _("None so far")), BeepKind.ERROR)
        return
    yield Print(report(last, str(till.settings.terminal), till.merchant, is_reprint=True))
    yield Show((_("Settlement"), f"{_('Batch')} {last.batch:06d}", _("Printed")), BeepKind.OK)
