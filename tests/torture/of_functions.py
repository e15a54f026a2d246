"""Scenarios of the functions of the keypad: what else one commit of the ledger may hold beside sales."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec

from server.ledger import clearing
from server.ledger.model import (
    Completion,
    Decision,
    ExpireHolds,
    Identity,
    Kind,
    OfflineSale,
    PointsSale,
    PreAuth,
    Refund,
    TopUp,
    Void,
)
from tests.torture import subjects
from tests.torture.host import ANN, BEN, CLAIMED_AT_S, DAY, NOW_MS, TILL, HostLife, reversal, sale
from tests.torture.table import scenario

_on_campus = scenario(subjects.LEDGER, subjects.campus)

WRONG: Final = bytes(32)
"""No PIN's verifier."""
PIN: Final = "4711"
CODE_STEP: Final = 119_000_000
LATER_MS: Final = NOW_MS + 31 * 86_400_000
"""No hold lasts until then."""


def _asked(command: type[Any], stan: int, amount_fen: int, token: bytes = ANN, **more: Any) -> Any:
    content = sha256(repr((command.__name__, amount_fen, token, more)).encode()).digest()[:16]
    return command(Identity(TILL, 1, stan), content, token, amount_fen, 7, CLAIMED_AT_S, **more)


def _about(stan: int) -> Identity:
    return Identity(TILL, 1, stan)


def _offline(stan: int, sequence: int, amount_fen: int, token: bytes = ANN) -> OfflineSale:
    """Number `sequence` of a chain. The shell has checked the tags; the ledger only follows them."""
    made: OfflineSale = _asked(
        OfflineSale,
        stan,
        amount_fen,
        token,
        saf_sequence=sequence,
        previous_tag=bytes([sequence - 1]) * 16,
        tag=bytes([sequence]) * 16,
        stop_list_version=0,
        is_authentic=True,
    )
    return made


def _decisions(life: HostLife, *commands: Any) -> list[Decision]:
    return [outcome.decision for outcome in life.apply(*commands)]


# --- what undoes


@_on_campus
def void_of_a_sale(life: HostLife) -> None:
    void = _asked(Void, 2, 100, kind=Kind.VOID, original=_about(1))
    life.apply(sale(1))
    assert _decisions(life, void) == [Decision.APPROVED]
    assert _decisions(life, void, _asked(Void, 3, 100, kind=Kind.VOID, original=_about(1))) == [
        Decision.APPROVED,
        Decision.ALREADY_UNDONE,
    ]


@_on_campus
def void_and_sale_in_one_batch(life: HostLife) -> None:
    life.apply(sale(1), _asked(Void, 2, 100, kind=Kind.VOID, original=_about(1)), reversal(1))


@_on_campus
def refunds_until_nothing_is_left(life: HostLife) -> None:
    life.apply(sale(1))
    parts = [_asked(Refund, stan, 40, original=_about(1)) for stan in (2, 3, 4)]
    assert _decisions(life, parts[0]) == [Decision.APPROVED]
    assert _decisions(life, *parts) == [Decision.APPROVED, Decision.APPROVED, Decision.OVER_REMAINDER]
    life.apply(_asked(Refund, 5, 20, original=_about(1)))


# --- deposits


@_on_campus
def hold_and_completion(life: HostLife) -> None:
    life.apply(_asked(PreAuth, 1, 500))
    assert _decisions(life, _asked(Completion, 2, 300, original=_about(1))) == [Decision.APPROVED]
    undone = _asked(Void, 3, 300, kind=Kind.COMPLETION_VOID, original=_about(2))
    assert _decisions(life, undone) == [Decision.APPROVED]
    life.apply(_asked(Void, 4, 500, kind=Kind.PREAUTH_VOID, original=_about(1)))


@_on_campus
def hold_and_completion_in_one_batch(life: HostLife) -> None:
    life.apply(_asked(PreAuth, 1, 500), _asked(Completion, 2, 500, original=_about(1)), _asked(PreAuth, 3, 1, BEN))


