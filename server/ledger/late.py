"""What is booked under a batch that was closed before: no settlement has it, so a person has to hear of it.

An offline sale and an upload are booked whenever they come, and a reversal undoes its original even if that is settled.
Each is noted in the commit that posts it; `server.ledger.unresolved` lists it until somebody has looked.
"""

from __future__ import annotations

from collections.abc import Sequence

from server.ledger.batch import Batch
from server.ledger.model import Decision, Kind, Transfer
from server.ledger.store import Store


def found(batch: Batch) -> list[int]:
    """The numbers of what a batch of commands has posted under closed batches of their terminals."""
    if batch.is_plain:
        return []  # a sale under a closed batch is refused
    return [transfer.seq for transfer in batch.new_transfers if may_be_late(transfer) and _is_late(batch, transfer)]


def keep(store: Store, seqs: Sequence[int]) -> None:
    """Note them. Inside the transaction that posts them; there are hardly ever any."""
    for seq in seqs:
        store.execute("INSERT INTO late_transfers (seq) VALUES (?)", (seq,))


def may_be_late(transfer: Transfer) -> bool:
    """Whether it is taken also when its batch is closed, and has moved something."""
    if transfer.decision != Decision.APPROVED:
        return False
    if transfer.kind == Kind.REVERSAL:
        return transfer.amount_fen != 0
    return transfer.kind in (Kind.UPLOAD, Kind.OFFLINE_SALE) or transfer.lost_rrn != 0


def _is_late(batch: Batch, transfer: Transfer) -> bool:
    terminal = batch.terminals.get(transfer.terminal_id)
    return terminal is not None and transfer.batch <= terminal.closed_batch
