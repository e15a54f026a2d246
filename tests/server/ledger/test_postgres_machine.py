"""R4, B3: the ledger's state machine on PostgreSQL: restarts included, compared with the same model."""

from __future__ import annotations

import pytest
from hypothesis import settings

from server.ledger.store import Store
from server.stores import open_postgres
from tests.postgres import shared_server
from tests.server.ledger.test_ledger import LedgerMachine


class PostgresMachine(LedgerMachine):
    """The same rules on another store, but for the disk, which is the database server's own."""

    def __init__(self) -> None:
        super().__init__()
        self.dsn = shared_server().new_database()

    def open_store(self) -> Store:
        return open_postgres(self.dsn)

    batch_on_a_full_disk = None  # type: ignore[assignment]  # takes the rule away


PostgresMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=20)
TestPostgresMachine = pytest.mark.slow(PostgresMachine.TestCase)
