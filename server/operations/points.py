"""Points rates (积分): how much spent earns a point, at one merchant or at all. Points sales are keyed in points."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from server.ledger.catalogue import ALL_MERCHANTS, PointsRecord
from server.operations.desk import AdminError, Desk, Fields, check_fen, describe


class Points:
    """See the module's docstring. A merchant without a rate of its own has merchant 0's."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("set", "delete", "listing")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def set(self, fen_per_point: int, merchant_id: int = ALL_MERCHANTS) -> Fields:
        """One point for each `fen_per_point` spent; 0 = none are earned."""
        whose = self._desk.merchant_or_all(merchant_id)
        check_fen("spent for a point", fen_per_point)
        record, old = PointsRecord(merchant_id, fen_per_point), self._found(merchant_id)
        with self._desk.transaction():
            self._desk.catalogue.put_points_rate(record)
            self._desk.note(f"points of {whose}", describe(old, "merchant_id"), describe(record, "merchant_id"))
        return msgspec.structs.asdict(record)

    def delete(self, merchant_id: int = ALL_MERCHANTS) -> Fields:
        """No rate of its own any more."""
        whose, old = self._desk.merchant_or_all(merchant_id), self._found(merchant_id)
        if old is None:
            raise AdminError(f"points: expected a rate of {whose}, got none; see `fanka admin points list`")
        with self._desk.transaction():
            self._desk.catalogue.delete_points_rate(merchant_id)
            self._desk.note(f"points of {whose}", describe(old, "merchant_id"), "")
        return msgspec.structs.asdict(old)

    def listing(self) -> list[Fields]:
        """All rates, by merchant."""
        return [msgspec.structs.asdict(record) for record in self._desk.catalogue.points_rates()]

    def _found(self, merchant_id: int) -> PointsRecord | None:
        return next((rate for rate in self._desk.catalogue.points_rates() if rate.merchant_id == merchant_id), None)
