"""The money audit after a load test: what terminals were told against what the ledger holds, read from its rows.

missing        a terminal was told "approved", and the ledger has no such transaction, another kind, amount or payer,
               charged another account than the card's or something else than was told, or reversed it
duplicated     the ledger holds an approved, unreversed transaction of these terminals that no terminal counts as
               approved, or holds one twice
balanced       all balances sum to zero, and what merchants gained is what terminals were told
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from server.ledger.batch import IN_POINTS, token_hash
from server.ledger.model import Decision, Kind, Side
from server.ledger.store import Store
from server.stores import open_ledger

if TYPE_CHECKING:
    from server.folder import DataFolder

EXAMPLES_MAX: Final = 5
"""Offending sales named in a report; their number is always exact."""


STANDS_FOR: Final = {Kind.UPLOAD: Kind.SALE}
"""What a row of the journal is to the terminal it came from."""

GAINS: Final = {
    Kind.SALE: 1,
    Kind.VOID: -1,
    Kind.REFUND: -1,
    Kind.COMPLETION: 1,
    Kind.COMPLETION_VOID: -1,
    Kind.OFFLINE_SALE: 1,
}
"""What a merchant has of what was charged."""
CASH: Final = {Kind.TOPUP: -1, Kind.TOPUP_VOID: 1}
"""Of a top-up he owes the cash, which is the amount."""
FOLLOW: Final = (
    frozenset(GAINS) | frozenset(CASH) | {Kind.PREAUTH, Kind.PREAUTH_VOID, Kind.POINTS_SALE, Kind.POINTS_VOID}
)
"""Kinds a terminal asks for and remembers."""


class Acknowledged(msgspec.Struct, frozen=True, gc=False):
    """A transaction a terminal showed as approved. `payer` is the token of the card that was tapped."""

    terminal_id: int
    batch: int
    stan: int
    amount_fen: int
    rrn: int
    payer: bytes
    kind: int = Kind.SALE
    charged_fen: int | None = None
    """None: the amount."""

    @property
    def moved_fen(self) -> int:
        """What the terminal was told that was charged or given."""
        return self.amount_fen if self.charged_fen is None else self.charged_fen

    @property
    def gain_fen(self) -> int:
        """What the merchant has more by it."""
        kind = Kind(self.kind)
        return GAINS.get(kind, 0) * self.moved_fen + CASH.get(kind, 0) * self.amount_fen


class Held(NamedTuple):
    """An approved transaction as the ledger holds it."""

    kind: int
    amount_fen: int
    charged_fen: int
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
    balanced = total_fen == 0 and gained_fen == sum(sale.gain_fen for sale in told.values())
    return Audit(len(told), len(held), len(missing), len(extra) + twice, balanced, examples)


def _fits(sale: Acknowledged, held: Held | None, owners: dict[bytes, int]) -> bool:
    """Whether the ledger holds what the terminal was told: this amount, from the account of the card that was tapped.

    The account is looked up among the cards, not in the journal: a ledger that charges the wrong customer agrees with
    itself.
    """
    amounts = (int(sale.kind), sale.amount_fen, sale.moved_fen)
    return held == (*amounts, sale.rrn, token_hash(sale.payer), owners.get(sale.payer))


def _describe(sale: Acknowledged, held: Held | None, owners: dict[bytes, int]) -> str:
    """One offending sale in words."""
    if held is None:
        return f"missing: {sale}"
    owner = owners.get(sale.payer)
    whose = f"is account {owner}'s" if owner is not None else "is nobody's"
    otherwise = "" if held.token_hash == token_hash(sale.payer) else " for another card"
    return (
        f"told: {sale}, whose card {whose}; the ledger has kind {held.kind}, {held.amount_fen} fen, RRN {held.rrn},"
        f" charged account {held.account_id} {held.charged_fen} fen{otherwise}"
    )


def _held(store: Store, before: Mark, terminals: set[int]) -> tuple[dict[tuple[int, int, int], Held], int]:
    """Approved sales that stand, by identity; and how many identities were approved twice."""
    held: dict[tuple[int, int, int], Held] = {}
    reversed_: set[tuple[int, int, int]] = set()
    twice = 0
    rows = store.rows(
        "SELECT seq, terminal_id, batch, stan, side, kind, original_seq, lost_rrn, amount_fen, adjust_fen, token_hash,"
        " account_id FROM transfers WHERE seq > ? AND decision = ?",
        (before.seq, int(Decision.APPROVED)),
    )
    for seq, terminal_id, batch, stan, side, kind, original_seq, lost_rrn, amount_fen, adjust_fen, *who in rows:
        if terminal_id not in terminals:
            continue
        key = (terminal_id, batch, stan)
        if side == Side.REVERSAL:
            reversed_.add(key)
        elif (asked := STANDS_FOR.get(kind, kind)) in FOLLOW:
            twice += key in held
            # Brought back after a restore, it has another number here than the terminal was told.
            rrn = original_seq if kind == Kind.UPLOAD else lost_rrn or seq
            charged_fen = 0 if asked in IN_POINTS else amount_fen + adjust_fen
            held[key] = Held(int(asked), amount_fen, charged_fen, rrn, *who)
    return {key: value for key, value in held.items() if key not in reversed_}, twice


def _merchants_fen(store: Store, terminals: set[int]) -> int:
    """What the merchants of these terminals hold together."""
    accounts = {found.merchant_account_id for found in store.load_terminals(terminals).values()}
    return sum(account.balance_fen for account in store.load_accounts(accounts).values())
