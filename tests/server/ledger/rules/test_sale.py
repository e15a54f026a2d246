"""Sale: every reason to refuse and which comes first, limits, business days, exact balances, copies."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import msgspec
import pytest

from server.ledger.batch import Batch
from server.ledger.model import (
    CODE_INVALID,
    Account,
    AccountKind,
    Card,
    Decision,
    Sale,
    SaleLimits,
    Status,
    Terminal,
    TransferState,
)
from server.ledger.rules import RULES
from server.ledger.tariff import MealPeriod, Tariff
from tests.server.ledger.campus import (
    ANN,
    BEN,
    CARDS,
    COY,
    DAY,
    MERCHANT,
    NOW_MS,
    OTHER_MERCHANT,
    OTHER_TILL,
    START_FEN,
    STRANGER,
    TILL,
    apply,
    balance,
    decide,
    reversal,
    sale,
    set_card,
    set_merchant,
    set_terminal,
    spent,
)

# ------------------------------------------------------------------------------- reasons and their precedence

GOOD: dict[str, Any] = {
    "amount_fen": 500,
    "terminal": Terminal(TILL, Status.ACTIVE, 1, Status.ACTIVE, MERCHANT),
    "card": Card(b"card", ANN, Status.ACTIVE, 0, 0, pin_verifier=b"right"),
    "payer": Account(ANN, AccountKind.CUSTOMER, 500, DAY, 300, 1, meal_key=DAY * 100 + 2, meal_fen=200, code_step=8),
    "today": DAY,
    "limits": SaleLimits(500, 800),
    "tariff": Tariff(meals=(MealPeriod(2, 0, 1_440),), meal_limit_fen=700),
    "asked": sale(1, 500, token=b"card"),
}
# Each flaw spoils the good sale in one way; where two meet, the one further up is the answer.
FLAWS: dict[Decision, dict[str, Any]] = {
    Decision.TERMINAL_UNKNOWN: {"terminal": None},
    Decision.TERMINAL_REVOKED: {"terminal": {"status": Status.CLOSED}},
    Decision.MERCHANT_CLOSED: {"terminal": {"merchant_status": Status.CLOSED}},
    Decision.BATCH_CLOSED: {"terminal": {"closed_batch": 1}},
    Decision.TERMINAL_PIN_LOCKED: {
        "terminal": {"code_wrong": 100, "pin_window_ms": NOW_MS},
        "asked": {"code_step": CODE_INVALID},
    },
    Decision.CODE_INVALID: {"asked": {"code_step": CODE_INVALID}},
    Decision.CODE_USED: {"asked": {"code_step": 8}},
    Decision.CARD_UNKNOWN: {"card": None},
    Decision.CARD_LOST: {"card": {"status": Status.LOST}},
    Decision.CARD_FROZEN: {"card": {"status": Status.FROZEN}},
    Decision.CARD_CLOSED: {"card": {"status": Status.CLOSED}},
    Decision.NOT_BOUND: {"card": {"is_bound": 1}},
    Decision.OVER_SALE_LIMIT: {"limits": {"sale_limit_fen": 499}},
    Decision.OVER_MEAL_LIMIT: {"tariff": {"meal_limit_fen": 699}},
    Decision.OVER_DAY_LIMIT: {"limits": {"day_limit_fen": 799}},
    Decision.PIN_LOCKED: {"card": {"pin_tries": 5}, "tariff": {"pin_above_fen": 499}},
    Decision.PIN_REQUIRED: {"tariff": {"pin_above_fen": 499}},
    Decision.PIN_WRONG: {"asked": {"pin_verifier": b"wrong"}},
    Decision.INSUFFICIENT_FUNDS: {"payer": {"balance_fen": 499}},
}
TOGETHER = {
    (Decision.CODE_USED, Decision.CARD_UNKNOWN): Decision.CARD_UNKNOWN,  # nobody is known whose code it was
    (Decision.PIN_REQUIRED, Decision.PIN_WRONG): Decision.PIN_WRONG,
}
"""Two flaws of which the second hides the first."""
CODES = (Decision.TERMINAL_PIN_LOCKED, Decision.CODE_INVALID, Decision.CODE_USED)
SAME_FIELD = {
    frozenset(pair)
    for names in ([d for d in FLAWS if d.name.startswith("CARD_")], CODES)
    for pair in combinations(names, 2)
}


def rule(asked: Sale, *, amount_fen: int, terminal: Any, card: Any, payer: Any, **situation: Any) -> Decision:
    """What a sale is answered where these are all there is."""
    batch = Batch(now_ms=NOW_MS, head_seq=0, head_digest=bytes(32), **situation)
    batch.terminals = {TILL: terminal} if terminal is not None else {}
    batch.cards = {b"card": card} if card is not None else {}
    batch.accounts = {MERCHANT: Account(MERCHANT, AccountKind.MERCHANT, 0, 0, 0, 0)}
    if payer is not None:
        batch.accounts[ANN] = msgspec.structs.replace(payer)
    return RULES[Sale](batch, msgspec.structs.replace(asked, amount_fen=amount_fen)).decision


def spoiled(*decisions: Decision) -> dict[str, Any]:
    situation = dict(GOOD)
    for decision in decisions:
        for name, change in FLAWS[decision].items():
            if change is None or situation[name] is None:
                situation[name] = None
            else:
                situation[name] = msgspec.structs.replace(situation[name], **change)
    return situation


def test_the_good_sale_is_good():
    assert rule(**GOOD) == Decision.APPROVED


@pytest.mark.parametrize("decision", FLAWS)
def test_each_flaw_alone_is_its_own_reason(decision):
    assert rule(**spoiled(decision)) == decision


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(FLAWS, 2) if frozenset(pair) not in SAME_FIELD],
    ids=lambda decision: decision.name,
)
def test_of_two_flaws_the_one_that_is_looked_for_first_is_named(first, second):
    assert rule(**spoiled(first, second)) == TOGETHER.get((first, second), first)


def test_every_refusal_of_a_sale_has_its_flaw_here():
    assert set(FLAWS) == {decision for decision in Decision if 0 < decision < Decision.REVERSED_BEFORE}


@pytest.mark.parametrize("status", [Status.FROZEN, Status.LOST, Status.CLOSED, 4, 99, -1])
def test_a_terminal_merchant_or_card_is_active_or_it_is_refused(status):
    """Also with a number that only a later version knows: what is not understood is not allowed."""
    for name, field in (("terminal", "status"), ("terminal", "merchant_status"), ("card", "status")):
        situation = {**GOOD, name: msgspec.structs.replace(GOOD[name], **{field: status})}
        assert rule(**situation) != Decision.APPROVED


@pytest.mark.parametrize("kind", [AccountKind.FUNDING, AccountKind.MERCHANT])
def test_a_card_pays_from_a_customers_account_only(kind):
    """Else a card bound by mistake to the merchant's own account would make a sale that moves nothing."""
    assert rule(**{**GOOD, "payer": msgspec.structs.replace(GOOD["payer"], kind=kind)}) == Decision.CARD_UNKNOWN


