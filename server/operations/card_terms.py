"""On which terms a card pays: its class, PIN, limit per meal, and the merchants it is bound to (绑定商户).

A PIN comes in and is never told again, in no listing and no history. `reset_pin` takes it away; whoever has the card
must be asked who they are before that.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from protocol.pin_block import PIN_DIGITS_MAX, PIN_DIGITS_MIN
from server.ledger.card_terms import CardTerms, CardTermsRecord
from server.ledger.model import Status
from server.operations.desk import AdminError, Desk, Fields, check_fen, parse_uid, show_fen, show_uid, status_word


class CardTermsDesk:
    """See the module's docstring."""

    OPERATIONS: ClassVar[tuple[str, ...]] = (
        "show",
        "set_class",
        "meal_limit",
        "bind",
        "unbind",
        "set_pin",
        "reset_pin",
        "unlock_pin",
    )

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._terms = CardTerms(desk.registry.store)

    def show(self, uid: str) -> Fields:
        """A card's terms."""
        token, terms = self._known(uid, may_be_closed=True)
        return _fields(token, terms)

    def set_class(self, uid: str, class_id: int) -> Fields:
        """Put a card into a class; 0 is the standard one."""
        token, old = self._known(uid)
        if class_id not in {record.class_id for record in self._desk.catalogue.classes()}:
            raise AdminError(
                f"card class: expected the number of a class, got {class_id}, which none has;"
                " see `fanka admin class list`"
            )
        with self._desk.transaction():
            self._terms.set_class(token, class_id)
            self._note(token, f"class {old.class_id}", f"class {class_id}")
        return self.show(uid)

    def meal_limit(self, uid: str, limit_fen: int) -> Fields:
        """A card's own limit per meal; 0 = its class's."""
        token, old = self._known(uid)
        check_fen("meal limit", limit_fen)
        with self._desk.transaction():
            self._terms.set_meal_limit(token, limit_fen)
            self._note(token, f"meal limit {show_fen(old.meal_limit_fen)}", f"meal limit {show_fen(limit_fen)}")
        return self.show(uid)

    def bind(self, uid: str, merchant_id: int) -> Fields:
        """Let a card pay at this merchant, and from now on nowhere it is not bound to."""
        token, old = self._known(uid)
        self._desk.merchant(merchant_id)
        with self._desk.transaction():
            self._terms.bind(token, merchant_id)
            self._note(token, _bound(old), _bound(self._found(token)))
        return self.show(uid)

    def unbind(self, uid: str, merchant_id: int = 0) -> Fields:
        """Not at this merchant any more; without one, the card pays everywhere again. The last merchant cannot be taken
        away by itself: a card that pays nowhere is one to be frozen."""
        token, old = self._known(uid)
        if merchant_id and merchant_id not in old.merchants:
            raise AdminError(
                f"card {show_uid(token)}: expected a merchant it is bound to, got {merchant_id}; it is {_bound(old)}"
            )
        if merchant_id and len(old.merchants) == 1:
            raise AdminError(
                f"card {show_uid(token)}: expected another merchant to be left, got the only one; free the card for"
                " all merchants, or freeze it"
            )
        with self._desk.transaction():
            if merchant_id:
                self._terms.unbind(token, merchant_id)
            else:
                self._terms.free(token)
            self._note(token, _bound(old), _bound(self._found(token)))
        return self.show(uid)

    def set_pin(self, uid: str, pin: str) -> Fields:
        """Give a card this PIN; ends a lock."""
        token, old = self._known(uid)
        if not (pin.isascii() and pin.isdigit() and PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX):
            raise AdminError(f"PIN: expected {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits, got something else")
        with self._desk.transaction():
            self._terms.set_pin(token, self._desk.secrets.pin_verifier(token, pin))
            self._note(token, _pin(old), "another PIN")
        return self.show(uid)

    def reset_pin(self, uid: str) -> Fields:
        """Take a card's PIN away: it pays without one until it gets another."""
        token, old = self._known(uid)
        with self._desk.transaction():
            self._terms.set_pin(token, None)
            self._note(token, _pin(old), "no PIN")
        return self.show(uid)

    def unlock_pin(self, uid: str) -> Fields:
        """End the lock after too many wrong PINs; the PIN stays."""
        token, old = self._known(uid)
        with self._desk.transaction():
            self._terms.unlock_pin(token)
            self._note(token, f"wrong PINs {old.pin_tries}", "wrong PINs 0")
        return self.show(uid)

    def _known(self, uid: str, *, may_be_closed: bool = False) -> tuple[bytes, CardTermsRecord]:
        token = parse_uid(uid)
        card = self._desk.registry.find_card(token)
        if card is None:
            raise AdminError(f"card: expected one that was issued, got {show_uid(token)}; see `fanka admin card list`")
        if card.status == Status.CLOSED and not may_be_closed:
            raise AdminError(f"card {show_uid(token)}: expected one that is not closed, got {status_word(card.status)}")
        return token, self._found(token)

    def _found(self, token: bytes) -> CardTermsRecord:
        terms = self._terms.find(token)
        assert terms is not None
        return terms

    def _note(self, token: bytes, old: str, new: str) -> None:
        """Terminals know no card's terms: nothing for them to ask for."""
        self._desk.note(f"card {show_uid(token)}", old, new, for_terminals=False)


def _pin(terms: CardTermsRecord) -> str:
    return "a PIN" if terms.has_pin else "no PIN"


def _bound(terms: CardTermsRecord) -> str:
    if not terms.is_bound:
        return "good at all merchants"
    return f"bound to {', '.join(map(str, terms.merchants)) or 'none'}"


def _fields(token: bytes, terms: CardTermsRecord) -> Fields:
    return {"uid": show_uid(token), **msgspec.structs.asdict(terms), "merchants": list(terms.merchants)}
