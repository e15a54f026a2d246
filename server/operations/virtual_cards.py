"""Virtual cards: a customer's telephone pays with codes that change. A customer has at most one.

The host gives no secret away here: it says the code of this moment, as the telephone would show it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from protocol.payment_code import NUMBER_DIGITS, STEP_S, STEPS_BACK, is_virtual_number, make_code, step_at
from server.ledger.model import Status
from server.ledger.registry import CardRecord
from server.operations.accounts import open_account
from server.operations.desk import AdminError, Desk, Fields, status_word

NUMBER_LOW: Final = 10 ** (NUMBER_DIGITS - 1)
RANDOM_SIZE: Final = 8
TRIES_MAX: Final = 100
"""Numbers to be tried: with a million virtual cards one in nine thousand is taken."""


class VirtualCards:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = ("issue", "code")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def issue(self, student_number: str, name: str = "") -> Fields:
        """Give a customer a virtual card, and an account if there is none; one that has one keeps it."""
        customer = open_account(self._desk, student_number, name)
        known = self._card_of(customer.account_id)
        if known is not None:
            return _fields(known)
        token = self._free_number()
        with self._desk.transaction():
            self._desk.registry.put_card(token, customer.account_id, sale_limit_fen=0, day_limit_fen=0)
        issued = self._desk.registry.find_card(token)
        assert issued is not None
        return _fields(issued)

    def code(self, card: str) -> Fields:
        """The payment code of this moment, by the number of the virtual card or its holder's student number."""
        token = card.strip().encode("utf-8")
        found = self._desk.registry.find_card(token) if is_virtual_number(token) else None
        if found is None:
            found = self._card_of(self._desk.customer(card).account_id)
        if found is None:
            raise AdminError(
                f"virtual card: expected its number, or a student number that has one, got {card!r}:"
                " `fanka admin card issue-virtual` gives one"
            )
        if found.status != Status.ACTIVE:
            raise AdminError(f"virtual card: expected one that is active, got {status_word(found.status)}")
        now_ms = self._desk.now_ms()
        number = found.token.decode("ascii")
        code = make_code(self._desk.secrets.code_secret(number), number, now_ms // 1000)
        good_until_s = (step_at(now_ms // 1000) + 1 + STEPS_BACK) * STEP_S
        return {**_fields(found), "code": code, "good_for_s": good_until_s - now_ms // 1000}

    def _card_of(self, account_id: int) -> CardRecord | None:
        """The customer's virtual card, unless it was closed."""
        cards = self._desk.registry.cards_of(account_id)
        return next((card for card in cards if is_virtual_number(card.token) and card.status != Status.CLOSED), None)

    def _free_number(self) -> bytes:
        for _ in range(TRIES_MAX):
            random = int.from_bytes(self._desk.random_bytes(RANDOM_SIZE), "big")
            token = b"%d" % (NUMBER_LOW + random % (9 * NUMBER_LOW))
            if self._desk.registry.find_card(token) is None:
                return token
        raise AdminError(f"virtual card: expected a free number within {TRIES_MAX} tries, got none")


def _fields(card: CardRecord) -> Fields:
    return {
        "number": card.token.decode("ascii"),
        "status": status_word(card.status),
        "student_number": card.student_number,
        "name": card.name,
    }