# -------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("host_fen", "card_fen", "amount_fen", "decision"),
    [
        (0, 0, 10**9, Decision.APPROVED),  # 0 = no limit
        (500, 0, 500, Decision.APPROVED),
        (500, 0, 501, Decision.OVER_SALE_LIMIT),
        (500, 300, 300, Decision.APPROVED),  # the card's own replaces the host's, in both directions
        (500, 300, 301, Decision.OVER_SALE_LIMIT),
        (500, 900, 900, Decision.APPROVED),
        (500, 900, 901, Decision.OVER_SALE_LIMIT),
        (0, 300, 301, Decision.OVER_SALE_LIMIT),
    ],
)
def test_sale_limit(host_fen, card_fen, amount_fen, decision):
    situation = {
        **GOOD,
        "tariff": Tariff(),
        "amount_fen": amount_fen,
        "limits": SaleLimits(host_fen, 0),
        "card": Card(b"card", ANN, Status.ACTIVE, card_fen, 0),
        "payer": Account(ANN, AccountKind.CUSTOMER, 10**10, 0, 0, 0),
    }
    assert rule(**situation) == decision


@pytest.mark.parametrize(
    ("host_fen", "card_fen", "spent_day", "spent_fen", "amount_fen", "decision"),
    [
        (0, 0, DAY, 10**12, 10**9, Decision.APPROVED),
        (1_000, 0, DAY, 600, 400, Decision.APPROVED),
        (1_000, 0, DAY, 600, 401, Decision.OVER_DAY_LIMIT),
        (1_000, 0, DAY, 1_000, 1, Decision.OVER_DAY_LIMIT),
        (1_000, 0, DAY - 1, 1_000, 1_000, Decision.APPROVED),  # yesterday's spending is over
        (1_000, 0, 0, 0, 1_001, Decision.OVER_DAY_LIMIT),
        (1_000, 700, DAY, 600, 101, Decision.OVER_DAY_LIMIT),
        (1_000, 2_000, DAY, 600, 1_400, Decision.APPROVED),
        (0, 700, DAY, 600, 101, Decision.OVER_DAY_LIMIT),
        (500, 0, DAY, 900, 1, Decision.OVER_DAY_LIMIT),  # the limit was lowered in the middle of the day
    ],
)
def test_day_limit(host_fen, card_fen, spent_day, spent_fen, amount_fen, decision):
    situation = {
        **GOOD,
        "tariff": Tariff(),
        "amount_fen": amount_fen,
        "limits": SaleLimits(0, host_fen),
        "card": Card(b"card", ANN, Status.ACTIVE, 0, card_fen),
        "payer": Account(ANN, AccountKind.CUSTOMER, 10**10, spent_day, spent_fen, 0),
    }
    assert rule(**situation) == decision


