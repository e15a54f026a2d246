"""The ledger's nouns. Money is integer fen; a terminal or account is its number; nothing here knows the wire or a
database.

Sign convention: an account's balance is what its owner may claim. Money paid in makes a customer's balance grow and the
funding account's fall by the same amount, so all balances together are always zero.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from server.ledger.rows import NO_CHANGES, Account, Card, Changes, Entry, Hold, Terminal, Transfer

__all__ = ["NO_CHANGES", "Account", "Card", "Changes", "Entry", "Hold", "Terminal", "Transfer"]
"""What rules and stores know the rows by; everything else is defined here."""


class Decision(IntEnum):
    """What the ledger decided. The numbers are stored for ever: add, never renumber.

    A request is refused for the first reason found, in the order of `rules.checks`.
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
    NOT_BOUND = 11
    """The card is bound to other merchants than this one."""
    OVER_MEAL_LIMIT = 12
    PIN_REQUIRED = 13
    PIN_WRONG = 14
    PIN_LOCKED = 15
    """Too many wrong PINs with this card, until an operator lets it try again."""
    TERMINAL_PIN_LOCKED = 16
    """Too many wrong PINs or codes at this terminal within the hour."""
    CODE_INVALID = 17
    """No payment code of ours, or one whose time is over."""
    CODE_USED = 18
    BATCH_CLOSED = 19
    """The terminal's batch is settled: a new request needs a newer one."""
    REVERSED_BEFORE = 20
    """The reversal came first: the original is declined."""
    ORIGINAL_MISMATCH = 21
    """A reversal whose amount or payer is not its original's."""
    ACCOUNT_UNKNOWN = 22
    ORIGINAL_UNKNOWN = 23
    """What a request refers to is not here, was declined, or is another merchant's."""
    WRONG_DAY = 24
    """The original is of another business day or batch: no void any more, but a refund."""
    WRONG_KIND = 25
    WRONG_PAYER = 26
    WRONG_AMOUNT = 27
    ALREADY_UNDONE = 28
    """Voided, refunded, completed or reversed before."""
    OVER_REMAINDER = 29
    """A refund or completion of more than is left of the original."""
    REFUND_TOO_LATE = 30
    HOLD_EXPIRED = 31
    WRONG_TERMINAL = 32
    """The original is another terminal's, and only that one may void it."""
    TOO_MANY_REFUNDS = 33
    """One sale is refunded in so many parts at most."""
    PASSWORD_MISSING = 34
    """A void, refund or top-up without the supervisor's or top-up password that its merchant wants to be checked."""
    OFFLINE_TAMPERED = 40
    """An offline record that its terminal did not write, or not so."""
    STOPPED = 41
    """The card stood on the stop list that the terminal had when it sold offline."""
    OVER_OFFLINE_LIMIT = 42

    # Answers that decide nothing and are never stored; the same request may be sent again.
    ID_CONFLICT = 90
    """The identity is taken by a request with other content. Final for this content, never posted."""
    BUSY = 91
    FAULT = 92
    NEVER_SEEN = 93
    """A query's: nothing under that identity has arrived before it."""
    RECOVERY_CLOSED = 94
    """An upload's: the sale is not here, and uploads are not taken any more."""
    OFFLINE_GAP = 95
    """Offline records before this one are missing: send them first."""


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
    """A sale that a host now lost had approved, brought back by its terminal. It stands for that sale in everything.
    What else comes back keeps its kind, and has `lost_rrn` set."""
    VOID = 5
    REFUND = 6
    PREAUTH = 7
    PREAUTH_VOID = 8
    COMPLETION = 9
    COMPLETION_VOID = 10
    TOPUP = 11
    TOPUP_VOID = 12
    POINTS_SALE = 13
    POINTS_VOID = 14
    OFFLINE_SALE = 15
    """Approved by the terminal while it had no host, within its limits; posted when it came."""
    HOLD_EXPIRY = 16
    CLEARING = 17
    """A merchant is paid out."""


