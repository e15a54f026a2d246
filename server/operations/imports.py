"""Import of cardholders: accounts, cards and opening balances, many lines in two commits, safe to repeat.

A line says how things should be. Where they are so already, nothing is done; where they are otherwise, that is an
error of the line. The opening balance is posted under the account's own identity, so no repeat ever posts it again.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

import msgspec

from server.ledger.card_terms import CardTerms
from server.ledger.model import Decision, Query, Status
from server.ledger.registry import CardRecord, CustomerRecord
from server.operations.desk import (
    LIMIT_CHANGER,
    AdminError,
    Desk,
    Fields,
    check_fen,
    check_name,
    check_student_number,
    opening_identity,
    parse_uid,
    show_fen,
    show_uid,
    status_word,
)

IMPORT_LINES_MAX: Final = 200
"""Lines per operation: bounds how long sales wait for one (some 25 ms)."""


class ImportLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cardholder. `line` is where it stands in the file, for errors.

    A limit or class that is None is not spoken of: a new card has the default, a known one keeps its own.
    """

    line: int
    student_number: str
    name: str
    card_uid: str
    balance_fen: int
    sale_limit_fen: int | None = None
    day_limit_fen: int | None = None
    class_id: int | None = None


class _Fault(Exception):
    """What is wrong with one line."""

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(field, expected, got)
        self.field = field
        self.expected = expected
        self.got = got


class _Found(NamedTuple):
    """A good line in normal form, and what the ledger has of it already."""

    line: ImportLine
    token: bytes
    customer: CustomerRecord | None
    card: CardRecord | None


class Imports:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("check", "apply")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def check(self, lines: list[ImportLine]) -> Fields:
        """What `apply` would refuse, as `{"errors": [{"line", "field", "expected", "got"}]}`. Changes nothing."""
        return {"errors": self._sort_out(lines)[1]}

    def apply(self, lines: list[ImportLine]) -> Fields:
        """Import every good line; gives counts, `posted_fen` and the errors of the others."""
        good, errors = self._sort_out(lines)
        registry = self._desk.registry
        funded: list[tuple[ImportLine, int]] = []
        with self._desk.transaction():
            for line, token, customer, card in good:
                if customer is None:
                    account_id = registry.add_customer(line.student_number, line.name)
                else:
                    account_id = customer.account_id
                if card is None:
                    registry.put_card(
                        token,
                        account_id,
                        sale_limit_fen=line.sale_limit_fen or 0,
                        day_limit_fen=line.day_limit_fen or 0,
                    )
                    if line.class_id:
                        CardTerms(registry.store).set_class(token, line.class_id)
                if line.balance_fen:
                    funded.append((line, account_id))
        outcomes = self._desk.adjust(
            [(opening_identity(account_id), account_id, line.balance_fen) for line, account_id in funded]
        )
        posted_fen = []
        for (line, _), outcome in zip(funded, outcomes, strict=True):
            if outcome.decision != Decision.APPROVED:
                errors.append(_error(line.line, _Fault("balance_yuan", "an opening balance", outcome.decision.name)))
            elif not outcome.replayed:
                posted_fen.append(line.balance_fen)
        return {
            "lines": len(good),
            "accounts_new": sum(found.customer is None for found in good),
            "cards_new": sum(found.card is None for found in good),
            "posted": len(posted_fen),
            "posted_fen": sum(posted_fen),
            "errors": errors,
        }

    def _sort_out(self, lines: list[ImportLine]) -> tuple[list[_Found], list[Fields]]:
        """The good lines, and what is wrong with the others."""
        if len(lines) > IMPORT_LINES_MAX:
            raise AdminError(f"import: expected at most {IMPORT_LINES_MAX} lines at a time, got {len(lines)}")
        good: list[_Found] = []
        errors: list[Fields] = []
        students: dict[str, int] = {}
        tokens: dict[bytes, int] = {}
        classes = {record.class_id for record in self._desk.catalogue.classes()}
        for raw in lines:
            try:
                line = _normal(raw)
                token = bytes.fromhex(line.card_uid)
                if line.student_number in students:
                    at = students[line.student_number]
                    raise _Fault("student_number", "each once in a file", f"{line.student_number}, also on line {at}")
                if token in tokens:
                    raise _Fault("card_uid", "each once in a file", f"{line.card_uid}, also on line {tokens[token]}")
                customer = self._desk.registry.find_customer(line.student_number)
                card = self._desk.registry.find_card(token)
                _compare(line, customer, card)
                self._compare_class(line, token if card is not None else None, classes)
            except _Fault as fault:
                errors.append(_error(raw.line, fault))
                continue
            students[line.student_number] = tokens[token] = line.line
            good.append(_Found(line, token, customer, card))
        return self._with_true_openings(good, errors), errors

    def _compare_class(self, line: ImportLine, known: bytes | None, classes: set[int]) -> None:
        """Raise _Fault for a class that is none, or one other than that of a `known` card."""
        if line.class_id is None:
            return
        if line.class_id not in classes:
            expected = f"the number of a card class ({', '.join(map(str, sorted(classes)))})"
            raise _Fault("class", expected, str(line.class_id))
        terms = CardTerms(self._desk.registry.store).find(known) if known is not None else None
        if terms is not None and terms.class_id != line.class_id:
            expected = f"{terms.class_id}, as card {line.card_uid} has it; `fanka admin card class` changes it"
            raise _Fault("class", expected, str(line.class_id))

    def _with_true_openings(self, good: list[_Found], errors: list[Fields]) -> list[_Found]:
        """Without the lines whose account was opened with another balance, or has had movements but no opening."""
        opened = {
            found.line.line: Query(opening_identity(found.customer.account_id))
            for found in good
            if found.customer is not None and found.customer.last_seq and found.line.balance_fen
        }
        outcomes = self._desk.ledger.apply([*opened.values()], self._desk.now_ms()) if opened else []
        openings = dict(zip(opened, outcomes, strict=True))
        kept = []
        for found in good:
            line = found.line
            opening = openings.get(line.line)
            if opening is not None and opening.amount_fen != line.balance_fen:
                expected = (
                    f"{show_fen(opening.amount_fen)}, posted as opening balance before; top up or correct instead"
                    if opening.rrn
                    else "0, as the account has had movements already; top it up instead"
                )
                errors.append(_error(line.line, _Fault("balance_yuan", expected, show_fen(line.balance_fen))))
            else:
                kept.append(found)
        return kept


