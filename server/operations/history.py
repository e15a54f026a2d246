"""History of the configuration: who changed what, when, from what to what."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from server.operations.desk import PAGE_MAX, Desk, Fields, check_page

NO_END: Final = 1 << 62


class History:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("listing",)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def listing(self, before: int = NO_END, limit: int = PAGE_MAX, what: str = "") -> list[Fields]:
        """Up to `limit` changes with numbers below `before`, newest first; only of what begins with `what`."""
        found = self._desk.changes.newest(before=before, limit=check_page(limit), what=what)
        return [msgspec.structs.asdict(change) for change in found]