class AccountKind(IntEnum):
    """Who owns an account. A customer's never falls below zero; a merchant's may, as it keeps the cash of top-ups.

    OFFLINE_DEBT is what merchants were paid for sales their payers could not cover: the campus's claim. HOLDS has
    what pre-authorizations hold. BONUS pays what top-ups credit beyond the cash. POINTS and POINTS_ISSUED count points,
    another currency: a customer's points may fall below zero when a sale is undone whose points are spent.
    """

    FUNDING = 1
    CUSTOMER = 2
    MERCHANT = 3
    OFFLINE_DEBT = 4
    HOLDS = 5
    POINTS = 6
    POINTS_ISSUED = 7
    BONUS = 8


class Status(IntEnum):
    """State of a merchant, terminal or card."""

    ACTIVE = 0
    FROZEN = 1
    LOST = 2
    CLOSED = 3


FUNDING_ACCOUNT: Final = 1
OFFLINE_DEBT_ACCOUNT: Final = 2
HOLDS_ACCOUNT: Final = 3
BONUS_ACCOUNT: Final = 4
POINTS_ISSUED_ACCOUNT: Final = 5
FIRST_MERCHANT_ACCOUNT: Final = 1_000
FIRST_CUSTOMER_ACCOUNT: Final = 1_000_000
POINTS_ACCOUNT_OFFSET: Final = 1 << 40
"""A customer's points account has the customer account's number plus this; it is made when first needed."""
CONSOLE: Final = 0
"""Terminal 0-0: adjustments made by administrators. No real terminal can enrol under it."""


class Identity(NamedTuple):
    """Made by the terminal, kept by it before sending, unique for ever."""

    terminal_id: int
    batch: int
    stan: int


CODE_INVALID: Final = -1
"""Instead of a step: what was shown as a payment code is none, or its time is long over."""
CODE_STALE: Final = -2
"""Instead of a step: a payment code whose time has just gone by. Refused as well, but nobody has guessed it."""
CHARGED_AMOUNT: Final = -1
"""Of an upload: neither discount nor bonus, what was charged is the amount."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What every request about somebody's money says. `request_hash` covers all of it but the PIN.

    `pin_verifier` is the keyed hash of the PIN that was keyed in, empty = none. `code_step` is the time step of a
    payment code the shell has verified, 0 = a card was read, CODE_INVALID and CODE_STALE = none that is good.
    `lacks_password`: it is of a kind that needs one, and the shell has checked none for it.
    """

    identity: Identity
    request_hash: bytes
    token: bytes
    amount_fen: int
    operator: int
    claimed_at_s: int
    pin_verifier: bytes = b""
    code_step: int = 0
    lacks_password: bool = False


class Sale(Asked, frozen=True, gc=False):
    """Take `amount_fen`, less the discount of the payer's class, from `token`'s account for the merchant."""


class Void(Asked, frozen=True, gc=False, kw_only=True):
    """Take back the whole of `original`. `kind` says which of the five voids it is."""

    kind: Kind
    original: Identity


class Refund(Asked, frozen=True, gc=False, kw_only=True):
    """Give back `amount_fen` of what `original` took, the discount's share less."""

    original: Identity


class PreAuth(Asked, frozen=True, gc=False):
    """Hold `amount_fen` for the merchant until a completion, a void or its expiry."""


class Completion(Asked, frozen=True, gc=False, kw_only=True):
    """Take `amount_fen` of what `original` holds for the merchant, and free the rest."""

    original: Identity


class TopUp(Asked, frozen=True, gc=False):
    """The merchant got `amount_fen` in cash: the payer has it on the account, with the bonus it earns."""


class PointsSale(Asked, frozen=True, gc=False):
    """Spend `amount_fen` points."""


class OfflineSale(Asked, frozen=True, gc=False, kw_only=True):
    """A sale the terminal approved while it had no host: number `saf_sequence` of its chain of such records."""

    saf_sequence: int
    previous_tag: bytes
    tag: bytes
    stop_list_version: int
    is_authentic: bool


