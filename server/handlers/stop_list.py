"""Stop list on the host's floor: what a terminal that holds one version is missing."""

from __future__ import annotations

from typing import Final

from protocol.messages import StopAction, StopListAnswer, StopListRequest, StopRow
from protocol.messages.stop_list import STOP_ROWS_MAX
from server.ledger.stop_list import after, newest_version
from server.operations.desk import Desk

VERSION_MAX: Final = 0xFFFF_FFFF
"""What the wire carries."""


def run(desk: Desk, terminal_id: int, message: StopListRequest) -> StopListAnswer:
    """The next changes. The same list for every terminal."""
    store = desk.registry.store
    rows = after(store, message.version, STOP_ROWS_MAX)
    newest = newest_version(store)
    return StopListAnswer(
        version=rows[-1].version if rows else min(message.version, newest),
        newest=newest,
        changes=tuple(
            StopRow(row.token_hash, StopAction.STOPPED if row.stopped else StopAction.ALLOWED) for row in rows
        ),
    )


def undecided(message: StopListRequest, code: str) -> StopListAnswer:
    """Nothing can be said now but that there may be more: as the whole list, none would be stopped. The terminal asks
    again by itself."""
    return StopListAnswer(version=message.version, newest=min(message.version + 1, VERSION_MAX), changes=())