def _compare(line: ImportLine, customer: CustomerRecord | None, card: CardRecord | None) -> None:
    """Raise _Fault where the ledger has it otherwise."""
    if customer is not None and customer.name != line.name:
        raise _Fault("name", f"{customer.name}, as registered for {line.student_number}", line.name)
    if card is not None:
        _compare_card(line, card)


def _compare_card(line: ImportLine, card: CardRecord) -> None:
    if card.student_number != line.student_number:
        raise _Fault("card_uid", "a card nobody else has", f"{show_uid(card.token)}, which is {card.student_number}'s")
    if card.status == Status.CLOSED:
        raise _Fault("card_uid", "a card that is not closed", f"{show_uid(card.token)}, {status_word(card.status)}")
    for column, wanted_fen, has_fen in (
        ("sale_limit_yuan", line.sale_limit_fen, card.sale_limit_fen),
        ("day_limit_yuan", line.day_limit_fen, card.day_limit_fen),
    ):
        if wanted_fen is not None and wanted_fen != has_fen:
            expected = f"{show_fen(has_fen)}, as card {show_uid(card.token)} has it; {LIMIT_CHANGER}"
            raise _Fault(column, expected, show_fen(wanted_fen))


def _normal(line: ImportLine) -> ImportLine:
    """The line with its texts in normal form; _Fault for a value out of range."""
    field = ""
    try:
        field = "student_number"
        student_number = check_student_number(line.student_number)
        field = "name"
        name = check_name(line.name)
        field = "card_uid"
        card_uid = show_uid(parse_uid(line.card_uid))
        field = "balance_yuan"
        check_fen("balance", line.balance_fen)
        field = "sale_limit_yuan"
        check_fen("sale limit", line.sale_limit_fen or 0)
        field = "day_limit_yuan"
        check_fen("day limit", line.day_limit_fen or 0)
    except AdminError as error:
        expected, _, got = str(error).partition(": expected ")[2].rpartition(", got ")
        raise _Fault(field, expected, got) from None
    return msgspec.structs.replace(line, student_number=student_number, name=name, card_uid=card_uid)


def _error(line: int, fault: _Fault) -> Fields:
    return {"line": line, "field": fault.field, "expected": fault.expected, "got": fault.got}
