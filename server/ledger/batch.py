"""The working set of one `Ledger.apply`: everything loaded for it, and everything it will write.

Rules see only this. Later commands of a batch see what earlier ones did, exactly as if each had been committed alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final

import msgspec

from server.ledger.family import Family
from server.ledger.model import (
    NO_CHANGES,
    POINTS_ACCOUNT_OFFSET,
    Account,
    Card,
    Changes,
    Decision,
    Entry,
    Hold,
    Identity,
    Kind,
    Outcome,
    SaleLimits,
    Side,
    Terminal,
    Transfer,
    TransferState,
)
from server.ledger.moves import Move
from server.ledger.quarantine import Quarantined
from server.ledger.tariff import NO_MEAL, NO_TARIFF, Tariff

GENESIS: Final = bytes(32)
"""What the first transfer's digest is chained to."""

STANDS_FOR: Final[dict[int, Kind]] = {Kind.UPLOAD: Kind.SALE}
"""A sale that was brought back answers for the sale: copies of its request are told that it is approved."""

IN_POINTS: Final = frozenset((Kind.POINTS_SALE, Kind.POINTS_VOID))
"""Their amounts and balances count points; no money moves."""

Movement = Sequence[tuple[Account, int]]
"""Each account of a transfer, once, and what it gets in fen (negative: gives). Together zero."""

_encode = msgspec.json.encode
_NO_DAYS: Final[Mapping[int, int]] = MappingProxyType({})
_new: Final = tuple.__new__
"""What a named tuple's own constructor, a function in Python, comes to: two to four entries a sale are made."""
_DECISIONS: Final[dict[int, Decision]] = {int(decision): decision for decision in Decision}
"""By number: looked up for every answer, and Enum's own way takes three times as long."""

_WHOLE: Final = len(msgspec.structs.fields(Transfer)) - 1
_FIRST: Final = _WHOLE - 4


def chain_digest(previous: bytes, transfer: Transfer, entries: list[Entry]) -> bytes:
    """SHA-256 over the previous digest and the transfer with its entries as compact JSON: the journal's hash chain.

    Entries stand in the order of their account numbers, as in their table, so that the rows alone give the digest
    again. The columns that schema 4 added count only if one of them says something: older ledgers keep their digests.
    """
    is_new = transfer.adjust_fen or transfer.points or transfer.points_balance or transfer.lost_rrn
    fields = msgspec.structs.astuple(transfer)[: _WHOLE if is_new else _FIRST]
    return sha256(previous + _encode((fields, entries))).digest()


