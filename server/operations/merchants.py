"""Merchants: add, rename, close, reopen, list."""

from __future__ import annotations

from typing import ClassVar

from server.ledger.model import Status
from server.ledger.registry import MerchantRecord
from server.operations.desk import MERCHANT_NAME_BYTES_MAX, AdminError, Desk, Fields, check_text, status_word


class Merchants:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("add", "rename", "close", "reopen", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, name: str) -> Fields:
        """A new merchant; its name must not be another open merchant's."""
        name = self._free_name(name)
        with self._desk.transaction():
            merchant_id = self._desk.registry.add_merchant(name)
            self._desk.note(f"merchant {merchant_id}", "", f"name {name}")
        return self._shown(merchant_id)

    def rename(self, merchant_id: int, name: str) -> Fields:
        """Give a merchant another name; terminals show it from their next connection on."""
        old = self._desk.merchant(merchant_id)
        name = self._free_name(name, merchant_id)
        with self._desk.transaction():
            self._desk.registry.rename_merchant(merchant_id, name)
            self._desk.note(f"merchant {merchant_id}", f"name {old.name}", f"name {name}")
        return self._shown(merchant_id)

    def close(self, merchant_id: int) -> Fields:
        """No more sales for this merchant; what it has earned stays, and reversals are still served."""
        return self._set_status(merchant_id, Status.CLOSED)

    def reopen(self, merchant_id: int) -> Fields:
        """Let a closed merchant sell again."""
        return self._set_status(merchant_id, Status.ACTIVE)

    def listing(self) -> list[Fields]:
        """All merchants, by number."""
        return [merchant_fields(record) for record in self._desk.registry.merchants()]

    def _free_name(self, name: str, own_id: int = 0) -> str:
        name = check_text("merchant name", name, bytes_max=MERCHANT_NAME_BYTES_MAX)
        for other in self._desk.registry.merchants():
            if other.name == name and other.status == Status.ACTIVE and other.merchant_id != own_id:
                raise AdminError(
                    f"merchant name: expected one not in use, got {name!r}, which is merchant {other.merchant_id}"
                )
        return name

    def _set_status(self, merchant_id: int, status: Status) -> Fields:
        old = self._desk.merchant(merchant_id)
        with self._desk.transaction():
            self._desk.registry.set_merchant_status(merchant_id, status)
            self._desk.note(f"merchant {merchant_id}", status_word(old.status), status_word(status))
        return self._shown(merchant_id)

    def _shown(self, merchant_id: int) -> Fields:
        return merchant_fields(self._desk.merchant(merchant_id))


def merchant_fields(record: MerchantRecord) -> Fields:
    """A merchant as listings show it."""
    return {
        "merchant_id": record.merchant_id,
        "name": record.name,
        "status": status_word(record.status),
        "account_id": record.account_id,
        "balance_fen": record.balance_fen,
    }
