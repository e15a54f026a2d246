"""查询交易: what became of a transaction, by this terminal's memory and by the host's word; lists and totals."""

from __future__ import annotations

from typing import Final

from protocol.messages import QueryAnswer, TransactionState
from protocol.messages.money import TransactionKind
from terminal_emulator.columns import spread
from terminal_emulator.dialog import Ask, Dialog, Menu, Pages, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.flows import APPROVED
from terminal_emulator.flows.requests import query_of
from terminal_emulator.functions.looks import TAKES_BACK, journal, standing
from terminal_emulator.functions.lookups import found_lines, look_up, of_this_till
from terminal_emulator.functions.passwords import must_be_answered
from terminal_emulator.i18n import N_, Translate
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import HAPPENED, Record, RecordState
from terminal_emulator.texts import COUNTS_POINTS, KIND_TEXT, SHORT_TEXT, date_time, figure_text, sum_text
from terminal_emulator.till import Till

HOST_STATE_TEXT: Final = {
    TransactionState.APPROVED: N_("Host: booked"),
    TransactionState.DECLINED: N_("Host: refused"),
    TransactionState.REVERSED: N_("Host: reversed"),
    TransactionState.IN_PROGRESS: N_("Host: under way"),
    TransactionState.NEVER_SEEN: N_("Host: never seen"),
}


def query_last(till: Till) -> Dialog:
    """Did the last one succeed? Asked so that nobody taps twice."""
    record = till.newest
    if record is None:
        yield _none_yet(till)
        return
    yield from _ask_about(till, record)


def transactions(till: Till) -> Dialog:
    """交易查询: one by its voucher number, one by its reference, all of this terminal, or their totals."""
    _ = till.translate
    rows = (("1", _("By voucher no")), ("2", _("By reference")), ("3", _("All")), ("4", _("Totals by kind")))
    key = yield Menu(_("Transactions"), rows)
    if key is not None:
        yield from {"1": by_voucher, "2": by_reference, "3": journal, "4": totals_by_kind}[key](till)


def by_voucher(till: Till) -> Dialog:
    """What is remembered here of a voucher, then what the host says."""
    _ = till.translate
    record = yield from of_this_till(till, _("Transactions"))
    yield Pages((_page(record, till, _),))
    yield from _ask_about(till, record)


def by_reference(till: Till) -> Dialog:
    """One of this merchant's, whichever terminal made it."""
    _ = till.translate
    found = yield from look_up(till, _("Transactions"))
    # Of what took back itself nothing is left to be taken back.
    lines = found_lines(found, _)[: 1 if found.kind in TAKES_BACK else 2]
    yield Show(
        (
            spread(_(SHORT_TEXT[found.kind]), f"{found.original_stan:06d}", PANEL_COLUMNS),
            _(HOST_STATE_TEXT[found.state]),
            *lines,
        )
    )


def totals_by_kind(till: Till) -> Dialog:
    """Count and amount of every kind in the batch that is open."""
    _ = till.translate
    totals = totals_of(till)
    if not totals:
        yield _none_yet(till)
        return
    lines = [
        line
        for kind, count, moved in totals
        for line in (_(KIND_TEXT[kind]), spread(str(count), sum_text(kind, moved, _), PANEL_COLUMNS))
    ]
    yield Pages(tuple(tuple(lines[start : start + 4]) for start in range(0, len(lines), 4)))


def totals_of(till: Till) -> list[tuple[TransactionKind, int, int]]:
    """(kind, count, sum) of what has happened in the newest batch."""
    batch = till.storage.used[0]
    counted: dict[TransactionKind, tuple[int, int]] = {}
    for record in till.storage.records.values():
        if record.batch == batch and record.state in HAPPENED:
            count, moved = counted.get(record.kind, (0, 0))
            counted[record.kind] = (
                count + 1,
                moved + (record.amount_fen if record.kind in COUNTS_POINTS else record.moved_fen),
            )
    return [(kind, *counted[kind]) for kind in sorted(counted)]


def _ask_about(till: Till, record: Record) -> Dialog:
    """The host's word about a record of this terminal; of one that waits to go up it has none yet."""
    _ = till.translate
    if record.state is RecordState.OFFLINE:
        yield Show(_page(record, till, _))
        return
    answer: QueryAnswer | None = yield Ask(query_of(record), _("Asking the host"))
    yield from must_be_answered(till, answer)
    assert answer is not None
    said = _(HOST_STATE_TEXT[answer.state])
    if answer.state is TransactionState.DECLINED and answer.response_code != APPROVED:
        said = f"{said} {answer.response_code}"
    yield Show(
        (
            spread(_(SHORT_TEXT[record.kind]), figure_text(record.kind, record.amount_fen), PANEL_COLUMNS),
            said,
            spread(_("Voucher"), f"{record.stan:06d}", PANEL_COLUMNS),
            standing(record, followers, _)
            if (followers := till.undone_by(record))
            else spread(_("Batch"), f"{record.batch:06d}", PANEL_COLUMNS),
        ),
        BeepKind.OK if answer.state is TransactionState.APPROVED else BeepKind.ERROR,
    )


def _page(record: Record, till: Till, _: Translate) -> tuple[str, ...]:
    """A record on one LCD."""
    at_s = record.posted_at_ms / 1000 if record.posted_at_ms else record.claimed_at_s
    return (
        spread(_(SHORT_TEXT[record.kind]), f"{record.stan:06d}", PANEL_COLUMNS),
        sum_text(record.kind, record.amount_fen, _),
        standing(record, till.undone_by(record), _),
        date_time(at_s, till.parameters.zone)[5:],
    )


def _none_yet(till: Till) -> Show:
    _ = till.translate
    return Show((_("Transactions"), _("None yet")), BeepKind.ERROR)