@_on_campus
def holds_that_expire(life: HostLife) -> None:
    """What a completion has taken in the same commit is not freed as well."""
    life.apply(*(_asked(PreAuth, stan, 100 * stan) for stan in (1, 2)), _asked(PreAuth, 3, 300, BEN))
    completed, freed = life.apply(_asked(Completion, 4, 100, original=_about(1)), ExpireHolds(), now_ms=LATER_MS)
    assert (completed.decision, freed.amount_fen) == (Decision.APPROVED, 500)
    [nothing] = life.apply(ExpireHolds(), now_ms=LATER_MS)
    assert nothing.amount_fen == 0
    assert _decisions(life, _asked(Completion, 5, 200, original=_about(2))) == [Decision.HOLD_EXPIRED]


# --- the end of the day


@_on_campus
def merchants_that_are_cleared(life: HostLife) -> None:
    """Run twice, it pays once; what a refund takes back afterwards, the merchant owes."""
    life.apply(sale(1), _asked(TopUp, 2, 40, BEN))
    life.open_day(DAY + 1)
    life.apply(sale(3))
    owed = [(one.merchant_id, one.amount_fen) for one in clearing.owed(life.store, DAY)]
    for _ in range(2):
        [row] = life.perform("clearing.run", day=DAY, amounts=owed)
        assert row["amount_fen"] == sum(amount_fen for _, amount_fen in owed)
    life.apply(_asked(Refund, 4, 100, original=_about(1)))


# --- cash and points


@_on_campus
def top_up_and_points(life: HostLife) -> None:
    life.perform("points.set", fen_per_point=10)
    life.apply(_asked(TopUp, 1, 700), sale(2), _asked(PointsSale, 3, 4))
    life.apply(
        _asked(Void, 4, 700, kind=Kind.TOPUP_VOID, original=_about(1)),
        _asked(Void, 5, 4, kind=Kind.POINTS_VOID, original=_about(3)),
    )


# --- without a host


@_on_campus
def offline_sales_in_their_order(life: HostLife) -> None:
    first, second, third = (_offline(stan, stan, 10 * stan) for stan in (1, 2, 3))
    assert _decisions(life, first) == [Decision.APPROVED]
    gap = life.ledger.apply([third], CLAIMED_AT_S * 1000)  # decides nothing, so nobody was promised anything
    assert [outcome.decision for outcome in gap] == [Decision.OFFLINE_GAP]
    assert _decisions(life, second, third, first) == [Decision.APPROVED] * 3


@_on_campus
def forged_offline_sale(life: HostLife) -> None:
    forged = msgspec.structs.replace(_offline(1, 1, 100), is_authentic=False)
    assert _decisions(life, forged, _offline(2, 2, 9_999)) == [Decision.OFFLINE_TAMPERED, Decision.OVER_OFFLINE_LIMIT]


# --- guesses


@_on_campus
def wrong_pins_until_the_card_locks(life: HostLife) -> None:
    life.perform("card_terms.set_pin", uid=ANN.hex(), pin=PIN)
    right = life.call(lambda: life.admin.desk.secrets.pin_verifier(ANN, PIN))
    for stan in range(1, 5):
        assert _decisions(life, _asked(PointsSale, stan, 1, pin_verifier=WRONG)) == [Decision.PIN_WRONG]
    assert _decisions(life, _asked(PointsSale, 5, 1, pin_verifier=WRONG)) == [Decision.PIN_LOCKED]
    assert _decisions(life, _asked(PreAuth, 6, 1, pin_verifier=right)) == [Decision.PIN_LOCKED]
    life.perform("card_terms.unlock_pin", uid=ANN.hex())
    assert _decisions(life, _asked(PreAuth, 7, 1, pin_verifier=right)) == [Decision.APPROVED]


@_on_campus
def payment_code_used_twice(life: HostLife) -> None:
    paid, again = (_asked(PreAuth, stan, 1, code_step=CODE_STEP) for stan in (1, 2))
    assert _decisions(life, paid) == [Decision.APPROVED]
    assert _decisions(life, again, paid) == [Decision.CODE_USED, Decision.APPROVED]
    life.apply(_asked(PreAuth, 3, 1, code_step=-1))
