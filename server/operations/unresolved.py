"""The list of unresolved money (`server.ledger.unresolved`): saying that somebody has looked at an entry.

The list itself is read by the command on a connection of its own: it adds up batches.
"""

from __future__ import annotations

from typing import ClassVar, Final

from server.ledger import unresolved
from server.operations.desk import AdminError, Desk, Fields, check_text

NOTE_MAX: Final = 200


class UnresolvedDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("resolve",)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def resolve(self, kind: str, number: int, note: str) -> Fields:
        """Somebody has looked, and says in `note` what came of it. Once; a repeat tells what was said then."""
        if kind not in unresolved.RESOLVABLE:
            raise AdminError(
                f"unresolved: expected one of {', '.join(unresolved.RESOLVABLE)}, got {kind[:20]!r};"
                " a hold goes by completion, void or expiry, a batch when its terminal settles it"
            )
        note = check_text("note", note, characters_max=NOTE_MAX)
        store = self._desk.registry.store
        if not unresolved.find(store, kind, number):
            raise AdminError(
                f"unresolved: expected the number of a {kind}, got {number}; see `fanka admin unresolved list`"
            )
        repeated = unresolved.resolution(store, kind, number) is not None
        if not repeated:
            with self._desk.transaction():
                unresolved.resolve(store, kind, number, self._desk.now_ms(), self._desk.trail.who, note)
        found = unresolved.resolution(store, kind, number)
        assert found is not None
        at_ms, who, kept = found
        return {"kind": kind, "number": number, "at_ms": at_ms, "who": who, "note": kept, "repeated": repeated}
