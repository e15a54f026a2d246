"""Top-up: cash for the merchant, money for the payer, and the bonus of the tier that was reached."""

from __future__ import annotations

import pytest

from server.ledger.model import BONUS_ACCOUNT, Decision, Kind, SaleLimits, Status, TopUp
from server.ledger.tariff import BonusTier, Tariff
from tests.server.ledger.campus import (
    COY,
    MERCHANT,
    OTHER_TILL,
    apply,
    asked,
    balance,
    decide,
    reversal_of,
    sale,
    set_card,
    spent,
    void,
)

TIERS = Tariff(bonus_tiers={0: (BonusTier(50_000, 8_000), BonusTier(10_000, 1_000)), 2: ()})


@pytest.mark.parametrize(
    ("amount_fen", "bonus_fen"), [(9_999, 0), (10_000, 1_000), (20_000, 1_000), (49_999, 1_000), (50_000, 8_000)]
)
def test_a_hundred_paid_a_hundred_and_ten_credited(ledger, amount_fen, bonus_fen):
    ledger.tariff = TIERS
    said = decide(ledger, asked(TopUp, 1, amount_fen, COY))
    assert (said.decision, said.amount_fen) == (Decision.APPROVED, amount_fen)
    assert said.charged_fen == said.balance_fen == balance(ledger, COY) == amount_fen + bonus_fen
    assert (balance(ledger, MERCHANT), balance(ledger, BONUS_ACCOUNT)) == (-amount_fen, -bonus_fen)
    assert spent(ledger, COY) == (0, 0)


def test_a_merchant_with_tiers_of_its_own_has_only_these(ledger):
    ledger.tariff = TIERS
    assert decide(ledger, asked(TopUp, 1, 50_000, COY, terminal_id=OTHER_TILL)).charged_fen == 50_000


def test_no_limit_of_sales_is_in_its_way(ledger):
    ledger.limits = SaleLimits(1, 1)
    assert decide(ledger, asked(TopUp, 1, 500, COY)).decision == Decision.APPROVED


def test_what_is_above_its_limit_was_mistyped(ledger):
    ledger.tariff = Tariff(topup_limit_fen=100_000)
    assert decide(ledger, asked(TopUp, 1, 100_001, COY)).decision == Decision.OVER_SALE_LIMIT
    assert balance(ledger, COY) == 0
    assert decide(ledger, asked(TopUp, 2, 100_000, COY)).decision == Decision.APPROVED


def test_a_lost_card_is_not_filled(ledger):
    set_card(ledger, COY, status=Status.LOST)
    assert decide(ledger, asked(TopUp, 1, 500, COY)).decision == Decision.CARD_LOST


def test_its_void_takes_the_bonus_as_well_though_the_tiers_have_changed(ledger):
    ledger.tariff = TIERS
    paid_in = asked(TopUp, 1, 10_000, COY)
    decide(ledger, paid_in)
    ledger.tariff = Tariff()
    assert decide(ledger, void(2, paid_in, Kind.TOPUP_VOID)).charged_fen == 11_000
    assert (balance(ledger, COY), balance(ledger, MERCHANT), balance(ledger, BONUS_ACCOUNT)) == (0, 0, 0)


def test_its_reversal_is_not_refused_though_it_is_spent(ledger):
    ledger.tariff = TIERS
    paid_in = asked(TopUp, 1, 10_000, COY)
    apply(ledger, paid_in, sale(2, 10_500, COY))
    assert decide(ledger, reversal_of(paid_in)).decision == Decision.APPROVED
    assert (balance(ledger, COY), balance(ledger, MERCHANT), balance(ledger, BONUS_ACCOUNT)) == (0, 10_500, 0)
