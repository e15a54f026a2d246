"""A small campus for the ledger's tests: who is who is written as rows, money comes in through the ledger itself."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, TypeVar

from server.ledger.copy import TABLES
from server.ledger.ledger import Ledger
from server.ledger.model import (
    CONSOLE,
    FIRST_CUSTOMER_ACCOUNT,
    FIRST_MERCHANT_ACCOUNT,
    POINTS_ACCOUNT_OFFSET,
    AccountKind,
    Adjustment,
    Asked,
    Command,
    Completion,
    Decision,
    Identity,
    Kind,
    Outcome,
    Query,
    Refund,
    Reversal,
    Sale,
    SaleLimits,
    Status,
    Upload,
    Void,
)
from server.ledger.store import Store

T = TypeVar("T", bound=Asked)
DAY = 20260910
NOW_MS = 1_788_200_000_000
NO_LIMITS = SaleLimits(0, 0)
TILL = 0x0003_003A
"""Terminal 3-58 of the first merchant."""
OTHER_TILL = 0x0003_003B
"""Terminal 3-59 of the second merchant."""
MERCHANT, OTHER_MERCHANT = FIRST_MERCHANT_ACCOUNT, FIRST_MERCHANT_ACCOUNT + 1
ANN, BEN, COY = FIRST_CUSTOMER_ACCOUNT, FIRST_CUSTOMER_ACCOUNT + 1, FIRST_CUSTOMER_ACCOUNT + 2
CARDS = {ANN: b"\x04\xa1\x00\xff", BEN: b"\x04\xb2", COY: b"\x04\xb2\x00"}
STRANGER = b"\x09\x09\x09\x09"
START_FEN = 10_000
"""What Ann and Ben own at the start. Coy has nothing."""


def people(store: Store) -> None:
    """Two merchants with one terminal each, three customers with one card each."""
    with store.transaction():
        for number, (account_id, terminal_id) in enumerate(((MERCHANT, TILL), (OTHER_MERCHANT, OTHER_TILL)), 1):
            store.execute("INSERT INTO accounts (account_id, kind) VALUES (?, ?)", (account_id, AccountKind.MERCHANT))
            store.execute("INSERT INTO merchants VALUES (?, ?, 0, ?)", (number, f"hall {number}", account_id))
            store.execute("INSERT INTO terminals (terminal_id, merchant_id) VALUES (?, ?)", (terminal_id, number))
        for account_id, token in CARDS.items():
            store.execute("INSERT INTO accounts (account_id, kind) VALUES (?, ?)", (account_id, AccountKind.CUSTOMER))
            store.execute("INSERT INTO cards (token, account_id) VALUES (?, ?)", (token, account_id))


def open_campus(store: Store, limits: SaleLimits = NO_LIMITS) -> Ledger:
    """A ledger on a new store, its first day open, Ann and Ben with START_FEN each."""
    people(store)
    ledger = Ledger(store, limits)
    assert ledger.open_day(DAY, NOW_MS)
    outcomes = ledger.apply([adjustment(1, START_FEN, ANN), adjustment(2, START_FEN, BEN)], NOW_MS)
    assert [outcome.decision for outcome in outcomes] == [Decision.APPROVED] * 2
    return ledger


# ------------------------------------------------------------------------------------------------ commands


def sale(
    stan: int,
    amount_fen: int,
    account_id: int = ANN,
    *,
    token: bytes | None = None,
    terminal_id: int = TILL,
    batch: int = 1,
    claimed_at_s: int = 1_788_200_000,
) -> Sale:
    token = CARDS[account_id] if token is None else token
    content = sha256(f"sale {amount_fen} {token.hex()} {claimed_at_s}".encode()).digest()[:16]
    return Sale(Identity(terminal_id, batch, stan), content, token, amount_fen, 7, claimed_at_s)


def upload(
    stan: int,
    amount_fen: int,
    account_id: int = ANN,
    *,
    token: bytes | None = None,
    terminal_id: int = TILL,
    batch: int = 1,
    claimed_at_s: int = 1_788_200_000,
    lost_rrn: int = 77,
) -> Upload:
    """What the terminal says of `sale` with the same arguments, once the host has lost it."""
    lost = sale(
        stan, amount_fen, account_id, token=token, terminal_id=terminal_id, batch=batch, claimed_at_s=claimed_at_s
    )
    return Upload(
        lost.identity, lost.request_hash, lost.token, lost.amount_fen, lost.operator, lost.claimed_at_s, lost_rrn
    )


def reversal(
    stan: int,
    amount_fen: int,
    account_id: int = ANN,
    *,
    token: bytes | None = None,
    terminal_id: int = TILL,
    batch: int = 1,
    claimed_at_s: int = 1_788_200_000,
) -> Reversal:
    """Its hash covers amount and payer only, as the wire's does: a repeated reversal may name another time."""
    token = CARDS[account_id] if token is None else token
    content = sha256(f"reversal {amount_fen} {token.hex()}".encode()).digest()[:16]
    return Reversal(Identity(terminal_id, batch, stan), content, token, amount_fen, 7, claimed_at_s)


def query(
    stan: int,
    amount_fen: int = 0,
    account_id: int = ANN,
    *,
    token: bytes | None = None,
    terminal_id: int = TILL,
    batch: int = 1,
    claimed_at_s: int = 1_788_200_000,
) -> Query:
    """Without an amount it asks about the identity, whatever its content."""
    if amount_fen == 0:
        return Query(Identity(terminal_id, batch, stan))
    token = CARDS[account_id] if token is None else token
    return Query(Identity(terminal_id, batch, stan), amount_fen, token, claimed_at_s)


