"""What every administrative operation works with, and the checks they share.

Operations run where the ledger runs: one at a time, never beside a batch of sales. Arguments and results are JSON-able:
numbers, texts, lists, objects; money in fen, card numbers as hex, terminal numbers as people write them (`3-58`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

import msgspec

from protocol import TerminalNumber
from protocol.limits import MAX_AMOUNT_FEN
from protocol.payment_code import is_virtual_number
from server.host_secrets import HostSecrets
from server.keys import KeyRing
from server.ledger.catalogue import ALL_MERCHANTS, Catalogue
from server.ledger.changes import Changes
from server.ledger.devices import Devices
from server.ledger.ledger import NO_DAY, Ledger
from server.ledger.model import CONSOLE, Adjustment, Decision, Identity, Outcome, Status
from server.ledger.operators import RECHARGE, Operators
from server.ledger.parameters import ParameterTable
from server.ledger.registry import CustomerRecord, MerchantRecord, Registry
from server.ledger.tariffs import read_tariff

MERCHANT_NAME_BYTES_MAX: Final = 48
"""READY carries the name in a field of this size, UTF-8: 16 Chinese characters."""
SERIAL_NUMBER_BYTES_MAX: Final = 24
"""The same for the serial number in an enrolment request."""
STUDENT_NUMBER_MAX: Final = 32
NAME_MAX: Final = 64
TOKEN_SIZE_MAX: Final = 24
"""A sale carries at most so many bytes of card number."""
PAGE_MAX: Final = 500
"""Rows per listing or import chunk: bounds a line's size and how long sales wait for an operation (some 20 ms)."""
REQUEST_NUMBER_MAX: Final = (1 << 31) - 1

VIRTUAL: Final = "V"
"""In front of a virtual card's number, to tell it from the hex digits of a UID."""
LIMIT_CHANGER: Final = "`fanka admin card limit` changes it"

OPENING_BATCH: Final = 1
"""Batch of opening balances, with the account number as STAN: each account is opened once, for ever."""
FIRST_REQUEST_BATCH: Final = 2

Fields = dict[str, Any]


class AdminError(ValueError):
    """An operation refused: what was expected, what came, where, and what to do. Nothing has been changed."""


class Trail:
    """Who asked for the operation in hand, and whether it has changed what is not committed yet."""

    def __init__(self) -> None:
        self.who = self.operation = ""
        self.changed = False
        self.config_version = 0
        """What terminals are told. May be read in any thread."""

    def begin(self, who: str, operation: str) -> None:
        """Another operation begins."""
        self.who, self.operation, self.changed = who, operation, False


