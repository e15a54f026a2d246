"""A large ledger for the growth benchmark: real sales through the real ledger, without network, many per commit."""

from __future__ import annotations

import random
from hashlib import sha256
from typing import Final

from server.folder import DataFolder
from server.ledger.ledger import Ledger
from server.ledger.model import Identity, Sale, SaleLimits
from server.ledger.sqlite import SqliteStore
from tools.provision import Provisioned
from tools.serve import now_ms

BATCH: Final = 2000


def grow(folder: DataFolder, provisioned: Provisioned, sales: int) -> None:
    """Add so many approved sales, spread over all terminals and cards; the host must not be running."""
    rng = random.Random(sales)  # noqa: S311 - a workload, not a secret
    store = SqliteStore(folder.ledger_path)
    try:
        ledger = Ledger(store, SaleLimits(0, 0))
        stans = dict.fromkeys((terminal.to_int() for terminal, _, _ in provisioned.terminals), 0)
        numbers = list(stans)
        done = 0
        while done < sales:
            size = min(BATCH, sales - done)
            commands = []
            for _ in range(size):
                terminal_id = rng.choice(numbers)
                stans[terminal_id] += 1
                identity = Identity(terminal_id, 1, stans[terminal_id])
                content = sha256(repr(identity).encode()).digest()[:16]
                commands.append(Sale(identity, content, rng.choice(provisioned.cards), rng.randint(100, 900), 1, 0))
            ledger.apply(commands, now_ms())
            store.maintain()
            done += size
    finally:
        store.close()