def test_the_day_limit_starts_anew_with_each_business_day(ledger):
    ledger.limits = SaleLimits(0, 1_000)
    assert decide(ledger, sale(1, 700)).decision == Decision.APPROVED
    assert decide(ledger, sale(2, 301)).decision == Decision.OVER_DAY_LIMIT
    assert decide(ledger, sale(3, 300)).decision == Decision.APPROVED
    assert spent(ledger) == (DAY, 1_000)
    ledger.open_day(DAY + 1, NOW_MS)
    assert decide(ledger, sale(4, 1_000)).decision == Decision.APPROVED
    assert spent(ledger) == (DAY + 1, 1_000)
    assert decide(ledger, sale(5, 1)).decision == Decision.OVER_DAY_LIMIT


def test_the_day_limit_holds_inside_one_batch(ledger):
    ledger.limits = SaleLimits(0, 1_000)
    outcomes = apply(ledger, *[sale(stan, 300) for stan in range(1, 6)], sale(6, 100), sale(7, 1))
    approved = [outcome.decision == Decision.APPROVED for outcome in outcomes]
    assert approved == [True, True, True, False, False, True, False]


def test_a_refused_sale_spends_nothing_of_the_day(ledger):
    ledger.limits = SaleLimits(0, 20_000)
    assert decide(ledger, sale(1, START_FEN + 1)).decision == Decision.INSUFFICIENT_FUNDS
    assert spent(ledger) == (0, 0)


