"""Operators (操作员) of a merchant's terminals: tellers, the supervisor, and the password for top-ups.

Only the passwords' states are seen here. What an administrator can do with a password is to put the factory's in its
place, which must be changed at its first use: nobody but its owner ever knows it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from server.ledger.operators import FIRST_TELLER, TELLER_MAX, OperatorRecord, Role
from server.operations.desk import AdminError, Desk, Fields, check_number, check_text, show_operator

NAME_BYTES_MAX: Final = 24
"""Sign-on carries the name in a field of this size."""
OPERATORS_MAX: Final = 200
"""Of one merchant: several shifts of a large canteen."""


class OperatorDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("add", "rename", "delete", "reset", "unlock", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, merchant_id: int, operator: int, name: str = "") -> Fields:
        """A new teller with the factory password."""
        self._desk.merchant(merchant_id)
        check_number("teller", operator, FIRST_TELLER, TELLER_MAX)
        name = check_text("name", name, bytes_max=NAME_BYTES_MAX) if name.strip() else ""
        known = self._desk.operators.of_merchant(merchant_id)
        if operator in {record.operator for record in known}:
            raise AdminError(f"teller: expected a number not in use at merchant {merchant_id}, got {operator:02d}")
        if len(known) >= OPERATORS_MAX:
            raise AdminError(f"teller: expected at most {OPERATORS_MAX} at merchant {merchant_id}; delete one first")
        with self._desk.transaction():
            self._desk.operators.add(merchant_id, operator, Role.TELLER, name)
            self._note(merchant_id, operator, "", f"teller {name}".rstrip())
        return self._shown(merchant_id, operator)

    def rename(self, merchant_id: int, operator: int, name: str) -> Fields:
        """Another name for a teller or the supervisor."""
        old = self._known(merchant_id, operator)
        name = check_text("name", name, bytes_max=NAME_BYTES_MAX)
        with self._desk.transaction():
            self._desk.operators.rename(merchant_id, operator, name)
            self._note(merchant_id, operator, f"name {old.name}".rstrip(), f"name {name}")
        return self._shown(merchant_id, operator)

    def delete(self, merchant_id: int, operator: int) -> Fields:
        """A teller leaves; what it sold keeps its number. The supervisor and the password for top-ups stay."""
        old = self._known(merchant_id, operator)
        if old.role != Role.TELLER:
            raise AdminError(
                f"teller: expected a teller's number, got {operator:02d}, which every merchant has to have"
            )
        with self._desk.transaction():
            self._desk.operators.delete(merchant_id, operator)
            self._note(merchant_id, operator, f"teller {old.name}".rstrip(), "")
        return operator_fields(old)

    def reset(self, merchant_id: int, operator: int) -> Fields:
        """The factory password again, to be changed at its first use; ends a lock."""
        self._known(merchant_id, operator)
        with self._desk.transaction():
            self._desk.operators.set_password(merchant_id, operator, None, must_change=True)
            self._note(merchant_id, operator, "its own password", "factory password")
        return self._shown(merchant_id, operator)

    def unlock(self, merchant_id: int, operator: int) -> Fields:
        """End the lock after too many wrong passwords; the password stays."""
        old = self._known(merchant_id, operator)
        with self._desk.transaction():
            self._desk.operators.set_tries(merchant_id, operator, 0)
            self._note(merchant_id, operator, "locked" if old.is_locked else "open", "open")
        return self._shown(merchant_id, operator)

    def listing(self, merchant_id: int) -> list[Fields]:
        """All of a merchant, by number, the password for top-ups last."""
        self._desk.merchant(merchant_id)
        return [operator_fields(record) for record in self._desk.operators.of_merchant(merchant_id)]

    def _known(self, merchant_id: int, operator: int) -> OperatorRecord:
        self._desk.merchant(merchant_id)
        found = self._desk.operators.find(merchant_id, operator)
        if found is None:
            raise AdminError(
                f"operator: expected a number of merchant {merchant_id}, got {operator:02d};"
                f" see `fanka admin operator list {merchant_id}`"
            )
        return found

    def _shown(self, merchant_id: int, operator: int) -> Fields:
        return operator_fields(self._known(merchant_id, operator))

    def _note(self, merchant_id: int, operator: int, old: str, new: str) -> None:
        """Terminals keep no operators: nothing for them to ask for."""
        what = f"operator {show_operator(operator)} of merchant {merchant_id}"
        self._desk.note(what, old, new, for_terminals=False)


def operator_fields(record: OperatorRecord) -> Fields:
    """An operator as listings show it; of its password only the state."""
    return {
        "merchant_id": record.merchant_id,
        "operator": show_operator(record.operator),
        "role": Role(record.role).name.lower(),
        "name": record.name,
        "password": "factory" if record.verifier is None else "must change" if record.must_change else "own",
        "tries": record.tries,
        "locked": bool(record.is_locked),
    }
