"""What is known of terminals (S4): found by serial number, last seen, firmware, clock, and their events."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from server.ledger.devices import EVENTS_MAX, EventKind
from server.ledger.registry import TerminalRecord
from server.operations.desk import (
    PAGE_MAX,
    SERIAL_NUMBER_BYTES_MAX,
    AdminError,
    Desk,
    Fields,
    check_number,
    check_text,
    parse_terminal,
    show_terminal,
)
from server.operations.terminals import Terminals

NO_END: Final = 1 << 62


class DeviceDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("find_listing", "show", "events_listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._terminals = Terminals(desk)

    def find_listing(self, serial_number: str) -> list[Fields]:
        """The terminals whose serial number begins so; at most a page."""
        serial_number = check_text("serial number", serial_number, bytes_max=SERIAL_NUMBER_BYTES_MAX)
        found = self._desk.devices.find_serial(serial_number)[:PAGE_MAX]
        return [self._fields(self._known(show_terminal(terminal_id))) for terminal_id in found]

    def show(self, terminal: str, events: int = 10) -> Fields:
        """One terminal: its state, what was seen of it, the parameters in force, its newest events."""
        record = self._known(terminal)
        return {
            **self._fields(record),
            "clock_skew_s": self._desk.devices.clock_skew_s(record.terminal_id),
            "parameters": msgspec.structs.asdict(
                self._desk.parameters.in_force(record.terminal_id, record.merchant_id)
            ),
            "events": self.events_listing(terminal, events),
        }

    def events_listing(self, terminal: str, limit: int = EVENTS_MAX) -> list[Fields]:
        """A terminal's newest events, newest first; the host keeps EVENTS_MAX of each."""
        check_number("limit", limit, 0, EVENTS_MAX)
        found = self._desk.devices.events(self._known(terminal).terminal_id, before=NO_END, limit=limit)
        return [
            {"number": event.number, "at_ms": event.at_ms, "event": _word(event.kind), "detail": event.detail}
            for event in found
        ]

    def _known(self, terminal: str) -> TerminalRecord:
        found = self._desk.registry.find_terminal(parse_terminal(terminal))
        if found is None:
            raise AdminError(f"terminal: expected an enrolled one, got {terminal}; see `fanka admin terminal list`")
        return found

    def _fields(self, record: TerminalRecord) -> Fields:
        seen = self._desk.devices.state(record.terminal_id)
        return {
            **self._terminals.fields(record),
            "seen_at_ms": seen.seen_at_ms if seen is not None else 0,
            "firmware": seen.firmware if seen is not None else "",
        }


def _word(kind: int) -> str:
    """An event of a later program is shown by its number."""
    try:
        return EventKind(kind).name.lower().replace("_", " ")
    except ValueError:
        return str(kind)
