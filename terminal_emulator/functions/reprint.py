"""重打印: the slip of the last or of any transaction once more, marked as such; and the totals of the batch."""

from __future__ import annotations

from terminal_emulator.dialog import Dialog, Print, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.functions.lookups import of_this_till
from terminal_emulator.functions.queries import totals_of
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import ReportRow, TotalsReport, cash_of
from terminal_emulator.slip_day import Reprint
from terminal_emulator.till import Till


def reprint_last(till: Till) -> Dialog:
    """Both copies of the last transaction's slip, also right after settlement."""
    _ = till.translate
    record = till.newest
    if record is None:
        yield Show((_("Reprint"), _("None yet")), BeepKind.ERROR)
        return
    yield from _reprint(till, record)


def reprint(till: Till) -> Dialog:
    """Both copies of the slip of a voucher that is kept here."""
    _ = till.translate
    record = yield from of_this_till(till, _("Reprint"))
    yield from _reprint(till, record)


def totals(till: Till) -> Dialog:
    """A slip with the totals of the open batch, by kind."""
    _ = till.translate
    yield Print(
        TotalsReport(
            terminal=str(till.settings.terminal),
            merchant=till.merchant,
            batch=till.storage.used[0],
            operator=till.operator,
            printed_at_s=int(till.clock_s),
            rows=tuple(ReportRow(kind, count, moved) for kind, count, moved in totals_of(till)),
            float_fen=till.float_fen,
            cash_fen=cash_of(
                (one.kind, one.amount_fen)
                for one in till.storage.records.values()
                if one.batch == till.storage.used[0] and one.state is RecordState.APPROVED
            ),
        )
    )
    yield Show((_("TOTALS"), _("Printed")), BeepKind.OK)


def _reprint(till: Till, record: Record) -> Dialog:
    _ = till.translate
    yield Print(Reprint(record, till.merchant))
    yield Show((_("Reprint"), f"{_('Voucher')} {record.stan:06d}", _("Printed")), BeepKind.OK)
