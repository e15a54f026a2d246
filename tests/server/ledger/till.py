"""A process that sells for ever and says what was answered, to be killed: `-m tests.server.ledger.till LEDGER STAN`."""

from __future__ import annotations

import sys

import msgspec

from server.ledger.ledger import Ledger
from server.ledger.model import Command, Outcome
from server.ledger.sqlite import SqliteStore
from tests.server.ledger.campus import ANN, BEN, NO_LIMITS, NOW_MS, reversal, sale

BATCH_SIZE = 16


def batch(first: int) -> list[Command]:
    """BATCH_SIZE commands that follow from the first STAN alone: every fourth sale is reversed in the next batch."""
    wanted: list[Command] = []
    for stan in range(first, first + BATCH_SIZE):
        payer = (ANN, BEN)[stan % 2]
        wanted.append(reversal(stan - BATCH_SIZE, 1, payer) if stan % 4 == 0 else sale(stan, 1, payer))
    return wanted


def line(first: int, outcomes: list[Outcome]) -> bytes:
    """What the till writes down of an answered batch."""
    return msgspec.json.encode((first, [msgspec.structs.astuple(outcome)[:-1] for outcome in outcomes]))


def main(path: str, first: int) -> None:
    store = SqliteStore(path, create=False)
    ledger = Ledger(store, NO_LIMITS)
    while True:
        outcomes = ledger.apply(batch(first), NOW_MS)
        sys.stdout.buffer.write(line(first, outcomes) + b"\n")
        sys.stdout.buffer.flush()
        store.maintain()
        first += BATCH_SIZE


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
