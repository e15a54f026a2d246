"""Offline records that may not be posted before a person has looked at them: kept whole, and never dropped.

A record gets here in the commit that answers it, so its terminal may forget it. What is in here moves no money: what is
right about it an administrator pays by an adjustment.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from server.ledger.devices import Devices, EventKind
from server.ledger.model import OfflineSale
from server.ledger.store import Store


class Reason(IntEnum):
    """Why a record is not posted. Stored."""

    TAMPERED = 1
    """Its tag is not its terminal's work: the record, or the memory it lay in, was changed."""
    CONFLICT = 2
    """Its identity is taken by something else: a memory that was set back, or two terminals with one number."""
    REVOKED = 3
    """The terminal was reported lost: whoever has it may have made it up."""


class Quarantined(msgspec.Struct, frozen=True):
    """One record. `number` is given when it is kept, 0 before."""

    number: int
    reason: int
    terminal_id: int
    saf_sequence: int
    batch: int
    stan: int
    amount_fen: int
    token: bytes
    operator: int
    claimed_at_s: int
    stop_list_version: int
    previous_tag: bytes
    tag: bytes
    at_ms: int


_COLUMNS: Final = [field.name for field in msgspec.structs.fields(Quarantined)]
_NAMES: Final = ", ".join(_COLUMNS)
_PLACES: Final = ", ?" * (len(_COLUMNS) - 1)
_KEEP: Final = " ".join(
    ["INSERT INTO quarantine (", _NAMES, ") SELECT coalesce(max(number), 0) + 1", _PLACES, "FROM quarantine"]
)
_LIST: Final = " ".join(["SELECT", _NAMES, "FROM quarantine WHERE number > ? ORDER BY number LIMIT ?"])


def quarantined(sale: OfflineSale, reason: Reason, now_ms: int) -> Quarantined:
    """The record as it came."""
    return Quarantined(
        0,
        int(reason),
        sale.identity.terminal_id,
        sale.saf_sequence,
        sale.identity.batch,
        sale.identity.stan,
        sale.amount_fen,
        sale.token,
        sale.operator,
        sale.claimed_at_s,
        sale.stop_list_version,
        sale.previous_tag,
        sale.tag,
        now_ms,
    )


def keep(store: Store, records: Sequence[Quarantined]) -> None:
    """Keep records. Inside the transaction that answers them; there are hardly ever any."""
    for record in records:
        store.execute(_KEEP, msgspec.structs.astuple(record)[1:])
        detail = f"number {record.saf_sequence}, STAN {record.stan}: {Reason(record.reason).name.lower()}"
        Devices(store).note(record.terminal_id, record.at_ms, EventKind.OFFLINE_QUARANTINED, detail)


def after(store: Store, number: int, limit: int) -> list[Quarantined]:
    """Up to `limit` records beyond a number, oldest first."""
    return [Quarantined(*row) for row in store.execute(_LIST, (number, limit))]


def count(store: Store) -> int:
    """How many there are."""
    return int(store.execute("SELECT count(*) FROM quarantine")[0][0])
