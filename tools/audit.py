"""The money audit after a load test: what terminals were told against what the ledger holds, read from its rows.

missing        a terminal was told "approved", and the ledger has no such sale, another amount or payer, charged
               another account than the card's, or reversed it
duplicated     the ledger holds an approved, unreversed sale of these terminals that no terminal counts as approved,
               or holds one twice
balanced       all balances sum to zero, and what merchants gained is what terminals were told
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from server.ledger.batch import token_hash
from server.ledger.model import Decision, Kind, Side
from server.ledger.store import Store
from server.stores import open_ledger

if TYPE_CHECKING:
    from server.folder import DataFolder

EXAMPLES_MAX: Final = 5
"""Offending sales named in a report; their number is always exact."""


class Acknowledged(msgspec.Struct, frozen=True, gc=False):
    """A sale a terminal showed as approved. `payer` is the token of the card that was tapped."""

    terminal_id: int
    batch: int
    stan: int
    amount_fen: int
    rrn: int
    payer: bytes


class Held(NamedTuple):
    """An approved sale as the ledger holds it."""

    amount_fen: int
    rrn: int
    token_hash: bytes
    account_id: int


class Mark(msgspec.Struct, frozen=True):
    """Where a ledger stood before the test."""

    seq: int
    merchants_fen: int


class Audit(msgspec.Struct, frozen=True):
    """The verdict; `examples` name offending sales."""

    acknowledged: int
    in_ledger: int
    missing: int
    duplicated: int
    balanced: bool
    examples: list[str]

    @property
    def ok(self) -> bool:
        """Whether every fen is accounted for."""
        return self.balanced and not self.missing and not self.duplicated


def mark(ledger: Path | DataFolder, terminals: set[int]) -> Mark:
    """Take the position before a test with these terminals. StoreError if the ledger cannot be read."""
    store = open_ledger(ledger)
    try:
        return Mark(store.head()[0], _merchants_fen(store, terminals))
    finally:
        store.close()


def audit(ledger: Path | DataFolder, before: Mark, terminals: set[int], acknowledged: Iterable[Acknowledged]) -> Audit:
    """Compare. Only journal rows of these terminals since `before` are read."""
    told = {(sale.terminal_id, sale.batch, sale.stan): sale for sale in acknowledged}
    store = open_ledger(ledger)
    try:
        with store.snapshot():
            held, twice = _held(store, before, terminals)
            total_fen = store.execute("SELECT coalesce(sum(balance_fen), 0) FROM accounts")[0][0]
            gained_fen = _merchants_fen(store, terminals) - before.merchants_fen
            owners: dict[bytes, int] = dict(store.rows("SELECT token, account_id FROM cards"))
    finally:
        store.close()
    missing = [(sale, found) for key, sale in told.items() if not _fits(sale, found := held.get(key), owners)]
    extra = [key for key in held if key not in told]
    examples = [_describe(sale, found, owners) for sale, found in missing[:EXAMPLES_MAX]]
    examples += [f"not acknowledged: terminal, batch, STAN {key}: {held[key]}" for key in extra[:EXAMPLES_MAX]]
    balanced = total_fen == 0 and gained_fen == sum(sale.amount_fen for sale in told.values())
    return Audit(len(told), len(held), len(missing), len(extra) + twice, balanced, examples)


def _fits(sale: Acknowledged, held: Held | None, owners: dict[bytes, int]) -> bool:
    """Whether the ledger holds what the terminal was told: this amount, from the account of the card that was tapped.

    The account is looked up among the cards, not in the journal: a ledger that charges the wrong customer agrees with
    itself.
    """
    told = (sale.amount_fen, sale.rrn, token_hash(sale.payer), owners.get(sale.payer))
    return held is not None and held == told


def _describe(sale: Acknowledged, held: Held | None, owners: dict[bytes, int]) -> str:
    """One offending sale in words."""
    if held is None:
        return f"missing: {sale}"
    owner = owners.get(sale.payer)
    whose = f"is account {owner}'s" if owner is not None else "is nobody's"
    return (
        f"told: {sale}, whose card {whose}; the ledger has {held.amount_fen} fen, RRN {held.rrn},"
        f" charged account {held.account_id}{'' if held.token_hash == token_hash(sale.payer) else ' for another card'}"
    )


def _held(store: Store, before: Mark, terminals: set[int]) -> tuple[dict[tuple[int, int, int], Held], int]:
    """Approved sales that stand, by identity; and how many identities were approved twice."""
    held: dict[tuple[int, int, int], Held] = {}
    reversed_: set[tuple[int, int, int]] = set()
    twice = 0
    rows = store.rows(
        "SELECT seq, terminal_id, batch, stan, side, kind, original_seq, amount_fen, token_hash, account_id"
        " FROM transfers WHERE seq > ? AND decision = ?",
        (before.seq, int(Decision.APPROVED)),
    )
    for seq, terminal_id, batch, stan, side, kind, lost_rrn, *charge in rows:
        if terminal_id not in terminals:
            continue
        key = (terminal_id, batch, stan)
        if side == Side.REVERSAL:
            reversed_.add(key)
        elif kind in (Kind.SALE, Kind.UPLOAD, Kind.OFFLINE_SALE):
            twice += key in held
            amount_fen, hashed, account_id = charge
            # Brought back after a restore, it has another number here than the terminal was told.
            held[key] = Held(amount_fen, lost_rrn if kind == Kind.UPLOAD else seq, hashed, account_id)
    return {key: value for key, value in held.items() if key not in reversed_}, twice


def _merchants_fen(store: Store, terminals: set[int]) -> int:
    """What the merchants of these terminals hold together."""
    accounts = {found.merchant_account_id for found in store.load_terminals(terminals).values()}
    return sum(account.balance_fen for account in store.load_accounts(accounts).values())
