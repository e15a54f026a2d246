"""脱机: selling without the host on or off, and what waits for it."""

from __future__ import annotations

from terminal_emulator.columns import spread
from terminal_emulator.dialog import Dialog, Show
from terminal_emulator.effects import BeepKind
from terminal_emulator.keepsakes import OfflineMode
from terminal_emulator.panels import PANEL_COLUMNS
from terminal_emulator.record import RecordState
from terminal_emulator.texts import yuan
from terminal_emulator.till import Till


def offline_mode(till: Till) -> Dialog:
    """The other way round than it is. On, only cards are taken, and nothing goes up until it is off again."""
    _ = till.translate
    if not till.offline_mode and not till.offline_limits.allow_any:
        yield Show((_("Offline mode"), _("Not allowed here"), _("Call the manager")), BeepKind.ERROR)
        return
    till.keep(OfflineMode(not till.offline_mode))
    records = till.storage.offline_records()
    lines = [spread(_("Offline mode"), _("on") if till.offline_mode else _("off"), PANEL_COLUMNS)]
    for label, state in ((_("Waiting"), RecordState.OFFLINE), (_("Unbooked"), RecordState.REFUSED)):
        found = [record.amount_fen for record in records if record.state is state]
        if found:
            lines.append(spread(f"{label} {len(found)}", yuan(sum(found)), PANEL_COLUMNS))
    yield Show((*lines, _("Enter: go on")), BeepKind.OK)
