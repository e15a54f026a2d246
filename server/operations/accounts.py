"""Customer accounts: open, rename, show with history, list, top up, correct. Only the ledger changes a balance."""

from __future__ import annotations

from typing import ClassVar

from protocol.limits import MAX_AMOUNT_FEN
from server.ledger.model import FIRST_CUSTOMER_ACCOUNT, Kind
from server.ledger.registry import CustomerRecord, HistoryRecord
from server.operations.desk import (
    PAGE_MAX,
    AdminError,
    Desk,
    Fields,
    check_approved,
    check_fen,
    check_name,
    check_page,
    check_student_number,
    request_identity,
    show_fen,
    show_terminal,
    show_uid,
    status_word,
)


class Accounts:
    """See the module's docstring. `who` is a student number, or an account number written `#1000001`."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("open", "rename", "show", "listing", "topup", "correct")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def open(self, student_number: str, name: str) -> Fields:
        """A new customer with an empty account; the same customer again changes nothing."""
        return self.fields(open_account(self._desk, student_number, name))

    def rename(self, who: str, name: str) -> Fields:
        """Correct a customer's name."""
        customer = self._desk.customer(who)
        name = check_name(name)
        with self._desk.transaction():
            self._desk.registry.rename_customer(customer.account_id, name)
        return self.show(who, entries=0)

    def show(self, who: str, entries: int = 10) -> Fields:
        """One account with its cards and its newest `entries` movements, newest first."""
        if not 0 <= entries <= PAGE_MAX:
            raise AdminError(f"entries: expected 0..{PAGE_MAX}, got {entries}")
        customer = self._desk.customer(who)
        registry = self._desk.registry
        shown = self.fields(customer)
        shown["points"] = registry.points_of(customer.account_id)
        shown["held_fen"] = registry.store.load_held([customer.account_id]).get(customer.account_id, 0)
        shown["cards"] = [
            {"uid": show_uid(card.token), "status": status_word(card.status)}
            for card in registry.cards_of(customer.account_id)
        ]
        history = registry.history(customer.account_id, entries) if entries else []
        shown["entries"] = [entry_fields(record) for record in history]
        return shown

    def listing(self, after: int = 0, limit: int = PAGE_MAX) -> list[Fields]:
        """Up to `limit` customers with account numbers above `after`."""
        records = self._desk.registry.customers(after=max(after, FIRST_CUSTOMER_ACCOUNT - 1), limit=check_page(limit))
        return [self.fields(record) for record in records]

    def topup(self, who: str, amount_fen: int, batch: int, line: int) -> Fields:
        """Pay money in. The same request (batch, line) posts once however often it is sent."""
        return self._adjust("top-up", who, check_fen("amount", amount_fen, low=1), batch, line)

    def correct(self, who: str, amount_fen: int, batch: int, line: int) -> Fields:
        """Move a balance up, or down but not below zero. The same request (batch, line) posts once."""
        if amount_fen == 0 or abs(amount_fen) > MAX_AMOUNT_FEN:
            most = show_fen(MAX_AMOUNT_FEN)
            raise AdminError(f"amount: expected -{most} to {most} yuan and not zero, got {show_fen(amount_fen)}")
        return self._adjust("correction", who, amount_fen, batch, line)

    def _adjust(self, what: str, who: str, amount_fen: int, batch: int, line: int) -> Fields:
        customer = self._desk.customer(who)
        identity = request_identity(batch, line)
        outcome = self._desk.adjust([(identity, customer.account_id, amount_fen)])[0]
        check_approved(outcome, f"{what} of {show_fen(amount_fen)} yuan for {customer.student_number}")
        return {
            "student_number": customer.student_number,
            "name": customer.name,
            "account_id": customer.account_id,
            "amount_fen": amount_fen,
            "balance_fen": outcome.balance_fen,
            "rrn": outcome.rrn,
            "posted_at_ms": outcome.posted_at_ms,
            "request": f"{batch}-{line}",
            "repeated": outcome.replayed,
        }

    def fields(self, record: CustomerRecord) -> Fields:
        """An account as listings show it."""
        today = self._desk.ledger.business_day
        return {
            "account_id": record.account_id,
            "student_number": record.student_number,
            "name": record.name,
            "balance_fen": record.balance_fen,
            "spent_today_fen": record.spent_fen if record.spent_day == today else 0,
        }


def open_account(desk: Desk, student_number: str, name: str) -> CustomerRecord:
    """The customer with this number, opened now if there was none; AdminError if that is somebody of another name."""
    student_number = check_student_number(student_number)
    known = desk.registry.find_customer(student_number)
    if known is not None:
        if name and name.strip() != known.name:
            raise AdminError(
                f"name: expected {known.name!r} for student number {student_number}, got {name.strip()!r};"
                " if the person was renamed, use `fanka admin account rename`"
            )
        return known
    if not name.strip():
        raise AdminError(f"name: expected one, as student number {student_number} is new, got none")
    name = check_name(name)
    with desk.transaction():
        desk.registry.add_customer(student_number, name)
    return desk.customer(student_number)


def entry_fields(record: HistoryRecord) -> Fields:
    """One movement of an account as listings show it."""
    return {
        "rrn": record.seq,
        "kind": Kind(record.kind).name.lower(),
        "amount_fen": record.amount_fen,
        "balance_fen": record.balance_fen,
        "terminal": show_terminal(record.terminal_id),
        "batch": record.batch,
        "stan": record.stan,
        "business_day": record.business_day,
        "posted_at_ms": record.posted_at_ms,
        "reverses_rrn": record.original_seq,
    }
