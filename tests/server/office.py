"""An administrator's office for tests: the real `Admin` on a store in memory, with the test's own clock."""

from __future__ import annotations

import random
from typing import Any

import pytest

from server.admin import Admin, AdminError
from server.keys import KeyRing
from server.ledger.ledger import Ledger
from server.ledger.model import SaleLimits
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from server.ledger.verify import verify
from tests.server.ledger.campus import contents

DAY = 20260910
NOW_MS = 1_789_000_000_000  # 2026-09-10
KEK = bytes(range(32))


class Office:
    """`call` performs an operation as it comes over the control socket; `refused` gives the words of a refusal."""

    def __init__(self, store: Store | None = None) -> None:
        self.now_ms = NOW_MS
        self.store = store or SqliteStore(":memory:")
        self.ledger = Ledger(self.store, SaleLimits(50_000, 200_000))
        self.ledger.open_day(DAY, NOW_MS)
        self.registry = Registry(self.store)
        self.keys = KeyRing(KEK)
        self.revoked: list[int] = []
        self.admin = Admin(
            self.ledger,
            self.registry,
            self.keys,
            now_ms=lambda: self.now_ms,
            random_bytes=random.Random(5).randbytes,
            on_revoked=self.revoked.append,
        )

    def call(self, operation: str, **arguments: Any) -> Any:
        return self.admin.perform(operation, arguments)

    def refused(self, operation: str, **arguments: Any) -> str:
        """What a refused operation says. Nothing may have changed by it."""
        before = self.contents()
        with pytest.raises(AdminError) as caught:
            self.call(operation, **arguments)
        assert self.contents() == before
        return str(caught.value)

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        return contents(self.store)

    def audit(self) -> None:
        """Whatever was done, the ledger holds."""
        assert [check for check in verify(self.store) if not check.ok] == []
