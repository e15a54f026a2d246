"""What a terminal remembers of one sale, from before it is sent until settlement."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from protocol.messages import EntryMode


class RecordState(StrEnum):
    """Where a sale stands for this terminal. Only PENDING and REVERSING are open; the others are final."""

    PENDING = "pending"  # stored, perhaps sent, no final word yet
    APPROVED = "approved"  # the payer is charged, once
    DECLINED = "declined"  # the payer is not charged: the host said so
    REVERSING = "reversing"  # outcome unknown: the payer was told "not charged", the host is told until it confirms
    REVERSED = "reversed"  # the host confirmed: the payer is not charged, for ever

    @property
    def is_open(self) -> bool:
        """Whether the terminal still has to find out or to make sure."""
        return self is RecordState.PENDING or self is RecordState.REVERSING


class SaleRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="sale"):
    """One sale. (terminal, batch, stan) is its identity; the terminal's number stands in the settings.

    Amounts in fen. `claimed_at_s` is the terminal's clock (seconds since 1970 UTC), `posted_at_ms` the host's.
    `response_code`, `rrn`, `balance_fen` and `posted_at_ms` are the host's answer; empty or 0 while there is none.
    `balance_fen` means something when the sale is APPROVED, or DECLINED with code 51 (insufficient funds).
    """

    batch: int
    stan: int
    amount_fen: int
    payer: bytes
    claimed_at_s: int
    operator: int = 0
    entry_mode: EntryMode = EntryMode.CARD
    state: RecordState = RecordState.PENDING
    response_code: str = ""
    rrn: int = 0
    balance_fen: int = 0
    posted_at_ms: int = 0

    @property
    def identity(self) -> tuple[int, int]:
        """(batch, stan): orders the sales of one terminal."""
        return self.batch, self.stan


class Merchant(msgspec.Struct, frozen=True, gc=False):
    """Whom the terminal sells for, as READY told it."""

    number: int
    name: str
