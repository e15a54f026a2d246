"""Bonus tiers (充值赠送): "100 送 10" - who pays in 100 is credited 110. Of the tiers reached the highest counts."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from server.ledger.catalogue import ALL_MERCHANTS, BonusRecord
from server.operations.desk import AdminError, Desk, Fields, check_fen, describe, show_fen

TIERS_MAX: Final = 20
"""For one merchant: more no cashier can explain."""
KEYS: Final = ("merchant_id", "threshold_fen")


class Bonus:
    """See the module's docstring. A merchant with tiers of its own has only those, all others have merchant 0's."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("set", "delete", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set(self, threshold_fen: int, bonus_fen: int, merchant_id: int = ALL_MERCHANTS) -> Fields:
        """Top-ups of at least `threshold_fen` get `bonus_fen` on top; 0 = from there on nothing."""
        whose = self._desk.merchant_or_all(merchant_id)
        check_fen("threshold", threshold_fen, low=1)
        check_fen("bonus", bonus_fen)
        if bonus_fen > threshold_fen:
            raise AdminError(
                f"bonus: expected at most the {show_fen(threshold_fen)} yuan paid in, got {show_fen(bonus_fen)}"
            )
        record, old = BonusRecord(merchant_id, threshold_fen, bonus_fen), self._found(merchant_id, threshold_fen)
        own = [tier for tier in self._desk.catalogue.bonus_tiers() if tier.merchant_id == merchant_id]
        if old is None and len(own) >= TIERS_MAX:
            raise AdminError(f"bonus: expected at most {TIERS_MAX} tiers for {whose}, got one more; delete one first")
        with self._desk.transaction():
            self._desk.catalogue.put_bonus_tier(record)
            self._desk.note(_what(whose, threshold_fen), describe(old, *KEYS), describe(record, *KEYS))
        return msgspec.structs.asdict(record)

    def delete(self, threshold_fen: int, merchant_id: int = ALL_MERCHANTS) -> Fields:
        """Take a tier away."""
        whose, old = self._desk.merchant_or_all(merchant_id), self._found(merchant_id, threshold_fen)
        if old is None:
            raise AdminError(
                f"bonus: expected the threshold of a tier of {whose}, got {show_fen(threshold_fen)};"
                " see `fanka admin bonus list`"
            )
        with self._desk.transaction():
            self._desk.catalogue.delete_bonus_tier(merchant_id, threshold_fen)
            self._desk.note(_what(whose, threshold_fen), describe(old, *KEYS), "")
        return msgspec.structs.asdict(old)

    def listing(self) -> list[Fields]:
        """All tiers, by merchant and threshold."""
        return [msgspec.structs.asdict(record) for record in self._desk.catalogue.bonus_tiers()]

    def _found(self, merchant_id: int, threshold_fen: int) -> BonusRecord | None:
        for tier in self._desk.catalogue.bonus_tiers():
            if (tier.merchant_id, tier.threshold_fen) == (merchant_id, threshold_fen):
                return tier
        return None


def _what(whose: str, threshold_fen: int) -> str:
    return f"bonus of {whose} from {show_fen(threshold_fen)}"
