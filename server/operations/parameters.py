"""Parameters of terminals and rules: set for the campus, a merchant or one terminal, and what is in force where."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from server.ledger.parameters import (
    CAMPUS,
    CAMPUS_ONLY,
    CAMPUS_OWNER,
    CHECK_PASSWORDS,
    NAMES,
    OFFLINE,
    RANGES,
    ParameterRecord,
    Scope,
    described,
    title,
)
from server.operations.desk import (
    AdminError,
    Desk,
    Fields,
    check_fen,
    check_number,
    parse_terminal,
    show_fen,
    show_terminal,
)


class ParameterDesk:
    """See the module's docstring. `terminal` and `merchant_id` left out mean the whole campus."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("set", "unset", "listing", "show")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set(self, name: str, value: int, merchant_id: int = 0, terminal: str = "") -> Fields:
        """Set one value for the campus, a merchant or a terminal."""
        scope, owner, whose = self._place(name, merchant_id, terminal)
        if name in RANGES:
            check_number(title(name), value, *RANGES[name])
        else:
            check_fen(title(name), value)
        if name in OFFLINE and scope != Scope.CAMPUS:
            most = getattr(self._desk.parameters.of_campus(), name)
            if value > most:
                raise AdminError(
                    f"{title(name)}: expected at most {_shown(name, most)}, as the campus has it, got"
                    f" {_shown(name, value)}; raise the campus's first"
                )
        record = ParameterRecord(scope, owner, name, value)
        old = self._own(scope, owner, name)
        with self._desk.transaction():
            self._desk.parameters.set(record)
            self._desk.note(described(name, whose), _shown(name, old), _shown(name, value))
        return self._fields(record)

    def unset(self, name: str, merchant_id: int = 0, terminal: str = "") -> Fields:
        """Take a value back: the next wider one counts again, for the campus the program's own."""
        scope, owner, whose = self._place(name, merchant_id, terminal)
        old = self._own(scope, owner, name)
        if old is None:
            raise AdminError(
                f"{title(name)}: expected a value that was set for {whose}, got none; see `fanka admin parameter list`"
            )
        with self._desk.transaction():
            self._desk.parameters.unset(scope, owner, name)
            self._desk.note(described(name, whose), _shown(name, old), "")
        return self._fields(ParameterRecord(scope, owner, name, old))

    def listing(self) -> list[Fields]:
        """Every value that somebody has set, wide scopes first."""
        return [self._fields(record) for record in self._desk.parameters.values()]

    def show(self, terminal: str = "", merchant_id: int = 0) -> Fields:
        """All that is in force for a terminal, a merchant or the campus."""
        terminal_id = 0
        if terminal:
            terminal_id = parse_terminal(terminal)
            known = self._desk.registry.find_terminal(terminal_id)
            if known is None:
                raise AdminError(f"terminal: expected an enrolled one, got {terminal}; see `fanka admin terminal list`")
            merchant_id = known.merchant_id
        elif merchant_id:
            self._desk.merchant(merchant_id)
        return msgspec.structs.asdict(self._desk.parameters.in_force(terminal_id, merchant_id))

    def _place(self, name: str, merchant_id: int, terminal: str) -> tuple[Scope, int, str]:
        """Scope, owner and how to call it."""
        if name not in NAMES:
            raise AdminError(f"parameter: expected one of {', '.join(NAMES)}; got {name[:40]!r}")
        if terminal and merchant_id:
            raise AdminError("parameter: expected a merchant or a terminal or neither, got both")
        if (terminal or merchant_id) and name in CAMPUS_ONLY:
            raise AdminError(
                f"{title(name)}: expected it for the whole campus, got it for"
                f" {f'terminal {terminal}' if terminal else f'merchant {merchant_id}'}: it is a rule of the ledger"
            )
        if terminal and name == CHECK_PASSWORDS:
            raise AdminError(
                f"{title(name)}: expected it for a merchant or the whole campus, got it for terminal {terminal}"
            )
        if terminal:
            terminal_id = parse_terminal(terminal)
            if self._desk.registry.find_terminal(terminal_id) is None:
                raise AdminError(f"terminal: expected an enrolled one, got {terminal}; see `fanka admin terminal list`")
            return Scope.TERMINAL, terminal_id, f"terminal {show_terminal(terminal_id)}"
        if merchant_id:
            return Scope.MERCHANT, self._desk.merchant(merchant_id).merchant_id, f"merchant {merchant_id}"
        return Scope.CAMPUS, CAMPUS_OWNER, CAMPUS

    def _own(self, scope: Scope, owner: int, name: str) -> int | None:
        for record in self._desk.parameters.values():
            if (record.scope, record.owner, record.name) == (scope, owner, name):
                return record.value
        return None

    def _fields(self, record: ParameterRecord) -> Fields:
        return {
            "name": record.name,
            "value": record.value,
            "scope": Scope(record.scope).name.lower(),
            "merchant_id": record.owner if record.scope == Scope.MERCHANT else None,
            "terminal": show_terminal(record.owner) if record.scope == Scope.TERMINAL else None,
        }


def _shown(name: str, value: int | None) -> str:
    if value is None:
        return ""
    return show_fen(value) if name.endswith("_fen") else str(value)
