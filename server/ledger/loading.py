"""What a batch of commands needs of the store: everything the rules will ask for, in a handful of queries, none per
command.

A batch of sales takes four: journal rows under their identities, terminals, cards, accounts. Commands about earlier
transactions take two more, for those with all that came of them and for their entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from server.ledger import moves, stop_list
from server.ledger.batch import IN_POINTS, Batch, token_hash
from server.ledger.model import (
    BONUS_ACCOUNT,
    FUNDING_ACCOUNT,
    HOLDS_ACCOUNT,
    OFFLINE_DEBT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    POINTS_ISSUED_ACCOUNT,
    Adjustment,
    Asked,
    Clearing,
    Command,
    Completion,
    ExpireHolds,
    Identity,
    Inquiry,
    Kind,
    Lookup,
    OfflineSale,
    PointsSale,
    Query,
    Refund,
    Reversal,
    Sale,
    Side,
    Upload,
    Void,
)
from server.ledger.store import Store

NAMED: Final = (FUNDING_ACCOUNT, OFFLINE_DEBT_ACCOUNT, HOLDS_ACCOUNT, BONUS_ACCOUNT, POINTS_ISSUED_ACCOUNT)


class _Wants:
    """What commands need, before anything is loaded."""

    __slots__ = (
        "accounts",
        "due",
        "has_follow_ups",
        "has_points",
        "identities",
        "inquired",
        "late",
        "offline",
        "originals",
        "rrns",
        "terminals",
        "tokens",
    )

    def __init__(self) -> None:
        self.identities: set[Identity] = set()
        self.originals: set[Identity] = set()
        """Of these all that came of them is wanted, too."""
        self.rrns: set[int] = set()
        self.tokens: set[bytes] = set()
        self.inquired: set[bytes] = set()
        self.offline: set[bytes] = set()
        self.terminals: set[int] = set()
        self.late: set[int] = set()
        """Terminals that bring what they made earlier."""
        self.accounts: set[int] = set()
        self.due = 0
        self.has_points = False
        self.has_follow_ups = False

    def add(self, command: Command) -> None:
        """Whatever this command may ask for; sales are the many, and come first."""
        if isinstance(command, (Asked, Upload)):
            self.identities.add(command.identity)
            self.tokens.add(command.token)
            self.terminals.add(command.identity.terminal_id)
            if type(command) is not Sale:
                self._add_asker(command)
        elif isinstance(command, Reversal):
            self.identities.add(command.identity)
            self.originals.add(command.identity)
            self.terminals.add(command.identity.terminal_id)
            self.accounts.update(NAMED)
            self.has_follow_ups = True
        elif isinstance(command, Query):
            self.identities.add(command.identity)
        elif isinstance(command, Adjustment | Clearing):
            self.identities.add(command.identity)
            self.accounts.update((command.account_id, FUNDING_ACCOUNT))
        elif isinstance(command, Inquiry):
            self.tokens.add(command.token)
            self.inquired.add(command.token)
            self.terminals.add(command.terminal_id)
            self.has_points = True
        elif isinstance(command, Lookup):
            self.has_follow_ups = True
            self.terminals.add(command.terminal_id)
            if command.original is not None:
                self.originals.add(command.original)
            else:
                self.rrns.add(command.rrn)
        elif isinstance(command, ExpireHolds):
            self.has_follow_ups = True
            self.due += command.limit
            self.accounts.update(NAMED)

    def _add_asker(self, command: Command) -> None:
        self.has_follow_ups = True  # or what others of this batch may follow
        self.accounts.update(NAMED)
        if isinstance(command, Void | Refund | Completion | Upload) and command.original is not None:
            self.originals.add(command.original)
        if isinstance(command, OfflineSale | Upload):
            self.late.add(command.identity.terminal_id)
        if isinstance(command, OfflineSale):
            self.offline.add(token_hash(command.token))
        if isinstance(command, PointsSale) or (isinstance(command, Void | Upload) and command.kind in IN_POINTS):
            self.has_points = True
        if isinstance(command, Upload) and command.points:
            self.has_points = True


def load(store: Store, batch: Batch, commands: Sequence[Command]) -> None:
    """Fill the batch."""
    wants = _Wants()
    for command in commands:
        wants.add(command)
    account_ids = wants.accounts
    batch.is_plain = not wants.has_follow_ups
    if wants.identities or wants.originals:
        batch.transfers = store.load_transfers(wants.identities | wants.originals)
    if wants.due:
        batch.due = store.load_due(batch.now_ms, wants.due)
    _load_family(store, batch, wants, account_ids)
    if wants.terminals:
        batch.terminals = store.load_terminals(wants.terminals)
        account_ids.update(terminal.merchant_account_id for terminal in batch.terminals.values())
    if wants.late:
        batch.moves = moves.load(store, wants.late)
        account_ids.update(move.merchant_account_id for found in batch.moves.values() for move in found)
    if wants.tokens:
        _load_cards(store, batch, wants, account_ids)
    if wants.offline:
        batch.stopped = stop_list.stopped_among(store, wants.offline)
    batch.looked_for = account_ids
    batch.accounts = store.load_accounts(account_ids)


def _load_cards(store: Store, batch: Batch, wants: _Wants, account_ids: set[int]) -> None:
    batch.cards = store.load_cards(wants.tokens)
    payers = {card.account_id for card in batch.cards.values()}
    account_ids.update(payers)
    if wants.has_points or batch.tariff.points_rates:
        account_ids.update(payer + POINTS_ACCOUNT_OFFSET for payer in payers)
        account_ids.add(POINTS_ISSUED_ACCOUNT)
    if bound := [card.token for card in batch.cards.values() if card.is_bound]:
        batch.bindings = store.load_bindings(bound)
    if wants.inquired:
        batch.held = store.load_held(
            {card.account_id for token, card in batch.cards.items() if token in wants.inquired}
        )


def _load_family(store: Store, batch: Batch, wants: _Wants, account_ids: set[int]) -> None:
    seqs = wants.rrns | {hold.seq for hold in batch.due}
    for identity in wants.originals:
        original = batch.transfers.get((identity, Side.ORIGINAL))
        if original is not None:
            seqs.add(original.seq)
    if not seqs:
        return
    rows = store.load_family(seqs)
    entries = store.load_entries([row.seq for row in rows])
    batch.family.add_all(rows, entries)
    account_ids.update(entry.account_id for entry in entries)
    for row in rows:
        account_ids.update((row.account_id, row.merchant_account_id))
        earns = row.kind == Kind.PREAUTH and (wants.has_points or batch.tariff.points_rates)  # its completion
        if earns or row.kind in IN_POINTS or (row.kind == Kind.REVERSAL and row.points):
            account_ids.add(row.account_id + POINTS_ACCOUNT_OFFSET)
