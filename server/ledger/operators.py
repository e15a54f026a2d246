"""Operators: who may work at a merchant's terminals, and the state of their passwords. Loads and saves rows.

A password is here as its verifier only, a keyed hash that the shell makes: whoever reads a copy of the ledger cannot
try passwords without the key. A verifier that is None stands for the factory password of the role, which is known to
everybody and therefore must be changed at its first use.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from server.ledger.store import Store


class Role(IntEnum):
    """What an operator may do. Stored."""

    TELLER = 1
    """柜员: sells."""
    SUPERVISOR = 2
    """主管: voids, refunds, tellers."""
    RECHARGE = 3
    """Nobody who signs on, but the password asked for before a top-up."""


SUPERVISOR: Final = 0
FIRST_TELLER: Final = 1
TELLER_MAX: Final = 99
"""As many digits as a terminal asks for."""
RECHARGE: Final = 10_000
"""The row of the recharge password: no number that anybody could sign on with."""
FACTORY_PASSWORDS: Final = {Role.SUPERVISOR: "123456", Role.TELLER: "0000", Role.RECHARGE: "111111"}
"""What stands in the manuals of such terminals."""
WRONG_TRIES_MAX: Final = 5
"""So many wrong passwords in a row lock an operator until an administrator unlocks it."""


class OperatorRecord(msgspec.Struct, frozen=True):
    """An operator of a merchant; see the module's docstring about `verifier`."""

    merchant_id: int
    operator: int
    role: int
    name: str
    verifier: bytes | None
    must_change: int
    tries: int
    is_locked: int


class Operators:
    """See the module's docstring. Nothing here opens a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_merchant(self, merchant_id: int) -> list[OperatorRecord]:
        """All of a merchant, by number, the recharge password last."""
        return self._found("WHERE merchant_id = ? ORDER BY operator", merchant_id)

    def find(self, merchant_id: int, operator: int) -> OperatorRecord | None:
        """One operator."""
        found = self._found("WHERE merchant_id = ? AND operator = ?", merchant_id, operator)
        return found[0] if found else None

    def _found(self, condition: str, *values: int) -> list[OperatorRecord]:
        columns = ", ".join(OperatorRecord.__struct_fields__)
        sql = f"SELECT {columns} FROM operators {condition}"  # noqa: S608 - names and conditions are our own
        return [OperatorRecord(*row) for row in self._store.execute(sql, values)]

    def open_merchant(self, merchant_id: int) -> None:
        """The operators that every merchant has from the start, with their factory passwords."""
        for operator, role in ((SUPERVISOR, Role.SUPERVISOR), (FIRST_TELLER, Role.TELLER), (RECHARGE, Role.RECHARGE)):
            self.add(merchant_id, operator, role, "")

    def add(self, merchant_id: int, operator: int, role: Role, name: str) -> None:
        """A new operator with the factory password."""
        self._store.execute(
            "INSERT INTO operators (merchant_id, operator, role, name) VALUES (?, ?, ?, ?)",
            (merchant_id, operator, int(role), name),
        )

    def rename(self, merchant_id: int, operator: int, name: str) -> None:
        """Correct a name."""
        self._store.execute(
            "UPDATE operators SET name = ? WHERE merchant_id = ? AND operator = ?", (name, merchant_id, operator)
        )

    def delete(self, merchant_id: int, operator: int) -> None:
        """Nobody signs on with this number any more."""
        self._store.execute("DELETE FROM operators WHERE merchant_id = ? AND operator = ?", (merchant_id, operator))

    def set_password(self, merchant_id: int, operator: int, verifier: bytes | None, *, must_change: bool) -> None:
        """Another password, and an end to any lock; None = the factory password."""
        self._store.execute(
            "UPDATE operators SET verifier = ?1, must_change = ?2, tries = 0, is_locked = 0"
            " WHERE merchant_id = ?3 AND operator = ?4",
            (verifier, int(must_change), merchant_id, operator),
        )

    def set_tries(self, merchant_id: int, operator: int, tries: int) -> None:
        """Wrong passwords in a row; at WRONG_TRIES_MAX the operator is locked, at 0 open again."""
        self._store.execute(
            "UPDATE operators SET tries = ?1, is_locked = ?2 WHERE merchant_id = ?3 AND operator = ?4",
            (tries, int(tries >= WRONG_TRIES_MAX), merchant_id, operator),
        )
