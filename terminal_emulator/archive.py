"""What a terminal keeps of batches it has settled: for a host that loses its disk, and comes back from a backup made
before. Values only."""

from __future__ import annotations

from typing import Final

from terminal_emulator.record import Record, RecordState

KEPT_BATCHES: Final = 2
"""With a backup of the host between any two settlements, nothing is lost with its disk."""
ACKNOWLEDGED: Final = frozenset({RecordState.APPROVED, RecordState.REVERSED})
"""What the host has confirmed and may lose with its disk. A lost reversal would charge the payer again."""

Records = dict[tuple[int, int], Record]


def clear(records: Records, archived: Records, batch: int) -> tuple[Records, Records]:
    """The records that stay when a batch is settled, and the archive with what goes: of the newest batches settled."""
    gone = {identity for identity, record in records.items() if _is_cleared(record, batch)}
    taken = {
        identity: records[identity]
        for identity in gone
        if identity[0] == batch and records[identity].state in ACKNOWLEDGED
    }
    kept = {**archived, **taken}
    newest = sorted({identity[0] for identity in kept})[-KEPT_BATCHES:]
    return (
        {identity: record for identity, record in records.items() if identity not in gone},
        {identity: record for identity, record in sorted(kept.items()) if identity[0] in newest},
    )


def _is_cleared(record: Record, batch: int) -> bool:
    """What the host has decided of this batch, and what came to nothing in batches before it."""
    if record.batch == batch:
        return record.state.is_final
    return record.batch < batch and record.state.is_final and record.state not in ACKNOWLEDGED
