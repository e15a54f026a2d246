"""The ledger's rows as the rules see them: what the stores load and save."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec


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
    """What a reversal, void, refund, completion or expiry is about; 0 for a tombstone, or if that is not here. What an
    uploaded sale (kind UPLOAD) was numbered by the host that is lost. Else 0."""
    token_hash: bytes
    """SHA-256 of the payer's token, cut to 8 bytes: enough to match a reversal to its original. It hides no short card
    number from one who tries them all."""
    adjust_fen: int = 0
    """What was moved beyond the amount: a bonus; negative: a discount."""
    points: int = 0
    """What was added to the payer's points; negative: taken."""
    points_balance: int = 0
    """The payer's points after it, negative: owed. Only of what has moved points, else 0."""
    lost_rrn: int = 0
    """Of what an upload brought back, if it is no sale: its number at the lost host, -1 if not known. Else 0."""
    digest: bytes = b""


class Entry(NamedTuple):
    """One leg of a transfer. `previous_seq` is the account's entry before this one: a chain per account."""

    seq: int
    account_id: int
    amount_fen: int
    balance_fen: int
    previous_seq: int


class Account(msgspec.Struct, gc=False, array_like=True):
    """An account as the batch in hand sees it; mutable only inside one `Ledger.apply`. An array in JSON, as stores
    load it.

    `spent_fen` and `day_count` are of business day `spent_day`, `meal_fen` of the meal `meal_key`. `code_step`: that of
    the newest payment code it has paid with.
    """

    account_id: int
    kind: int
    balance_fen: int
    spent_day: int
    spent_fen: int
    last_seq: int
    meal_key: int = 0
    meal_fen: int = 0
    day_count: int = 0
    code_step: int = 0


class Card(msgspec.Struct, frozen=True, gc=False):
    """A card or other token, and the account it pays from. Limits in fen; 0 = the class's, then the host's default."""

    token: bytes
    account_id: int
    status: int
    sale_limit_fen: int
    day_limit_fen: int
    class_id: int = 0
    pin_verifier: bytes = b""
    """Keyed hash of the PIN; empty = none."""
    pin_tries: int = 0
    """Wrong ones since the last right one."""
    is_bound: int = 0
    """1: it pays only at the merchants it is bound to."""
    meal_limit_fen: int = 0


class Terminal(msgspec.Struct, frozen=True, gc=False):
    """What the rules need to know of a terminal."""

    terminal_id: int
    status: int
    merchant_id: int
    merchant_status: int
    merchant_account_id: int
    closed_batch: int = 0
    """The newest batch that is settled: nothing new is taken for it or one before."""
    pin_wrong: int = 0
    """Wrong PINs since `pin_window_ms`."""
    code_wrong: int = 0
    pin_window_ms: int = 0
    saf_sequence: int = 0
    """The newest offline record it has brought, and that one's tag."""
    saf_tag: bytes = b""


class Hold(NamedTuple):
    """What pre-authorization `seq` holds of an account."""

    seq: int
    account_id: int
    amount_fen: int
    expires_at_ms: int


class Changes(NamedTuple):
    """What a batch changes besides journal, entries and accounts; empty for a batch of sales."""

    cards: Sequence[Card] = ()
    """Their `pin_tries` are saved, nothing else."""
    terminals: Sequence[Terminal] = ()
    """Saved: what follows `merchant_account_id`."""
    holds: Sequence[Hold] = ()
    freed: Sequence[int] = ()
    """Numbers of the holds that are gone."""


NO_CHANGES: Final = Changes()
