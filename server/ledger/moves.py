"""Terminals that have gone to another merchant: what one of them sold before and brings later is the former merchant's.

Its time is what the terminal says, and the move was when the office made it. A clock that was never set says nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from server.ledger.recovery import EPOCH_TIME_MIN_S
from server.ledger.rows import Terminal
from server.ledger.store import Store


class Move(NamedTuple):
    """Until then the terminal sold for this merchant, with this account."""

    until_ms: int
    merchant_id: int
    merchant_account_id: int


def note(store: Store, terminal_id: int, merchant_id: int, until_ms: int) -> None:
    """A terminal leaves this merchant. Inside the transaction that moves it."""
    store.execute(
        "INSERT INTO terminal_moves (terminal_id, until_ms, merchant_id) VALUES (?, ?, ?)"
        " ON CONFLICT (terminal_id, until_ms) DO NOTHING",
        (terminal_id, until_ms, merchant_id),
    )


def load(store: Store, terminal_ids: Collection[int]) -> dict[int, list[Move]]:
    """Of these terminals the moves, the oldest first; most have none."""
    places = ", ".join("?" * len(terminal_ids))
    found: dict[int, list[Move]] = {}
    rows = store.execute(
        "SELECT terminal_id, until_ms, merchant_id, account_id FROM terminal_moves"  # noqa: S608
        f" JOIN merchants USING (merchant_id) WHERE terminal_id IN ({places}) ORDER BY terminal_id, until_ms",
        sorted(terminal_ids),
    )
    for terminal_id, *move in rows:
        found.setdefault(terminal_id, []).append(Move(*move))
    return found


def as_of(terminal: Terminal, moves: Collection[Move], made_at_s: int) -> Terminal:
    """The terminal with the merchant it sold for at that time."""
    if made_at_s >= EPOCH_TIME_MIN_S:
        for move in moves:
            if made_at_s * 1_000 < move.until_ms:
                return msgspec.structs.replace(
                    terminal, merchant_id=move.merchant_id, merchant_account_id=move.merchant_account_id
                )
    return terminal