def test_two_cards_of_one_account_share_balance_and_day(ledger):
    ledger.limits = SaleLimits(0, 1_000)
    set_card(ledger, BEN, account_id=ANN)
    outcomes = apply(ledger, sale(1, 600, ANN), sale(2, 600, BEN), sale(3, 400, BEN))
    assert [outcome.decision for outcome in outcomes] == [
        Decision.APPROVED,
        Decision.OVER_DAY_LIMIT,
        Decision.APPROVED,
    ]
    assert balance(ledger, ANN) == START_FEN - 1_000
    assert balance(ledger, BEN) == START_FEN


# ------------------------------------------------------------------------------------ through the ledger


def test_the_whole_balance_can_be_spent_and_not_a_fen_more(ledger):
    assert decide(ledger, sale(1, START_FEN + 1)).decision == Decision.INSUFFICIENT_FUNDS
    last = decide(ledger, sale(2, START_FEN))
    assert (last.decision, last.balance_fen) == (Decision.APPROVED, 0)
    empty = decide(ledger, sale(3, 1))
    assert (empty.decision, empty.balance_fen) == (Decision.INSUFFICIENT_FUNDS, 0)
    assert (balance(ledger), balance(ledger, MERCHANT)) == (0, START_FEN)


def test_an_approval_tells_amount_new_balance_and_when(ledger):
    outcome = decide(ledger, sale(1, 1_250), NOW_MS + 5)
    assert (outcome.amount_fen, outcome.balance_fen, outcome.posted_at_ms) == (1_250, START_FEN - 1_250, NOW_MS + 5)
    assert (outcome.state, outcome.replayed, outcome.rrn) == (TransferState.APPROVED, False, ledger.head_seq)


def test_a_refusal_is_recorded_and_tells_the_balance_that_is_left(ledger):
    outcome = decide(ledger, sale(1, START_FEN + 1))
    assert (outcome.amount_fen, outcome.balance_fen) == (START_FEN + 1, START_FEN)
    assert (outcome.state, outcome.rrn) == (TransferState.DECLINED, ledger.head_seq)


def test_a_refusal_stays_a_refusal_when_its_reason_is_gone(ledger):
    """Once declined, for ever declined: the cashier has been told, the customer has paid in another way."""
    refused = decide(ledger, sale(1, 100, COY))
    assert refused.decision == Decision.INSUFFICIENT_FUNDS
    set_card(ledger, COY, account_id=ANN)
    assert decide(ledger, sale(1, 100, COY)).decision == Decision.INSUFFICIENT_FUNDS
    assert decide(ledger, sale(2, 100, COY)).decision == Decision.APPROVED


@pytest.mark.parametrize(
    "spoil",
    [
        lambda ledger: set_card(ledger, status=Status.LOST),
        lambda ledger: set_terminal(ledger, Status.CLOSED),
        lambda ledger: set_merchant(ledger, Status.CLOSED),
        lambda ledger: ledger.store.execute("DELETE FROM cards"),
        lambda ledger: ledger.store.execute("DELETE FROM terminals"),
        lambda ledger: setattr(ledger, "limits", SaleLimits(1, 1)),
        lambda ledger: ledger.open_day(DAY + 1, NOW_MS),
    ],
)
def test_an_approval_stays_an_approval_whatever_has_changed_since(ledger, spoil):
    first = decide(ledger, sale(1, 100))
    spoil(ledger)
    again = decide(ledger, sale(1, 100), NOW_MS + 1)
    assert again.replayed
    assert (again.decision, again.amount_fen, again.balance_fen) == (Decision.APPROVED, 100, START_FEN - 100)
    assert (again.rrn, again.posted_at_ms) == (first.rrn, NOW_MS)
    assert balance(ledger) == START_FEN - 100


def test_unknown_terminals_and_payers_are_refused_and_recorded(ledger):
    outcomes = apply(ledger, sale(1, 100, terminal_id=99), sale(1, 100, token=STRANGER))
    assert [outcome.decision for outcome in outcomes] == [Decision.TERMINAL_UNKNOWN, Decision.CARD_UNKNOWN]
    # Of a payer nobody knows no balance can be told; of one at an unknown terminal none should matter.
    assert outcomes[1].balance_fen == 0
    assert [outcome.rrn for outcome in outcomes] == [3, 4]


