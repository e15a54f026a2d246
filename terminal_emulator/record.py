"""What a terminal remembers of one transaction, from before it is sent until settlement."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from protocol.messages import EntryMode
from protocol.messages.money import THIS_TERMINAL, TransactionKind


class RecordState(StrEnum):
    """Where a transaction stands for this terminal. PENDING, REVERSING and REPEATING are open: people wait for them.
    OFFLINE waits for its upload. The others are final."""

    PENDING = "pending"  # stored, perhaps sent, no final word yet
    APPROVED = "approved"  # it has happened, once
    DECLINED = "declined"  # it has not happened: the host said so
    REVERSING = "reversing"  # outcome unknown: people were told "it did not happen", the host is told until it confirms
    REVERSED = "reversed"  # the host confirmed: it has not happened, for ever
    REPEATING = "repeating"  # outcome unknown of what is never reversed: the host is asked again until it decides
    OFFLINE = "offline"  # it has happened: this terminal decided alone, and the host has not judged it yet
    REFUSED = "refused"  # it has happened, offline, and the host would not book it: the merchant bears it

    @property
    def is_open(self) -> bool:
        """Whether the terminal still has to find out or to make sure."""
        return self in (RecordState.PENDING, RecordState.REVERSING, RecordState.REPEATING)

    @property
    def is_final(self) -> bool:
        """Whether the host has nothing more to say about it."""
        return not self.is_open and self is not RecordState.OFFLINE


HAPPENED: Final = frozenset({RecordState.APPROVED, RecordState.OFFLINE})
"""What counts in totals: it was done, and is booked or waits to be."""


class Saf(msgspec.Struct, frozen=True, gc=False):
    """A record's place in the chain of those made offline ("store and forward"), and its tag over the one before."""

    sequence: int
    previous_tag: bytes
    tag: bytes
    stop_list_version: int
    """Of the stop list that its card was looked up in."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="sale"):
    """One transaction. (terminal, batch, stan) is its identity; the terminal's number stands in the settings. The tag
    is that of journals from when there were only sales.

    Amounts in fen; those of points transactions count points. `claimed_at_s` is the terminal's clock (seconds since
    1970 UTC), `posted_at_ms` the host's. `response_code`, `charged_fen`, `points`, `points_balance`, `rrn`,
    `balance_fen` and `posted_at_ms` are the host's answer; empty, None or 0 while there is none. `balance_fen`
    means something when the transaction is APPROVED, or DECLINED with code 51 (insufficient funds).
    """

    kind: TransactionKind = TransactionKind.SALE
    batch: int
    stan: int
    amount_fen: int
    payer: bytes
    claimed_at_s: int
    operator: int = 0
    entry_mode: EntryMode = EntryMode.CARD
    original_terminal: int = THIS_TERMINAL
    original_batch: int = 0
    original_stan: int = 0
    """What it is about, if `original_batch` is not 0: a void, a refund, a completion."""
    state: RecordState = RecordState.PENDING
    response_code: str = ""
    charged_fen: int | None = None
    points: int = 0
    points_balance: int = 0
    discount_fen: int = 0
    """What the cashier took off the full price before: `amount_fen` is what was left, all the host knows."""
    discount_allowed: bool = False
    """Whether that was above the merchant's limit, and a supervisor's password allowed it."""
    rrn: int = 0
    balance_fen: int = 0
    posted_at_ms: int = 0
    saf: Saf | None = None
    """Only of what was made offline."""
    is_refused: bool = False
    """It is open, and the host has answered and would not reverse or decide it: perhaps it never will."""

    @property
    def identity(self) -> tuple[int, int]:
        """(batch, stan): orders the transactions of one terminal."""
        return self.batch, self.stan

    def told(self) -> dict[str, Any]:
        """What every request, reversal and upload of it says (`protocol.messages.money.Told`), copy after copy the
        same."""
        return {
            "stan": self.stan,
            "batch": self.batch,
            "amount_fen": self.amount_fen,
            "operator": self.operator,
            "entry_mode": self.entry_mode,
            "payer": self.payer,
            "claimed_at_s": self.claimed_at_s,
        }

    @property
    def moved_fen(self) -> int:
        """What was moved in the end: a discount makes it less than the amount, a bonus more; 0 if nothing was."""
        if self.state not in HAPPENED:
            return 0
        return self.amount_fen if self.charged_fen is None else self.charged_fen


class Merchant(msgspec.Struct, frozen=True, gc=False, tag="merchant"):
    """Whom the terminal sells for, as READY told it. Kept through a power cut: slips of offline sales name it."""

    number: int = 0
    name: str = ""