class Desk(msgspec.Struct, frozen=True):
    """The parts an operation may use. `on_revoked` is called after the commit, in the thread of the operation."""

    ledger: Ledger
    registry: Registry
    keys: KeyRing
    secrets: HostSecrets
    now_ms: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    on_revoked: Callable[[int], None]
    trail: Trail = msgspec.field(default_factory=Trail)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One commit for all that is written inside. What rules and terminals have to know of it is read before the
        commit, and holds after it: of a change that was committed they always know, of one that was not, never.
        """
        store, ledger = self.registry.store, self.ledger
        tariff, config_version = ledger.tariff, self.trail.config_version
        with store.transaction():
            yield
            if self.trail.changed:
                tariff = read_tariff(store, tariff.utc_offset_min)
                config_version = self.changes.config_version(ledger.history)
        ledger.tariff, self.trail.config_version = tariff, config_version
        self.trail.changed = False

    @property
    def catalogue(self) -> Catalogue:
        """Classes, meals, bonus tiers, points, products."""
        return Catalogue(self.registry.store)

    @property
    def operators(self) -> Operators:
        """Who works at terminals."""
        return Operators(self.registry.store)

    @property
    def parameters(self) -> ParameterTable:
        """Parameters of terminals and rules."""
        return ParameterTable(self.registry.store)

    @property
    def devices(self) -> Devices:
        """What happens to terminals."""
        return Devices(self.registry.store)

    @property
    def changes(self) -> Changes:
        """The history of all of it."""
        return Changes(self.registry.store)

    def note(self, what: str, old: str, new: str, *, for_terminals: bool = True) -> None:
        """Keep in the history that `what` was changed, in the transaction that does it; nothing if it is the same.

        Empty = there is none. `for_terminals`: they are told that there is something new to ask for.
        """
        if old == new:
            return
        self.trail.changed = True
        self.changes.note(self.now_ms(), self.trail.who, self.trail.operation, what, old, new)
        if for_terminals:
            self.changes.raise_config_version()

    def note_operator(self, terminal_id: int, merchant_id: int, operator: int, old: str, new: str) -> None:
        """The same of an operator or a password that somebody has changed at a terminal."""
        self.trail.begin(f"terminal {show_terminal(terminal_id)}", "terminal")
        self.note(f"operator {show_operator(operator)} of merchant {merchant_id}", old, new, for_terminals=False)

    def customer(self, who: str) -> CustomerRecord:
        """By student number, or by account number written `#1000001`."""
        if who.startswith("#") and who[1:].isdecimal():
            found = self.registry.find_account(int(who[1:]))
        else:
            found = self.registry.find_customer(who)
        if found is None:
            raise AdminError(
                f"account: expected the student number (or #account) of a customer, got {who!r}, which nobody has;"
                " open one with `fanka admin card issue` or an import"
            )
        return found

    def merchant(self, merchant_id: int) -> MerchantRecord:
        """By number."""
        found = self.registry.find_merchant(merchant_id)
        if found is None:
            raise AdminError(
                f"merchant: expected the number of a merchant, got {merchant_id}, which none has;"
                " see `fanka admin merchant list`"
            )
        return found

    def merchant_or_all(self, merchant_id: int) -> str:
        """How to call a merchant, or with ALL_MERCHANTS all of them, in a history."""
        return "all merchants" if merchant_id == ALL_MERCHANTS else f"merchant {self.merchant(merchant_id).merchant_id}"

    def adjust(self, requests: list[tuple[Identity, int, int]]) -> list[Outcome]:
        """Post (identity, account, fen), each once however often it is asked; positive is into the account."""
        if self.ledger.business_day == NO_DAY:
            raise AdminError("business day: expected an open one, got none; `fanka admin day open` opens today's")
        now_ms = self.now_ms()
        return self.ledger.apply(
            [
                Adjustment(identity, _request_hash(account_id, amount_fen), account_id, amount_fen, now_ms // 1000)
                for identity, account_id, amount_fen in requests
            ],
            now_ms,
        )


def _request_hash(account_id: int, amount_fen: int) -> bytes:
    """What a repeat must have in common with the first request. The time is left out: it is a repeat's own."""
    return sha256(b"adjustment %d %d" % (account_id, amount_fen)).digest()


def opening_identity(account_id: int) -> Identity:
    """The identity under which an account's opening balance is posted."""
    return Identity(CONSOLE, OPENING_BATCH, account_id)


def request_identity(batch: int, line: int) -> Identity:
    """The identity of an administrator's request; AdminError if the numbers are out of range."""
    if not FIRST_REQUEST_BATCH <= batch <= REQUEST_NUMBER_MAX or not 1 <= line <= REQUEST_NUMBER_MAX:
        raise AdminError(
            f"request: expected BATCH-LINE with batch {FIRST_REQUEST_BATCH}..{REQUEST_NUMBER_MAX} and line"
            f" 1..{REQUEST_NUMBER_MAX}, got {batch}-{line}"
        )
    return Identity(CONSOLE, batch, line)


REFUSALS: Final = {
    Decision.INSUFFICIENT_FUNDS: "the account would fall below zero",
    Decision.ID_CONFLICT: "this request number was used before for another amount or account; use a fresh one",
    Decision.ACCOUNT_UNKNOWN: "the account does not exist",
}


def check_approved(outcome: Outcome, what: str) -> None:
    """AdminError that says why an adjustment was not posted."""
    if outcome.decision != Decision.APPROVED:
        why = REFUSALS.get(outcome.decision, outcome.decision.name)
        raise AdminError(f"{what}: not posted: {why} (balance {show_fen(outcome.balance_fen)})")


# --- values


