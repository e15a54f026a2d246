"""A data folder in which something has happened: two customers, a terminal, sales of every kind."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

from server.config import load_config
from server.folder import DataFolder
from server.ledger.ledger import Ledger
from server.ledger.model import Identity, Outcome, SaleLimits
from server.stores import open_store
from tests.server.ledger.campus import NOW_MS, reversal, sale
from tools.admin_client import open_directly

ANN, BEN = bytes.fromhex("04A1"), bytes.fromhex("04B2")
TERMINAL = 0x0003_0001
"""Terminal 3-1."""


def busy_folder(path: Path, postgres: str = "") -> DataFolder:
    """Five transfers: two top-ups, a sale, its reversal, another sale."""
    changes = {("listen", "port"): 0, ("http", "port"): 0, ("ledger", "postgres"): postgres}
    folder = DataFolder.create(path, random.Random(7).randbytes, changes)
    with open_directly(folder) as admin:
        merchant_id = admin.merchants.add("一食堂")["merchant_id"]
        for line, (card, student_number) in enumerate(((ANN, "S1"), (BEN, "S2")), 1):
            admin.cards.issue(card.hex(), student_number, "张三")
            admin.accounts.topup(student_number, 10_000, 2, line)
        admin.terminals.enrol_many("3-1", 1, merchant_id)
    sell(folder, 1)
    with ledger_of(folder) as ledger:
        ledger.apply([reversal(1, 100, token=ANN, terminal_id=TERMINAL)], NOW_MS)
    sell(folder, 2)
    return folder


@contextlib.contextmanager
def ledger_of(folder: DataFolder) -> Iterator[Ledger]:
    """The folder's ledger, as its host has it."""
    with contextlib.closing(open_store(folder, load_config(folder.config_path))) as store:
        yield Ledger(store, SaleLimits(0, 0))


def sell(folder: DataFolder, stan: int, token: bytes = ANN) -> None:
    """One more sale of 1 yuan."""
    with ledger_of(folder) as ledger:
        sell_on(ledger, stan, token)


def sell_on(ledger: Ledger, stan: int, token: bytes = ANN) -> Outcome:
    """The same while the ledger is open."""
    [outcome] = ledger.apply([sale(stan, 100, token=token, terminal_id=TERMINAL)], NOW_MS)
    assert outcome.decision == 0
    assert outcome.rrn == ledger.head_seq
    return outcome


def newest(folder: DataFolder) -> Identity:
    """What the ledger has of the terminal."""
    with ledger_of(folder) as ledger:
        return ledger.newest_identity(TERMINAL)
