"""The ledger's nouns. Money is integer fen; a terminal or account is its number; nothing here knows the wire or a
database.

Sign convention: an account's balance is what its owner may claim. Money paid in makes a customer's balance grow and the
funding account's fall by the same amount, so all balances together are always zero.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import msgspec


class Decision(IntEnum):
    """What the ledger decided. The numbers are stored for ever: add, never renumber.

    Checks run in the order of the numbers below 20, so the first reason found is the one given.
    """

    APPROVED = 0
    TERMINAL_UNKNOWN = 1
    TERMINAL_REVOKED = 2
    MERCHANT_CLOSED = 3
    CARD_UNKNOWN = 4
    CARD_LOST = 5
    CARD_FROZEN = 6
    CARD_CLOSED = 7
    OVER_SALE_LIMIT = 8
    OVER_DAY_LIMIT = 9
    INSUFFICIENT_FUNDS = 10
    REVERSED_BEFORE = 20
    """The reversal came first: the original is declined."""
    ORIGINAL_MISMATCH = 21
    """A reversal whose amount or payer is not its original's."""
    ACCOUNT_UNKNOWN = 22

    # Answers that decide nothing and are never stored; the same request may be sent again.
    ID_CONFLICT = 90
    """The identity is taken by a request with other content. Final for this content, never posted."""
    BUSY = 91
    FAULT = 92
    NEVER_SEEN = 93
    """A query's: nothing under that identity has arrived before it."""
    RECOVERY_CLOSED = 94
    """An upload's: the sale is not here, and uploads are not taken any more."""


class TransferState(IntEnum):
    """What became of an identity, for a query."""

    APPROVED = 1
    DECLINED = 2
    REVERSED = 3
    IN_PROGRESS = 4
    NEVER_SEEN = 5


class Side(IntEnum):
    """An identity can hold two requests: the original, and the reversal of it."""

    ORIGINAL = 0
    REVERSAL = 1


class Kind(IntEnum):
    """What a transfer is. Stored."""

    SALE = 1
    REVERSAL = 2
    ADJUSTMENT = 3
    UPLOAD = 4
    """A sale that a host now lost had approved, brought back by its terminal. It stands for that sale in everything."""


class AccountKind(IntEnum):
    """Who owns an account. A customer's never falls below zero; a merchant's may when a sale paid out is reversed.

    OFFLINE_DEBT is what merchants were paid for sales their payers could not cover: the campus's claim.
    """

    FUNDING = 1
    CUSTOMER = 2
    MERCHANT = 3
    OFFLINE_DEBT = 4


class Status(IntEnum):
    """State of a merchant, terminal or card."""

    ACTIVE = 0
    FROZEN = 1
    LOST = 2
    CLOSED = 3


FUNDING_ACCOUNT: Final = 1
OFFLINE_DEBT_ACCOUNT: Final = 2
FIRST_MERCHANT_ACCOUNT: Final = 1_000
FIRST_CUSTOMER_ACCOUNT: Final = 1_000_000
CONSOLE: Final = 0
"""Terminal 0-0: adjustments made by administrators. No real terminal can enrol under it."""


class Identity(NamedTuple):
    """Made by the terminal, kept by it before sending, unique for ever."""

    terminal_id: int
    batch: int
    stan: int


class Sale(msgspec.Struct, frozen=True, gc=False):
    """Take `amount_fen` from the account behind `token` for the terminal's merchant."""

    identity: Identity
    request_hash: bytes
    token: bytes
    amount_fen: int
    operator: int
    claimed_at_s: int


class Reversal(msgspec.Struct, frozen=True, gc=False):
    """Make the original under the same identity not have happened, whether or not it has been seen."""

    identity: Identity
    request_hash: bytes
    token: bytes
    amount_fen: int
    operator: int
    claimed_at_s: int


class Upload(msgspec.Struct, frozen=True, gc=False):
    """The sale under this identity was approved by a host now lost: post it, if it is missing here.

    `request_hash` is the sale's. `lost_rrn` is what that host had numbered it, 0 = not known.
    """

    identity: Identity
    request_hash: bytes
    token: bytes
    amount_fen: int
    operator: int
    claimed_at_s: int
    lost_rrn: int


class Query(msgspec.Struct, frozen=True, gc=False):
    """What became of the sale with this identity and content? Without content: of whatever has this identity."""

    identity: Identity
    amount_fen: int = 0
    token: bytes = b""
    claimed_at_s: int = 0

    @property
    def names_content(self) -> bool:
        """No sale has amount 0 or an empty token: together they mean "whatever the content"."""
        return self.amount_fen != 0 or self.token != b""


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """Move `amount_fen` from funding to a customer's account (negative: back). Made by an administrator."""

    identity: Identity
    request_hash: bytes
    account_id: int
    amount_fen: int
    claimed_at_s: int


Command = Sale | Reversal | Query | Adjustment | Upload


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to one command. For a given identity and content it never changes once decided."""

    decision: Decision
    amount_fen: int = 0
    balance_fen: int = 0
    rrn: int = 0
    posted_at_ms: int = 0
    state: TransferState = TransferState.NEVER_SEEN
    replayed: bool = False


class Transfer(msgspec.Struct, gc=False):
    """One decided request: a row of the append-only journal. `seq` is the RRN; a declined one has no entries."""

    seq: int
    terminal_id: int
    batch: int
    stan: int
    side: int
    kind: int
    request_hash: bytes
    decision: int
    amount_fen: int
    account_id: int
    """The payer's account, 0 if the payer is unknown."""
    merchant_account_id: int
    balance_fen: int
    operator: int
    business_day: int
    claimed_at_s: int
    posted_at_ms: int
    original_seq: int
    """What a reversal reverses, 0 for a tombstone. What an upload was numbered by the host that is lost. Else 0."""
    token_hash: bytes
    """SHA-256 of the payer's token, cut to 8 bytes: enough to match a reversal to its original. It hides no short card
    number from one who tries them all."""
    digest: bytes = b""


class Entry(NamedTuple):
    """One leg of a transfer. `previous_seq` is the account's entry before this one: a chain per account."""

    seq: int
    account_id: int
    amount_fen: int
    balance_fen: int
    previous_seq: int


class Account(msgspec.Struct, gc=False):
    """An account as the batch in hand sees it; mutable only inside one `Ledger.apply`."""

    account_id: int
    kind: int
    balance_fen: int
    spent_day: int
    spent_fen: int
    last_seq: int


class Card(msgspec.Struct, frozen=True, gc=False):
    """A card or other token, and the account it pays from. Limits in fen; 0 = the host's default."""

    token: bytes
    account_id: int
    status: int
    sale_limit_fen: int
    day_limit_fen: int


class Terminal(msgspec.Struct, frozen=True, gc=False):
    """What the rules need to know of a terminal."""

    terminal_id: int
    status: int
    merchant_id: int
    merchant_status: int
    merchant_account_id: int


class SaleLimits(msgspec.Struct, frozen=True):
    """The host's default limits in fen; 0 = none."""

    sale_limit_fen: int
    day_limit_fen: int
