"""What the ledger says, held against what the terminals were told: the invariants that a kill could break."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from protocol.codec import decode
from protocol.messages import ReversalAnswer, SaleAnswer
from server.folder import DataFolder
from server.ledger.model import Decision, Side
from server.ledger.store import Store
from server.ledger.verify import verify
from server.stores import open_ledger
from tests.kill.record import BATCH, Record, sale

SALE_ANSWER: Final = SaleAnswer.layout.mti
REVERSAL_ANSWER: Final = ReversalAnswer.layout.mti
SHOWN_MAX: Final = 5

Row = tuple[int, int, int]
"""Sequence number, decision, fen."""
Posted = dict[tuple[int, int, int, int], Row]
"""By terminal, batch, STAN and side."""


def faults_in(folder: DataFolder, records: Callable[[], Mapping[int, Record]], *, thorough: bool) -> list[str]:
    """Everything that is wrong; `thorough` recomputes the whole ledger as well, as `fanka verify` does.

    Terminals may be selling: what they have recorded before the ledger is read must be in it, and what is in it they
    must have recorded as sent by the time it has been read.
    """
    told = records()
    store = open_ledger(folder)
    try:
        found = [*_sums(store)]
        posted = _posted(store, told)
        found += [fault for terminal, record in told.items() for fault in _of_terminal(terminal, record, posted)]
        found += _never_sent(posted, records())
        if thorough:
            found += [f"verify: {check.name}: {check.detail}" for check in verify(store) if not check.ok]
        return found[:SHOWN_MAX]
    finally:
        store.close()


def _sums(store: Store) -> Iterator[str]:
    [(total_fen, below)] = store.execute(
        "SELECT sum(balance_fen), sum(CASE WHEN kind = 2 AND balance_fen < 0 THEN 1 ELSE 0 END) FROM accounts"
    )
    if int(total_fen):
        yield f"conservation: all balances together are {total_fen} fen"
    if int(below):
        yield f"no overdraft: {below} customers are below zero"


def _posted(store: Store, records: Mapping[int, Record]) -> Posted:
    """Everything in the ledger but what administrators have made. At most once is the ledger's own key, and checked by
    `verify`; here a second row under an identity replaces the first one, and does not match what was answered."""
    return {
        (terminal, batch, stan, side): (seq, decision, amount_fen)
        for terminal, batch, stan, side, seq, decision, amount_fen in store.rows(
            "SELECT terminal_id, batch, stan, side, seq, decision, amount_fen FROM transfers ORDER BY seq"
        )
        if terminal in records
    }


def _never_sent(posted: Posted, records: Mapping[int, Record]) -> Iterator[str]:
    for terminal, batch, stan, side in posted:
        if batch != BATCH or stan > records[terminal].newest:
            yield f"terminal {terminal:#x}, batch {batch}, STAN {stan}, side {side}: posted, and never sent"


def _of_terminal(terminal: int, record: Record, posted: Posted) -> Iterator[str]:
    for stan, body in record.answered.items():
        answer = decode(SALE_ANSWER, body)
        assert isinstance(answer, SaleAnswer)
        expected = (answer.rrn, Decision.APPROVED, sale(stan).amount_fen)
        if (row := posted.get((terminal, BATCH, stan, Side.ORIGINAL))) != expected:
            yield f"lost: terminal {terminal:#x}, STAN {stan}: answered {expected}, the ledger has {row}"
    for stan, body in record.reversed.items():
        confirmed = decode(REVERSAL_ANSWER, body)
        assert isinstance(confirmed, ReversalAnswer)
        row = posted.get((terminal, BATCH, stan, Side.REVERSAL))
        if row is None or row[1] != Decision.APPROVED:
            yield f"lost: terminal {terminal:#x}, STAN {stan}: its reversal was confirmed, the ledger has {row}"
        original = posted.get((terminal, BATCH, stan, Side.ORIGINAL))
        if confirmed.reversed_fen == 0 and original is not None and original[1] == Decision.APPROVED:
            yield f"terminal {terminal:#x}, STAN {stan}: reversed before it came, and approved after that"
