"""On which terms a card pays: its class, its PIN, a limit per meal, and the merchants it is bound to. Rows only.

A PIN is here as its verifier only, a keyed hash of card number and PIN that the shell makes.
"""

from __future__ import annotations

import msgspec

from server.ledger.store import Store


class CardTermsRecord(msgspec.Struct, frozen=True):
    """A card's terms. `meal_limit_fen` 0 = its class's; `merchants` are those it may pay at, if `is_bound`."""

    class_id: int
    has_pin: bool
    pin_tries: int
    is_bound: bool
    meal_limit_fen: int
    merchants: tuple[int, ...]


class CardTerms:
    """See the module's docstring. Nothing here opens a transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, token: bytes) -> CardTermsRecord | None:
        """A card's terms; None if there is no such card."""
        rows = self._store.execute(
            "SELECT class_id, pin_verifier, pin_tries, is_bound, meal_limit_fen FROM cards WHERE token = ?", (token,)
        )
        if not rows:
            return None
        class_id, verifier, tries, is_bound, meal_limit_fen = rows[0]
        bindings = self._store.execute(
            "SELECT merchant_id FROM card_bindings WHERE token = ? ORDER BY merchant_id", (token,)
        )
        merchants = tuple(int(row[0]) for row in bindings)
        return CardTermsRecord(class_id, verifier is not None, tries, bool(is_bound), meal_limit_fen, merchants)

    def set_class(self, token: bytes, class_id: int) -> None:
        """Put a card into a class."""
        self._store.execute("UPDATE cards SET class_id = ? WHERE token = ?", (class_id, token))

    def set_meal_limit(self, token: bytes, meal_limit_fen: int) -> None:
        """A card's own limit per meal; 0 = its class's."""
        self._store.execute("UPDATE cards SET meal_limit_fen = ? WHERE token = ?", (meal_limit_fen, token))

    def set_pin(self, token: bytes, verifier: bytes | None) -> None:
        """Another PIN, or none; ends a lock."""
        self._store.execute("UPDATE cards SET pin_verifier = ?, pin_tries = 0 WHERE token = ?", (verifier, token))

    def unlock_pin(self, token: bytes) -> None:
        """Forget the wrong PINs."""
        self._store.execute("UPDATE cards SET pin_tries = 0 WHERE token = ?", (token,))

    def bind(self, token: bytes, merchant_id: int) -> None:
        """The card pays at this merchant, and nowhere it is not bound to."""
        self._store.execute("UPDATE cards SET is_bound = 1 WHERE token = ?", (token,))
        self._store.execute(
            "INSERT INTO card_bindings (token, merchant_id) VALUES (?, ?) ON CONFLICT (token, merchant_id) DO NOTHING",
            (token, merchant_id),
        )

    def unbind(self, token: bytes, merchant_id: int) -> None:
        """Not at this merchant any more."""
        self._store.execute("DELETE FROM card_bindings WHERE token = ? AND merchant_id = ?", (token, merchant_id))

    def free(self, token: bytes) -> None:
        """The card pays everywhere again."""
        self._store.execute("UPDATE cards SET is_bound = 0 WHERE token = ?", (token,))
        self._store.execute("DELETE FROM card_bindings WHERE token = ?", (token,))

    def clear(self, token: bytes) -> None:
        """The terms of a card that nobody has had: for one that is issued again."""
        self.set_class(token, 0)
        self.set_meal_limit(token, 0)
        self.set_pin(token, None)
        self.free(token)

    def hand_over(self, old: bytes, new: bytes) -> None:
        """The terms of one card for the one that replaces it. Not its PIN, which is hashed with the card's number."""
        terms = self.find(old)
        assert terms is not None
        self.set_class(new, terms.class_id)
        self.set_meal_limit(new, terms.meal_limit_fen)
        for merchant_id in terms.merchants:
            self.bind(new, merchant_id)
        if terms.is_bound:
            self._store.execute("UPDATE cards SET is_bound = 1 WHERE token = ?", (new,))
