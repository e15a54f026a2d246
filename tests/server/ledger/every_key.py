"""One of every later kind of transaction, for tests that want a journal with all of them."""

from __future__ import annotations

from server.ledger.ledger import Ledger
from server.ledger.model import CONSOLE, Clearing, ExpireHolds, Identity, Kind, PointsSale, PreAuth, Sale, TopUp
from server.ledger.tariff import BonusTier, CardClass, Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    COY,
    MERCHANT,
    NOW_MS,
    apply,
    asked,
    completion,
    refund,
    reversal_of,
    upload_of,
    void,
)

TARIFF = Tariff(
    classes={0: CardClass(0, discounts={0: 10})}, bonus_tiers={0: (BonusTier(100, 10),)}, points_rates={0: 10}
)
"""Ten per cent off, 10 fen on top of every yuan paid in, a point for every 10 fen."""


def every_key(ledger: Ledger) -> None:
    """On the ledger of `open_campus`, on any of its days, with a recovery open. One hold of Ben's is left."""
    ledger.tariff = TARIFF
    meal, other, desk = asked(Sale, 20, 1000), asked(Sale, 21, 600), asked(PreAuth, 22, 500)
    lost, hall = asked(PreAuth, 23, 90, BEN), asked(PreAuth, 24, 70)
    paid_in, gone = asked(TopUp, 25, 2000, BEN), asked(TopUp, 26, 100, COY)
    apply(ledger, meal, other, desk, lost, hall, paid_in, gone, asked(PointsSale, 27, 5))
    taken = completion(28, desk, 400)
    apply(ledger, void(29, other), refund(30, meal, 300), taken, void(31, gone, Kind.TOPUP_VOID))
    again = asked(PointsSale, 32, 3)
    apply(ledger, again, void(33, again, Kind.POINTS_VOID), void(34, taken, Kind.COMPLETION_VOID))
    apply(ledger, void(35, hall, Kind.PREAUTH_VOID), reversal_of(refund(30, meal, 300)))
    clearing = Clearing(Identity(CONSOLE, 9, 1), b"h" * 16, MERCHANT, 50, 0)
    apply(ledger, clearing, upload_of(asked(TopUp, 36, 100), Kind.TOPUP, 110))
    apply(ledger, ExpireHolds(limit=1), now_ms=NOW_MS + TARIFF.hold_lifetime_s * 1_000)
    assert ledger.store.load_held([ANN, BEN]) == {BEN: 90}
