"""A card's terms: class, PIN, limit per meal, merchants; in both databases."""

from __future__ import annotations

import contextlib

import pytest

from server.ledger.card_terms import CardTerms, CardTermsRecord
from server.ledger.registry import Registry
from tests.server.ledger.stores import BOTH, new_store

FREE = CardTermsRecord(0, False, 0, False, 0, ())
CARD, OTHER = b"\x04", b"\x05"


@pytest.fixture(params=BOTH)
def store(request):
    with contextlib.closing(new_store(request.param)) as store, store.transaction():
        registry = Registry(store)
        account_id = registry.add_customer("S1", "Ann")
        for token in (CARD, OTHER):
            registry.put_card(token, account_id, sale_limit_fen=0, day_limit_fen=0)
        yield store


def test_a_new_card_has_none(store):
    assert CardTerms(store).find(CARD) == FREE
    assert CardTerms(store).find(b"\x09") is None


def test_set_and_taken_back(store):
    terms = CardTerms(store)
    terms.set_class(CARD, 3)
    terms.set_meal_limit(CARD, 1_500)
    terms.set_pin(CARD, b"v" * 32)
    for merchant_id in (2, 1, 2):
        terms.bind(CARD, merchant_id)
    assert terms.find(CARD) == CardTermsRecord(3, True, 0, True, 1_500, (1, 2))
    assert terms.find(OTHER) == FREE
    terms.unbind(CARD, 1)
    assert terms.find(CARD).merchants == (2,)
    terms.free(CARD)
    terms.set_pin(CARD, None)
    assert terms.find(CARD) == CardTermsRecord(3, False, 0, False, 1_500, ())
    terms.clear(CARD)
    assert terms.find(CARD) == FREE


def test_wrong_pins_are_forgotten_with_a_new_pin_or_without(store):
    terms = CardTerms(store)
    for end_lock in (lambda: terms.unlock_pin(CARD), lambda: terms.set_pin(CARD, b"w" * 32)):
        store.execute("UPDATE cards SET pin_tries = 3 WHERE token = ?", (CARD,))
        assert terms.find(CARD).pin_tries == 3
        end_lock()
        assert terms.find(CARD).pin_tries == 0


def test_handed_over_to_another_card_without_the_pin(store):
    terms = CardTerms(store)
    terms.set_class(CARD, 3)
    terms.set_meal_limit(CARD, 1_500)
    terms.set_pin(CARD, b"v" * 32)
    terms.bind(CARD, 7)
    terms.hand_over(CARD, OTHER)
    assert terms.find(OTHER) == CardTermsRecord(3, False, 0, True, 1_500, (7,))


def test_a_card_issued_again_has_none_of_its_former_terms(store):
    terms = CardTerms(store)
    terms.set_class(CARD, 3)
    terms.set_pin(CARD, b"v" * 32)
    terms.bind(CARD, 7)
    Registry(store).put_card(CARD, 1_000_000, sale_limit_fen=0, day_limit_fen=0)
    assert terms.find(CARD) == FREE