class Batch:
    """See the module's docstring. `head_seq` / `head_digest` are the journal's newest row."""

    __slots__ = (
        "accounts",
        "bindings",
        "cards",
        "dirty",
        "dirty_cards",
        "dirty_terminals",
        "due",
        "family",
        "freed",
        "head_digest",
        "head_seq",
        "held",
        "holds",
        "is_plain",
        "is_recovery_open",
        "limits",
        "looked_for",
        "meal_id",
        "moves",
        "new_entries",
        "new_transfers",
        "now_ms",
        "opened_ms",
        "quarantined",
        "stopped",
        "tariff",
        "terminals",
        "today",
        "transfers",
    )

    def __init__(
        self,
        *,
        now_ms: int,
        today: int,
        limits: SaleLimits,
        head_seq: int,
        head_digest: bytes,
        is_recovery_open: bool = False,
        tariff: Tariff = NO_TARIFF,
        opened_ms: Mapping[int, int] = _NO_DAYS,
    ) -> None:
        self.now_ms = now_ms
        self.today = today
        self.limits = limits
        self.head_seq = head_seq
        self.head_digest = head_digest
        self.is_recovery_open = is_recovery_open
        self.tariff = tariff
        self.opened_ms = opened_ms
        """When each business day was opened."""
        self.meal_id = tariff.meal_at(now_ms) if tariff.meals else NO_MEAL
        self.transfers: dict[tuple[Identity, Side], Transfer] = {}
        self.terminals: dict[int, Terminal] = {}
        self.cards: dict[bytes, Card] = {}
        self.accounts: dict[int, Account] = {}
        self.looked_for: set[int] = set()
        """Accounts that were to be loaded: one of them that is not here does not exist."""
        self.bindings: set[tuple[bytes, int]] = set()
        """(token, merchant) of the cards that are bound."""
        self.family = Family()
        """The transactions that commands are about, with all that came of them, and what this batch adds."""
        self.is_plain = False
        """Nothing but sales, queries and adjustments: nobody asks for a family."""
        self.held: dict[int, int] = {}
        """What is held now of the accounts somebody inquires about; of others only what this batch has added."""
        self.due: list[Hold] = []
        """Holds whose time is over, if they are to be freed."""
        self.dirty: dict[int, Account] = {}
        self.dirty_cards: dict[bytes, Card] = {}
        self.dirty_terminals: dict[int, Terminal] = {}
        self.holds: dict[int, Hold] = {}
        """Made or changed, by number of the pre-authorization."""
        self.freed: set[int] = set()
        """Holds that are gone."""
        self.stopped: dict[bytes, int] = {}
        """Cards of offline sales that are on the stop list, by hash, and since which version."""
        self.moves: dict[int, list[Move]] = {}
        """Of terminals that bring what they made earlier, to which merchant they belonged until when."""
        self.quarantined: list[Quarantined] = []
        """Offline records that are kept apart, to be looked at."""
        self.new_transfers: list[Transfer] = []
        self.new_entries: list[Entry] = []

    def set_card(self, card: Card) -> None:
        """Put a card as it is now in the place of what was loaded."""
        self.cards[card.token] = self.dirty_cards[card.token] = card

    def set_terminal(self, terminal: Terminal) -> None:
        """Put a terminal as it is now in the place of what was loaded."""
        self.terminals[terminal.terminal_id] = self.dirty_terminals[terminal.terminal_id] = terminal

    def changes(self) -> Changes:
        """What is to be saved besides journal, entries and accounts."""
        if not (self.dirty_cards or self.dirty_terminals or self.holds or self.freed):
            return NO_CHANGES
        return Changes(
            [*self.dirty_cards.values()],
            [*self.dirty_terminals.values()],
            [*self.holds.values()],
            sorted(self.freed),
        )

    def move(self, movement: Movement, seq: int) -> list[Entry]:
        """One entry an account; they sum to zero."""
        entries: list[Entry] = []
        for account, delta in movement:
            account.balance_fen += delta
            entries.append(_new(Entry, (seq, account.account_id, delta, account.balance_fen, account.last_seq)))
            account.last_seq = seq
            self.dirty[account.account_id] = account
        return entries

    def record(
        self,
        identity: Identity,
        side: Side,
        kind: Kind,
        request_hash: bytes,
        decision: Decision,
        *,
        amount_fen: int,
        token_hash: bytes,
        payer: Account | None = None,
        merchant_account_id: int = 0,
        operator: int = 0,
        claimed_at_s: int = 0,
        original_seq: int = 0,
        movement: Movement = (),
        adjust_fen: int = 0,
        points: int = 0,
        lost_rrn: int = 0,
        answered: Account | None = None,
    ) -> Transfer:
        """Append one decided request to the journal, with the movement that goes with it.

        `answered` is the account whose balance is told, if that is not the payer's.
        """
        seq = self.head_seq + 1
        entries = sorted(self.move(movement, seq))
        transfer = Transfer(
            seq,
            *identity,
            int(side),
            int(kind),
            request_hash,
            int(decision),
            amount_fen,
            payer.account_id if payer is not None else 0,
            merchant_account_id,
            (answered or payer).balance_fen if payer is not None else 0,
            operator,
            self.today,
            claimed_at_s,
            self.now_ms,
            original_seq,
            token_hash,
            adjust_fen,
            points,
            self.points_of(payer) if points and payer is not None else 0,
            lost_rrn,
        )
        transfer.digest = chain_digest(self.head_digest, transfer, entries)
        self.head_seq, self.head_digest = seq, transfer.digest
        self.transfers[(identity, side)] = transfer
        self.new_transfers.append(transfer)
        self.new_entries += entries
        if not self.is_plain:
            self.family.add(transfer, entries)
        return transfer

    def points_of(self, payer: Account) -> int:
        """A payer's points now, below zero if they are owed."""
        account = self.accounts.get(payer.account_id + POINTS_ACCOUNT_OFFSET)
        return account.balance_fen if account is not None else 0

    def replay(self, identity: Identity, side: Side, kind: Kind, request_hash: bytes) -> Outcome | None:
        """The answer this identity already has: the original one, or a conflict if the content differs. None if new."""
        known = self.transfers.get((identity, side))
        if known is None:
            return None
        if known.request_hash != request_hash or STANDS_FOR.get(known.kind, known.kind) != kind:
            return Outcome(Decision.ID_CONFLICT)
        return outcome_of(known, replayed=True)


def outcome_of(transfer: Transfer, *, replayed: bool = False) -> Outcome:
    """What the journal row says was answered: a pure function of the row, so that a copy gets the same bytes for
    ever."""
    approved = transfer.decision == Decision.APPROVED
    charged_fen = transfer.amount_fen + transfer.adjust_fen if approved and transfer.kind not in IN_POINTS else 0
    return Outcome(
        _DECISIONS[transfer.decision],
        transfer.amount_fen,
        transfer.balance_fen,
        transfer.seq,
        transfer.posted_at_ms,
        TransferState.APPROVED if approved else TransferState.DECLINED,
        charged_fen,
        abs(transfer.points),
        transfer.points_balance,
        replayed=replayed,
    )


def kind_of(transfer: Transfer) -> Kind:
    """What a row stands for: an upload is its sale."""
    return STANDS_FOR.get(transfer.kind, Kind(transfer.kind))


def token_hash(token: bytes) -> bytes:
    """What the journal keeps of a payer's token."""
    return sha256(token).digest()[:8]