class Reversal(msgspec.Struct, frozen=True, gc=False):
    """Make the original under the same identity not have happened, whether or not it has been seen."""

    identity: Identity
    request_hash: bytes
    token: bytes
    amount_fen: int
    operator: int
    claimed_at_s: int


class Upload(msgspec.Struct, frozen=True, gc=False):
    """What has this identity was approved by a host now lost: post it, if it is missing here.

    `request_hash` is the first request's. `lost_rrn` is what that host had numbered it, 0 = not known. `charged_fen`
    and `points` are what it had answered; CHARGED_AMOUNT = the amount.
    """

    identity: Identity
    request_hash: bytes
    token: bytes
    amount_fen: int
    operator: int
    claimed_at_s: int
    lost_rrn: int
    kind: Kind = Kind.SALE
    original: Identity | None = None
    charged_fen: int = CHARGED_AMOUNT
    points: int = 0


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


class Clearing(msgspec.Struct, frozen=True, gc=False):
    """Pay `amount_fen` of a merchant's account out to funding (negative: the merchant pays in)."""

    identity: Identity
    request_hash: bytes
    account_id: int
    amount_fen: int
    claimed_at_s: int


class ExpireHolds(msgspec.Struct, frozen=True, gc=False):
    """Free holds whose time is over, up to `limit` of them. Sent again and again: nothing due, nothing written."""

    limit: int = 256
    identity: Identity = Identity(CONSOLE, 0, 0)
    """None: what is written has an identity of its own."""


class Lookup(msgspec.Struct, frozen=True, gc=False):
    """Which transaction of the terminal's merchant has this identity, or else this RRN, and what is left of it?"""

    terminal_id: int
    original: Identity | None = None
    rrn: int = 0

    @property
    def identity(self) -> Identity:
        """What is looked up."""
        return self.original if self.original is not None else Identity(CONSOLE, 0, 0)


class Inquiry(msgspec.Struct, frozen=True, gc=False):
    """Balance, points and holds of whoever is behind `token`. A PIN keyed in is checked, and counted if wrong."""

    terminal_id: int
    token: bytes
    pin_verifier: bytes = b""
    code_step: int = 0

    @property
    def identity(self) -> Identity:
        """None: nothing is recorded."""
        return Identity(CONSOLE, 0, 0)


FollowUp = Void | Refund | Completion
"""Commands about an earlier transaction, their `original`."""

Command = (
    Sale
    | Void
    | Refund
    | PreAuth
    | Completion
    | TopUp
    | PointsSale
    | OfflineSale
    | Reversal
    | Query
    | Adjustment
    | Upload
    | Clearing
    | ExpireHolds
    | Lookup
    | Inquiry
)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to one command. For a given identity and content it never changes once decided.

    `charged_fen` is what was taken from the payer or given in the end, the discount or bonus counted in; `points` what
    was earned, spent or taken back, `points_balance` the payer's after that, below zero if they are owed. For
    transactions in points, `balance_fen` counts points.
    """

    decision: Decision
    amount_fen: int = 0
    balance_fen: int = 0
    rrn: int = 0
    posted_at_ms: int = 0
    state: TransferState = TransferState.NEVER_SEEN
    charged_fen: int = 0
    points: int = 0
    points_balance: int = 0
    held_fen: int = 0
    """An inquiry's: what pre-authorizations hold."""
    remaining_fen: int = 0
    """A lookup's: what can still be refunded, completed or voided."""
    kind: Kind | None = None
    original: Identity | None = None
    """A lookup's: which transaction was found."""
    business_day: int = 0
    """A lookup's, too: the day it was posted on."""
    saf_sequence: int = 0
    """An offline sale's: where the terminal's chain of such records stands after it."""
    saf_tag: bytes = b""
    replayed: bool = False


class SaleLimits(msgspec.Struct, frozen=True):
    """The host's default limits in fen; 0 = none."""

    sale_limit_fen: int
    day_limit_fen: int