def test_money_goes_to_the_merchant_of_the_terminal(ledger):
    apply(ledger, sale(1, 100), sale(1, 30, terminal_id=OTHER_TILL), sale(2, 7, BEN))
    assert (balance(ledger, MERCHANT), balance(ledger, OTHER_MERCHANT)) == (107, 30)
    assert (balance(ledger, ANN), balance(ledger, BEN)) == (START_FEN - 130, START_FEN - 7)


def test_the_same_numbers_at_another_terminal_or_in_another_batch_are_another_sale(ledger):
    apply(ledger, sale(1, 100), sale(1, 100, terminal_id=OTHER_TILL), sale(1, 100, batch=2))
    assert balance(ledger) == START_FEN - 300


def test_the_same_card_many_times_in_one_batch(ledger):
    outcomes = apply(ledger, *[sale(stan, 300) for stan in range(1, 41)])
    assert [outcome.balance_fen for outcome in outcomes[:33]] == [START_FEN - 300 * n for n in range(1, 34)]
    assert {outcome.decision for outcome in outcomes[33:]} == {Decision.INSUFFICIENT_FUNDS}
    assert balance(ledger) == 100


def test_copies_in_one_batch_share_one_answer(ledger):
    first, *copies = apply(ledger, sale(1, 100), sale(1, 100), sale(1, 100))
    assert not first.replayed
    for copy in copies:
        assert copy.replayed
        assert (copy.decision, copy.rrn, copy.balance_fen) == (first.decision, first.rrn, first.balance_fen)
    assert balance(ledger) == START_FEN - 100


def test_other_content_in_the_same_batch_is_refused(ledger):
    outcomes = apply(ledger, sale(1, 100), sale(1, 200), sale(1, 100, BEN), sale(1, 100))
    assert [outcome.decision for outcome in outcomes] == [
        Decision.APPROVED,
        Decision.ID_CONFLICT,
        Decision.ID_CONFLICT,
        Decision.APPROVED,
    ]
    assert (balance(ledger), balance(ledger, BEN)) == (START_FEN - 100, START_FEN)
    assert (outcomes[1].rrn, outcomes[1].amount_fen, outcomes[1].balance_fen) == (0, 0, 0)


def test_a_sale_that_was_reversed_first_is_declined_before_any_other_reason(ledger):
    apply(ledger, reversal(1, 100, token=STRANGER, terminal_id=99))
    assert decide(ledger, sale(1, 100, token=STRANGER, terminal_id=99)).decision == Decision.REVERSED_BEFORE


@pytest.mark.parametrize("amount_fen", [0, -1, -START_FEN])
def test_a_sale_of_nothing_or_less_is_our_bug_and_never_posted(ledger, amount_fen):
    with pytest.raises(AssertionError, match="above 0 fen"):
        decide(ledger, sale(1, amount_fen))
    assert balance(ledger) == START_FEN


def test_a_card_bound_to_a_merchant_pays_nothing(ledger):
    set_card(ledger, account_id=MERCHANT)
    outcomes = apply(ledger, sale(1, 100, BEN), sale(2, 50, ANN))
    assert [outcome.decision for outcome in outcomes] == [Decision.APPROVED, Decision.CARD_UNKNOWN]


def test_the_token_itself_is_not_in_the_journal(ledger):
    secret = b"\x04SECRETCARD"
    ledger.store.execute("INSERT INTO cards (token, account_id) VALUES (?, ?)", (secret, ANN))
    decide(ledger, sale(1, 100, token=secret))
    row = ledger.store.execute("SELECT * FROM transfers ORDER BY seq DESC LIMIT 1")[0]
    assert not any(isinstance(value, bytes) and secret in value for value in row)
    assert CARDS[ANN] not in row