def asked(
    command: type[T],
    stan: int,
    amount_fen: int,
    account_id: int = ANN,
    *,
    token: bytes | None = None,
    terminal_id: int = TILL,
    batch: int = 1,
    claimed_at_s: int = 1_788_200_000,
    pin_verifier: bytes = b"",
    code_step: int = 0,
    **about: Any,
) -> T:
    """Any request about money; its hash covers all but the PIN, as the wire's does."""
    token = CARDS[account_id] if token is None else token
    said = f"{command.__name__} {amount_fen} {token.hex()} {claimed_at_s} {sorted(about.items())}"
    content = sha256(said.encode()).digest()[:16]
    return command(
        Identity(terminal_id, batch, stan),
        content,
        token,
        amount_fen,
        7,
        claimed_at_s,
        pin_verifier=pin_verifier,
        code_step=code_step,
        **about,
    )


def void(stan: int, original: Asked, /, kind: Kind = Kind.VOID, **changes: Any) -> Void:
    """The void of a request; `changes` make it another's."""
    return _about(Void, stan, original, kind=kind, **changes)


def refund(stan: int, original: Asked, amount_fen: int, /, **changes: Any) -> Refund:
    return _about(Refund, stan, original, amount_fen=amount_fen, **changes)


def completion(stan: int, original: Asked, amount_fen: int, /, **changes: Any) -> Completion:
    return _about(Completion, stan, original, amount_fen=amount_fen, **changes)


def _about(command: type[T], stan: int, original: Asked, /, **changes: Any) -> T:
    said = {
        "amount_fen": original.amount_fen,
        "token": original.token,
        "terminal_id": original.identity.terminal_id,
        "batch": original.identity.batch,
        "original": original.identity,
    }
    return asked(command, stan, **said | changes)


def reversal_of(command: Asked) -> Reversal:
    """The reversal of any request."""
    terminal_id, batch, stan = command.identity
    return reversal(stan, command.amount_fen, token=command.token, terminal_id=terminal_id, batch=batch)


def upload_of(command: Asked, kind: Kind, charged_fen: int = -1, points: int = 0, lost_rrn: int = 77) -> Upload:
    """What its terminal says of an approved request once the host has lost it."""
    return Upload(
        command.identity,
        command.request_hash,
        command.token,
        command.amount_fen,
        command.operator,
        command.claimed_at_s,
        lost_rrn,
        kind,
        getattr(command, "original", None),
        charged_fen,
        points,
    )


def adjustment(stan: int, amount_fen: int, account_id: int = ANN) -> Adjustment:
    content = sha256(f"adjustment {amount_fen} {account_id}".encode()).digest()[:16]
    return Adjustment(Identity(CONSOLE, 1, stan), content, account_id, amount_fen, 1_788_200_000)


def apply(ledger: Ledger, *commands: Command, now_ms: int = NOW_MS) -> list[Outcome]:
    return ledger.apply(commands, now_ms)


def decide(ledger: Ledger, command: Command, now_ms: int = NOW_MS) -> Outcome:
    """One command in a batch of its own."""
    [outcome] = ledger.apply([command], now_ms)
    return outcome


# ------------------------------------------------------------------------------------------------- what is


def balance(ledger: Ledger, account_id: int = ANN) -> int:
    return ledger.store.load_accounts([account_id])[account_id].balance_fen


def points(ledger: Ledger, account_id: int = ANN) -> int:
    number = account_id + POINTS_ACCOUNT_OFFSET
    found = ledger.store.load_accounts([number])
    return found[number].balance_fen if found else 0


def held(ledger: Ledger, account_id: int = ANN) -> int:
    return ledger.store.load_held([account_id]).get(account_id, 0)


def spent(ledger: Ledger, account_id: int = ANN) -> tuple[int, int]:
    """(business day, fen spent on it) of an account."""
    account = ledger.store.load_accounts([account_id])[account_id]
    return account.spent_day, account.spent_fen


def set_card(ledger: Ledger, owner: int = ANN, **columns: int) -> None:
    """Change columns of the card a customer has at the start: status, sale_limit_fen, day_limit_fen, account_id."""
    with ledger.store.transaction():
        for name, value in columns.items():
            ledger.store.execute(f"UPDATE cards SET {name} = ? WHERE token = ?", (value, CARDS[owner]))


def set_terminal(ledger: Ledger, status: Status) -> None:
    with ledger.store.transaction():
        ledger.store.execute("UPDATE terminals SET status = ? WHERE terminal_id = ?", (int(status), TILL))


def set_merchant(ledger: Ledger, status: Status) -> None:
    with ledger.store.transaction():
        ledger.store.execute("UPDATE merchants SET status = ? WHERE account_id = ?", (int(status), MERCHANT))


def contents(store: Store) -> dict[str, list[tuple]]:
    """Every row of the database: what must be the same after a failure as before it."""
    return {table.name: store.execute(f"SELECT * FROM {table.name} ORDER BY {table.key}") for table in TABLES}


def second_till(ledger: Ledger, terminal_id: int = TILL + 9) -> int:
    """Another terminal of the first merchant."""
    with ledger.store.transaction():
        ledger.store.execute("INSERT INTO terminals (terminal_id, merchant_id) VALUES (?, 1)", (terminal_id,))
    return terminal_id