def check_text(field: str, value: str, *, characters_max: int = 0, bytes_max: int = 0) -> str:
    """A name or number: trimmed, not empty, printable, within its size."""
    value = value.strip()
    size = len(value.encode("utf-8", "replace"))
    if not value or not value.isprintable():
        raise AdminError(f"{field}: expected printable text, got {value!r}")
    if bytes_max and size > bytes_max:
        raise AdminError(
            f"{field}: expected at most {bytes_max} bytes of UTF-8 (a Chinese character takes 3), got {size}: {value!r}"
        )
    if characters_max and len(value) > characters_max:
        raise AdminError(f"{field}: expected at most {characters_max} characters, got {len(value)}: {value[:80]!r}")
    return value


def check_student_number(value: str) -> str:
    """A student number (学工号): no spaces inside, and not in the form of an account number."""
    value = check_text("student number", value, characters_max=STUDENT_NUMBER_MAX)
    if any(character.isspace() for character in value) or value.startswith("#"):
        raise AdminError(f"student number: expected no spaces and no # in front, got {value!r}")
    return value


def check_name(value: str) -> str:
    """A customer's name."""
    return check_text("name", value, characters_max=NAME_MAX)


def parse_uid(value: str) -> bytes:
    """A card number in hex, colons and spaces allowed: 4, 7 or 10 bytes of a card's UID, any 1..24 for other tokens; of
    a virtual card V and its ten digits, which may be hex as well."""
    if value[:1] in ("V", "v") and is_virtual_number(value[1:].encode()):
        return value[1:].encode()
    digits = value.replace(":", "").replace(" ", "")
    try:
        token = bytes.fromhex(digits)
    except ValueError:
        token = b""
    if not 1 <= len(token) <= TOKEN_SIZE_MAX or not digits.isascii():
        raise AdminError(
            f"card: expected its UID as hex digits, two per byte, 1..{TOKEN_SIZE_MAX} bytes (usually 4, 7 or 10),"
            f" got {value[:60]!r}"
        )
    return token


def show_uid(token: bytes) -> str:
    """A card number as it is shown and searched for."""
    return f"{VIRTUAL}{token.decode()}" if is_virtual_number(token) else token.hex().upper()


def parse_terminal(value: str) -> int:
    """`3-58` as a number; 0-0 is the administrator's own."""
    try:
        terminal_id = TerminalNumber.parse(value).to_int()
    except ValueError as error:
        raise AdminError(str(error)) from None
    if terminal_id == CONSOLE:
        raise AdminError("terminal number: expected any but 0-0, which stands for the administrator's console")
    return terminal_id


def show_terminal(terminal_id: int) -> str:
    """A terminal's number as people write it."""
    return str(TerminalNumber.from_int(terminal_id))


def check_fen(field: str, value: int, *, low: int = 0) -> int:
    """An amount in fen within `low` and the largest a terminal can show."""
    if not low <= value <= MAX_AMOUNT_FEN:
        raise AdminError(f"{field}: expected {show_fen(low)} to {show_fen(MAX_AMOUNT_FEN)} yuan, got {show_fen(value)}")
    return value


def show_fen(amount_fen: int) -> str:
    """An amount in yuan for an error message."""
    whole, cents = divmod(abs(amount_fen), 100)
    return f"{'-' if amount_fen < 0 else ''}{whole}.{cents:02d}"


def check_page(limit: int) -> int:
    """The size of a page of a listing."""
    if not 1 <= limit <= PAGE_MAX:
        raise AdminError(f"limit: expected 1..{PAGE_MAX} rows, got {limit}; ask for the next page with `after`")
    return limit


def describe(record: msgspec.Struct | None, *keys: str) -> str:
    """A row as the history tells it, without the fields it is known by; empty if there is none."""
    if record is None:
        return ""
    values = msgspec.structs.asdict(record)
    return ", ".join(
        f"{name.removesuffix('_fen').replace('_', ' ')} {show_fen(value) if name.endswith('_fen') else value}"
        for name, value in values.items()
        if name not in keys
    )


def check_number(field: str, value: int, low: int, high: int) -> int:
    """A number within its range."""
    if not low <= value <= high:
        raise AdminError(f"{field}: expected {low} to {high}, got {value}")
    return value


def show_operator(operator: int) -> str:
    """An operator's number as a cashier keys it."""
    return "recharge" if operator == RECHARGE else f"{operator:02d}"


def status_word(status: int) -> str:
    """A status as listings show it."""
    return Status(status).name.lower()
